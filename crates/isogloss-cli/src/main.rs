//! The `isogloss` program.

fn main() {}
