//! The limit that verifying a directory is held to: what the hash functions themselves do on the same
//! cores, with all bytes in memory. `hashes FILE…`, then a line `sha256` or `blake3` on standard input
//! for each measurement; the answer is in seconds.
#![allow(clippy::print_stdout)]

use std::{
    error::Error,
    hint::black_box,
    io::{self, BufRead},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Instant,
};

fn main() -> Result<(), Box<dyn Error>> {
    let files = std::env::args()
        .skip(1)
        .map(std::fs::read)
        .collect::<Result<Vec<_>, _>>()?;
    let threads = thread::available_parallelism()?.get().min(files.len());
    for line in io::stdin().lock().lines() {
        let hash = match line?.as_str() {
            "sha256" => |bytes: &[u8]| {
                black_box(ring::digest::digest(&ring::digest::SHA256, bytes));
            },
            "blake3" => |bytes: &[u8]| {
                black_box(blake3::hash(bytes));
            },
            other => return Err(format!("{other} is none of sha256 and blake3").into()),
        };
        let next = AtomicUsize::new(0);
        let start = Instant::now();
        thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    while let Some(bytes) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                        hash(bytes);
                    }
                });
            }
        });
        println!("{}", start.elapsed().as_secs_f64());
    }
    Ok(())
}
