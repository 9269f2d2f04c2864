//! Signatures: who says that a file is what it is.
//!
//! A file is read once. So what a signature needs is known before: a [`TrustedKey`] reads a
//! [`Signature`], which names its [`Need`]; the one pass over the bytes yields that; and
//! [`Signature::verify`] holds the signature to it, and answers with [`Evidence`].
//!
//! ```
//! use strongroom_verify::{
//!     Hasher, PrivateKey, Scheme,
//!     key::Kind,
//!     signature::{Need, Seen, TrustedKey},
//! };
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (file, private) = (b"a model", PrivateKey::generate(Kind::P256)?);
//! let signature = private.sign_message(Scheme::Ecdsa, file)?;
//!
//! let key = TrustedKey::from_file(private.public().to_pem()?.as_bytes())?;
//! let signature = key.signature(&signature, None)?;
//! let Need::Digest(algorithm) = signature.need() else { unreachable!() };
//! let digest = Hasher::digest(algorithm, file);
//! let evidence = signature.verify(&Seen { digests: &[digest], whole: None })?;
//! assert_eq!(evidence.key, private.id());
//! # Ok(())
//! # }
//! ```

mod base64;
mod detached;
mod error;
mod evidence;
pub mod minisign;
mod trusted;

pub use detached::{need, sign};
pub use error::{CODES, SignatureError};
pub use evidence::{Evidence, Need, Seen};
pub use trusted::{LONGEST_FILE, Signature, TrustedKey};
