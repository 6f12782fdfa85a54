//! The machine a run was made on, as far as it says so itself.

use std::fs;
use std::process::Command;

use crate::report::Host;

/// Asks Linux's /proc and /etc, or macOS's sysctl; what can't be learned is `unknown` or 0.
pub fn host() -> Host {
    let os = os_name().unwrap_or_else(|| std::env::consts::OS.to_owned());
    Host {
        os: format!("{os}, {}", std::env::consts::ARCH),
        cpu: cpu().unwrap_or_else(|| "unknown".to_owned()),
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        memory_bytes: memory().unwrap_or(0),
    }
}

fn os_name() -> Option<String> {
    if cfg!(target_os = "macos") {
        return Some(format!(
            "macOS {}",
            output("sw_vers", &["-productVersion"])?
        ));
    }
    let release = fs::read_to_string("/etc/os-release").ok()?;
    let name = field(&release, "PRETTY_NAME=")?
        .trim_matches('"')
        .to_owned();
    match fs::read_to_string("/proc/sys/kernel/osrelease") {
        Ok(kernel) => Some(format!("{name}, Linux {}", kernel.trim())),
        Err(_) => Some(name),
    }
}

fn cpu() -> Option<String> {
    if cfg!(target_os = "macos") {
        return output("sysctl", &["-n", "machdep.cpu.brand_string"]);
    }
    let info = fs::read_to_string("/proc/cpuinfo").ok()?;
    let name = field(&info, "model name").or_else(|| field(&info, "Model"))?;
    Some(name.trim_start_matches([' ', '\t', ':']).to_owned())
}

fn memory() -> Option<u64> {
    if cfg!(target_os = "macos") {
        return output("sysctl", &["-n", "hw.memsize"])?.parse().ok();
    }
    let info = fs::read_to_string("/proc/meminfo").ok()?;
    let kib: u64 = field(&info, "MemTotal:")?
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .ok()?;
    Some(kib * 1024)
}

fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines()
        .find_map(|line| line.strip_prefix(name))
        .map(str::trim)
}

fn output(program: &str, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    #[test]
    fn this_machine_has_a_core_and_an_architecture() {
        let host = super::host();
        assert!(host.cores >= 1);
        assert!(host.os.contains(std::env::consts::ARCH), "{}", host.os);
        if cfg!(target_os = "linux") {
            assert!(host.memory_bytes > 1 << 20);
        }
    }
}
