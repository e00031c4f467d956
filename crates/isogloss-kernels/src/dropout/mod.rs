//! Counter-based dropout: the mask is a pure function of keys, drawn again in the backward pass and never stored.

pub(crate) mod fast;
pub mod reference;

/// Mixes two keys into one (the finaliser of `SplitMix64`, Steele et al. 2014), so that keys can be chained:
/// `mix(mix(seed, update), site)`.
#[must_use]
#[inline]
pub fn mix(a: u64, b: u64) -> u64 {
    let mut z = a ^ b
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A 32-bit uniform draw for element `index` of the stream `key`: whether it is dropped is `draw < rate * 2^32`.
///
/// Two rounds of the `lowbias32` finaliser (Wellons 2018) over the halves of the key: 32-bit multiplications alone, so that the
/// loop over a row becomes SIMD.
#[must_use]
#[inline]
pub fn draw(key: u64, index: u32) -> u32 {
    let mut x = (key as u32) ^ index.wrapping_mul(0x9e37_79b1);
    x = (x ^ (x >> 16)).wrapping_mul(0x21f0_aaad);
    x = (x ^ (x >> 15)) ^ ((key >> 32) as u32);
    x = (x ^ (x >> 16)).wrapping_mul(0x735a_2d97);
    x ^ (x >> 15)
}

/// The draws below which an element is dropped, of 2^32.
#[must_use]
#[inline]
pub fn threshold(rate: f32) -> u32 {
    (f64::from(rate) * 4_294_967_296.0) as u32
}
