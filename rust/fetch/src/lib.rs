//! Downloads over TLS into a cache, or into memory, from the hosts that a policy names.
//!
//! What comes from the network is hostile: it is bounded, judged and hashed as it arrives, and in the
//! cache it appears under its name only when it is whole and proved. Nothing is configured by the
//! environment: no proxies, no certificates, no cookies.
#![forbid(unsafe_code)]

mod address;
pub mod answer;
mod body;
mod cache;
mod connect;
mod error;
mod exchange;
mod fetch;
mod limits;
mod location;
mod origin;
mod partial;
mod policy;
mod proof;
mod receive;
mod reference;
mod resolve;
mod side_file;
mod tls;
mod watch;
mod way;

pub use address::Network;
pub use body::Sink;
pub use cache::Cache;
pub use error::{CODES, FetchError, Unproved};
pub use fetch::{Fetched, Fetcher, Recheck};
pub use limits::Limits;
pub use location::Location;
pub use origin::Origin;
pub use policy::{Pins, Policy};
pub use proof::{Check, Proof};
pub use receive::receive;
pub use reference::{Reference, Remote, Repository};
pub use resolve::{Resolve, System};
pub use side_file::read_side_file;
pub use tls::Roots;
pub use watch::{Progress, Step};
