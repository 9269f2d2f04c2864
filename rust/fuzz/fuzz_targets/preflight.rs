//! A header of strangers: never a panic, and a prefix never contradicts the whole.

#![no_main]

use libfuzzer_sys::fuzz_target;
use strongroom_gguf::{Policy, preflight};

/// The input is a header; the weights that would follow it aren't looked at.
const WEIGHTS: u64 = 1 << 20;

fuzz_target!(|header: &[u8]| {
    let policy = Policy {
        allow_architectures: vec!["bert".to_owned(), "granite".to_owned()],
    };
    let size = header.len() as u64 + WEIGHTS;
    let whole = preflight(header, size, &policy);
    if let Err(refusal) = &whole {
        assert!(!refusal.to_string().contains(char::is_control));
    }
    // What a worker of it would take is a number, whatever the header says.
    if let Some(footprint) = whole.as_ref().ok().and_then(|header| header.footprint) {
        let _ = footprint.process();
        assert!(footprint.cache(1, 1) <= footprint.cache(u32::MAX, u32::MAX));
        assert!(footprint.compute(1, 1, 1) <= footprint.compute(u32::MAX, u32::MAX, u32::MAX));
    }
    // With fewer bytes at hand the verdict is the same, or that more are needed.
    match preflight(&header[..header.len() / 2], size, &policy) {
        Err(refusal) if refusal.needs().is_some() => {}
        half => assert_eq!(half, whole),
    }
});
