//! Landlock, seccomp and rlimits, and the report of what is in force.
//!
//! The host asks [`probe`] what the machine offers and lets [`require`] refuse to start without it.
//! The worker locks itself in with [`enter`] and the steps of [`Lockdown`], in the only order that
//! compiles, which is the only order that works:
//!
//! ```no_run
//! use strongroom_protocol::{Isolation, Limits};
//! # fn backend() {}
//! # fn threads() {}
//! # fn load() {}
//! # fn serve(_: &strongroom_protocol::Report) {}
//! # fn main() -> Result<(), strongroom_sandbox::SandboxError> {
//! # let limits = Limits { address_space: 1 << 30, cores: vec![0], threads: 1, load_cpu_seconds: 60 };
//! // Read `Start` from the socket; nothing else is open and one thread runs.
//! let entered = strongroom_sandbox::enter(&limits, Isolation::Process)?;
//! backend(); // llama_backend_init: may read the file system
//! let fenced = entered.landlock()?; // no file, no network, no signal to others from here on
//! threads(); // every thread the worker will ever have: reader, compute pool
//! let alone = fenced.processes()?;
//! let loading = alone.seccomp_load()?; // on all threads at once
//! load(); // the first byte of the image is read here
//! let serving = loading.seccomp_serve()?;
//! serve(serving.report());
//! # Ok(())
//! # }
//! ```
//!
//! What the code between the steps has to know:
//!
//! - Landlock and the capabilities belong to the thread, and threads inherit them: [`enter`] and
//!   [`Lockdown::landlock`] refuse when more than one thread runs.
//! - A thread that starts makes system calls of its own. Threads must have reached their loop
//!   before [`Lockdown::seccomp_load`]; only what glibc and llama.cpp's pool do late is allowed.
//! - The socket is read and written with `read` and `write` (a `File`, not a `UnixStream`, whose
//!   `read` is `recv`), standard error with `write` and `writev`.
//! - `openat` and `stat` answer `EACCES` while loading and `EPERM` while serving; every other call
//!   that is not on the list kills the process with `SIGSYS`.
//! - The process leaves with `_exit`: running destructors calls what isn't allowed.
//! - A thread's malloc arena reserves 128 MiB of address space: with a tight limit, set
//!   `M_ARENA_MAX` before threads start.
//! - `PR_SET_PDEATHSIG` fires when the *thread* that spawned the worker ends: the host spawns from
//!   one that lives as long as the worker should.
#![allow(unsafe_code)]

mod cores;
#[doc(hidden)]
pub mod danger;
mod descriptors;
mod environment;
mod error;
mod landlock;
mod limits;
mod lockdown;
mod machine;
mod process;
mod seccomp;

pub use error::{CODES, SandboxError};
pub use lockdown::{Alone, Entered, Fenced, Loading, Lockdown, Serving, enter};
pub use machine::{Capability, Cpu, InstructionSet, Machine, Quota, Swap, probe, require};
