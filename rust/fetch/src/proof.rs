//! What proves that a download is the file that was meant.

use std::{fmt, fs::File};

use strongroom_verify::{Algorithm, Digest};

use crate::{FetchError, Unproved};

/// Judges whole files by their digests, in the order that was asked for, and their bytes.
pub type Check<'a> = Box<dyn FnMut(&[Digest], &File) -> Result<(), Unproved> + 'a>;

/// What proves that a download is the file that was meant.
pub enum Proof<'a> {
    /// It has this digest.
    Digest(Digest),
    /// The caller's check accepts it, a signature's for example.
    Check {
        /// The digests that the check is given.
        algorithms: Vec<Algorithm>,
        /// Called when the file is whole, before it gets its name.
        check: Check<'a>,
    },
    /// Nothing does.
    DangerNone,
}

impl Proof<'_> {
    /// Whether a file of this digest may be the one that was meant, as far as is known without a
    /// look at it. A check may accept it: a signature stays right, whatever the host has by now.
    pub(crate) fn may_be(&self, sha256: &Digest) -> bool {
        match self {
            Self::Digest(digest) => digest == sha256 || digest.algorithm() != sha256.algorithm(),
            Self::Check { .. } => true,
            Self::DangerNone => false,
        }
    }

    /// Whether who loads a file of this digest finds out whether it is proved: it has the digest that
    /// was named, or the check is made again.
    pub(crate) fn is_left_to_loading(&self, sha256: &Digest) -> bool {
        match self {
            Self::Digest(digest) => digest == sha256,
            Self::Check { .. } => true,
            Self::DangerNone => false,
        }
    }

    /// The digests to make, each once: SHA-256 first, under which the cache files it.
    pub(crate) fn algorithms(&self) -> Vec<Algorithm> {
        let mut all = vec![Algorithm::Sha256];
        let asked = match self {
            Self::Digest(digest) => &[digest.algorithm()][..],
            Self::Check { algorithms, .. } => algorithms,
            Self::DangerNone => &[],
        };
        for &algorithm in asked {
            if !all.contains(&algorithm) {
                all.push(algorithm);
            }
        }
        all
    }

    /// Holds a whole file, with the digests of [`algorithms`](Self::algorithms), to the proof.
    pub(crate) fn verify(&mut self, digests: &[Digest], file: &File) -> Result<(), FetchError> {
        let of = |algorithm: Algorithm| {
            digests
                .iter()
                .find(|digest| digest.algorithm() == algorithm)
                .copied()
        };
        match self {
            Self::Digest(expected) => {
                // Made, because `algorithms` asked for it; another one would be refused.
                let found = of(expected.algorithm()).unwrap_or(digests[0]);
                Ok(expected.verify(&found)?)
            }
            Self::Check { algorithms, check } => {
                let asked: Vec<Digest> = algorithms.iter().filter_map(|&a| of(a)).collect();
                check(&asked, file).map_err(FetchError::Unproved)
            }
            Self::DangerNone => Ok(()),
        }
    }
}

impl fmt::Debug for Proof<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Digest(digest) => f.debug_tuple("Digest").field(digest).finish(),
            Self::Check { algorithms, .. } => f
                .debug_struct("Check")
                .field("algorithms", algorithms)
                .finish_non_exhaustive(),
            Self::DangerNone => f.write_str("DangerNone"),
        }
    }
}
