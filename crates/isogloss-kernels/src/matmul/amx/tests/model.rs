//! The model of the tiles against what the manual says, and the small products that say whether tiles work.

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
use crate::cpu::KernelPath;
use crate::matmul::amx::soft::{SOFT, Soft, SoftTiles};
use crate::matmul::amx::{CONFIG, bytes, multiplies_on};
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
use crate::matmul::amx::{multiplies, multiplies_bytes, trap};

#[test]
fn a_small_product_tells_whether_tiles_multiply() {
    // SAFETY: the thread is made ready; the model needs nothing of the machine.
    unsafe {
        let _ready = SOFT.begin();
        assert!(multiplies_on::<Soft>());
        assert!(bytes::multiplies_on::<Soft>());
    }
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    {
        let real = KernelPath::AmxBf16.is_available();
        trap::install();
        // SAFETY: the instructions are there, or are carried out where they trap.
        let multiplies = || unsafe { (multiplies(), !real && multiplies_bytes()) };
        let before = trap::traps();
        assert_eq!(multiplies(), (true, !real));
        if !real {
            assert!(trap::traps() > before);
            trap::swap_operands(true);
            assert_eq!(multiplies(), (false, false));
            trap::swap_operands(false);
        }
    }
}

/// What an instruction makes of a sum and of the first two words of a row and of a column.
fn dot(
    instruction: fn(&mut SoftTiles, usize, usize, usize),
    before: u32,
    a: [u32; 2],
    b: [u32; 2],
) -> u32 {
    let mut tiles = SoftTiles::new();
    tiles.configure(&CONFIG.0);
    let (mut left, mut right) = ([0u32; 256], [0u32; 256]);
    (left[0], left[1]) = (a[0], a[1]);
    (right[0], right[16]) = (b[0], b[1]);
    let mut sums = [0u32; 256];
    sums[0] = before;
    // SAFETY: 16 rows of 64 bytes each.
    unsafe {
        tiles.load(0, sums.as_ptr().cast(), 64);
        tiles.load(4, left.as_ptr().cast(), 64);
        tiles.load(6, right.as_ptr().cast(), 64);
        instruction(&mut tiles, 0, 4, 6);
        tiles.store(0, sums.as_mut_ptr().cast(), 64);
    }
    sums[0]
}

/// Worked out by hand from the manual: where rounding shows which sums are formed, and what becomes of subnormal numbers.
#[test]
fn the_model_adds_up_as_the_manual_says() {
    let pair = |low: f32, high: f32| low.to_bits() >> 16 | high.to_bits() & 0xffff_0000;
    let dot = |before: f32, a, b| f32::from_bits(dot(SoftTiles::dot_bf16, before.to_bits(), a, b));
    let one = pair(1.0, 1.0);
    assert_eq!(dot(5.0, [pair(1.0, 2.0), pair(3.0, 4.0)], [one, one]), 15.0);
    // In one sum, the ones would be lost one by one; the odd steps are added up apart from the even ones.
    let large = 16_777_216.0;
    let sum = dot(0.0, [pair(large, 1.0), pair(0.0, 1.0)], [one, one]);
    assert_eq!(sum, large + 2.0);
    assert_eq!(dot(large, [pair(1.0, 1.0), 0], [one, 0]), large + 2.0);
    let subnormal = f32::from_bits(0x0040_0000);
    assert_eq!(
        dot(0.0, [pair(subnormal, 0.0), 0], [pair(2.0, 0.0), 0]),
        0.0
    );
    assert_eq!(dot(subnormal, [0, 0], [0, 0]), 0.0);
}

/// By hand as well: whose bytes have a sign, and that sums of four and of all wrap instead of saturating.
#[test]
fn the_model_multiplies_bytes_as_the_manual_says() {
    let word = |bytes: [i16; 4]| u32::from_le_bytes(bytes.map(|x| x.to_le_bytes()[0]));
    let dot = |before: i32, a: [[i16; 4]; 2], b: [[i16; 4]; 2]| {
        let sum = before.cast_unsigned();
        dot(SoftTiles::dot_bytes, sum, a.map(word), b.map(word)).cast_signed()
    };
    let none = [0; 4];
    assert_eq!(
        dot(
            5,
            [[1, 2, 3, 4], [10, 0, 0, 0]],
            [[5, 6, 7, 8], [-3, 1, 1, 1]]
        ),
        5 + 70 - 30
    );
    assert_eq!(dot(0, [[200, 0, 0, 0], none], [[-1, 9, 9, 9], none]), -200);
    assert_eq!(dot(0, [[1, 0, 0, 0], none], [[200, 0, 0, 0], none]), -56);
    // More than 16 bits hold, and one more than 32 do.
    let (most, least) = ([255; 4], [-128; 4]);
    assert_eq!(dot(0, [most, most], [least, least]), -8 * 255 * 128);
    assert_eq!(
        dot(i32::MAX, [[1, 0, 0, 0], none], [[1; 4], none]),
        i32::MIN
    );
}
