//! Preflight of an untrusted GGUF header.
