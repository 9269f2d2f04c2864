//! References and redirects: never a panic, and what is accepted reads the same when it is read again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use strongroom_fetch::{Location, Origin, Reference, Remote};

fuzz_target!(|text: &str| {
    if let Err(error) = text.parse::<Reference>() {
        assert!(!error.to_string().contains(char::is_control));
    }
    let endpoint: Origin = "https://hf.test".parse().expect("a host");
    if let Ok(Reference::Remote(remote)) = text.parse::<Reference>()
        && let Ok(location) = remote.location(&endpoint)
    {
        let again: Location = location.to_string().parse().expect("what is shown can be read");
        assert_eq!(again.origin(), location.origin());
        if let Remote::HuggingFace(_) = remote {
            assert_eq!(*location.origin(), endpoint);
        }
    }
    let base: Location = "https://models.test/a/b".parse().expect("a location");
    if let Ok(location) = base.join(text)
        && location.origin() != base.origin()
    {
        assert!(text.contains("//"));
    }
});
