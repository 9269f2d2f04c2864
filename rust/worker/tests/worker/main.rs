//! The worker as a process: what it answers, and every way in which it ends.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod endings;
mod hostile;
mod life;
mod rig;
