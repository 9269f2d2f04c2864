//! Generated models, sound and hostile, for the tests.
