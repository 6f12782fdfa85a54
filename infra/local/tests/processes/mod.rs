//! Processes as they are seen from outside: whether one can run here at all, and what is left of one.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhub_local::Requirement;

/// False, said aloud, where a hub can't run that needs this; on a build server that is a failure.
pub(crate) fn can_run(test: &str, needs: Vec<Requirement>) -> bool {
    let unmet: Vec<_> = needs.into_iter().filter(|need| !need.is_met()).collect();
    if unmet.is_empty() {
        return true;
    }
    assert!(std::env::var("CI").is_err(), "{test} can't run: {unmet:?}");
    eprintln!("SKIPPED {test}: {unmet:?}");
    false
}

pub(crate) fn is_gone(pid: u32) -> bool {
    let ps = Command::new("ps")
        .args(["-o", "stat=", "-p", &pid.to_string()])
        .output()
        .unwrap();
    let state = String::from_utf8_lossy(&ps.stdout);
    state.trim().is_empty() || state.trim().starts_with('Z')
}

pub(crate) fn await_that(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(
            Instant::now() < deadline,
            "after 20 s it is not so that {what}"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}
