//! Hashing many files, or shards of them, on the processors that this process may use.
//!
//! Each thread takes the largest piece that is left, reads it through one buffer that stays in a
//! core's cache, and hashes what it read. Memory is constant: a buffer a thread.
//!
//! A mapping would save the copy; but whoever truncates a file that is mapped, and a disk that fails under it,
//! end the process.

use std::{
    ops::{ControlFlow, Range},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::Duration,
};

use crate::{Algorithm, Digest, Hasher};

use super::{
    ManifestError, name,
    tree::{self, Tree},
};

/// Bytes read at once: fewer calls, and the kernel's copy of them still in a cache of the core.
const BUFFER: usize = 1 << 20;

/// The kernel copies to the beginning of a page faster than behind an allocator's own bytes.
const PAGE: usize = 4096;

/// More threads than this would wait for the disk.
const MOST_THREADS: usize = 64;

/// Below so many bytes a thread costs more than it saves.
const WORTH_A_THREAD: u64 = 1 << 20;

const ANOTHER: &str = "its size or its time of modification is another";

/// Longest time between two looks at the progress.
const PATIENCE: Duration = Duration::from_millis(50);

/// Called with the bytes done and the bytes in all; `Break` ends the work.
pub type Progress<'a> = &'a mut dyn FnMut(u64, u64) -> ControlFlow<()>;

/// Some bytes of one file, or all of them.
#[derive(Debug)]
pub(super) struct Job<'a> {
    pub(super) path: &'a str,
    /// `None` for all bytes.
    pub(super) range: Option<Range<u64>>,
    /// The file's size is held to be at least the range's end, and for its last piece just that.
    pub(super) last: bool,
    /// How many bytes, as far as is known beforehand.
    pub(super) bytes: u64,
    /// What is compared as soon as it is hashed.
    pub(super) expected: Option<Digest>,
}

/// The digests of `jobs`, in their order.
pub(super) fn run(
    tree: &Tree,
    follow: bool,
    algorithm: Algorithm,
    jobs: &[Job<'_>],
    progress: Progress<'_>,
) -> Result<Vec<Digest>, ManifestError> {
    let total = jobs.iter().map(|job| job.bytes).sum();
    let mut order: Vec<usize> = (0..jobs.len()).collect();
    order.sort_by_key(|&index| std::cmp::Reverse(jobs[index].bytes));
    let shared = Shared {
        tree,
        follow,
        algorithm,
        jobs,
        order,
        next: AtomicUsize::new(0),
        done: AtomicU64::new(0),
        stop: AtomicBool::new(false),
        outcomes: Mutex::new(vec![None; jobs.len()]),
        failure: Mutex::new(None),
    };
    let cancelled = || ManifestError::Cancelled {
        path: tree.path().to_owned(),
    };
    if progress(0, total).is_break() {
        return Err(cancelled());
    }
    let stopped = thread::scope(|scope| {
        let (alive, finished) = mpsc::channel::<()>();
        for number in 0..threads(jobs.len(), total) {
            let alive = alive.clone();
            let worker = || {
                // Dropped at the thread's end, also at the end by a panic.
                let _alive = alive;
                shared.work();
            };
            let started = thread::Builder::new()
                .name("strongroom-hash".to_owned())
                .spawn_scoped(scope, worker);
            if let Err(error) = started {
                // The first one has to be there; the others only make it faster.
                if number == 0 {
                    shared.stop.store(true, Ordering::Relaxed);
                    return Err(ManifestError::Io {
                        action: "start a thread to hash",
                        path: tree.path().to_owned(),
                        error,
                    });
                }
                break;
            }
        }
        drop(alive);
        let mut told = 0;
        loop {
            let waited = finished.recv_timeout(PATIENCE);
            let done = shared.done.load(Ordering::Relaxed).min(total);
            if done != told || matches!(waited, Err(RecvTimeoutError::Timeout)) {
                told = done;
                if progress(done, total).is_break() {
                    shared.stop.store(true, Ordering::Relaxed);
                    return Err(cancelled());
                }
            }
            if matches!(waited, Err(RecvTimeoutError::Disconnected)) {
                return Ok(());
            }
        }
    });
    stopped?;
    let failure = shared.failure.into_inner();
    if let Some((_, error)) = failure.unwrap_or_else(PoisonError::into_inner) {
        return Err(error);
    }
    let outcomes = shared.outcomes.into_inner();
    // Without a failure every one was hashed.
    Ok(outcomes
        .unwrap_or_else(PoisonError::into_inner)
        .into_iter()
        .flatten()
        .collect())
}

fn threads(jobs: usize, bytes: u64) -> usize {
    let worth = usize::try_from(bytes / WORTH_A_THREAD).unwrap_or(usize::MAX);
    thread::available_parallelism()
        .map_or(1, usize::from)
        .min(MOST_THREADS)
        .min(jobs)
        .min(worth)
        .max(1)
}

struct Shared<'a> {
    tree: &'a Tree,
    follow: bool,
    algorithm: Algorithm,
    jobs: &'a [Job<'a>],
    /// The largest first, so that no thread is left alone with one at the end.
    order: Vec<usize>,
    next: AtomicUsize,
    done: AtomicU64,
    stop: AtomicBool,
    outcomes: Mutex<Vec<Option<Digest>>>,
    /// Of the job that comes first among those that failed.
    failure: Mutex<Option<(usize, ManifestError)>>,
}

impl Shared<'_> {
    fn work(&self) {
        let mut memory = vec![0; BUFFER + PAGE];
        let start = memory.as_ptr().align_offset(PAGE).min(PAGE);
        let buffer = &mut memory[start..start + BUFFER];
        while !self.stop.load(Ordering::Relaxed) {
            let Some(&index) = self.order.get(self.next.fetch_add(1, Ordering::Relaxed)) else {
                break;
            };
            match self.hash(&self.jobs[index], buffer) {
                Ok(Some(digest)) => {
                    let mut outcomes = self.outcomes.lock().unwrap_or_else(PoisonError::into_inner);
                    outcomes[index] = Some(digest);
                }
                Ok(None) => break,
                Err(error) => {
                    self.stop.store(true, Ordering::Relaxed);
                    let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
                    if failure.as_ref().is_none_or(|(first, _)| index < *first) {
                        *failure = Some((index, error));
                    }
                }
            }
        }
    }

    /// The digest of one job; `None` where the work was told to stop.
    fn hash(&self, job: &Job<'_>, buffer: &mut [u8]) -> Result<Option<Digest>, ManifestError> {
        let file = self.tree.file(job.path, self.follow)?;
        let name = || name::shown(job.path.as_bytes());
        let changed = |reason| ManifestError::FileChanged {
            name: name(),
            reason,
        };
        let size = file.size();
        let range = job.range.clone().unwrap_or(0..size);
        if size < range.end || (job.last && size > range.end) {
            return Err(ManifestError::FileDiffers {
                name: name(),
                reason: format!("it has {size} bytes, and {} were signed", range.end),
            });
        }
        let io = |errno| tree::refused("read", &self.tree.path().join(job.path), errno);
        let mut hasher = Hasher::new(self.algorithm);
        let mut at = range.start;
        while at < range.end {
            if self.stop.load(Ordering::Relaxed) {
                return Ok(None);
            }
            let left = usize::try_from(range.end - at).unwrap_or(usize::MAX);
            let wanted = left.min(buffer.len());
            match file.read_at(&mut buffer[..wanted], at).map_err(io)? {
                0 => return Err(changed("it was truncated")),
                read => {
                    hasher.update(&buffer[..read]);
                    at += read as u64;
                    self.done.fetch_add(read as u64, Ordering::Relaxed);
                }
            }
        }
        if !file.unchanged().map_err(io)? {
            return Err(changed(ANOTHER));
        }
        let found = hasher.finish();
        if let Some(expected) = &job.expected {
            expected
                .verify(&found)
                .map_err(|_| ManifestError::FileDiffers {
                    name: match &job.range {
                        Some(range) => name::of_shard(&name(), range),
                        None => name(),
                    },
                    reason: format!("it has {found}, and {expected} was signed"),
                })?;
        }
        Ok(Some(found))
    }
}
