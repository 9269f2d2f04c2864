//! What is sealed is opened again, whatever its length and by whichever of its keys.
#![allow(clippy::unwrap_used)]

mod support;

use strongroom_seal::{
    Cost, EncryptionContext, Header, PASSPHRASE_NAMESPACE, PassphraseKeyring, SealError, Sealed,
    Writer,
};
use support::{context, open, plaintext, raw, refused, seal, threads};
use zeroize::Zeroizing;

const FRAME: u32 = 4096;

#[test]
fn lengths_around_the_frames() {
    let key = raw("a", 1);
    let frame = FRAME as usize;
    for length in [
        0,
        1,
        frame - 1,
        frame,
        frame + 1,
        5 * frame - 1,
        5 * frame,
        5 * frame + 1,
    ] {
        let plaintext = plaintext(length);
        for threads in [1, 2, 5] {
            let sealed = seal(&plaintext, FRAME, &[&key], threads);
            assert!(open(&sealed, &[&key]).unwrap() == plaintext, "{length}");
            let opened = Sealed::open(&sealed[..], &[&key], &context()).unwrap();
            assert_eq!(opened.frames(), (length / frame) as u64 + 1);
            assert_eq!(opened.length(), length as u64);
            assert_eq!(opened.context(), &context());
        }
    }
}

#[test]
fn frames_of_one_byte_and_of_the_most() {
    let key = raw("a", 1);
    for frame in [1, 16 << 20] {
        let plaintext = plaintext(300);
        let sealed = seal(&plaintext, frame, &[&key], 2);
        assert!(open(&sealed, &[&key]).unwrap() == plaintext);
    }
    for frame in [0, (16 << 20) + 1] {
        let error = Writer::with_frame_length(&[&key], &context(), frame).unwrap_err();
        assert_eq!(error.code(), "seal.limit");
    }
}

#[test]
fn each_of_several_keys_opens_it() {
    let (a, b, c) = (raw("a", 1), raw("b", 2), raw("c", 3));
    let passphrase = |text: &[u8]| {
        let cost = Cost::new(Cost::MIN_MEMORY, 1, 1).unwrap();
        PassphraseKeyring::new(Zeroizing::new(text.to_vec()), cost).unwrap()
    };
    let word = passphrase(b"correct horse");
    let plaintext = plaintext(10_000);
    let sealed = seal(&plaintext, FRAME, &[&a, &b, &word], 2);
    assert!(open(&sealed, &[&a]).unwrap() == plaintext);
    assert!(open(&sealed, &[&c, &b]).unwrap() == plaintext);
    assert!(open(&sealed, &[&word]).unwrap() == plaintext);
    assert_eq!(refused(&sealed, &[&c]), "seal.no_key");
    assert_eq!(refused(&sealed, &[]), "seal.no_key");
    // The right name on the wrong key, and the wrong passphrase.
    assert_eq!(refused(&sealed, &[&raw("a", 9)]), "seal.authentication");
    assert_eq!(
        refused(&sealed, &[&passphrase(b"incorrect")]),
        "seal.authentication"
    );
    // A key that fails doesn't stand in the way of one that opens it.
    assert!(open(&sealed, &[&raw("a", 9), &b]).unwrap() == plaintext);
    let header = Header::parse(&sealed).unwrap();
    let ids: Vec<String> = header
        .data_keys()
        .iter()
        .map(|key| key.id().to_string())
        .collect();
    assert_eq!(ids[..2], ["test/a", "test/b"]);
    assert!(ids[2].starts_with(&format!(
        "{PASSPHRASE_NAMESPACE}/$argon2id$v=19$m=8192,t=1,p=1$"
    )));
}

#[test]
fn every_message_has_a_key_of_its_own() {
    let key = raw("a", 1);
    let plaintext = plaintext(100);
    let (one, two) = (
        seal(&plaintext, FRAME, &[&key], 1),
        seal(&plaintext, FRAME, &[&key], 1),
    );
    assert_eq!(one.len(), two.len());
    assert_ne!(one[3..35], two[3..35]);
    assert_ne!(one[one.len() - 116..], two[two.len() - 116..]);
}

#[test]
fn the_context_is_held_to_what_is_expected() {
    let key = raw("a", 1);
    let sealed = seal(b"weights", FRAME, &[&key], 1);
    let with = |pairs: &[(&str, &str)]| {
        let expected = EncryptionContext::from_pairs(pairs.iter().copied()).unwrap();
        Sealed::open(&sealed[..], &[&key], &expected).map(drop)
    };
    with(&[]).unwrap();
    with(&[("model", "a")]).unwrap();
    let error = with(&[("model", "b")]).unwrap_err();
    assert_eq!(error.code(), "seal.context");
    assert_eq!(
        error.to_string(),
        "it was sealed with model=a in its context, not model=b"
    );
    assert_eq!(with(&[("tenant", "x")]).unwrap_err().code(), "seal.context");
}

#[test]
fn the_length_that_was_announced_is_the_length() {
    let key = raw("a", 1);
    for (announced, given, right) in [
        (10, 10, true),
        (9, 10, false),
        (11, 10, false),
        (0, 0, true),
    ] {
        let writer = Writer::with_frame_length(&[&key], &context(), 4).unwrap();
        let mut left = given;
        let sealed = writer.expect_length(announced).seal(
            threads(2),
            |buffer| {
                let count = buffer.len().min(left);
                left -= count;
                Ok::<_, SealError>(count)
            },
            |_| Ok(()),
        );
        match sealed {
            Ok(summary) => assert!(right && summary.plaintext == announced),
            Err(error) => {
                assert!(!right);
                assert_eq!(error.code(), "seal.length");
            }
        }
    }
}

#[test]
fn the_first_error_of_either_side_ends_it() {
    #[derive(Debug, PartialEq)]
    enum Ours {
        Mine(&'static str),
        Theirs(&'static str),
    }
    impl From<SealError> for Ours {
        fn from(error: SealError) -> Self {
            Self::Theirs(error.code())
        }
    }
    let key = raw("a", 1);
    for count in [1, 4] {
        let writer = || Writer::with_frame_length(&[&key], &context(), 4).unwrap();
        let mut left = 100;
        let pull = |buffer: &mut [u8]| {
            left -= 1;
            (left > 0).then_some(buffer.len()).ok_or(Ours::Mine("pull"))
        };
        let result = writer().seal(threads(count), pull, |_| Ok(()));
        assert_eq!(result, Err(Ours::Mine("pull")));
        let mut left = 50;
        let put = |_: &[u8]| {
            left -= 1;
            if left > 0 {
                Ok(())
            } else {
                Err(Ours::Mine("put"))
            }
        };
        let result = writer().seal(threads(count), |buffer| Ok(buffer.len()), put);
        assert_eq!(result, Err(Ours::Mine("put")));
        let result =
            writer()
                .expect_length(5)
                .seal(threads(count), |buffer| Ok(buffer.len()), |_| Ok(()));
        assert_eq!(result, Err(Ours::Theirs("seal.length")));

        let sealed = seal(&plaintext(100), 4, &[&key], 1);
        let sealed = Sealed::open(&sealed[..], &[&key], &context()).unwrap();
        let result = sealed.for_each_frame(threads(count), |offset, _| {
            if offset < 40 {
                Ok(())
            } else {
                Err(Ours::Mine("take"))
            }
        });
        assert_eq!(result, Err(Ours::Mine("take")));
    }
}

#[test]
fn a_panic_of_the_caller_reaches_the_caller() {
    let key = raw("a", 1);
    for count in [1, 4] {
        let writer = || Writer::with_frame_length(&[&key], &context(), 4).unwrap();
        let caught = |work: &mut dyn FnMut()| {
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).unwrap_err();
        };
        let mut left = 20;
        caught(&mut || {
            let pull = |buffer: &mut [u8]| {
                left -= 1;
                assert!(left > 0);
                Ok::<_, SealError>(buffer.len())
            };
            let _ = writer().seal(threads(count), pull, |_| Ok(()));
        });
        let mut left = 20;
        caught(&mut || {
            let put = |_: &[u8]| {
                left -= 1;
                assert!(left > 0);
                Ok::<_, SealError>(())
            };
            let _ = writer().seal(threads(count), |buffer| Ok(buffer.len()), put);
        });
    }
}
