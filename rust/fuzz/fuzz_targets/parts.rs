//! The header of a part of a split model, and the joining of what passes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use strongroom_gguf::{Part, join};

fuzz_target!(|data: &[u8]| {
    let size = data.len() as u64;
    if let Ok(part) = Part::read(data, size) {
        // A model of one part doesn't exist; the same part twice must not join either.
        assert!(join(&[part.clone(), part]).is_err());
    }
});
