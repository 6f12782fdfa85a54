//! What the server's threads have spent: it shares its process with whoever measures it.

use std::fs;
use std::time::Duration;

/// The processor time so far of this process's threads called `name`; None where the system does not
/// tell (Linux does: Documentation/scheduler/sched-stats.rst, /proc/PID/schedstat).
pub(crate) fn cpu_of(name: &str) -> Option<Duration> {
    fs::read("/proc/self/schedstat").ok()?;
    let mut spent = Duration::ZERO;
    for thread in fs::read_dir("/proc/self/task").ok()? {
        let folder = thread.ok()?.path();
        // A thread may have ended meanwhile.
        let Ok(called) = fs::read_to_string(folder.join("comm")) else {
            continue;
        };
        if called.trim_end() != name {
            continue;
        }
        let Ok(told) = fs::read_to_string(folder.join("schedstat")) else {
            continue;
        };
        let nanos = told.split_whitespace().next()?.parse().ok()?;
        spent += Duration::from_nanos(nanos);
    }
    Some(spent)
}
