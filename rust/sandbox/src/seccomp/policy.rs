//! The two allow-lists.
//!
//! Numbers are compared in the width in which the kernel takes them: descriptors, operations and
//! ids as 32 bits, flags of memory calls as 64.

use std::collections::BTreeMap;

use libc::c_int;
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch,
};
use strongroom_protocol::descriptor::{IMAGE, LOG, SOCKET};

/// Which list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// While the image is parsed.
    Load,
    /// While requests are served: less than `Load`.
    Serve,
}

impl Stage {
    /// What a call that is denied without killing answers; one per stage, so that it shows which
    /// filter is at work. Of two filters the kernel takes the answer of the newer.
    pub(crate) const fn denial(self) -> c_int {
        match self {
            Self::Load => libc::EACCES,
            Self::Serve => libc::EPERM,
        }
    }
}

/// Calls that are denied without killing: glibc's stdio and malloc make them unasked and go on
/// without.
const DENIED: [i64; 2] = [libc::SYS_openat, libc::SYS_newfstatat];

const READ_WRITE: u64 = (libc::PROT_READ | libc::PROT_WRITE) as u64;

/// An allow-list: by number of the call, the rules of which one must hold; no rule allows all.
#[derive(Debug)]
pub(crate) struct Policy {
    stage: Stage,
    calls: BTreeMap<i64, Vec<Vec<Condition>>>,
}

impl Policy {
    /// The list of `stage`.
    pub(crate) fn of(stage: Stage) -> Self {
        let mut policy = Self {
            stage,
            calls: BTreeMap::new(),
        };
        policy.talking();
        policy.memory();
        policy.threads();
        policy.dying();
        if stage == Stage::Load {
            policy.loading();
        }
        policy
    }

    /// Frames to and from the host, messages to its log.
    fn talking(&mut self) {
        self.when(libc::SYS_read, vec![vec![int(0, SOCKET)]]);
        let out = || vec![vec![int(0, SOCKET)], vec![int(0, LOG)]];
        self.when(libc::SYS_write, out());
        self.when(libc::SYS_writev, out());
    }

    /// Memory of the process's own that is never executable.
    fn memory(&mut self) {
        self.always(libc::SYS_brk);
        self.always(libc::SYS_munmap);
        let optional = libc::MAP_NORESERVE | libc::MAP_FIXED | libc::MAP_STACK | libc::MAP_POPULATE;
        self.when(
            libc::SYS_mmap,
            vec![vec![
                only_bits(2, READ_WRITE),
                equal_but_for(3, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, optional),
            ]],
        );
        self.when(libc::SYS_mprotect, vec![vec![only_bits(2, READ_WRITE)]]);
        self.when(
            libc::SYS_mremap,
            vec![vec![only_bits(3, libc::MREMAP_MAYMOVE as u64)]],
        );
        // Not MADV_REMOVE, which punches holes, nor MADV_MERGEABLE, through which the content of
        // pages can be guessed by others.
        let advice = [
            libc::MADV_NORMAL,
            libc::MADV_RANDOM,
            libc::MADV_SEQUENTIAL,
            libc::MADV_WILLNEED,
            libc::MADV_DONTNEED,
            libc::MADV_FREE,
            libc::MADV_HUGEPAGE,
            libc::MADV_NOHUGEPAGE,
            libc::MADV_DONTDUMP,
        ];
        self.when(libc::SYS_madvise, any_int(2, &advice));
    }

    /// Threads that exist: waiting, waking, what glibc does in one that starts late or ends, the
    /// clock where the vDSO has none, random numbers for hash tables.
    fn threads(&mut self) {
        let options = libc::FUTEX_PRIVATE_FLAG | libc::FUTEX_CLOCK_REALTIME;
        // The operations of glibc's and Rust's locks. Priority inheritance isn't used by either,
        // and has been the part of futexes with the worst record.
        let operations = [
            libc::FUTEX_WAIT,
            libc::FUTEX_WAKE,
            libc::FUTEX_WAIT_BITSET,
            libc::FUTEX_WAKE_BITSET,
        ];
        self.when(
            libc::SYS_futex,
            operations
                .iter()
                .map(|&operation| vec![int_but_for(1, operation, options)])
                .collect(),
        );
        for call in [
            libc::SYS_set_robust_list,
            libc::SYS_rseq,
            libc::SYS_rt_sigprocmask,
            libc::SYS_sigaltstack,
            libc::SYS_exit,
            libc::SYS_sched_yield,
            libc::SYS_restart_syscall,
            libc::SYS_clock_gettime,
            libc::SYS_getrandom,
        ] {
            self.always(call);
        }
        // malloc asks how many processors this thread has before it makes an arena.
        self.when(libc::SYS_sched_getaffinity, vec![vec![int(0, 0)]]);
    }

    /// Leaving, and dying of the right signal: an abort sends SIGABRT to the process's own thread,
    /// a handler returns.
    fn dying(&mut self) {
        for call in [
            libc::SYS_exit_group,
            libc::SYS_getpid,
            libc::SYS_gettid,
            libc::SYS_rt_sigreturn,
        ] {
            self.always(call);
        }
        let own = rustix::process::getpid().as_raw_nonzero().get();
        self.when(
            libc::SYS_tgkill,
            vec![vec![int(0, own), int(2, libc::SIGABRT)]],
        );
    }

    /// Reading and mapping the image, and installing the filter for serving.
    fn loading(&mut self) {
        self.when(
            libc::SYS_read,
            vec![vec![int(0, SOCKET)], vec![int(0, IMAGE)]],
        );
        self.when(libc::SYS_lseek, vec![vec![int(0, IMAGE)]]);
        self.when(libc::SYS_fadvise64, vec![vec![int(0, IMAGE)]]);
        self.when(libc::SYS_fstat, vec![vec![int(0, IMAGE)]]);
        self.when(libc::SYS_close, vec![vec![int(0, IMAGE)]]);
        self.or_when(
            libc::SYS_mmap,
            vec![
                long(2, libc::PROT_READ),
                equal_but_for(3, libc::MAP_SHARED, libc::MAP_POPULATE),
                int(4, IMAGE),
            ],
        );
        // llama.cpp asks how much memory there is.
        self.always(libc::SYS_sysinfo);
        self.when(
            libc::SYS_prctl,
            vec![vec![int(0, libc::PR_SET_NO_NEW_PRIVS), long(1, 1)]],
        );
        // Only on all threads, and never with a listener that could answer in the kernel's place.
        self.when(
            libc::SYS_seccomp,
            vec![vec![
                word(0, libc::SECCOMP_SET_MODE_FILTER.into()),
                word(1, libc::SECCOMP_FILTER_FLAG_TSYNC),
            ]],
        );
    }

    /// How many calls are allowed, on whatever conditions.
    pub(crate) fn allowed(&self) -> usize {
        self.calls.len()
    }

    /// Compiles to one program: first the calls that are denied, then the list, then death.
    ///
    /// A filter of seccompiler's has one action for what matches, and two are needed, so two are
    /// joined: the last instruction of the first, which allows what didn't match, gives way to the
    /// second. Jumps are relative and never reach past the end of their own call's part.
    pub(crate) fn compile(self) -> Result<BpfProgram, BackendError> {
        let denied = DENIED.iter().map(|&call| (call, Vec::new())).collect();
        let denial = SeccompAction::Errno(self.stage.denial().unsigned_abs());
        let mut program = assemble(denied, SeccompAction::Allow, denial)?;
        program.pop();
        let calls = self
            .calls
            .into_iter()
            .map(|(call, rules)| {
                let rules: Result<Vec<_>, _> = rules.into_iter().map(rule).collect();
                Ok((call, rules?))
            })
            .collect::<Result<_, BackendError>>()?;
        program.append(&mut assemble(
            calls,
            SeccompAction::KillProcess,
            SeccompAction::Allow,
        )?);
        Ok(program)
    }

    fn always(&mut self, call: i64) {
        self.calls.insert(call, Vec::new());
    }

    fn when(&mut self, call: i64, rules: Vec<Vec<Condition>>) {
        self.calls.insert(call, rules);
    }

    fn or_when(&mut self, call: i64, rule: Vec<Condition>) {
        self.calls.entry(call).or_default().push(rule);
    }
}

fn assemble(
    calls: BTreeMap<i64, Vec<SeccompRule>>,
    otherwise: SeccompAction,
    listed: SeccompAction,
) -> Result<BpfProgram, BackendError> {
    SeccompFilter::new(calls, otherwise, listed, TargetArch::x86_64)?.try_into()
}

fn rule(conditions: Vec<Condition>) -> Result<SeccompRule, BackendError> {
    let conditions: Result<_, _> = conditions
        .into_iter()
        .map(|c| SeccompCondition::new(c.argument, c.width, c.operator, c.value))
        .collect();
    SeccompRule::new(conditions?)
}

/// What one argument has to be.
#[derive(Debug)]
struct Condition {
    argument: u8,
    width: SeccompCmpArgLen,
    operator: SeccompCmpOp,
    value: u64,
}

/// The argument, which the kernel takes as 32 bits, is `value`.
fn int(argument: u8, value: c_int) -> Condition {
    word(argument, value.cast_unsigned().into())
}

/// As [`int`], for constants that `libc` gives other types.
fn word(argument: u8, value: u64) -> Condition {
    Condition {
        argument,
        width: SeccompCmpArgLen::Dword,
        operator: SeccompCmpOp::Eq,
        value,
    }
}

/// One rule for each of `values`.
fn any_int(argument: u8, values: &[c_int]) -> Vec<Vec<Condition>> {
    values
        .iter()
        .map(|&value| vec![int(argument, value)])
        .collect()
}

/// The argument, which the kernel takes as 32 bits, is `value`, whatever `optional` bits are set.
fn int_but_for(argument: u8, value: c_int, optional: c_int) -> Condition {
    Condition {
        operator: SeccompCmpOp::MaskedEq(u64::from(!optional.cast_unsigned())),
        ..int(argument, value)
    }
}

/// The argument is `value` in all its 64 bits.
fn long(argument: u8, value: c_int) -> Condition {
    Condition {
        width: SeccompCmpArgLen::Qword,
        ..int(argument, value)
    }
}

/// The argument is `value` in all its 64 bits, whatever `optional` bits are set.
fn equal_but_for(argument: u8, value: c_int, optional: c_int) -> Condition {
    Condition {
        operator: SeccompCmpOp::MaskedEq(!u64::from(optional.cast_unsigned())),
        ..long(argument, value)
    }
}

/// No bit of the argument's 64 is set but those of `allowed`.
fn only_bits(argument: u8, allowed: u64) -> Condition {
    Condition {
        argument,
        width: SeccompCmpArgLen::Qword,
        operator: SeccompCmpOp::MaskedEq(!allowed),
        value: 0,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const RETURN: u16 = 0x06;

    fn last(program: &BpfProgram) -> (u16, u32) {
        let last = program.last().unwrap();
        (last.code, last.k)
    }

    #[test]
    fn serving_allows_less_than_loading_and_nothing_else() {
        let load = Policy::of(Stage::Load).calls;
        let serve = Policy::of(Stage::Serve).calls;
        assert!(serve.keys().all(|call| load.contains_key(call)));
        assert!(serve.len() < load.len());
    }

    #[test]
    fn what_is_denied_is_not_allowed_too() {
        for stage in [Stage::Load, Stage::Serve] {
            let calls = Policy::of(stage).calls;
            assert!(DENIED.iter().all(|call| !calls.contains_key(call)));
        }
    }

    /// What joining the two programs rests on.
    #[test]
    fn the_part_that_denies_ends_by_allowing() {
        let denied = DENIED.iter().map(|&call| (call, Vec::new())).collect();
        let program = assemble(denied, SeccompAction::Allow, SeccompAction::Errno(1)).unwrap();
        assert_eq!(last(&program), (RETURN, libc::SECCOMP_RET_ALLOW));
    }

    #[test]
    fn the_whole_ends_by_killing_and_fits_the_kernel_s_bound() {
        for stage in [Stage::Load, Stage::Serve] {
            let program = Policy::of(stage).compile().unwrap();
            assert_eq!(last(&program), (RETURN, libc::SECCOMP_RET_KILL_PROCESS));
            assert!(program.len() <= 4096);
        }
    }
}
