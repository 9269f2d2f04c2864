//! Reading, consuming and hashing at once.
//!
//! The calling thread reads a chunk and consumes it, then passes the same buffer to a thread that
//! hashes it while the next chunk is read: what is hashed are the very bytes that were consumed.
//! SHA-256 is the slower side, so the whole takes about as long as the hashing alone.

use std::{ops::ControlFlow, sync::mpsc, thread};

use strongroom_verify::{Algorithm, Digest, Hasher};

use crate::{Source, SourceError};

/// Bytes read at once. All buffers together stay in a core's cache, so that each byte comes from
/// main memory once; measured best from 128 to 512 KiB, and a fifth slower at 4 MiB.
const CHUNK: usize = 256 << 10;

/// Buffers going round: one being filled, one being hashed, two to even out the threads' speeds.
const BUFFERS: usize = 4;

/// Bytes between two calls of a progress callback.
const REPORT_EVERY: u64 = 4 << 20;

/// Called with the bytes done and the bytes in all; `Break` ends the reading.
pub type Progress<'a> = &'a mut dyn FnMut(u64, u64) -> ControlFlow<()>;

/// Passes all of `source` through `consume`, in order, and hashes it. `progress` is called in this
/// thread, at the start, every few MiB, and when all is consumed.
///
/// # Errors
/// What `consume` answers, and [`SourceError`]: `changed`, `cancelled`, `io`.
pub fn run(
    source: &mut Source,
    algorithms: &[Algorithm],
    progress: Progress<'_>,
    consume: impl FnMut(&[u8]) -> Result<(), SourceError>,
) -> Result<Vec<Digest>, SourceError> {
    let hashers = algorithms.iter().copied().map(Hasher::new).collect();
    go_on(source, hashers, progress, consume)
}

/// As [`run`], with hashers that have seen what was read of `source` before.
pub(crate) fn go_on(
    source: &mut Source,
    mut hashers: Vec<Hasher>,
    progress: Progress<'_>,
    mut consume: impl FnMut(&[u8]) -> Result<(), SourceError>,
) -> Result<Vec<Digest>, SourceError> {
    let mut meter = Meter::new(source, progress);
    meter.report(source)?;
    if source.remaining() <= CHUNK as u64 {
        // One chunk: a thread would cost more than it saves.
        let mut buffer = vec![0; CHUNK];
        let filled = source.fill(&mut buffer)?;
        consume(&buffer[..filled])?;
        update(&mut hashers, &buffer[..filled]);
    } else {
        hashers = thread::scope(|scope| {
            let (to_hash, filled_buffers) = mpsc::channel::<(Vec<u8>, usize)>();
            let (to_fill, free_buffers) = mpsc::channel();
            for _ in 0..BUFFERS {
                // The receiver is alive: it is in this very scope.
                let _ = to_fill.send(vec![0; CHUNK]);
            }
            let hashing = thread::Builder::new()
                .name("strongroom-hash".to_owned())
                .spawn_scoped(scope, move || {
                    for (buffer, filled) in filled_buffers {
                        update(&mut hashers, &buffer[..filled]);
                        // Refused when the reader has given up: then nothing is to be filled.
                        let _ = to_fill.send(buffer);
                    }
                    hashers
                })
                .map_err(|error| {
                    crate::source::io_error(
                        "start a thread to hash",
                        source.path().to_owned(),
                        error,
                    )
                })?;
            let read = feed(source, &mut meter, &mut consume, &free_buffers, &to_hash);
            // The hashing thread ends when it has seen all that was sent.
            drop(to_hash);
            match hashing.join() {
                Ok(hashers) => read.map(|()| hashers),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })?;
    }
    source.unchanged()?;
    meter.report(source)?;
    Ok(hashers.into_iter().map(Hasher::finish).collect())
}

/// The calling thread's half of the pipeline.
fn feed(
    source: &mut Source,
    meter: &mut Meter<'_>,
    consume: &mut impl FnMut(&[u8]) -> Result<(), SourceError>,
    free_buffers: &mpsc::Receiver<Vec<u8>>,
    to_hash: &mpsc::Sender<(Vec<u8>, usize)>,
) -> Result<(), SourceError> {
    while source.remaining() > 0 {
        // Both channels close early only when the hashing thread panics; joining it says so.
        let Ok(mut buffer) = free_buffers.recv() else {
            break;
        };
        let filled = source.fill(&mut buffer)?;
        consume(&buffer[..filled])?;
        if to_hash.send((buffer, filled)).is_err() {
            break;
        }
        meter.tick(source)?;
    }
    Ok(())
}

fn update(hashers: &mut [Hasher], bytes: &[u8]) {
    for hasher in hashers {
        hasher.update(bytes);
    }
}

/// Calls the progress callback, not too often.
struct Meter<'a> {
    progress: Progress<'a>,
    next: u64,
}

impl<'a> Meter<'a> {
    fn new(source: &Source, progress: Progress<'a>) -> Self {
        Self {
            progress,
            next: source.size() - source.remaining() + REPORT_EVERY,
        }
    }

    fn tick(&mut self, source: &Source) -> Result<(), SourceError> {
        if source.remaining() == 0 || source.size() - source.remaining() < self.next {
            return Ok(());
        }
        self.next += REPORT_EVERY;
        self.report(source)
    }

    fn report(&mut self, source: &Source) -> Result<(), SourceError> {
        match (self.progress)(source.size() - source.remaining(), source.size()) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(SourceError::Cancelled {
                path: source.path().to_owned(),
            }),
        }
    }
}
