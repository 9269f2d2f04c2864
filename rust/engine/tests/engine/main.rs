//! The engine on real llama.cpp: two generated models of a few hundred kilobytes, and the model that
//! `STRONGROOM_TEST_MODEL` names, where it is set.
#![allow(clippy::unwrap_used)]

mod answers;
mod batching;
mod cache;
mod embedding;
mod embedding_long_texts;
mod errors;
mod loading;
mod prefixes;
mod queue;
mod recurrent;
mod rig;
mod splitting;
mod stopping;
mod text;
mod tokenizing;
mod tokens;
