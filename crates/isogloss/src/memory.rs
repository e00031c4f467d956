//! How much memory the process took.

/// The most memory that this process has held so far, in bytes: the peak of its resident set, which counts files that are mapped into
/// memory. `None` where the system doesn't say; Linux does.
#[must_use]
pub fn peak_bytes() -> Option<u64> {
    peak_of(&std::fs::read_to_string("/proc/self/status").ok()?)
}

fn peak_of(status: &str) -> Option<u64> {
    let mut lines = status.lines();
    let line = lines.find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peaks_are_read_as_the_system_writes_them() {
        let status = "Name:\tisogloss\nVmPeak:\t  999 kB\nVmHWM:\t  123456 kB\nVmRSS:\t  1 kB\n";
        assert_eq!(peak_of(status), Some(123_456 * 1024));
        for status in ["", "VmHWM:", "VmHWM:\t12 MB", "VmHWM:\tmany kB"] {
            assert_eq!(peak_of(status), None);
        }
        assert_eq!(peak_bytes().is_some(), cfg!(target_os = "linux"));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_peak_holds_what_was_touched() {
        let touched = vec![1u8; 64 << 20];
        assert!(touched.iter().map(|&x| u64::from(x)).sum::<u64>() == 64 << 20);
        assert!(peak_bytes().unwrap() >= 64 << 20);
    }
}
