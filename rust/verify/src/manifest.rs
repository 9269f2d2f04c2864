//! Signed manifests: `OpenSSF` Model Signing v1.0.
//!
//! A `model.sig` is a Sigstore bundle v0.3: a DSSE envelope around an in-toto statement, which lists
//! the files of a model, or shards of them, with their digests. [`read`] verifies who signed it, over
//! the payload's raw bytes, and only then looks into them; [`Verified::check`] holds a directory or
//! a file to what was signed; [`sign`] makes one.
//!
//! ```no_run
//! use strongroom_verify::{PublicKey, manifest::{self, Ignored, Scope, Trust}};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let key = PublicKey::from_pem(&std::fs::read("publisher.pem")?)?;
//! let verified = manifest::read(&std::fs::read("model/model.sig")?, &Trust::Key(&key))?;
//! let mut ignored = Ignored::default();
//! ignored.signature("model".as_ref(), "model/model.sig".as_ref());
//! let evidence = verified.check("model".as_ref(), Scope::Everything, &ignored, &mut |_, _| {
//!     std::ops::ControlFlow::Continue(())
//! })?;
//! # Ok(())
//! # }
//! ```

mod bundle;
mod envelope;
mod error;
mod evidence;
mod hashing;
mod ignored;
mod json;
mod keyless;
mod name;
mod sign;
mod statement;
mod text;
mod tree;
mod trust;
mod verified;

pub use bundle::LARGEST_BUNDLE;
pub use error::{CODES, ManifestError};
pub use evidence::{Evidence, Method, Signer};
pub use hashing::Progress;
pub use ignored::Ignored;
pub use keyless::{Identity, LARGEST_ROOT, TrustedRoot};
pub use sign::{Options, Signing, sign};
pub use statement::Serialization;
pub use trust::{Trust, read};
pub use verified::{Scope, Verified};

pub(crate) use text::shown;
