//! A sealed file that was changed is opened nowhere: no bit, no byte, no frame.
#![allow(clippy::unwrap_used)]

mod support;

use strongroom_seal::{EncryptionContext, Header, SealError, Sealed};
use support::{context, open, plaintext, raw, refused, seal};

const FRAME: usize = 64;
/// Bytes of a frame in the file, but the final one.
const WHOLE: usize = 4 + 12 + FRAME + 16;

/// A message of three full frames and one of `last` bytes, and how many bytes its header has.
fn sealed(last: usize) -> (Vec<u8>, usize) {
    let plaintext = plaintext(3 * FRAME + last);
    let sealed = seal(
        &plaintext,
        u32::try_from(FRAME).unwrap(),
        &[&raw("a", 1)],
        1,
    );
    let header = Header::parse(&sealed).unwrap().length();
    (sealed, usize::try_from(header).unwrap())
}

fn code(sealed: &[u8]) -> &'static str {
    refused(sealed, &[&raw("a", 1)])
}

#[test]
fn every_bit() {
    let (sealed, header) = sealed(10);
    let mut codes = std::collections::BTreeMap::new();
    let mut changed = sealed.clone();
    for position in 0..sealed.len() {
        for bit in 0..8 {
            changed[position] ^= 1 << bit;
            *codes.entry(code(&changed)).or_insert(0) += 1;
            changed[position] ^= 1 << bit;
        }
    }
    assert_eq!(codes.values().sum::<usize>(), 8 * sealed.len());
    // All of the ciphertext, the tags, the ids, the commitment and the wrapped key are told by the
    // cipher alone; the context is too, as long as it is well-formed.
    let secret = 32 + 32 + 48 + 4 * 16 + 3 * FRAME + 10 + 16;
    assert!(codes["seal.authentication"] >= 8 * secret, "{codes:?}");
    assert!(codes["seal.malformed"] >= 8 * 4 * 16, "{codes:?}");
    assert!(sealed.len() < header + 500);
}

#[test]
fn every_length() {
    for last in [0, 10] {
        let (sealed, header) = sealed(last);
        for length in 0..sealed.len() {
            let found = code(&sealed[..length]);
            if length == 0 {
                assert_eq!(found, "seal.not_sealed");
            } else if length < header + 4 + 4 + 12 + 4 + 16 {
                assert_eq!(found, "seal.truncated");
            } else {
                assert!(
                    ["seal.truncated", "seal.malformed"].contains(&found),
                    "{found}"
                );
            }
        }
        for more in 1..=2 * WHOLE {
            let mut longer = sealed.clone();
            longer.resize(sealed.len() + more, 0);
            let found = code(&longer);
            assert!(
                ["seal.truncated", "seal.malformed"].contains(&found),
                "{more} {found}"
            );
        }
    }
}

#[test]
fn frames_in_another_order_or_of_another_message() {
    let (sealed, header) = sealed(10);
    let frame = |index: usize| header + index * WHOLE..header + (index + 1) * WHOLE;
    let mut swapped = sealed.clone();
    swapped[frame(0)].copy_from_slice(&sealed[frame(1)]);
    swapped[frame(1)].copy_from_slice(&sealed[frame(0)]);
    assert_eq!(code(&swapped), "seal.malformed");
    let mut duplicated = sealed.clone();
    duplicated.splice(frame(1).start..frame(1).start, sealed[frame(0)].to_vec());
    assert_eq!(code(&duplicated), "seal.malformed");
    let mut removed = sealed.clone();
    removed.drain(frame(1));
    assert_eq!(code(&removed), "seal.malformed");
    // With the numbers put right, the tag tells.
    let mut renumbered = swapped;
    for (index, number) in [(0, 1), (1, 2)] {
        let start = frame(index).start;
        renumbered[start + 3] = number;
        renumbered[start + 15] = number;
    }
    assert_eq!(code(&renumbered), "seal.authentication");
    // The same frame of another message under the same key and of the same context.
    let (other, _) = self::sealed(10);
    for index in 0..3 {
        let mut spliced = sealed.clone();
        spliced[frame(index)].copy_from_slice(&other[frame(index)]);
        assert_eq!(code(&spliced), "seal.authentication");
    }
    let mut spliced = sealed.clone();
    spliced.splice(frame(2).end.., other[frame(2).end..].to_vec());
    assert_eq!(code(&spliced), "seal.authentication");
    // And the header of another message, before all of its frames.
    let mut spliced = sealed.clone();
    spliced.splice(..header, other[..header].to_vec());
    assert_eq!(code(&spliced), "seal.authentication");
}

#[test]
fn a_final_frame_before_the_end() {
    let (sealed, header) = sealed(10);
    let last = sealed[header + 3 * WHOLE..].to_vec();
    // As the last of a shorter message: its number is too high.
    let early = [&sealed[..header + WHOLE], &last].concat();
    assert_eq!(code(&early), "seal.malformed");
    // Twice, as if more had been appended.
    let twice = [&sealed[..], &last].concat();
    assert!(["seal.truncated", "seal.malformed"].contains(&code(&twice)));
    // In the place of another, with the real one at the end.
    let mut inside = sealed.clone();
    inside[header + WHOLE..header + WHOLE + last.len()].copy_from_slice(&last);
    assert_eq!(code(&inside), "seal.malformed");
}

#[test]
fn nothing_of_a_frame_that_fails_is_given_out() {
    let (mut sealed, header) = sealed(10);
    sealed[header + WHOLE + 20] ^= 1;
    let sealed = Sealed::open(&sealed[..], &[&raw("a", 1)], &context()).unwrap();
    let mut scratch = sealed.scratch().unwrap();
    assert_eq!(
        sealed.frame(0, &mut scratch).unwrap(),
        &plaintext(FRAME)[..]
    );
    let error = sealed.frame(1, &mut scratch).unwrap_err();
    assert_eq!(error.code(), "seal.authentication");
    let mut buffer = [0; 3 * FRAME];
    sealed
        .read_at(FRAME as u64, &mut buffer, &mut scratch)
        .unwrap_err();
    assert_eq!(buffer, [0; 3 * FRAME]);
    for threads in [1, 2] {
        let mut out = vec![1; 3 * FRAME + 10];
        let error = sealed
            .read_into(support::threads(threads), &mut out)
            .unwrap_err();
        assert_eq!(error.code(), "seal.authentication");
        assert_eq!(out, vec![0; 3 * FRAME + 10]);
    }
}

#[test]
fn all_that_the_cipher_refuses_is_told_alike() {
    let (sealed, header) = sealed(10);
    let at = |position: usize| {
        let mut changed = sealed.clone();
        changed[position] ^= 1;
        open(&changed, &[&raw("a", 1)]).unwrap_err().to_string()
    };
    let told = [
        // Another key; the wrapped key, the commitment, the header's tag, a frame, its tag.
        open(&sealed, &[&raw("a", 2)]).unwrap_err().to_string(),
        at(header - 16 - 32 - 5 - 1),
        at(header - 16 - 1),
        at(header - 1),
        at(header + 16),
        at(header + WHOLE - 1),
        at(sealed.len() - 1),
        // A value of the context, which is no longer the one that the key was wrapped for.
        at(position_of(&sealed, b"sha256:00") + 8),
    ];
    assert!(
        told.iter()
            .all(|one| one == &SealError::Authentication.to_string()),
        "{told:?}"
    );
}

fn position_of(bytes: &[u8], part: &[u8]) -> usize {
    bytes
        .windows(part.len())
        .position(|window| window == part)
        .unwrap()
}

#[test]
fn a_file_that_shrinks_while_it_is_read() {
    let (sealed, _) = sealed(10);
    let mut file = tempfile::tempfile().unwrap();
    std::io::Write::write_all(&mut file, &sealed).unwrap();
    let opened = Sealed::open(
        file.try_clone().unwrap(),
        &[&raw("a", 1)],
        &EncryptionContext::new(),
    );
    let opened = opened.unwrap();
    let mut scratch = opened.scratch().unwrap();
    opened.frame(2, &mut scratch).unwrap();
    let mut out = vec![0; 3 * FRAME + 10];
    opened.read_into(support::threads(2), &mut out).unwrap();
    assert_eq!(out, plaintext(3 * FRAME + 10));
    file.set_len(sealed.len() as u64 / 2).unwrap();
    let error = opened.frame(2, &mut scratch).unwrap_err();
    assert_eq!(error.code(), "seal.changed");
    let error = opened.read_into(support::threads(2), &mut out).unwrap_err();
    assert_eq!(error.code(), "seal.changed");
    assert_eq!(out, vec![0; 3 * FRAME + 10]);
}

#[test]
fn what_is_no_file_is_not_read() {
    let (pipe, _end) = rustix::pipe::pipe().unwrap();
    let error = Sealed::open(pipe, &[&raw("a", 1)], &context()).unwrap_err();
    assert_eq!(error.code(), "seal.io");
}
