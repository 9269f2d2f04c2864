//! Instruction sets, as far as the choice of a worker depends on them.

use std::fmt;

/// The instruction sets that the processor and the kernel offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cpu {
    avx2: bool,
    avx512: bool,
}

impl Cpu {
    /// Asks the processor (CPUID, and XGETBV for what the kernel saves).
    pub(super) fn detect() -> Self {
        // The sets that the two workers are compiled for: see instruction-sets/ beside the worker.
        Self {
            avx2: is_x86_feature_detected!("avx")
                && is_x86_feature_detected!("avx2")
                && is_x86_feature_detected!("fma")
                && is_x86_feature_detected!("f16c")
                && is_x86_feature_detected!("bmi2")
                && is_x86_feature_detected!("sse4.2"),
            avx512: is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512cd")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512vnni")
                && is_x86_feature_detected!("avx512vbmi"),
        }
    }

    /// AVX, AVX2, FMA, F16C, BMI2 and SSE 4.2: the least that a worker needs.
    pub const fn avx2(self) -> bool {
        self.avx2
    }

    /// Beyond that AVX-512 F, CD, VL, DQ, BW, VNNI and VBMI.
    pub const fn avx512(self) -> bool {
        self.avx2 && self.avx512
    }
}

impl fmt::Display for Cpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.avx2(), self.avx512()) {
            (_, true) => "AVX2, AVX-512",
            (true, false) => "AVX2",
            (false, false) => "no AVX2",
        })
    }
}
