//! Parts become the file that was split, or nothing.

#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

use strongroom_gguf::{Joined, Part, Policy, Refusal, join, preflight};
use strongroom_specimen::{Draft, Family, Value, Vocabulary, draft, split};

fn read(file: &[u8]) -> Result<Part, Refusal> {
    Part::read(file, file.len() as u64)
}

/// The header, then the stretches of each part.
fn join_files(files: &[Vec<u8>]) -> Result<Vec<u8>, Refusal> {
    let parts: Vec<Part> = files
        .iter()
        .map(|file| read(file))
        .collect::<Result<_, _>>()?;
    let joined = join(&parts)?;
    let mut whole = joined.header.clone();
    for (file, stretches) in files.iter().zip(&joined.parts) {
        for stretch in stretches {
            let (start, end) = (stretch.bytes.start as usize, stretch.bytes.end as usize);
            whole.extend(&file[start..end]);
            whole.resize(whole.len() + stretch.padding as usize, 0);
        }
    }
    assert_eq!(joined.size(), whole.len() as u64);
    Ok(whole)
}

fn write(drafts: &[Draft]) -> Vec<Vec<u8>> {
    drafts.iter().map(Draft::write).collect()
}

fn refused(drafts: &[Draft]) -> &'static str {
    join_files(&write(drafts)).unwrap_err().code()
}

#[test]
fn parts_become_the_file_that_was_split() {
    for vocabulary in [Vocabulary::Spm, Vocabulary::Bpe] {
        let whole = draft(Family::Llama, vocabulary).write();
        for count in [2, 3, 7] {
            let joined = join_files(&write(&split(vocabulary, count))).unwrap();
            assert!(joined == whole, "{count} parts");
        }
    }
}

#[test]
fn what_is_joined_passes_preflight() {
    let joined = join_files(&write(&split(Vocabulary::Bpe, 3))).unwrap();
    preflight(&joined, joined.len() as u64, &Policy::default()).unwrap();
}

#[test]
fn parts_of_another_alignment_than_the_first_are_laid_out_anew() {
    let mut parts = split(Vocabulary::Spm, 3);
    // As llama-gguf-split does: later parts don't repeat the key, and so have the default.
    parts[0].set("general.alignment", Value::U32(128));
    parts[0].alignment = 128;
    let mut whole = draft(Family::Llama, Vocabulary::Spm);
    whole.set("general.alignment", Value::U32(128));
    whole.alignment = 128;
    assert!(join_files(&write(&parts)).unwrap() == whole.write());
}

#[test]
fn missing_extra_and_reordered_parts() {
    let parts = split(Vocabulary::Spm, 3);
    assert_eq!(refused(&parts[..2]), "gguf.split_count");
    assert_eq!(refused(&[]), "gguf.split_count");
    let mut extra = parts.clone();
    extra.push(parts[2].clone());
    assert_eq!(refused(&extra), "gguf.split_count");
    let mut twice = parts.clone();
    twice[2] = parts[1].clone();
    assert_eq!(refused(&twice), "gguf.split_order");
    let mut swapped = parts;
    swapped.swap(1, 2);
    assert_eq!(refused(&swapped), "gguf.split_order");
}

#[test]
fn parts_of_another_model() {
    let sound = split(Vocabulary::Spm, 3);
    let with = |change: &dyn Fn(&mut Draft)| {
        let mut parts = sound.clone();
        change(&mut parts[2]);
        refused(&parts)
    };
    assert_eq!(with(&|part| part.version = 2), "gguf.split_foreign");
    assert_eq!(
        with(&|part| {
            part.set("split.tensors.count", Value::I32(7));
        }),
        "gguf.split_foreign"
    );
    assert_eq!(
        with(&|part| {
            part.remove("split.tensors.count");
        }),
        "gguf.split_foreign"
    );
    assert_eq!(
        with(&|part| {
            part.set("general.name", Value::Text(b"other".to_vec()));
        }),
        "gguf.split_foreign"
    );
    assert_eq!(
        with(&|part| part.tensors[0] = sound[0].tensors[0].clone()),
        "gguf.split_foreign"
    );
    assert_eq!(
        with(&|part| {
            part.tensors.pop();
        }),
        "gguf.split_foreign"
    );
    assert_eq!(
        with(&|part| {
            part.set("split.count", Value::U32(4));
        }),
        "gguf.split_count"
    );
}

#[test]
fn what_is_no_part() {
    let whole = draft(Family::Llama, Vocabulary::Spm);
    assert_eq!(read(&whole.write()).unwrap_err().code(), "gguf.split");
    let part = |key: &str, value: Value| {
        let mut part = split(Vocabulary::Spm, 2)[1].clone();
        part.set(key, value);
        read(&part.write()).unwrap_err().code()
    };
    assert_eq!(part("split.count", Value::U32(1)), "gguf.split");
    assert_eq!(part("split.count", Value::U32(1025)), "gguf.split");
    assert_eq!(part("split.count", Value::I32(-2)), "gguf.key_type");
    assert_eq!(
        part("split.no", Value::Text(b"0".to_vec())),
        "gguf.key_type"
    );
    let mut last = split(Vocabulary::Spm, 2);
    last[1].set("split.no", Value::U64(u64::MAX));
    assert_eq!(refused(&last), "gguf.split_order");
}

#[test]
fn a_part_is_cut_at_every_byte_of_its_header() {
    let part = &split(Vocabulary::Spm, 10)[1];
    let (file, header) = (part.write(), part.header().len());
    for length in 0..header {
        let refusal = Part::read(&file[..length], file.len() as u64).unwrap_err();
        assert_eq!(refusal.code(), "gguf.incomplete", "{length}");
        let needs = refusal.needs().unwrap();
        assert!(needs > length as u64 && needs <= header as u64, "{length}");
        let short = Part::read(&file[..length], length as u64).unwrap_err();
        assert_ne!(short.code(), "gguf.incomplete", "{length}");
    }
    assert!(Part::read(&file[..header], file.len() as u64).is_ok());
}

#[test]
fn flipped_parts_never_panic_and_never_leave_a_part_s_bounds() {
    let sound = write(&split(Vocabulary::Spm, 3));
    let header = split(Vocabulary::Spm, 3)[1].header().len();
    for flip in strongroom_specimen::flips(7, 2_000, header) {
        let mut files = sound.clone();
        flip.apply(&mut files[1]);
        let parts: Result<Vec<Part>, Refusal> = files.iter().map(|file| read(file)).collect();
        let Ok(Joined { parts, .. }) = parts.and_then(|parts| join(&parts)) else {
            continue;
        };
        for (file, stretches) in files.iter().zip(parts) {
            let mut end = 0;
            for stretch in stretches {
                assert!(stretch.bytes.start >= end && stretch.bytes.end > stretch.bytes.start);
                end = stretch.bytes.end;
            }
            assert!(end <= file.len() as u64);
        }
    }
}
