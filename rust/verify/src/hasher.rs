//! Hashing as the bytes go by.

use std::fmt;

use ring::digest::{Context, SHA256, SHA384, SHA512};

use crate::{Algorithm, Digest};

/// A hash in progress.
#[derive(Clone)]
pub struct Hasher {
    algorithm: Algorithm,
    state: State,
}

// Boxed: they are large, and of different sizes.
#[derive(Clone)]
enum State {
    Sha2(Box<Context>),
    Blake2b(Box<blake2b_simd::State>),
    Blake3(Box<blake3::Hasher>),
}

impl Hasher {
    /// Of no bytes yet.
    pub fn new(algorithm: Algorithm) -> Self {
        let state = match algorithm {
            Algorithm::Sha256 => State::Sha2(Box::new(Context::new(&SHA256))),
            Algorithm::Sha384 => State::Sha2(Box::new(Context::new(&SHA384))),
            Algorithm::Sha512 => State::Sha2(Box::new(Context::new(&SHA512))),
            Algorithm::Blake2b512 => State::Blake2b(Box::default()),
            Algorithm::Blake3 => State::Blake3(Box::default()),
        };
        Self { algorithm, state }
    }

    /// The digest of bytes that are all there.
    pub fn digest(algorithm: Algorithm, bytes: &[u8]) -> Digest {
        let mut hasher = Self::new(algorithm);
        hasher.update(bytes);
        hasher.finish()
    }

    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.state {
            State::Sha2(context) => context.update(bytes),
            State::Blake2b(state) => drop(state.update(bytes)),
            State::Blake3(hasher) => drop(hasher.update(bytes)),
        }
    }

    /// The digest of all bytes added.
    pub fn finish(self) -> Digest {
        match self.state {
            State::Sha2(context) => Digest::padded(self.algorithm, context.finish().as_ref()),
            State::Blake2b(state) => Digest::padded(self.algorithm, state.finalize().as_bytes()),
            State::Blake3(hasher) => Digest::padded(self.algorithm, hasher.finalize().as_bytes()),
        }
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hasher")
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}
