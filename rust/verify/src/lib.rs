//! Digests of model files, streamed, and their comparison in constant time.
