//! How much memory another process of this machine needs.

use std::process::{Child, ExitStatus};
use std::time::Duration;

/// The most memory that a process ever had, in MiB; `self` is this one. Nothing for one that has ended.
pub fn peak(pid: &str) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib / 1024)
}

/// How a program ended, and the most memory that it ever had, in MiB.
pub fn watched(child: &mut Child) -> (ExitStatus, u64) {
    let pid = child.id().to_string();
    let mut most = 0;
    loop {
        // The peak never falls (proc(5), VmHWM), so that the last look tells it.
        most = peak(&pid).unwrap_or(most);
        if let Some(status) = child.try_wait().expect("is a child") {
            return (status, most);
        }
        std::thread::park_timeout(Duration::from_millis(2));
    }
}
