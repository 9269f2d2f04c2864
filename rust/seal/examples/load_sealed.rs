//! What `benches/store.py` asks for: one way after the other from a file to an image, in seconds.
//!
//! `load PLAIN SEALED SIZE`: writes `SIZE` MiB of random bytes and seals them where the files aren't there,
//! then answers each line of standard input: `open`, `checked`, `read`, `draft`, or `read-sealed`, each with
//! `cold` behind it to drop the file from the page cache before.
#![allow(clippy::print_stdout)]

use std::{
    error::Error,
    fs::File,
    io::{BufRead, Write},
    num::NonZeroUsize,
    ops::ControlFlow,
    os::unix::fs::FileExt,
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::Instant,
};

use ring::rand::{SecureRandom, SystemRandom};
use strongroom_memory::{Draft, image};
use strongroom_seal::{EncryptionContext, RawKeyring, SealError, Sealed, Secret, Writer};
use strongroom_verify::{Algorithm, Digest};

const BLOCK: usize = 1 << 20;

type Anything<T> = Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> Anything<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [plain, sealed, size] = &arguments[..] else {
        return Err("usage: load PLAIN SEALED MIB".into());
    };
    let (plain, sealed) = (Path::new(plain), Path::new(sealed));
    let size = size.parse::<u64>()? << 20;
    let key = Secret::filled(|_| Ok::<_, SealError>(()))?;
    let keyring = RawKeyring::new("bench", "key", &key)?;
    if !sealed.exists() {
        write(plain, sealed, size, &keyring)?;
    }
    let threads = thread::available_parallelism()?;
    println!("ready");
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let (what, cold) = line.split_once(' ').unwrap_or((&line, ""));
        let of_sealed = matches!(what, "open" | "read-sealed");
        let file = File::open(if of_sealed { sealed } else { plain })?;
        if cold == "cold" {
            rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)?;
        }
        let began = Instant::now();
        match what {
            "open" => open(file, sealed, &keyring, threads)?,
            "checked" => drop(
                image::read(plain, &[Algorithm::Sha256], None, &mut |_, _| {
                    ControlFlow::Continue(())
                })?
                .danger_accept(),
            ),
            "read" | "read-sealed" => read(&file, size, threads)?,
            "draft" => draft(&file, plain, size, threads)?,
            _ => return Err("there is no such way".into()),
        }
        println!("{}", began.elapsed().as_secs_f64());
        std::io::stdout().flush()?;
    }
    Ok(())
}

fn write(plain: &Path, sealed: &Path, size: u64, keyring: &RawKeyring) -> Anything<()> {
    let mut file = File::create(plain)?;
    let mut block = vec![0; BLOCK];
    for _ in 0..size / BLOCK as u64 {
        SystemRandom::new()
            .fill(&mut block)
            .map_err(|_| "no random numbers")?;
        file.write_all(&block)?;
    }
    file.sync_all()?;
    let input = File::open(plain)?;
    let mut output = File::create(sealed)?;
    let mut offset = 0;
    Writer::new(&[keyring], &EncryptionContext::new())?
        .expect_length(size)
        .seal::<Box<dyn Error + Send + Sync>>(
            NonZeroUsize::MIN,
            |buffer| {
                let filled = input.read_at(buffer, offset)?;
                offset += filled as u64;
                Ok(filled)
            },
            |bytes| Ok(output.write_all(bytes)?),
        )?;
    Ok(output.sync_all()?)
}

fn open(file: File, path: &Path, keyring: &RawKeyring, threads: NonZeroUsize) -> Anything<()> {
    let sealed = Sealed::open(file, &[keyring], &EncryptionContext::new())?;
    let draft = strongroom_seal::draft::<_, Box<dyn Error + Send + Sync>>(
        &sealed,
        path,
        None,
        threads,
        |_| Ok(()),
    )?;
    draft.seal_authenticated(digest()?)?;
    Ok(())
}

/// The file's bytes into ordinary anonymous memory.
fn read(file: &File, size: u64, threads: NonZeroUsize) -> Anything<()> {
    let memory = File::from(rustix::fs::memfd_create(
        "bench",
        rustix::fs::MemfdFlags::CLOEXEC,
    )?);
    memory.set_len(size)?;
    each_block(size, threads, |offset, buffer| {
        file.read_exact_at(buffer, offset)?;
        Ok(memory.write_all_at(buffer, offset)?)
    })
}

/// The file's bytes into memory such as images are made of.
fn draft(file: &File, path: &Path, size: u64, threads: NonZeroUsize) -> Anything<()> {
    let draft = Draft::new(path, size, None)?;
    each_block(size, threads, |offset, buffer| {
        file.read_exact_at(buffer, offset)?;
        Ok(draft.write_at(offset, buffer)?)
    })?;
    draft.seal_authenticated(digest()?)?;
    Ok(())
}

fn each_block(
    size: u64,
    threads: NonZeroUsize,
    work: impl Fn(u64, &mut [u8]) -> Anything<()> + Sync,
) -> Anything<()> {
    let next = AtomicU64::new(0);
    let all = || -> Anything<()> {
        let mut buffer = vec![0; BLOCK];
        loop {
            let offset = next.fetch_add(BLOCK as u64, Ordering::Relaxed);
            if offset >= size {
                return Ok(());
            }
            work(offset, &mut buffer)?;
        }
    };
    thread::scope(|scope| {
        let others: Vec<_> = (1..threads.get()).map(|_| scope.spawn(all)).collect();
        all()?;
        others
            .into_iter()
            .try_for_each(|other| other.join().map_err(|_| "a thread panicked")?)
    })
}

fn digest() -> Anything<Digest> {
    Ok(format!("sha256:{}", "0".repeat(64)).parse()?)
}
