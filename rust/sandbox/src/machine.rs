//! What this machine can enforce, and how much of it is ours.

mod cgroup;
mod cpu;
mod swap;

use std::fs;
use std::path::Path;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, memfd_create};
use rustix::process::{Resource, getrlimit, setrlimit};
use strongroom_protocol::Isolation;

pub use cgroup::Quota;
pub use cpu::{Cpu, InstructionSet};
pub use swap::Swap;

use crate::{SandboxError, cores, landlock, seccomp};

/// What was found. Nothing in this process is changed by finding it.
#[derive(Debug, Clone)]
pub struct Machine {
    /// The kernel's release, as `uname -r` says.
    pub kernel: String,
    /// The version of Landlock; 0 if there is none.
    pub landlock: u32,
    /// What seccomp lacks of what is needed; `None` if nothing.
    pub seccomp_lacks: Option<&'static str>,
    /// Whether resource limits can be set.
    pub rlimits: bool,
    /// Whether anonymous memory can be sealed.
    pub memfd_seals: bool,
    /// Bytes that may be locked into memory; `None` is no limit.
    pub lockable: Option<u64>,
    /// Whether that limit holds for this process: with `CAP_IPC_LOCK` none does.
    pub lock_limited: bool,
    /// Swap in use.
    pub swap: Swap,
    /// Instruction sets.
    pub cpu: Cpu,
    /// Processors that this process may run on, by number, ascending.
    pub cores: Vec<u32>,
    /// The control groups' share of processor time.
    pub quota: Quota,
}

/// One row of `strongroom doctor`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capability {
    /// A stable word.
    pub name: &'static str,
    /// What was found.
    pub value: String,
    /// Whether it does for `isolation="process"`; `None` where nothing depends on it.
    pub ok: Option<bool>,
    /// What it is for, or what to do.
    pub detail: String,
}

/// Looks at the machine.
pub fn probe() -> Machine {
    Machine {
        kernel: rustix::system::uname()
            .release()
            .to_string_lossy()
            .into_owned(),
        landlock: landlock::version(),
        seccomp_lacks: seccomp::lacking(),
        rlimits: rlimits_settable(),
        memfd_seals: memfd_sealable(),
        lockable: getrlimit(Resource::Memlock).current,
        lock_limited: !may_lock(&fs::read_to_string("/proc/self/status").unwrap_or_default()),
        swap: Swap::read(fs::read_to_string("/proc/swaps")),
        cpu: Cpu::detect(),
        cores: cores::allowed().unwrap_or_default(),
        quota: Quota::read(Path::new("/proc/self"), Path::new("/sys/fs/cgroup")),
    }
}

/// Refuses an isolation that `machine` can't give.
///
/// # Errors
/// [`SandboxError::SeccompAbsent`], [`SandboxError::RlimitsAbsent`],
/// [`SandboxError::LandlockAbsent`], [`SandboxError::SwapPresent`].
pub fn require(isolation: Isolation, machine: &Machine) -> Result<(), SandboxError> {
    if isolation == Isolation::DangerNone {
        return Ok(());
    }
    if let Some(lacking) = machine.seccomp_lacks {
        return Err(SandboxError::SeccompAbsent { lacking });
    }
    if !machine.rlimits {
        return Err(SandboxError::RlimitsAbsent);
    }
    let needed = landlock::needed(isolation);
    if machine.landlock < needed {
        return Err(SandboxError::LandlockAbsent {
            needed,
            found: machine.landlock,
        });
    }
    if isolation == Isolation::Maximum && machine.swap != Swap::None {
        return Err(SandboxError::SwapPresent {
            devices: machine.swap.to_string(),
        });
    }
    Ok(())
}

impl Machine {
    /// Processors that are really free for computing: what the affinity grants, cut to whole
    /// processors of the quota; at least 1.
    pub fn cores_free(&self) -> usize {
        let granted = self.cores.len();
        self.quota
            .whole_cores()
            .map_or(granted, |quota| granted.min(quota))
            .max(1)
    }

    /// The rows of `strongroom doctor`.
    pub fn capabilities(&self) -> Vec<Capability> {
        let row = |name, value: String, ok, detail: &str| Capability {
            name,
            value,
            ok,
            detail: detail.to_owned(),
        };
        let yes = |holds: bool| (if holds { "yes" } else { "no" }).to_owned();
        let landlock = match self.landlock {
            0 => (
                "absent".to_owned(),
                "needs kernel 5.13 with landlock among its security modules",
            ),
            found @ 1..landlock::SCOPES => (
                format!("ABI {found}"),
                "files; isolation=\"maximum\" needs ABI 6 (kernel 6.12)",
            ),
            found => (
                format!("ABI {found}"),
                "files, TCP, signals, abstract sockets",
            ),
        };
        let swapped = match (&self.swap, self.lockable, self.lock_limited) {
            (Swap::None, _, _) => (
                "stays in memory".to_owned(),
                "of models out of the store: there is no swap",
            ),
            (_, None, _) | (_, _, false) => (
                "stays in memory".to_owned(),
                "of models out of the store: they are locked there",
            ),
            (_, Some(bytes), true) => (
                format!("could reach swap, beyond {bytes} bytes"),
                "of models out of the store: raise the limit on locked memory (ulimit -l)",
            ),
        };
        vec![
            row("kernel", self.kernel.clone(), None, ""),
            row("landlock", landlock.0, Some(self.landlock > 0), landlock.1),
            row(
                "seccomp",
                self.seccomp_lacks
                    .map_or_else(|| "yes".to_owned(), |lacking| format!("lacks {lacking}")),
                Some(self.seccomp_lacks.is_none()),
                "allow-lists on all threads, anything else kills",
            ),
            row(
                "rlimits",
                yes(self.rlimits),
                Some(self.rlimits),
                "memory, processes, files, processor time",
            ),
            row(
                "memfd",
                yes(self.memfd_seals),
                Some(self.memfd_seals),
                "sealed images in anonymous memory",
            ),
            row(
                "locked memory",
                self.lockable
                    .map_or_else(|| "unlimited".to_owned(), |bytes| format!("{bytes} bytes")),
                None,
                "RLIMIT_MEMLOCK",
            ),
            row(
                "swap",
                self.swap.to_string(),
                None,
                "isolation=\"maximum\" needs none",
            ),
            row("plaintext", swapped.0, None, swapped.1),
            row(
                "cpu",
                self.cpu.to_string(),
                Some(self.cpu.lacks(InstructionSet::Avx2).is_empty()),
                "the worker needs AVX2; one with AVX-512 is used where the wheel has it",
            ),
            row(
                "cores",
                format!("{} of {}", self.cores_free(), self.cores.len()),
                Some(!self.cores.is_empty()),
                &format!("really free of those granted; quota: {}", self.quota),
            ),
        ]
    }
}

/// Whether a process, of which this is `/proc/PID/status`, has `CAP_IPC_LOCK` in effect.
fn may_lock(status: &str) -> bool {
    const CAP_IPC_LOCK: u32 = 14;
    status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| mask >> CAP_IPC_LOCK & 1 == 1)
}

/// Sets each limit that a worker needs to what it is already.
fn rlimits_settable() -> bool {
    [
        Resource::As,
        Resource::Core,
        Resource::Cpu,
        Resource::Fsize,
        Resource::Nofile,
        Resource::Nproc,
        Resource::Stack,
    ]
    .into_iter()
    .all(|resource| setrlimit(resource, getrlimit(resource)).is_ok())
}

fn memfd_sealable() -> bool {
    let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    memfd_create("probe", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)
        .and_then(|fd| {
            fcntl_add_seals(&fd, seals)?;
            fcntl_get_seals(&fd)
        })
        .is_ok_and(|found| found.contains(seals))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine that lacks nothing.
    fn complete() -> Machine {
        Machine {
            kernel: "6.18.0".to_owned(),
            landlock: 7,
            seccomp_lacks: None,
            rlimits: true,
            memfd_seals: true,
            lockable: Some(8 << 20),
            lock_limited: true,
            swap: Swap::None,
            cpu: Cpu::detect(),
            cores: vec![0, 2, 4, 6],
            quota: Quota::Unlimited,
        }
    }

    fn code(isolation: Isolation, machine: &Machine) -> Option<&'static str> {
        require(isolation, machine).err().map(|error| error.code())
    }

    #[test]
    fn a_complete_machine_gives_every_isolation() {
        for isolation in [
            Isolation::DangerNone,
            Isolation::Process,
            Isolation::Maximum,
        ] {
            assert_eq!(code(isolation, &complete()), None);
        }
    }

    #[test]
    fn what_is_required_and_absent_is_refused_by_name() {
        type Harm = fn(&mut Machine);
        let cases: [(Harm, Option<&str>, Option<&str>); 7] = [
            (
                |m| m.seccomp_lacks = Some("TSYNC"),
                Some("sandbox.seccomp_absent"),
                Some("sandbox.seccomp_absent"),
            ),
            (
                |m| m.rlimits = false,
                Some("sandbox.rlimits_absent"),
                Some("sandbox.rlimits_absent"),
            ),
            (
                |m| m.landlock = 0,
                Some("sandbox.landlock_absent"),
                Some("sandbox.landlock_absent"),
            ),
            (|m| m.landlock = 5, None, Some("sandbox.landlock_absent")),
            (|m| m.landlock = 6, None, None),
            (
                |m| m.swap = Swap::Devices(vec!["/dev/zram0".to_owned()]),
                None,
                Some("sandbox.swap_present"),
            ),
            (
                |m| m.swap = Swap::Unknown,
                None,
                Some("sandbox.swap_present"),
            ),
        ];
        for (harm, process, maximum) in cases {
            let mut machine = complete();
            harm(&mut machine);
            assert_eq!(code(Isolation::DangerNone, &machine), None);
            assert_eq!(code(Isolation::Process, &machine), process, "{machine:?}");
            assert_eq!(code(Isolation::Maximum, &machine), maximum, "{machine:?}");
        }
    }

    #[test]
    fn whether_plaintext_could_reach_swap_depends_on_swap_and_on_what_may_be_locked() {
        let told = |swap: Swap, lockable, lock_limited| {
            let machine = Machine {
                lockable,
                lock_limited,
                swap,
                ..complete()
            };
            let rows = machine.capabilities();
            let row = rows.into_iter().find(|row| row.name == "plaintext");
            row.map(|row| row.value)
        };
        let device = || Swap::Devices(vec!["/dev/zram0".to_owned()]);
        let stays = Some("stays in memory".to_owned());
        assert_eq!(told(Swap::None, Some(0), true), stays);
        assert_eq!(told(device(), None, true), stays);
        assert_eq!(told(device(), Some(0), false), stays);
        for swap in [device(), Swap::Unknown] {
            assert_eq!(
                told(swap, Some(65536), true).as_deref(),
                Some("could reach swap, beyond 65536 bytes")
            );
        }
    }

    #[test]
    fn keys_that_may_be_swapped_meet_no_swap_under_maximum() {
        // Where nothing may be locked, keys are in memory that can be swapped; a device that they would
        // go to is refused whatever may be locked.
        for lockable in [Some(0), Some(8 << 20), None] {
            for swap in [Swap::Devices(vec!["/swapfile".to_owned()]), Swap::Unknown] {
                let machine = Machine {
                    lockable,
                    swap,
                    ..complete()
                };
                assert_eq!(
                    code(Isolation::Maximum, &machine),
                    Some("sandbox.swap_present")
                );
            }
        }
    }

    #[test]
    fn the_capability_to_lock_is_a_bit_of_the_status() {
        assert!(may_lock("Name:\tx\nCapEff:\t0000000000004000\n"));
        assert!(!may_lock("CapEff:\t0000000000003fff\n"));
        assert!(!may_lock(""));
    }

    #[test]
    fn free_cores_are_the_lesser_of_affinity_and_whole_quota() {
        for (quota, free) in [
            (Quota::Unlimited, 4),
            (Quota::Processors(0.5), 1),
            (Quota::Processors(2.9), 2),
            (Quota::Processors(16.0), 4),
        ] {
            let machine = Machine {
                quota,
                ..complete()
            };
            assert_eq!(machine.cores_free(), free, "{quota:?}");
        }
    }

    #[test]
    fn this_machine_is_described_without_being_changed() {
        let before = getrlimit(Resource::As);
        let machine = probe();
        assert_eq!(getrlimit(Resource::As), before);
        assert!(!machine.kernel.is_empty());
        assert!(!machine.cores.is_empty());
        let names: Vec<_> = machine.capabilities().iter().map(|row| row.name).collect();
        assert_eq!(
            names,
            [
                "kernel",
                "landlock",
                "seccomp",
                "rlimits",
                "memfd",
                "locked memory",
                "swap",
                "plaintext",
                "cpu",
                "cores"
            ]
        );
    }
}
