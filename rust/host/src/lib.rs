//! Starting, watching and replacing workers.
//!
//! One thread per model, the supervisor, spawns the worker, reads its frames, hands them to the
//! streams of their requests, and watches every deadline. What a worker sends is hostile: it is held
//! to the rules of the protocol's `SPEC.md`, and a worker that breaks one is killed and replaced.
#![forbid(unsafe_code)]

mod bell;
mod config;
mod connection;
mod cores;
mod death;
mod desk;
mod dispatch;
mod error;
mod flight;
mod isolation;
mod model;
mod places;
mod printable;
mod process;
mod record;
mod rehearsal;
mod session;
mod slot;
mod stream;
mod supervisor;
mod tenant;
mod update;
mod waiting;

pub use bell::Bell;
pub use config::Config;
pub use dispatch::{Executable, carried, choose};
pub use error::{CODES, Death, HostError, Stage};
pub use model::Model;
pub use rehearsal::rehearse;
pub use stream::Stream;
pub use tenant::TenantName;
pub use update::Update;
