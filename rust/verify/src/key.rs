//! Keys: whose signature it is, and what a signature is made with.
//!
//! A [`PublicKey`] is read from one PEM block of a `SubjectPublicKeyInfo`, a [`PrivateKey`] from one
//! of PKCS#8. Whatever else a file may hold is refused, each under a code of its own: a key is
//! either understood to the last byte, or not used. Two files of one key have one [`KeyId`], since
//! only one encoding of a key is read.

mod error;
mod id;
mod kind;
mod pem;
mod private;
mod pss;
mod public;

pub use error::{CODES, KeyError};
pub use id::KeyId;
pub use kind::{Kind, Scheme};
pub use pem::LONGEST_FILE;
pub use private::PrivateKey;
pub(crate) use private::room;
pub use public::PublicKey;
