//! The real tools, and what the tests sign.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

pub mod der;

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use tempfile::TempDir;

/// What is signed: more than one block of every hash, with bytes of every value.
pub fn message() -> Vec<u8> {
    (0..=255).cycle().take(100_003).collect()
}

/// A folder with files, in which tools run.
pub struct Bench(TempDir);

impl Bench {
    pub fn new() -> Self {
        let bench = Self(tempfile::tempdir().unwrap());
        bench.write("message", &message());
        bench
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, content: &[u8]) {
        fs::write(self.path(name), content).unwrap();
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    /// Runs `openssl` with these words.
    pub fn openssl(&self, words: &str) -> Vec<u8> {
        let output = self.try_openssl(words);
        assert!(output.status.success(), "openssl {words}: {output:?}");
        output.stdout
    }

    pub fn try_openssl(&self, words: &str) -> Output {
        run("openssl", self.0.path(), words.split_whitespace())
    }

    /// Runs a tool of coreutils with these words.
    pub fn tool(&self, tool: &str, words: &str) -> Vec<u8> {
        let output = run(tool, self.0.path(), words.split_whitespace());
        assert!(output.status.success(), "{tool} {words}: {output:?}");
        output.stdout
    }

    /// Runs `minisign` with these words.
    pub fn minisign(&self, words: &[&str]) -> Vec<u8> {
        let output = self.try_minisign(words);
        assert!(output.status.success(), "minisign {words:?}: {output:?}");
        output.stdout
    }

    pub fn try_minisign(&self, words: &[&str]) -> Output {
        run("minisign", self.0.path(), words)
    }
}

/// Runs a tool of Debian's, and says which package brings it where it is missing.
fn run(tool: &str, folder: &Path, words: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Output {
    Command::new(tool)
        .args(words)
        .current_dir(folder)
        .output()
        .unwrap_or_else(|error| {
            panic!("{tool}: {error}; these tests need Debian's package {tool} (README.md)")
        })
}

/// `openssl genpkey` for each kind of key that is verified here.
pub const KINDS: &[(&str, &str)] = &[
    ("P-256", "-algorithm EC -pkeyopt ec_paramgen_curve:P-256"),
    ("P-384", "-algorithm EC -pkeyopt ec_paramgen_curve:P-384"),
    ("P-521", "-algorithm EC -pkeyopt ec_paramgen_curve:P-521"),
    ("Ed25519", "-algorithm ED25519"),
    ("RSA-2048", "-algorithm RSA -pkeyopt rsa_keygen_bits:2048"),
    ("RSA-3072", "-algorithm RSA -pkeyopt rsa_keygen_bits:3072"),
];
