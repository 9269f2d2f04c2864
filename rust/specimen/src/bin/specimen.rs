//! Writes generated models to disk.
//!
//! `specimen tiny OUT [spm|bpe]`, `specimen families DIRECTORY`, `specimen hostile DIRECTORY`,
//! `specimen seeds DIRECTORY` for fuzzing.

use std::{
    env,
    error::Error,
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};
use strongroom_specimen::{
    Family, Vocabulary, draft, hostile, split, split_part, tiny, tiny_that_pools,
    tiny_without_template,
};

const USAGE: &str = "usage: specimen (tiny | untemplated | pooled | split | parts) OUT [spm | bpe]
       specimen families DIRECTORY
       specimen (hostile | seeds) DIRECTORY";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("specimen: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[&str]) -> Result<(), Box<dyn Error>> {
    let (what, path, rest) = match arguments {
        [what, path, rest @ ..] => (*what, PathBuf::from(path), rest),
        _ => return Err(USAGE.into()),
    };
    let vocabulary = match rest {
        [] | ["spm"] => Vocabulary::Spm,
        ["bpe"] => Vocabulary::Bpe,
        _ => return Err(USAGE.into()),
    };
    match what {
        "tiny" => fs::write(path, tiny(vocabulary))?,
        "untemplated" => fs::write(path, tiny_without_template(vocabulary))?,
        "pooled" => fs::write(path, tiny_that_pools(vocabulary))?,
        "split" => fs::write(path, split_part(vocabulary))?,
        "parts" => write_parts(&path, vocabulary)?,
        "families" => write_families(&path)?,
        "hostile" => write_hostile(&path)?,
        "seeds" => write_seeds(&path)?,
        _ => return Err(USAGE.into()),
    }
    Ok(())
}

/// Writes one model of each family and vocabulary.
fn write_families(directory: &Path) -> Result<(), Box<dyn Error>> {
    fs::create_dir_all(directory)?;
    for family in Family::ALL {
        for vocabulary in [Vocabulary::Spm, Vocabulary::Bpe] {
            let name = format!("{family:?}-{vocabulary:?}.gguf").to_lowercase();
            fs::write(directory.join(name), draft(family, vocabulary).write())?;
        }
    }
    Ok(())
}

/// Writes three parts beside each other: of `tiny`, `tiny-00001-of-00003.gguf` and so on.
fn write_parts(path: &Path, vocabulary: Vocabulary) -> Result<(), Box<dyn Error>> {
    let parts = split(vocabulary, 3);
    let count = parts.len();
    for (number, part) in (1..).zip(parts) {
        let mut name = path.as_os_str().to_owned();
        name.push(format!("-{number:05}-of-{count:05}.gguf"));
        fs::write(name, part.write())?;
    }
    Ok(())
}

/// Writes the headers alone: of each family, and the beginning of each hostile file.
fn write_seeds(directory: &Path) -> Result<(), Box<dyn Error>> {
    fs::create_dir_all(directory)?;
    for family in Family::ALL {
        for vocabulary in [Vocabulary::Spm, Vocabulary::Bpe] {
            let name = format!("{family:?}-{vocabulary:?}").to_lowercase();
            fs::write(directory.join(name), draft(family, vocabulary).header())?;
        }
    }
    for file in hostile() {
        let beginning = file.bytes.len().min(16 << 10);
        fs::write(directory.join(file.name), &file.bytes[..beginning])?;
    }
    Ok(())
}

/// Writes each file as `NAME.gguf`, and `manifest.json`, which maps names to codes.
fn write_hostile(directory: &Path) -> Result<(), Box<dyn Error>> {
    fs::create_dir_all(directory)?;
    let mut entries = Vec::new();
    for file in hostile() {
        fs::write(
            directory.join(file.name).with_extension("gguf"),
            &file.bytes,
        )?;
        // Names and codes are lower-case words: nothing in them needs escaping in JSON.
        entries.push(format!("  \"{}\": \"{}\"", file.name, file.code));
    }
    fs::write(
        directory.join("manifest.json"),
        format!("{{\n{}\n}}\n", entries.join(",\n")),
    )?;
    Ok(())
}
