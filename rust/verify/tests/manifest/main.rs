//! Signed manifests: what verifies, and everything that has to be refused.
#![allow(
    clippy::cast_possible_truncation,
    clippy::large_stack_arrays,
    clippy::unwrap_used
)]

mod bundles;
mod certificates;
mod keyless;
mod reference;
mod statements;
mod support;
mod trees;
