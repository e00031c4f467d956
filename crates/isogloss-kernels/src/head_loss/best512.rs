//! Sums of exponentials with AVX-512: half the instructions of the loop for all paths, whose products and sums aren't fused.

use std::arch::x86_64::*;

use crate::cpu::{KernelPath, Supported};
use crate::head_loss::best::Block;
use crate::simd::{EXP, LN2_HI, LN2_LO};
use crate::simd512::LANES;

/// The largest logit and the sum of exponentials; NaN if a logit isn't finite. `None` where it isn't for the path.
pub(super) fn block_sum(path: Supported, logits: &[f32]) -> Option<Block> {
    match path.path() {
        KernelPath::Avx512 | KernelPath::Avx512Bf16 | KernelPath::AmxBf16 => {
            // SAFETY: `Supported` is made only of a path whose instructions the machine has.
            Some(unsafe { block_sum512(logits) })
        }
        KernelPath::Portable | KernelPath::Avx2 => None,
    }
}

#[target_feature(enable = "avx512f")]
fn block_sum512(logits: &[f32]) -> Block {
    let (blocks, tail) = logits.as_chunks::<LANES>();
    let mask = (1u16 << tail.len()) - 1;
    let least = _mm512_set1_ps(f32::NEG_INFINITY);
    // SAFETY: a block holds 16 values.
    let load = |block: &[f32; LANES]| unsafe { _mm512_loadu_ps(block.as_ptr()) };
    // SAFETY: the mask keeps to the tail's values.
    let last = unsafe { _mm512_mask_loadu_ps(least, mask, tail.as_ptr()) };
    let largest = blocks
        .iter()
        .fold(last, |max, block| _mm512_max_ps(max, load(block)));
    let max = _mm512_reduce_max_ps(largest);
    let shift = _mm512_set1_ps(max);
    let mut sum = _mm512_setzero_ps();
    for block in blocks {
        let x = load(block);
        let e = exp(_mm512_sub_ps(x, shift));
        // What isn't finite makes NaN of `0 x`.
        sum = _mm512_add_ps(sum, _mm512_fmadd_ps(_mm512_setzero_ps(), x, e));
    }
    let e = exp(_mm512_sub_ps(last, shift));
    let e = _mm512_fmadd_ps(_mm512_setzero_ps(), last, e);
    sum = _mm512_mask_add_ps(sum, mask, sum, e);
    (max, _mm512_reduce_add_ps(sum))
}

/// `e^x` for `x <= 0`, within 2 units in the last place, as [`crate::simd::exp`]; subnormal where that is, 0 for minus infinity.
#[inline]
#[target_feature(enable = "avx512f")]
fn exp(x: __m512) -> __m512 {
    const NEAREST: i32 = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
    let of = |x: f32| _mm512_set1_ps(x);
    // Below, `r` would be far from 0 and the polynomial could overflow; the result is 0 already. NaN stays, as the second operand.
    let x = _mm512_max_ps(of(-110.0), x);
    let n = _mm512_roundscale_ps::<NEAREST>(_mm512_mul_ps(x, of(std::f32::consts::LOG2_E)));
    let r = _mm512_fnmadd_ps(n, of(LN2_HI), x);
    let r = _mm512_fnmadd_ps(n, of(LN2_LO), r);
    let mut p = of(EXP[0]);
    for &c in EXP[1..].iter().chain(&[1.0, 1.0]) {
        p = _mm512_fmadd_ps(p, r, of(c));
    }
    _mm512_scalef_ps(p, n)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::units_off;

    #[test]
    fn exp_is_within_two_units_in_the_last_place() {
        if !KernelPath::Avx512.is_available() {
            return;
        }
        #[target_feature(enable = "avx512f")]
        fn of(x: &[f32; LANES]) -> [f32; LANES] {
            let mut e = [0.0; LANES];
            // SAFETY: both hold 16 values.
            unsafe { _mm512_storeu_ps(e.as_mut_ptr(), exp(_mm512_loadu_ps(x.as_ptr()))) };
            e
        }
        for i in 0..25_000 {
            let x = std::array::from_fn(|j| -87.3 * (i * LANES + j) as f32 / 399_999.0);
            // SAFETY: the machine has the instructions.
            for (x, e) in x.iter().zip(unsafe { of(&x) }) {
                let error = units_off(*x, e);
                assert!(error <= 2.0, "exp({x}): {error} units");
            }
        }
        // SAFETY: the machine has the instructions.
        let e = unsafe { of(&[f32::NAN; LANES]) };
        assert!(e[3].is_nan());
        for x in [-110.0, -1e9, -5e13, -f32::MAX, f32::NEG_INFINITY] {
            // SAFETY: as above.
            assert_eq!(unsafe { of(&[x; LANES]) }, [0.0; LANES], "exp({x})");
        }
    }
}
