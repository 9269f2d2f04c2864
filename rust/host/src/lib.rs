//! Starting, watching and replacing workers.
