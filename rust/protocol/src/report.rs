//! What of the sandbox is in force in a worker.

use serde::{Deserialize, Serialize};

/// One row per layer, in the order in which they were put in force.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Report {
    /// At most one row per [`LayerName`].
    pub layers: Vec<Layer>,
}

/// One layer of the sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer {
    /// Which.
    pub name: LayerName,
    /// Whether it is in force.
    pub state: LayerState,
    /// For people: an ABI, a number of system calls, a limit. At most 200 bytes.
    pub detail: String,
}

/// Whether a layer is in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum LayerState {
    /// Read back from the kernel, where it can be.
    InForce,
    /// The kernel does not offer it, and the isolation does not require it.
    Absent,
    /// Switched off by `danger-none`.
    Off,
}

/// The layers, by the field's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum LayerName {
    /// `PR_SET_NO_NEW_PRIVS`.
    NoNewPrivileges,
    /// `PR_SET_DUMPABLE` 0 and `RLIMIT_CORE` 0: no dump, no ptrace by the same user.
    NotDumpable,
    /// Dies with its parent: `PR_SET_PDEATHSIG` and end-of-file of the socket.
    ParentDeath,
    /// An empty environment.
    Environment,
    /// Only the descriptors of [`crate::descriptor`].
    Descriptors,
    /// `RLIMIT_AS`.
    AddressSpace,
    /// `RLIMIT_NPROC` 0.
    Processes,
    /// `RLIMIT_NOFILE`.
    Files,
    /// `RLIMIT_FSIZE` 0.
    FileSize,
    /// `RLIMIT_CPU`.
    CpuTime,
    /// `sched_setaffinity`.
    Cores,
    /// Landlock: every file-system right handled, no rule.
    LandlockFiles,
    /// Landlock: TCP bind and connect handled, no rule (ABI 4).
    LandlockNetwork,
    /// Landlock: signals and abstract Unix sockets scoped (ABI 6).
    LandlockScopes,
    /// The allow-list while the image is parsed.
    SeccompLoad,
    /// The smaller allow-list while requests are served.
    SeccompServe,
}

impl LayerName {
    /// Every layer.
    pub const ALL: [Self; 16] = [
        Self::NoNewPrivileges,
        Self::NotDumpable,
        Self::ParentDeath,
        Self::Environment,
        Self::Descriptors,
        Self::AddressSpace,
        Self::Processes,
        Self::Files,
        Self::FileSize,
        Self::CpuTime,
        Self::Cores,
        Self::LandlockFiles,
        Self::LandlockNetwork,
        Self::LandlockScopes,
        Self::SeccompLoad,
        Self::SeccompServe,
    ];

    /// The stable word for programs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoNewPrivileges => "no_new_privileges",
            Self::NotDumpable => "not_dumpable",
            Self::ParentDeath => "parent_death",
            Self::Environment => "environment",
            Self::Descriptors => "descriptors",
            Self::AddressSpace => "address_space",
            Self::Processes => "processes",
            Self::Files => "files",
            Self::FileSize => "file_size",
            Self::CpuTime => "cpu_time",
            Self::Cores => "cores",
            Self::LandlockFiles => "landlock_files",
            Self::LandlockNetwork => "landlock_network",
            Self::LandlockScopes => "landlock_scopes",
            Self::SeccompLoad => "seccomp_load",
            Self::SeccompServe => "seccomp_serve",
        }
    }
}
