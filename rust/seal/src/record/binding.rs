//! What a record is bound to: whose it is, which one, and what for. Nothing of it lies in the envelope.

use std::fmt;

use super::DataError;

/// Keys that every context has.
pub const REQUIRED: [&str; 2] = ["record", "tenant"];
/// Most bytes of a context as it is authenticated.
pub const MAX_CONTEXT: usize = 64 << 10;
/// Most bytes of a purpose.
pub const MAX_PURPOSE: usize = 255;

/// A purpose, and the pairs of a context in their one encoding.
#[derive(Clone, PartialEq, Eq)]
pub struct Binding {
    purpose: String,
    context: Vec<u8>,
}

impl Binding {
    /// Binds to `purpose`, which chooses the subkey, and to all of `pairs`, in any order.
    ///
    /// # Errors
    /// [`DataError::Purpose`], [`DataError::Context`]: too long, an empty key, a key twice, or without a
    /// value for one of [`REQUIRED`].
    pub fn new<K: AsRef<str>, V: AsRef<str>>(
        purpose: impl Into<String>,
        pairs: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Self, DataError> {
        let purpose = purpose.into();
        if purpose.is_empty() {
            return Err(DataError::Purpose {
                reason: "it is empty",
            });
        }
        if purpose.len() > MAX_PURPOSE {
            return Err(DataError::Purpose {
                reason: "it has more than 255 bytes",
            });
        }
        let mut pairs: Vec<(K, V)> = pairs.into_iter().collect();
        pairs.sort_unstable_by(|(a, _), (b, _)| a.as_ref().cmp(b.as_ref()));
        let context = encode(&pairs)?;
        Ok(Self { purpose, context })
    }

    pub(super) fn purpose(&self) -> &str {
        &self.purpose
    }

    /// The context, as it is authenticated.
    pub(super) fn context(&self) -> &[u8] {
        &self.context
    }
}

/// Values may be names of people: they are shown to nobody.
impl fmt::Debug for Binding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Binding({:?})", self.purpose)
    }
}

/// The pairs, which are sorted: their number, then each text behind its length, as u32.
fn encode<K: AsRef<str>, V: AsRef<str>>(pairs: &[(K, V)]) -> Result<Vec<u8>, DataError> {
    let refused = |reason: String| Err(DataError::Context { reason });
    for required in REQUIRED {
        let found = pairs.iter().find(|(key, _)| key.as_ref() == required);
        if found.is_none_or(|(_, value)| value.as_ref().is_empty()) {
            return refused(format!("it has no {required:?}, or an empty one"));
        }
    }
    if pairs
        .windows(2)
        .any(|two| two[0].0.as_ref() == two[1].0.as_ref())
    {
        return refused("it has a key twice".to_owned());
    }
    if pairs.iter().any(|(key, _)| key.as_ref().is_empty()) {
        return refused("it has an empty key".to_owned());
    }
    let texts = || {
        pairs
            .iter()
            .flat_map(|(key, value)| [key.as_ref(), value.as_ref()])
    };
    let length = texts().fold(4_usize, |sum, text| sum.saturating_add(4 + text.len()));
    if length > MAX_CONTEXT {
        return refused("it has more than 64 KiB".to_owned());
    }
    let mut bytes = Vec::with_capacity(length);
    bytes.extend(short(pairs.len()));
    for text in texts() {
        bytes.extend(short(text.len()));
        bytes.extend(text.as_bytes());
    }
    Ok(bytes)
}

/// A length within [`MAX_CONTEXT`], as it is written.
#[allow(clippy::cast_possible_truncation)] // Every one is a part of 64 KiB.
fn short(length: usize) -> [u8; 4] {
    (length as u32).to_be_bytes()
}
