//! Fuzz targets: the functions that the tests of random damage run, see `crates/isogloss/tests/all/parsers.rs`.

#[path = "../../crates/isogloss/tests/all/parsers.rs"]
pub mod parsers;

pub use libfuzzer_sys::fuzz_target;

/// A target that runs one of the [`parsers`].
#[macro_export]
macro_rules! target {
    ($name:ident) => {
        $crate::fuzz_target!(|bytes: &[u8]| {
            $crate::parsers::$name(bytes);
        });
    };
}
