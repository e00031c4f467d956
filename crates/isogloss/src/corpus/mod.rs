//! Parallel text: reading, alignment, filtering, sampling.
