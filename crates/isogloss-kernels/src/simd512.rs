//! What kernels for AVX-512 share.

use std::arch::x86_64::*;

use crate::cpu::{KernelPath, Supported};

/// Values of a vector in bfloat16, and in `f32`.
pub(crate) const PAIRS: usize = 32;
pub(crate) const LANES: usize = 16;

/// Whether the path multiplies vectors of bfloat16.
pub(crate) fn multiplies_bf16(path: Supported) -> bool {
    matches!(path.path(), KernelPath::Avx512Bf16 | KernelPath::AmxBf16)
}

/// Bits as a vector of bfloat16.
#[inline]
#[target_feature(enable = "avx512f,avx512bf16")]
pub(crate) fn pairs(bits: __m512i) -> __m512bh {
    // SAFETY: any bits are such a vector.
    unsafe { std::mem::transmute::<__m512i, __m512bh>(bits) }
}

/// Rounds a row to bfloat16 with the processor's instruction, to which subnormal values are zero; places behind its end are cleared.
///
/// # Panics
/// If `to` isn't as long as the row, or one longer.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
pub(crate) fn narrow(row: &[f32], to: &mut [u16]) {
    assert!(to.len() == row.len() || to.len() == row.len() + 1);
    let mask = |len: usize| ((1u32 << len) - 1) as __mmask16;
    for (i, to) in to.chunks_mut(LANES).enumerate() {
        let row = &row[i * LANES..];
        // SAFETY: the masks keep to what is there; bits of bfloat16 are integers.
        unsafe {
            let row = _mm512_maskz_loadu_ps(mask(row.len().min(LANES)), row.as_ptr());
            let short = std::mem::transmute::<__m256bh, __m256i>(_mm512_cvtneps_pbh(row));
            _mm256_mask_storeu_epi16(to.as_mut_ptr().cast(), mask(to.len()), short);
        }
    }
}

/// Asks for memory that is read soon, where the processor doesn't foresee it.
#[inline]
#[target_feature(enable = "avx512f")]
pub(crate) fn fetch<const HINT: i32, T>(values: &[T]) {
    for line in values.chunks(64 / size_of::<T>()) {
        _mm_prefetch::<HINT>(line.as_ptr().cast());
    }
}

/// The sums of the lanes of each vector, in their order.
#[target_feature(enable = "avx512f")]
pub(crate) fn reduce(v: &[__m512; LANES]) -> __m512 {
    // Each round adds halves, then quarters, ... of two vectors into one.
    let mut u = [_mm512_setzero_ps(); 8];
    for (i, u) in u.iter_mut().enumerate() {
        let (a, b) = (v[i], v[i + 8]);
        *u = _mm512_add_ps(
            _mm512_shuffle_f32x4::<0b01_00_01_00>(a, b),
            _mm512_shuffle_f32x4::<0b11_10_11_10>(a, b),
        );
    }
    let mut w = [_mm512_setzero_ps(); 4];
    for (i, w) in w.iter_mut().enumerate() {
        let (a, b) = (u[i], u[i + 4]);
        *w = _mm512_add_ps(
            _mm512_shuffle_f32x4::<0b10_00_10_00>(a, b),
            _mm512_shuffle_f32x4::<0b11_01_11_01>(a, b),
        );
    }
    let mut x = [_mm512_setzero_ps(); 2];
    for (i, x) in x.iter_mut().enumerate() {
        let (a, b) = (w[i], w[i + 2]);
        *x = _mm512_add_ps(
            _mm512_shuffle_ps::<0b01_00_01_00>(a, b),
            _mm512_shuffle_ps::<0b11_10_11_10>(a, b),
        );
    }
    let mixed = _mm512_add_ps(
        _mm512_shuffle_ps::<0b10_00_10_00>(x[0], x[1]),
        _mm512_shuffle_ps::<0b11_01_11_01>(x[0], x[1]),
    );
    // Vectors 0, 2, 1, 3 lie in the first quarter; the quarters are those from 0, 8, 4 and 12 on.
    let order = _mm512_setr_epi32(0, 2, 1, 3, 8, 10, 9, 11, 4, 6, 5, 7, 12, 14, 13, 15);
    _mm512_permutexvar_ps(order, mixed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixteen_vectors_are_reduced_in_their_order() {
        if !KernelPath::Avx512.is_available() {
            return;
        }
        #[target_feature(enable = "avx512f")]
        fn reduced() -> [f32; LANES] {
            let mut vectors = [_mm512_setzero_ps(); LANES];
            for (i, vector) in vectors.iter_mut().enumerate() {
                let values: [f32; LANES] =
                    std::array::from_fn(|lane| (100 * i + lane * lane) as f32);
                // SAFETY: 16 values.
                *vector = unsafe { _mm512_loadu_ps(values.as_ptr()) };
            }
            let mut sums = [0.0; LANES];
            // SAFETY: 16 values.
            unsafe { _mm512_storeu_ps(sums.as_mut_ptr(), reduce(&vectors)) };
            sums
        }
        // SAFETY: the machine has the instructions.
        let sums = unsafe { reduced() };
        let squares: usize = (0..LANES).map(|lane| lane * lane).sum();
        for (i, sum) in sums.into_iter().enumerate() {
            assert_eq!(sum, (1600 * i + squares) as f32);
        }
    }
}
