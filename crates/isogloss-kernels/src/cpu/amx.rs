//! Whether this process may use AMX with bf16, and with bytes. The standard library doesn't say so on the stable compiler.

use std::arch::x86_64::{__cpuid_count, _xgetbv};
use std::sync::LazyLock;

/// Whether the processor has it, the operating system lets us, and a small product comes out right. Asked once.
///
/// The caller has seen that the machine has AVX-512, hence CPUID leaf 7 and XGETBV.
pub(super) fn is_usable() -> bool {
    static USABLE: LazyLock<bool> = LazyLock::new(|| {
        has_instructions()
            && system_keeps_tiles()
            && system_permits()
            // SAFETY: as was just found out.
            && unsafe { crate::matmul::amx_multiplies() }
    });
    *USABLE
}

/// Whether tiles multiply bytes as well, and a small product comes out right. Asked once.
///
/// The caller has seen that the machine has AVX-512.
pub(crate) fn multiplies_bytes() -> bool {
    static MULTIPLIES: LazyLock<bool> = LazyLock::new(|| {
        is_usable()
            && has_bytes()
            // SAFETY: as was just found out.
            && unsafe { crate::matmul::amx_multiplies_bytes() }
    });
    *MULTIPLIES
}

/// CPUID: AMX-INT8.
fn has_bytes() -> bool {
    leaf(7, 0)[3] >> 25 & 1 == 1
}

/// CPUID: AMX-TILE and AMX-BF16, and eight tiles of 16 rows of 64 bytes.
fn has_instructions() -> bool {
    let features = leaf(7, 0)[3];
    let (tile, bf16) = (features >> 24 & 1, features >> 22 & 1);
    if (tile, bf16) != (1, 1) {
        return false;
    }
    let [sizes, rows_and_tiles, rows, _] = leaf(0x1d, 1);
    sizes >> 16 >= 1024
        && rows_and_tiles & 0xffff >= 64
        && rows_and_tiles >> 16 >= 8
        && rows & 0xffff >= 16
}

/// EAX, EBX, ECX and EDX of a leaf of CPUID.
// Calling it is unsafe with some of the compilers that we support only.
#[allow(unused_unsafe)]
fn leaf(leaf: u32, sub_leaf: u32) -> [u32; 4] {
    // SAFETY: every processor with AVX-512 has CPUID.
    let result = unsafe { __cpuid_count(leaf, sub_leaf) };
    [result.eax, result.ebx, result.ecx, result.edx]
}

/// XCR0: whether the operating system saves the tiles' shapes and values when it switches threads.
fn system_keeps_tiles() -> bool {
    #[target_feature(enable = "xsave")]
    unsafe fn xcr0() -> u64 {
        // SAFETY: the caller's promise; register 0 always exists.
        unsafe { _xgetbv(0) }
    }
    const TILES: u64 = 3 << 17;
    // SAFETY: AVX-512 counts as found only if the operating system has enabled XGETBV.
    unsafe { xcr0() & TILES == TILES }
}

/// Linux gives the tiles' memory only to a process that has asked for it, for all of its threads and for good.
#[cfg(target_os = "linux")]
fn system_permits() -> bool {
    const ARCH_PRCTL: usize = 158;
    const ARCH_REQ_XCOMP_PERM: usize = 0x1023;
    const XFEATURE_XTILEDATA: usize = 18;
    let result: isize;
    // SAFETY: a system call that takes two integers and touches no memory of ours.
    unsafe {
        std::arch::asm!(
            "syscall",
            inlateout("rax") ARCH_PRCTL => result,
            in("rdi") ARCH_REQ_XCOMP_PERM,
            in("rsi") XFEATURE_XTILEDATA,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    result == 0
}

/// How other systems are asked is not known here.
#[cfg(not(target_os = "linux"))]
fn system_permits() -> bool {
    false
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use crate::cpu::KernelPath;

    /// What Linux says of the processor, against what we find; a machine without AMX must say no to the call as well.
    #[test]
    fn the_processor_is_read_as_linux_reads_it() {
        let info = std::fs::read_to_string("/proc/cpuinfo").unwrap();
        let Some(flags) = info.lines().find(|line| line.starts_with("flags")) else {
            return;
        };
        let has = |flag: &str| flags.split_whitespace().any(|x| x == flag);
        let listed = has("amx_tile") && has("amx_bf16");
        assert_eq!(has_bytes(), has("amx_int8"));
        if listed {
            assert!(has_instructions());
        } else {
            // All three are asked, whatever the first says.
            let answers = [has_instructions(), system_keeps_tiles(), system_permits()];
            assert!(answers.contains(&false));
            assert!(!KernelPath::AmxBf16.is_available());
            assert!(!multiplies_bytes());
        }
    }
}
