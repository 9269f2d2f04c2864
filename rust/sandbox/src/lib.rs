//! Landlock, seccomp and rlimits, and the report of what is in force.
