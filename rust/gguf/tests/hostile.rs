//! Hostile headers are refused, each for its own reason, and nothing makes preflight panic.

#![allow(clippy::unwrap_used)]

use std::collections::HashSet;
use strongroom_gguf::{CODES, Header, Policy, Refusal, preflight};
use strongroom_specimen::{Family, Vocabulary, draft, flips, hostile, split_part};

fn check(file: &[u8]) -> Result<Header, Refusal> {
    preflight(file, file.len() as u64, &Policy::default())
}

#[test]
fn every_fault_has_its_own_code() {
    let mut wrong = Vec::new();
    for file in hostile() {
        match check(&file.bytes) {
            Err(refusal) if refusal.code() == file.code => {}
            Err(refusal) => wrong.push(format!("{}: {} ({refusal})", file.name, refusal.code())),
            Ok(_) => wrong.push(format!("{}: accepted", file.name)),
        }
    }
    assert_eq!(wrong, [""; 0]);
}

#[test]
fn every_code_is_raised() {
    let raised: HashSet<&str> = hostile().iter().map(|file| file.code).collect();
    let never: Vec<&&str> = CODES
        .iter()
        .filter(|code| !raised.contains(**code) && !code.starts_with("gguf.split_"))
        .collect();
    // These need a file that is larger than what is at hand.
    assert_eq!(never, [&"gguf.incomplete", &"gguf.header_length"]);
    let file = draft(Family::Llama, Vocabulary::Spm).write();
    let refusal = preflight(&file[..1000], file.len() as u64, &Policy::default()).unwrap_err();
    assert_eq!(refusal.code(), "gguf.incomplete");
    assert!(refusal.needs().unwrap() > 1000);

    let mut long = draft(Family::Llama, Vocabulary::Spm);
    let array = strongroom_specimen::Value::raw_array(0, 200 << 20, &[]);
    long.set("general.extra", array);
    let refusal = preflight(&long.write(), 1 << 40, &Policy::default()).unwrap_err();
    assert_eq!(refusal.code(), "gguf.header_length");
}

#[test]
fn refusals_say_what_and_what_next() {
    for file in hostile() {
        let refusal = check(&file.bytes).unwrap_err();
        let text = refusal.to_string();
        assert!((10..600).contains(&text.len()), "{}: {text}", file.name);
        assert!(!text.contains(char::is_control), "{}: {text:?}", file.name);
        assert!(refusal.next_step().ends_with('.'));
        assert_eq!(refusal.needs(), None, "{}", file.name);
    }
}

#[test]
fn split_models_are_refused() {
    for vocabulary in [Vocabulary::Spm, Vocabulary::Bpe] {
        let refusal = check(&split_part(vocabulary)).unwrap_err();
        assert_eq!(refusal.code(), "gguf.split");
        assert!(refusal.next_step().contains("-00001-of-0000N.gguf"));
    }
}

/// A file cut anywhere in its header is truncated; a prefix cut there needs more.
#[test]
fn every_cut_of_the_header_is_refused() {
    // The two headers differ in their vocabularies alone, so the second is cut more coarsely.
    for (vocabulary, step) in [(Vocabulary::Bpe, 1), (Vocabulary::Spm, 11)] {
        let draft = draft(Family::Llama, vocabulary);
        let whole = draft.write();
        let header = draft.header().len();
        let mut accepted = 0;
        for length in (0..header).step_by(step) {
            let cut = &whole[..length];
            // A count that no longer fits into what is left is found before the end is.
            let codes = [
                "gguf.truncated",
                "gguf.tensor_count",
                "gguf.metadata_count",
                "gguf.array_length",
            ];
            let code = check(cut).unwrap_err().code();
            assert!(codes.contains(&code), "{code} at {length}");
            match preflight(cut, whole.len() as u64, &Policy::default()) {
                Err(refusal) => {
                    assert_eq!(refusal.code(), "gguf.incomplete", "at {length}");
                    let needs = refusal.needs().unwrap();
                    assert!(
                        needs > length as u64 && needs <= header as u64,
                        "{needs} at {length}"
                    );
                }
                Ok(_) => accepted += 1,
            }
        }
        assert_eq!(accepted, 0);
        preflight(&whole[..header], whole.len() as u64, &Policy::default()).unwrap();
    }
}

#[test]
fn cuts_among_the_weights_are_refused() {
    let draft = draft(Family::Llama, Vocabulary::Spm);
    let whole = draft.write();
    for length in (draft.header().len()..whole.len()).step_by(997) {
        assert_eq!(
            check(&whole[..length]).unwrap_err().code(),
            "gguf.truncated",
            "at {length}"
        );
    }
}

/// Flipped bits never make preflight panic, and the verdict is always the same.
#[test]
fn flipped_bits_are_survived() {
    let mut refused = 0;
    for (seed, vocabulary) in [(1, Vocabulary::Spm), (2, Vocabulary::Bpe)] {
        let draft = draft(Family::Llama, vocabulary);
        let mut file = draft.write();
        for flip in flips(seed, 1000, draft.header().len()) {
            flip.apply(&mut file);
            let verdict = check(&file);
            assert_eq!(verdict, check(&file), "{flip:?}");
            refused += u32::from(verdict.is_err());
            flip.apply(&mut file);
        }
        check(&file).unwrap();
    }
    assert!(refused > 1000, "{refused} of 2000 were refused");
}
