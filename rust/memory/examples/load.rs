//! The image's goal, measured: `cargo run --release -p strongroom-memory --example load -- FILE [PAIRS]`.
//!
//! Prints the median of the ratios of alternating pairs: from open to sealed and hashed, against
//! reading the file into a memfd and then hashing that, one after the other.
#![allow(clippy::print_stdout)]

use std::{
    error::Error,
    fs::File,
    io::{Read, Seek, Write},
    ops::ControlFlow,
    path::Path,
    time::Instant,
};

use strongroom_memory::image;
use strongroom_verify::{Algorithm, Hasher};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next().ok_or("usage: load FILE [PAIRS]")?;
    let pairs: usize = arguments.next().map_or(Ok(21), |text| text.parse())?;
    let path = Path::new(&file);
    one_after_the_other(path)?;
    let mut ratios = Vec::new();
    let mut ours = Vec::new();
    for _ in 0..pairs {
        let reference = timed(|| one_after_the_other(path))?;
        let pipelined = timed(|| {
            image::read(path, &[Algorithm::Sha256], None, &mut |_, _| {
                ControlFlow::Continue(())
            })?
            .danger_accept();
            Ok(())
        })?;
        ratios.push(pipelined / reference);
        ours.push(1e3 * pipelined);
    }
    println!(
        "ratio {:.3}, {:.1} ms from open to sealed, median of {pairs} pairs",
        median(&mut ratios),
        median(&mut ours)
    );
    Ok(())
}

fn timed(work: impl FnOnce() -> Result<(), Box<dyn Error>>) -> Result<f64, Box<dyn Error>> {
    let start = Instant::now();
    work()?;
    Ok(start.elapsed().as_secs_f64())
}

fn one_after_the_other(path: &Path) -> Result<(), Box<dyn Error>> {
    let mut file = File::open(path)?;
    let mut memory = File::from(rustix::fs::memfd_create(
        "reference",
        rustix::fs::MemfdFlags::CLOEXEC,
    )?);
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            n => memory.write_all(&buffer[..n])?,
        }
    }
    memory.rewind()?;
    let mut hasher = Hasher::new(Algorithm::Sha256);
    loop {
        match memory.read(&mut buffer)? {
            0 => break,
            n => hasher.update(&buffer[..n]),
        }
    }
    std::hint::black_box(hasher.finish());
    Ok(())
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
