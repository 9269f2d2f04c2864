//! The encryption of what applications store.

mod cipher;
mod key;
mod value;

pub(crate) use cipher::DataCipher;
pub(crate) use key::DataKey;
