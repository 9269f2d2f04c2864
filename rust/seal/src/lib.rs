//! Encrypted models: messages of the AWS Encryption SDK's format, version 2, in the suite
//! `AES_256_GCM_HKDF_SHA512_COMMIT_KEY`, framed. `SPEC.md` beside this crate is their description.
//!
//! [`Writer`] seals a stream; [`Sealed`] opens a file, and gives out the plaintext of frames whose
//! tag has passed, and of no other. Whoever uses frames while the rest is still to be opened gives
//! up what was made of them when a later frame fails.
//!
//! [`record`] encrypts what applications store, record by record; `ENVELOPE.md` describes that.
#![forbid(unsafe_code)]

mod body;
mod cipher;
mod context;
mod error;
mod header;
mod image;
pub mod kernel_key;
pub mod key_file;
mod keyring;
mod passphrase;
mod raw;
mod read_at;
mod reader;
pub mod record;
mod secret;
mod turns;
mod writer;

pub use body::{DEFAULT_FRAME_LENGTH, MAX_FRAME_LENGTH};
pub use context::{EncryptionContext, MAX_CONTEXT, RESERVED_PREFIX};
pub use error::{CODES, SealError};
pub use header::{Header, MAX_DATA_KEYS, MAX_HEADER};
pub use image::draft;
pub use keyring::{EncryptedDataKey, KeyId, Keyring};
pub use passphrase::{Cost, PASSPHRASE_NAMESPACE, PassphraseKeyring};
pub use raw::RawKeyring;
pub use read_at::ReadAt;
pub use reader::{Scratch, Sealed};
pub use secret::{Secret, key_backing};
pub use writer::{Summary, Writer};
