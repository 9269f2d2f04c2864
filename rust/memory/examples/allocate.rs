//! Allocates and frees 64 bytes from a warm arena as often as a line on stdin says, again and again;
//! prints the nanoseconds of one. For `benches/arena.py`.
#![allow(clippy::print_stdout)]

use std::{hint::black_box, io, time::Instant};

use strongroom_memory::arena::{Arena, ArenaError, Backing, Fallback, Options};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let backing = match std::env::args().nth(1).as_deref() {
        Some("secret") => Backing::Secret,
        Some("locked") => Backing::Locked,
        _ => return Err("usage: allocate secret|locked".into()),
    };
    let arena = Arena::new(Options {
        backing,
        fallback: Fallback::Refuse,
        ..Options::new(1 << 20)
    })?;
    once(&arena)?;
    for line in io::stdin().lines() {
        let times: u32 = line?.trim().parse()?;
        let start = Instant::now();
        for _ in 0..times {
            once(&arena)?;
        }
        println!("{}", start.elapsed().as_secs_f64() * 1e9 / f64::from(times));
    }
    Ok(())
}

fn once(arena: &Arena) -> Result<(), ArenaError> {
    black_box(arena.allocate(64, "benchmark")?);
    Ok(())
}
