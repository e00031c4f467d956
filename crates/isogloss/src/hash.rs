//! Hashes as text.

use sha2::{Digest, Sha256};

/// The digest in hexadecimal, lower case.
pub(crate) fn hex(hash: Sha256) -> String {
    hash.finalize().iter().map(|b| format!("{b:02x}")).collect()
}

/// The checksum in hexadecimal, lower case, eight digits.
pub(crate) fn crc32_hex(crc32: crc32fast::Hasher) -> String {
    format!("{:08x}", crc32.finalize())
}
