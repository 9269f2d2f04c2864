//! Conversations and templates for proofs: with the vocabularies of this crate's tests, and with
//! real ones where there are any.

mod hostile;
mod ordinary;
mod styles;

pub use hostile::{Attack, attacks};
pub use ordinary::ordinary;
pub use styles::{STYLES, Style};

use strongroom_protocol::{Message, Role};

/// A message without a name.
pub fn message(role: Role, content: &str) -> Message {
    Message {
        role,
        content: content.into(),
        name: None,
    }
}
