use std::fmt;
use std::str::FromStr;

/// The variable that forces a [`KernelPath`], so that tests can run every path that a machine has.
pub(super) const PATH_VARIABLE: &str = "ISOGLOSS_KERNEL_PATH";

/// The instructions that the kernels use. Paths differ in the last bits of a result; within a path results are fixed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum KernelPath {
    /// Plain Rust, whatever the compiler makes of it. Every machine has it.
    Portable,
    /// x86-64 with AVX2 and FMA.
    Avx2,
    /// x86-64 with AVX-512 F, BW, DQ and VL.
    Avx512,
    /// The same with AVX512-BF16: products of bf16 pairs in one instruction.
    Avx512Bf16,
    /// The same with AMX-BF16: products of tiles of bf16 pairs; what is in `f32` runs as on [`Avx512`](KernelPath::Avx512). On Linux
    /// alone, which the process asks for permission, and only if a small product comes out right. Where tiles multiply bytes too
    /// (AMX-INT8), products with weights in bytes take them from a few rows on, with the bits of every other path.
    AmxBf16,
}

impl KernelPath {
    /// All paths, slowest first.
    pub const ALL: [KernelPath; 5] = [
        KernelPath::Portable,
        KernelPath::Avx2,
        KernelPath::Avx512,
        KernelPath::Avx512Bf16,
        KernelPath::AmxBf16,
    ];

    /// The name that [`FromStr`] reads.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            KernelPath::Portable => "portable",
            KernelPath::Avx2 => "avx2",
            KernelPath::Avx512 => "avx512",
            KernelPath::Avx512Bf16 => "avx512bf16",
            KernelPath::AmxBf16 => "amxbf16",
        }
    }

    /// Whether this machine can run it.
    #[must_use]
    pub fn is_available(self) -> bool {
        match self {
            KernelPath::Portable => true,
            #[cfg(target_arch = "x86_64")]
            KernelPath::Avx2 => {
                std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma")
            }
            #[cfg(target_arch = "x86_64")]
            KernelPath::Avx512 => {
                KernelPath::Avx2.is_available()
                    && std::is_x86_feature_detected!("avx512f")
                    && std::is_x86_feature_detected!("avx512bw")
                    && std::is_x86_feature_detected!("avx512dq")
                    && std::is_x86_feature_detected!("avx512vl")
            }
            #[cfg(target_arch = "x86_64")]
            KernelPath::Avx512Bf16 => {
                KernelPath::Avx512.is_available() && std::is_x86_feature_detected!("avx512bf16")
            }
            #[cfg(target_arch = "x86_64")]
            KernelPath::AmxBf16 => KernelPath::Avx512Bf16.is_available() && super::amx::is_usable(),
            #[cfg(not(target_arch = "x86_64"))]
            _ => false,
        }
    }

    /// The paths that this machine can run, slowest first.
    pub fn available() -> impl Iterator<Item = KernelPath> {
        Self::ALL.into_iter().filter(|path| path.is_available())
    }

    /// The fastest path of this machine.
    #[must_use]
    pub fn detect() -> Self {
        Self::available().last().unwrap_or(KernelPath::Portable)
    }
}

/// A path whose instructions this machine has: calls of kernels rely on it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Supported(KernelPath);

impl Supported {
    /// The path, if this machine can run it.
    pub(crate) fn new(path: KernelPath) -> Option<Self> {
        path.is_available().then_some(Supported(path))
    }

    /// The fastest path of this machine.
    pub(crate) fn detected() -> Self {
        Supported(KernelPath::detect())
    }

    pub(crate) fn path(self) -> KernelPath {
        self.0
    }
}

impl fmt::Display for KernelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for KernelPath {
    type Err = CpuError;

    fn from_str(name: &str) -> Result<Self, CpuError> {
        Self::ALL
            .into_iter()
            .find(|path| path.name() == name)
            .ok_or_else(|| CpuError::UnknownPath { name: name.into() })
    }
}

/// What the operands of matrix products are rounded to; sums are always `f32`. Attention, norms and the optimiser compute in
/// `f32` in either case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum Precision {
    /// Operands as they are (bf16 storage is widened).
    #[default]
    F32,
    /// Both operands rounded to bf16, to nearest even: about twice as fast where the machine has AVX512-BF16, faster still with AMX,
    /// emulated elsewhere (with AVX2 not in low-rank updates of a rank up to 8, which gain nothing by it).
    Bf16,
    /// For decoding: weights that are packed ahead are quantised to 8 bits, a factor for each output channel, and what is multiplied
    /// with them a row at a time; the same bits on every path, faster with AVX512-VNNI and AMX-INT8. All other products are as in
    /// `F32`, but those with factors of updates that are [kept](crate::Backend::keep_factors).
    Int8,
}

impl Precision {
    /// The name: `f32`, `bf16`, `int8`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Precision::F32 => "f32",
            Precision::Bf16 => "bf16",
            Precision::Int8 => "int8",
        }
    }
}

/// Most threads of a backend. A process that starts far more than the system can give stacks is aborted rather than refused.
pub(super) const MAX_THREADS: usize = 1024;

/// Why a [`Cpu`](crate::Cpu) can't be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CpuError {
    /// A name that is no path.
    #[error(
        "no kernel path is called {name:?}: use one of portable, avx2, avx512, avx512bf16, amxbf16, or unset {PATH_VARIABLE} for the fastest"
    )]
    UnknownPath {
        /// What was asked for.
        name: String,
    },
    /// A path whose instructions this machine lacks.
    #[error(
        "this machine can't run the kernel path {path}; it has: {}",
        names(KernelPath::available())
    )]
    UnavailablePath {
        /// What was asked for.
        path: KernelPath,
    },
    /// More threads than any machine has a use for.
    #[error(
        "{threads} threads are asked for: at most {MAX_THREADS}, or 0 for as many as the machine has cores"
    )]
    TooMany {
        /// How many were asked for.
        threads: usize,
    },
    /// The operating system gave no threads.
    #[error("can't start {threads} threads")]
    Threads {
        /// How many were asked for.
        threads: usize,
        /// What the system says.
        source: std::io::Error,
    },
}

fn names(paths: impl Iterator<Item = KernelPath>) -> String {
    paths.map(KernelPath::name).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read_by_name() {
        for path in KernelPath::ALL {
            assert_eq!(path.name().parse::<KernelPath>().unwrap(), path);
        }
        let error = "amx".parse::<KernelPath>().unwrap_err().to_string();
        for path in KernelPath::ALL {
            assert!(error.contains(path.name()), "{error}");
        }
    }
}
