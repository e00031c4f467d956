//! Loops compiled once for each kernel path, and the few functions that they share.

/// Declares a function whose body is compiled for the instructions of each [`KernelPath`](crate::KernelPath). The function takes
/// a [`Supported`](crate::cpu::Supported) path before its own arguments. Loops in the body are written so that the compiler vectorises them; sums run over
/// [`LANES`] partial sums, so that the order is the same on every path.
macro_rules! multiversion {
    ($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? $body:block) => {
        $(#[$meta])*
        $vis fn $name(path: $crate::cpu::Supported, $($arg: $ty),*) $(-> $ret)? {
            #[inline(always)]
            fn generic($($arg: $ty),*) $(-> $ret)? $body

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            fn avx2($($arg: $ty),*) $(-> $ret)? {
                generic($($arg),*)
            }

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512dq,avx512vl")]
            fn avx512($($arg: $ty),*) $(-> $ret)? {
                generic($($arg),*)
            }

            match path.path() {
                #[cfg(target_arch = "x86_64")]
                $crate::cpu::KernelPath::Avx512
                | $crate::cpu::KernelPath::Avx512Bf16
                | $crate::cpu::KernelPath::AmxBf16 => {
                    // SAFETY: `Supported` is made only of a path whose instructions the machine has.
                    unsafe { avx512($($arg),*) }
                }
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                $crate::cpu::KernelPath::Avx2 => unsafe { avx2($($arg),*) },
                _ => generic($($arg),*),
            }
        }
    };
}
pub(crate) use multiversion;

/// Number of partial sums in a reduction: element `i` goes to sum `i % LANES`.
pub(crate) const LANES: usize = 16;

/// Folds the partial results of a reduction, always in the same order.
#[inline(always)]
fn fold(mut lanes: [f32; LANES], f: impl Fn(f32, f32) -> f32) -> f32 {
    let mut half = LANES / 2;
    while half > 0 {
        for i in 0..half {
            lanes[i] = f(lanes[i], lanes[i + half]);
        }
        half /= 2;
    }
    lanes[0]
}

/// The sum of `f(x)`, over [`LANES`] partial sums.
#[inline(always)]
pub(crate) fn sum(x: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let (blocks, tail) = x.as_chunks::<LANES>();
    for block in blocks {
        for (lane, &x) in lanes.iter_mut().zip(block) {
            *lane += f(x);
        }
    }
    for (lane, &x) in lanes.iter_mut().zip(tail) {
        *lane += f(x);
    }
    fold(lanes, |a, b| a + b)
}

/// The sum of `f(x, y)` over pairs, over [`LANES`] partial sums.
#[inline(always)]
pub(crate) fn sum2<T: Copy>(x: &[f32], y: &[T], f: impl Fn(f32, T) -> f32) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let (x_blocks, x_tail) = x.as_chunks::<LANES>();
    let (y_blocks, y_tail) = y.as_chunks::<LANES>();
    for (x, y) in x_blocks.iter().zip(y_blocks) {
        for i in 0..LANES {
            lanes[i] += f(x[i], y[i]);
        }
    }
    for (i, (&x, &y)) in x_tail.iter().zip(y_tail).enumerate() {
        lanes[i] += f(x, y);
    }
    fold(lanes, |a, b| a + b)
}

/// The bits of `x` rounded to bf16, to nearest even, in the upper half; NaN stays NaN.
#[inline(always)]
pub(crate) fn round_to_bf16(x: f32) -> u32 {
    let bits = x.to_bits();
    let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) & 0xffff_0000;
    if (bits & 0x7fff_ffff) > 0x7f80_0000 {
        (bits | 0x0040_0000) & 0xffff_0000
    } else {
        rounded
    }
}

multiversion! {
    /// Rounds values to the bits of bf16, as many as there is room for.
    pub(crate) fn narrow(values: &[f32], to: &mut [u16]) {
        for (to, &x) in to.iter_mut().zip(values) {
            *to = (round_to_bf16(x) >> 16) as u16;
        }
    }
}

/// The value of the bits of a bf16.
#[inline(always)]
pub(crate) fn widen_bf16(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

/// Replaces each `x` by `f(x)` and returns the sum of the results, over [`LANES`] partial sums.
#[inline(always)]
pub(crate) fn map_sum(x: &mut [f32], f: impl Fn(f32) -> f32) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let (blocks, tail) = x.as_chunks_mut::<LANES>();
    for block in blocks {
        for (lane, x) in lanes.iter_mut().zip(block) {
            *x = f(*x);
            *lane += *x;
        }
    }
    for (lane, x) in lanes.iter_mut().zip(tail) {
        *x = f(*x);
        *lane += *x;
    }
    fold(lanes, |a, b| a + b)
}

/// The largest value; negative infinity of none.
#[inline(always)]
pub(crate) fn max(x: &[f32]) -> f32 {
    let larger = |a: f32, b: f32| if b > a { b } else { a };
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let (blocks, tail) = x.as_chunks::<LANES>();
    for block in blocks {
        for (lane, &x) in lanes.iter_mut().zip(block) {
            *lane = larger(*lane, x);
        }
    }
    for (lane, &x) in lanes.iter_mut().zip(tail) {
        *lane = larger(*lane, x);
    }
    fold(lanes, larger)
}

/// ln 2 in two parts, the first exact when multiplied by a small integer.
pub(crate) const LN2_HI: f32 = 0.693_359_4;
pub(crate) const LN2_LO: f32 = -2.121_944_4e-4;

/// `(e^r - 1 - r) / r^2` for `|r| <= ln 2 / 2`: coefficients, the highest power's first.
pub(crate) const EXP: [f32; 6] = [
    1.987_569_1e-4,
    1.398_199_9e-3,
    8.333_452e-3,
    4.166_579_6e-2,
    0.166_666_65,
    0.5,
];

/// `e^x` for `x <= 88`, within 2 units in the last place; below -87.3 (where the result would be subnormal) it is 0. NaN stays NaN.
///
/// Range reduction to `2^n e^r`, `|r| <= ln 2 / 2`, then a polynomial of degree 6, all in operations that vectorise.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    const LOWEST: f32 = -87.336_54;
    // Adding 1.5 * 2^23 rounds to an integer and leaves it in the low bits.
    const ROUND: f32 = 12_582_912.0;
    let clamped = if x < LOWEST { LOWEST } else { x };
    let shifted = clamped * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = (clamped - n * LN2_HI) - n * LN2_LO;
    let [c7, c6, c5, c4, c3, c2] = EXP;
    let p = ((((c7 * r + c6) * r + c5) * r + c4) * r + c3) * r + c2;
    let e = p * (r * r) + r + 1.0;
    let power = f32::from_bits(shifted.to_bits().wrapping_add(127) << 23);
    if x < LOWEST { 0.0 } else { e * power }
}

/// How far `e` is from `e^x`, in units of the last place.
#[cfg(test)]
pub(crate) fn units_off(x: f32, e: f32) -> f64 {
    let exact = f64::from(x).exp();
    let next = f32::from_bits((exact as f32).to_bits() + 1);
    (f64::from(e) - exact).abs() / (f64::from(next) - f64::from(exact as f32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_within_two_units_in_the_last_place() {
        for i in 0..=400_000 {
            let x = -87.3 + i as f32 * (175.0 / 400_000.0);
            let error = units_off(x, exp(x));
            assert!(error <= 2.0, "exp({x}): {error} units");
        }
        assert_eq!(exp(0.0), 1.0);
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert_eq!(exp(-1e9), 0.0);
        assert!(exp(f32::NAN).is_nan());
    }

    #[test]
    fn reductions_take_every_element() {
        for n in [0, 1, 15, 16, 17, 40] {
            let x: Vec<f32> = (0..n).map(|i| (i as f32) - 3.0).collect();
            let total: f32 = x.iter().sum();
            assert_eq!(sum(&x, |x| x), total);
            assert_eq!(sum2(&x, &x, |x, _| x), total);
            assert_eq!(map_sum(&mut x.clone(), |x| x), total);
            assert_eq!(max(&x), x.iter().copied().fold(f32::NEG_INFINITY, f32::max));
        }
    }
}
