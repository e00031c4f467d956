//! How much memory the process took.

/// The most memory that this process ever held (resident set), in bytes; `None` where the system doesn't say. Pages of mapped files
/// count as long as they are in memory.
#[must_use]
pub fn peak_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(1024 * kib)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #[test]
    fn the_peak_holds_what_was_touched() {
        let before = super::peak_bytes().unwrap();
        let touched = vec![1u8; 64 << 20];
        assert!(touched.iter().map(|&x| u64::from(x)).sum::<u64>() == 64 << 20);
        assert!(super::peak_bytes().unwrap() >= before.max(64 << 20));
    }
}
