//! The Python module `strongroom._core`: the core's crates, one file each, and nothing of its own.
//!
//! Its surface is described in `python/strongroom/_core.pyi`. Errors cross in `errors`, the GIL is
//! released in `detach`; no other file does either.
// But for the buffer protocol, in `memory/buffers.rs`.
#![deny(unsafe_code)]
// pyo3 hands arguments over by value, and what is a keyword in Python is an argument here.
#![allow(clippy::needless_pass_by_value, clippy::too_many_arguments)]

#[cfg(panic = "abort")]
compile_error!("a panic must not end the process that imports this module: let it unwind");

mod arguments;
mod bell;
mod data;
mod detach;
mod dispatch;
mod doctor;
mod download;
mod errors;
mod fetch;
mod gguf;
mod image;
mod inspect;
mod keyring;
mod manifest;
mod memory;
mod model;
mod output;
#[cfg(feature = "panic-probe")]
mod panic_probe;
mod parts;
mod passphrase;
mod proof;
mod receive;
mod seal;
mod side_file;
mod signature;
mod signing;
mod store;
mod stream;
mod watch;

/// The Rust core. Use `strongroom`, which puts words for people around it.
#[pyo3::pymodule]
mod _core {
    /// Of the package; asking its metadata takes a fifth of the command line's start.
    #[allow(non_upper_case_globals)]
    #[pymodule_export]
    const __version__: &str = env!("CARGO_PKG_VERSION");

    #[cfg(feature = "panic-probe")]
    #[pymodule_export]
    use crate::panic_probe::{Panicking, panic};
    #[pymodule_export]
    use crate::{
        bell::Bell,
        data::{DataCipher, DataKey},
        dispatch::{Processor, Worker, choose_worker},
        doctor::{Capability, doctor, rehearse},
        errors::error_codes,
        fetch::{Fetched, Sources, assemble, fetch, local_path, name_in_manifest, owner_of},
        gguf::{Finding, Footprint, Header, SpecialToken, Tokenizer},
        image::{Image, digest_of},
        inspect::{Inspection, inspect},
        keyring::Keyring,
        manifest::{Manifest, ManifestEvidence, sign_manifest, verify_manifest},
        memory::{Arena, ArenaUsage, BufferUsage, SecureBuffer, compare_digest},
        model::{Layer, Model},
        receive::{Received, receive},
        seal::{open_sealed, seal_file},
        side_file::{SideFile, read_side_file},
        signature::{Evidence, verify_file},
        signing::{generate_key, sign_file},
        store::{SealedHeader, export_sealed, reseal, seal_image, sealed_header, verify_sealed},
        stream::{Began, Embedded, Finished, Piece, Published, Stream},
    };
}
