//! The processor's vector registers, in which ciphers leave their keys.
//!
//! Whatever saves registers puts them on a stack: the dynamic linker when it first binds a function, a
//! signal's delivery.

use std::arch::{asm, is_x86_feature_detected};

#[cfg(not(target_arch = "x86_64"))]
compile_error!("say here how the vector registers of this architecture are cleared");

/// Clears every vector register. Cheap: a few nanoseconds.
#[inline]
pub fn wipe_registers() {
    if is_x86_feature_detected!("avx512f") {
        // SAFETY: the processor has the instructions. They write registers alone: 0 to 15 are told to the
        // compiler, and 16 to 31 are used by no code that is compiled without AVX-512, as this is.
        unsafe {
            asm!(
                "vpxord zmm16, zmm16, zmm16",
                "vpxord zmm17, zmm17, zmm17",
                "vpxord zmm18, zmm18, zmm18",
                "vpxord zmm19, zmm19, zmm19",
                "vpxord zmm20, zmm20, zmm20",
                "vpxord zmm21, zmm21, zmm21",
                "vpxord zmm22, zmm22, zmm22",
                "vpxord zmm23, zmm23, zmm23",
                "vpxord zmm24, zmm24, zmm24",
                "vpxord zmm25, zmm25, zmm25",
                "vpxord zmm26, zmm26, zmm26",
                "vpxord zmm27, zmm27, zmm27",
                "vpxord zmm28, zmm28, zmm28",
                "vpxord zmm29, zmm29, zmm29",
                "vpxord zmm30, zmm30, zmm30",
                "vpxord zmm31, zmm31, zmm31",
                options(nomem, nostack, preserves_flags)
            );
        }
    }
    macro_rules! clear {
        ($($instruction:literal),+) => {
            asm!(
                $($instruction),+,
                out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _,
                out("xmm4") _, out("xmm5") _, out("xmm6") _, out("xmm7") _,
                out("xmm8") _, out("xmm9") _, out("xmm10") _, out("xmm11") _,
                out("xmm12") _, out("xmm13") _, out("xmm14") _, out("xmm15") _,
                options(nomem, nostack, preserves_flags)
            )
        };
    }
    if is_x86_feature_detected!("avx") {
        // SAFETY: the processor has the instruction, which clears registers 0 to 15 in full; all of
        // them are told to the compiler.
        unsafe { clear!("vzeroall") }
    } else {
        // SAFETY: every x86-64 processor has these instructions; the registers are told to the compiler.
        unsafe {
            clear!(
                "xorps xmm0, xmm0",
                "xorps xmm1, xmm1",
                "xorps xmm2, xmm2",
                "xorps xmm3, xmm3",
                "xorps xmm4, xmm4",
                "xorps xmm5, xmm5",
                "xorps xmm6, xmm6",
                "xorps xmm7, xmm7",
                "xorps xmm8, xmm8",
                "xorps xmm9, xmm9",
                "xorps xmm10, xmm10",
                "xorps xmm11, xmm11",
                "xorps xmm12, xmm12",
                "xorps xmm13, xmm13",
                "xorps xmm14, xmm14",
                "xorps xmm15, xmm15"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_register_keeps_what_it_held() {
        let mut kept = [[0xA5_u8; 16]; 2];
        let mark = u128::from_ne_bytes([0x5A; 16]);
        // SAFETY: registers are loaded from and stored to memory of ours; all are told to the compiler.
        unsafe {
            asm!(
                "movups xmm3, [{mark}]",
                "movups xmm15, [{mark}]",
                mark = in(reg) &raw const mark,
                out("xmm3") _, out("xmm15") _,
                options(nostack)
            );
        }
        wipe_registers();
        // SAFETY: as above.
        unsafe {
            asm!(
                "movups [{kept}], xmm3",
                "movups [{kept} + 16], xmm15",
                kept = in(reg) kept.as_mut_ptr(),
                options(nostack)
            );
        }
        assert_eq!(kept, [[0; 16]; 2]);
    }
}
