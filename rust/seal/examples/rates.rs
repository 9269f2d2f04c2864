//! What sealing and opening are held to: ring's AES-256-GCM alone, in place, in as many threads.
//! `rates MIB`, then a line for each measurement on standard input, `seal`, `open`, `open-into`,
//! `fill`, `ring-seal`, `ring-open`, `copy-seal` or `copy-open`, and how many threads; the answer is in seconds.
//!
//! All bytes are in memory. What is sealed is copied once, into the frame that it becomes; what is
//! opened is copied once, into the scratch; what comes out is looked at and dropped.
#![allow(clippy::print_stdout)]

use std::{
    error::Error,
    hint::black_box,
    io::{self, BufRead},
    num::NonZeroUsize,
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use strongroom_seal::{EncryptionContext, RawKeyring, SealError, Sealed, Secret, Writer};

const FRAME: usize = 1 << 20;

fn main() -> Result<(), Box<dyn Error>> {
    let size = std::env::args().nth(1).ok_or("how many MiB?")?;
    let mut bytes = vec![7_u8; size.parse::<usize>()? << 20];
    let key = Secret::filled(|key| {
        key.fill(1);
        Ok::<_, SealError>(())
    })?;
    let keyring = RawKeyring::new("rates", "key", &key)?;
    let mut sealed = Vec::new();
    seal(&keyring, &bytes, NonZeroUsize::MIN, |frame| {
        sealed.extend_from_slice(frame);
    })?;
    for line in io::stdin().lock().lines() {
        let line = line?;
        let (what, threads) = line
            .split_once(' ')
            .ok_or("what, and in how many threads?")?;
        let threads: NonZeroUsize = threads.parse()?;
        let seconds = match what {
            "seal" => timed(|| {
                seal(&keyring, &bytes, threads, |frame| {
                    black_box(frame);
                })
            })?,
            "open" => timed(|| open(&keyring, &sealed, threads))?,
            "open-into" => timed(|| open_into(&keyring, &sealed, threads, &mut bytes))?,
            "fill" => timed(|| fill(&keyring, bytes.len(), threads))?,
            "ring-seal" => ring(&mut bytes, threads).0,
            "ring-open" => ring(&mut bytes, threads).1,
            "copy-seal" => copied(&bytes, threads).0,
            "copy-open" => copied(&bytes, threads).1,
            other => return Err(format!("{other} can't be measured").into()),
        };
        println!("{}", seconds.as_secs_f64());
    }
    Ok(())
}

fn timed(work: impl FnOnce() -> Result<(), SealError>) -> Result<Duration, SealError> {
    let start = Instant::now();
    work()?;
    Ok(start.elapsed())
}

fn seal(
    keyring: &RawKeyring,
    mut rest: &[u8],
    threads: NonZeroUsize,
    mut put: impl FnMut(&[u8]) + Send,
) -> Result<(), SealError> {
    let writer = Writer::new(&[keyring], &EncryptionContext::new())?;
    let pull = |buffer: &mut [u8]| {
        let (now, later) = rest.split_at(buffer.len().min(rest.len()));
        buffer[..now.len()].copy_from_slice(now);
        rest = later;
        Ok::<_, SealError>(now.len())
    };
    let summary = writer.seal(threads, pull, |frame| {
        put(frame);
        Ok(())
    })?;
    black_box(summary);
    Ok(())
}

/// Seals as many bytes, which are in their frames already: the rate of sealing without the copy.
fn fill(keyring: &RawKeyring, mut left: usize, threads: NonZeroUsize) -> Result<(), SealError> {
    let writer = Writer::new(&[keyring], &EncryptionContext::new())?;
    let pull = |buffer: &mut [u8]| {
        let now = buffer.len().min(left);
        left -= now;
        Ok::<_, SealError>(now)
    };
    let summary = writer.seal(threads, pull, |frame| {
        black_box(frame);
        Ok(())
    })?;
    black_box(summary);
    Ok(())
}

fn open(keyring: &RawKeyring, sealed: &[u8], threads: NonZeroUsize) -> Result<(), SealError> {
    let sealed = Sealed::open(sealed, &[keyring], &EncryptionContext::new())?;
    sealed.for_each_frame(threads, |offset, plaintext| {
        black_box((offset, plaintext));
        Ok(())
    })
}

fn open_into(
    keyring: &RawKeyring,
    sealed: &[u8],
    threads: NonZeroUsize,
    out: &mut [u8],
) -> Result<(), SealError> {
    Sealed::open(sealed, &[keyring], &EncryptionContext::new())?.read_into(threads, out)
}

/// Seals and opens every MiB in its place; returns how long each took.
fn ring(bytes: &mut [u8], threads: NonZeroUsize) -> (Duration, Duration) {
    let key = UnboundKey::new(&AES_256_GCM, &[1; 32]).expect("a key of 32 bytes");
    let key = LessSafeKey::new(key);
    let nonce = || Nonce::assume_unique_for_key([0; 12]);
    let start = Instant::now();
    let tags = Mutex::new(Vec::new());
    let chunks = Mutex::new(bytes.chunks_mut(FRAME).enumerate());
    in_threads(threads, || {
        loop {
            let next = chunks.lock().expect("no panic").next();
            let Some((index, chunk)) = next else { break };
            let tag = key.seal_in_place_separate_tag(nonce(), Aad::empty(), chunk);
            let tag = tag.expect("a MiB is short enough");
            tags.lock().expect("no panic").push((index, tag));
        }
    });
    let sealing = start.elapsed();
    let mut tags = tags.into_inner().expect("no panic");
    tags.sort_by_key(|(index, _)| *index);
    let start = Instant::now();
    let chunks = Mutex::new(bytes.chunks_mut(FRAME).zip(tags));
    in_threads(threads, || {
        loop {
            let next = chunks.lock().expect("no panic").next();
            let Some((chunk, (_, tag))) = next else { break };
            key.open_in_place_separate_tag(nonce(), Aad::empty(), tag, chunk, 0..)
                .expect("as it was sealed");
        }
    });
    (sealing, start.elapsed())
}

/// The same, each MiB being copied to a place of its thread's before.
fn copied(bytes: &[u8], threads: NonZeroUsize) -> (Duration, Duration) {
    let key = UnboundKey::new(&AES_256_GCM, &[1; 32]).expect("a key of 32 bytes");
    let key = LessSafeKey::new(key);
    let nonce = || Nonce::assume_unique_for_key([0; 12]);
    let sealed: Vec<u8> = bytes
        .chunks(FRAME)
        .flat_map(|chunk| {
            let mut sealed = chunk.to_vec();
            key.seal_in_place_append_tag(nonce(), Aad::empty(), &mut sealed)
                .expect("a MiB is short enough");
            sealed
        })
        .collect();
    let pass = |bytes: &[u8], length: usize, work: &(dyn Fn(&mut [u8]) + Sync)| {
        let chunks = Mutex::new(bytes.chunks(length));
        let start = Instant::now();
        in_threads(threads, || {
            let mut place = vec![0; length];
            loop {
                let next = chunks.lock().expect("no panic").next();
                let Some(chunk) = next else { break };
                place[..chunk.len()].copy_from_slice(chunk);
                work(&mut place);
            }
        });
        start.elapsed()
    };
    let sealing = pass(bytes, FRAME, &|place| {
        let tag = key.seal_in_place_separate_tag(nonce(), Aad::empty(), place);
        let _ = black_box(tag.expect("a MiB is short enough"));
    });
    let opening = pass(&sealed, FRAME + 16, &|place| {
        black_box(key.open_in_place(nonce(), Aad::empty(), place)).expect("as it was sealed");
    });
    (sealing, opening)
}

fn in_threads(threads: NonZeroUsize, work: impl Fn() + Sync) {
    thread::scope(|scope| {
        for _ in 1..threads.get() {
            scope.spawn(&work);
        }
        work();
    });
}
