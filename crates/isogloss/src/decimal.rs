//! Numbers in files as people write them.

use serde::Serializer;

/// The `f64` whose shortest decimal is that of an `f32`: 0.003 for `0.003_f32`, which is 0.003000000026077032 itself. As `f32` it is
/// the same number again.
pub(crate) fn shortest(x: f32) -> f64 {
    let exact = f64::from(x);
    match x.to_string().parse::<f64>() {
        // Reading by way of `f64` rounds twice; should that ever matter, the long decimal is right.
        Ok(short) if short as f32 == x => short,
        _ => exact,
    }
}

/// A share in percent, to so many decimals: without what the product would add in the last digits.
pub(crate) fn percent(share: f64, decimals: i32) -> f64 {
    (10_f64.powi(decimals + 2) * share).round() / 10_f64.powi(decimals)
}

/// For `serialize_with`: formats such as TOML know `f64` alone, and would show every digit of the widened number.
pub(crate) fn serialize<S: Serializer>(x: &f32, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(shortest(*x))
}

/// As [`serialize`], for a number that may be missing.
pub(crate) fn serialize_option<S: Serializer>(
    x: &Option<f32>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match x {
        Some(x) => serializer.serialize_some(&shortest(*x)),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::shortest;
    use proptest::prelude::*;

    #[test]
    fn short_numbers_stay_short() {
        for (x, text) in [
            (3e-3, "0.003"),
            (0.98, "0.98"),
            (1e-8, "1e-8"),
            (0.1, "0.1"),
            (2.0, "2.0"),
        ] {
            assert_eq!(format!("{:?}", shortest(x)), text);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn every_number_reads_back(bits: u32) {
            let x = f32::from_bits(bits);
            prop_assume!(x.is_finite());
            prop_assert_eq!(shortest(x) as f32, x);
            let digits = |x: f64| format!("{x:e}").len();
            prop_assert!(digits(shortest(x)) <= digits(f64::from(x)));
        }
    }
}
