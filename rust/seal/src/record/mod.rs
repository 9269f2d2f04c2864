//! Records of an application: small pieces of data, encrypted one by one under a keyring of data keys.
//! `ENVELOPE.md` beside this crate describes every byte, the limits, and the reasons for both.
//!
//! [`DataCipher::draft`] begins an envelope, [`DataCipher::seal`] ends it, [`DataCipher::open`] opens one.
//! A [`Binding`] says whose and which record it is: it isn't in the envelope, and has to be given again.

mod binding;
mod cipher;
mod draft;
mod envelope;
mod error;
mod item;
mod key;
mod subkey;
#[cfg(test)]
mod vectors;

pub use binding::{Binding, MAX_CONTEXT, MAX_PURPOSE, REQUIRED};
pub use cipher::{DataCipher, Opened};
pub use draft::{Draft, Kind, copied};
pub use envelope::{Envelope, MAX_ENVELOPE, VERSION};
pub use error::{CODES, DataError};
pub use item::{Item, Items, MAX_DEPTH};
pub use key::{DataKey, KeyName, MAX_ID, MAX_KEYS};
pub use subkey::{MAX_BLOCKS, MAX_MESSAGES};

/// Most bytes of plaintext in a record: 64 MiB.
pub const MAX_PLAINTEXT: usize = 64 << 20;
