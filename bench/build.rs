//! Tells the program which revision it is built from, so that a report can say so.

use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // Everything that changes what is measured. Outside a checkout none of it is there but `src`.
    for path in [
        "src",
        "../core",
        "../backends",
        "../infra/local",
        "../Cargo.lock",
    ] {
        if std::path::Path::new(path).exists() {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    if let Some(head) = git(&["rev-parse", "--git-path", "logs/HEAD"]) {
        println!("cargo::rerun-if-changed={head}");
    }
    if let Some(revision) = git(&[
        "describe",
        "--always",
        "--dirty",
        "--abbrev=12",
        "--exclude=*",
    ]) {
        println!("cargo::rustc-env=ANYHUB_BENCH_GIT={revision}");
    }
}

fn git(args: &[&str]) -> Option<String> {
    let output = Command::new("git").args(args).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let text = text.trim();
    (output.status.success() && !text.is_empty()).then(|| text.to_owned())
}
