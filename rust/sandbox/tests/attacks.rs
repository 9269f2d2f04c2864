//! Every attack, from a worker locked in for loading and for serving, from its first thread and
//! from another, as root and as an ordinary user; and the same attack without the sandbox.
#![allow(clippy::unwrap_used)]

mod harness;

use std::sync::Mutex;

use harness::{Image, Outcome, Run, Target, User, for_each};
use libc::{EACCES, EAFNOSUPPORT, EINVAL, ENOENT, ENOMEM, ENOSYS, EPERM, EPROTONOSUPPORT, SIGSYS};

/// How the sandbox must answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    /// Killed for a forbidden call.
    Killed,
    /// Answered with this errno.
    Errno(i32),
    /// Allowed: the stage needs it.
    Allowed,
}

impl Answer {
    fn fits(self, outcome: &Outcome) -> bool {
        match (self, outcome) {
            (Self::Killed, Outcome::Signal(signal)) => *signal == SIGSYS,
            (Self::Errno(expected), Outcome::Errno(found)) => expected == *found,
            (Self::Allowed, Outcome::Works(_)) => true,
            _ => false,
        }
    }
}

/// What the attack does without the sandbox.
#[derive(Debug, Clone, Copy)]
enum Control {
    /// It succeeds for both users.
    Works,
    /// It succeeds for root, and for the ordinary user unless the machine answers one of these.
    Root(&'static [i32]),
    /// It succeeds, unless the machine itself forbids it with one of these, to whichever user.
    Machine(&'static [i32]),
}

impl Control {
    fn fits(self, user: User, outcome: &Outcome) -> bool {
        match (outcome, self) {
            (Outcome::Works(_), _) => true,
            (Outcome::Errno(found), Self::Machine(errnos)) => errnos.contains(found),
            (Outcome::Errno(found), Self::Root(errnos)) => {
                user == User::Ordinary && errnos.contains(found)
            }
            _ => false,
        }
    }
}

struct Case {
    attack: &'static str,
    load: Answer,
    serve: Answer,
    control: Control,
}

const fn case(attack: &'static str, load: Answer, serve: Answer, control: Control) -> Case {
    Case {
        attack,
        load,
        serve,
        control,
    }
}

const fn killed(attack: &'static str, control: Control) -> Case {
    case(attack, Killed, Killed, control)
}

/// Answered by the filters, with the errno of the stage.
const fn denied(attack: &'static str, control: Control) -> Case {
    case(attack, Errno(EACCES), Errno(EPERM), control)
}

/// Needed for loading, forbidden for serving.
const fn loading(attack: &'static str) -> Case {
    case(attack, Allowed, Killed, Works)
}

use Answer::{Allowed, Errno, Killed};
use Control::{Machine, Root, Works};

const CASES: &[Case] = &[
    // Files by name.
    denied("open", Works),
    killed("open_legacy", Works),
    killed("openat2", Works),
    denied("create", Works),
    denied("stat", Works),
    denied("stat_past_descriptor", Works),
    killed("stat_legacy", Works),
    killed("statx", Works),
    killed("access", Works),
    killed("readlink", Works),
    killed("chdir", Works),
    killed("inotify", Works),
    // The network.
    killed("socket_unix", Works),
    killed("socket_inet", Works),
    killed("socket_inet6", Machine(&[EAFNOSUPPORT])),
    killed("socket_netlink", Works),
    killed(
        "socket_packet",
        Machine(&[EPERM, EAFNOSUPPORT, EPROTONOSUPPORT]),
    ),
    killed("socket_vsock", Machine(&[EAFNOSUPPORT, EPROTONOSUPPORT])),
    killed("socket_alg", Machine(&[EAFNOSUPPORT])),
    killed("socketpair", Works),
    killed("tcp_connect", Works),
    killed("tcp_bind", Works),
    killed("udp_send", Works),
    killed("abstract_connect", Works),
    killed("sendto_host", Works),
    killed("sendmsg_host", Works),
    killed("shutdown_host", Works),
    // Other processes.
    killed("exec", Works),
    killed("execveat", Works),
    killed("memfd_exec", Works),
    killed("fork", Works),
    killed("clone", Works),
    killed("clone3", Works),
    killed("thread", Works),
    killed("ptrace", Machine(&[EPERM])),
    killed("vm_read", Machine(&[EPERM])),
    killed("vm_write", Machine(&[EPERM])),
    killed("kill", Root(&[EPERM])),
    killed("tgkill", Root(&[EPERM])),
    killed("tkill", Root(&[EPERM])),
    killed("sigqueue", Root(&[EPERM])),
    killed("pidfd_open", Works),
    killed("pidfd_getfd", Machine(&[EPERM])),
    killed("pidfd_send_signal", Root(&[EPERM])),
    killed("affinity_parent", Works),
    killed("prlimit_parent", Root(&[EPERM])),
    // Containers often withhold namespaces from their root too.
    killed("setns", Machine(&[EPERM])),
    killed("unshare", Machine(&[EPERM])),
    // Code and memory.
    killed("mmap_exec", Works),
    killed("mprotect_exec", Works),
    killed("mremap_keep", Works),
    killed("pkey_mprotect_exec", Works),
    killed("mmap_model_exec", Works),
    killed("mmap_model_private", Works),
    killed("mmap_shared", Works),
    killed("share_pages", Machine(&[EINVAL])),
    killed("memfd", Works),
    killed("shmget", Machine(&[ENOSYS])),
    killed("userfaultfd", Machine(&[ENOSYS, EPERM])),
    killed("mlock", Works),
    case("allocate", Errno(ENOMEM), Errno(ENOMEM), Works),
    case("grow", Allowed, Allowed, Works),
    // The model.
    loading("model_read"),
    loading("model_map"),
    // The null device can't be mapped by anyone, but nobody gets to ask.
    killed("map_null", Machine(&[libc::ENODEV])),
    killed("model_write", Works),
    killed("model_pwrite", Works),
    killed("model_map_writable", Works),
    case("model_protect_writable", Errno(EACCES), Killed, Works),
    killed("model_truncate", Works),
    killed("model_punch", Works),
    killed("model_remove_pages", Works),
    denied("model_reopen", Works),
    // Corners of the kernel.
    killed("io_uring", Machine(&[ENOSYS, EPERM])),
    killed("bpf", Machine(&[ENOSYS, EPERM])),
    killed("perf_event", Machine(&[ENOSYS, EACCES, EPERM, ENOENT])),
    killed("keyctl", Machine(&[ENOSYS, EPERM])),
    killed("chroot", Machine(&[EPERM])),
    killed("mount", Machine(&[EPERM])),
    killed("ioperm", Machine(&[ENOSYS, EPERM])),
    killed("modify_ldt", Machine(&[ENOSYS])),
    killed("personality", Works),
    killed("uname", Works),
    killed("futex_pi", Works),
    killed("ioctl", Works),
    loading("sysinfo"),
    // Undoing.
    killed("prctl_dumpable", Works),
    // No kernel takes this one back.
    killed("prctl_no_new_privileges", Machine(&[EINVAL])),
    killed("prctl_parent_death", Works),
    killed("prctl_name", Works),
    case("laxer_filter", Errno(EACCES), Killed, Works),
    killed("filter_listener", Works),
    killed("raise_memory", Machine(&[EPERM])),
    killed("raise_processes", Machine(&[EPERM])),
    killed("setrlimit", Machine(&[EPERM])),
    killed("widen_cores", Works),
    killed("setuid", Root(&[EPERM])),
    killed("setresuid", Root(&[EPERM])),
    killed("handler", Works),
    killed("duplicate", Works),
    killed("secret_descriptor", Works),
    case("secret_environment", Errno(ENOENT), Errno(ENOENT), Works),
];

#[test]
fn the_sandbox_stops_every_attack_in_both_stages_for_both_users() {
    let target = Target::new();
    let mut runs = Vec::new();
    for case in CASES {
        for user in User::all() {
            for (layers, answer) in [
                ("load", case.load),
                ("serve", case.serve),
                ("maximum", case.serve),
            ] {
                let run = Run::of(case.attack, layers, user).argument(target.aim(case.attack));
                runs.push((run.clone().in_thread(), answer));
                runs.push((run, answer));
            }
        }
    }
    for_each(&runs, |(run, answer)| {
        let outcome = target.run(run);
        if answer.fits(&outcome) {
            Ok(())
        } else {
            Err(format!("{run:?}: {answer:?} expected, {outcome:?} found"))
        }
    });
}

/// Without this, a sandbox that stops everything and an attack that never works look the same.
#[test]
fn without_the_sandbox_the_attacks_work_or_the_machine_forbids_them() {
    let target = Target::new();
    // One at a time: a process has one tracer, and these reach for the same one.
    let one = Mutex::new(());
    let mut forbidden = Vec::new();
    for case in CASES {
        let _guard = one.lock();
        let mut reasons = Vec::new();
        let users = User::all();
        for &user in &users {
            let run = Run::of(case.attack, "none", user)
                .argument(target.aim(case.attack))
                .image(Image::Open);
            let outcome = target.run(&run);
            assert!(
                case.control.fits(user, &outcome),
                "{run:?}: {:?} expected, {outcome:?} found",
                case.control
            );
            if let Outcome::Errno(errno) = outcome {
                reasons.push(format!(
                    "{user:?}: {}",
                    std::io::Error::from_raw_os_error(errno)
                ));
            }
        }
        if reasons.len() == users.len() {
            forbidden.push(format!("{}: {}", case.attack, reasons.join("; ")));
        }
    }
    eprintln!(
        "forbidden by this machine to every user tried:\n{}",
        forbidden.join("\n")
    );
}

/// The seal holds by itself: without any other layer, and for root.
#[test]
fn the_sealed_model_cannot_be_written_without_the_sandbox_either() {
    let target = Target::new();
    for (attack, errno) in [
        ("model_write", libc::EBADF),
        ("model_pwrite", libc::EBADF),
        ("model_map_writable", EACCES),
        ("model_protect_writable", EACCES),
        ("model_truncate", EINVAL),
        ("model_punch", libc::EBADF),
        ("model_remove_pages", EACCES),
        ("model_reopen", EPERM),
    ] {
        for user in User::all() {
            let outcome = target.run(&Run::of(attack, "none", user));
            assert_eq!(outcome, Outcome::Errno(errno), "{attack} as {user:?}");
        }
    }
}

/// The calls that appear on a list of the filters, in whatever stage and on whatever conditions.
const LISTED: &[i64] = &[
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_close,
    libc::SYS_fstat,
    libc::SYS_lseek,
    libc::SYS_fadvise64,
    libc::SYS_openat,
    libc::SYS_newfstatat,
    libc::SYS_mmap,
    libc::SYS_mprotect,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_brk,
    libc::SYS_futex,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_sigaltstack,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_restart_syscall,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_clock_gettime,
    libc::SYS_getrandom,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_tgkill,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_sysinfo,
    libc::SYS_prctl,
    libc::SYS_seccomp,
];

/// The kernel (6.11 and 6.18) lets these two pass every filter: they are the gates of its own probes
/// on user space, and refuse whoever doesn't come from a probe.
const EXEMPT: &[(i64, Outcome)] = &[
    (335, Outcome::Signal(libc::SIGILL)),
    (336, Outcome::Errno(libc::ENXIO)),
];

/// Not only the attacks that someone thought of: every number that is not on the list, those that
/// no kernel has yet, and the numbers of the x32 interface.
#[test]
fn every_call_that_is_not_listed_kills() {
    let target = Target::new();
    let user = User::all()[0];
    let numbers: Vec<i64> = (0..520)
        .filter(|number| !LISTED.contains(number))
        .chain((512..548).map(|number| number | 0x4000_0000))
        .chain(LISTED.iter().map(|number| number | 0x4000_0000))
        .collect();
    for_each(&numbers, |number| {
        for layers in ["load", "serve"] {
            let outcome = target.run(&Run::of("call", layers, user).argument(number.to_string()));
            let exempt = EXEMPT
                .iter()
                .any(|(call, answer)| call == number && outcome == *answer);
            if outcome != Outcome::Signal(SIGSYS) && !exempt {
                return Err(format!("call {number} in {layers}: {outcome:?}"));
            }
        }
        Ok(())
    });
}

/// Calls on the list, with arguments that the stage doesn't allow (all 0).
#[test]
fn listed_calls_with_other_arguments_kill() {
    let target = Target::new();
    for layers in ["load", "serve"] {
        for number in [
            libc::SYS_read,
            libc::SYS_write,
            libc::SYS_writev,
            libc::SYS_close,
            libc::SYS_fstat,
            libc::SYS_lseek,
            libc::SYS_fadvise64,
            libc::SYS_mmap,
            libc::SYS_tgkill,
            libc::SYS_prctl,
            libc::SYS_seccomp,
        ] {
            let outcome =
                target.run(&Run::of("call", layers, User::all()[0]).argument(number.to_string()));
            assert_eq!(
                outcome,
                Outcome::Signal(SIGSYS),
                "call {number} in {layers}"
            );
        }
    }
}

/// The gate of 32-bit programs has numbers of its own, which the filters' would not fit.
#[test]
fn the_gate_of_32_bit_programs_is_closed() {
    let target = Target::new();
    for user in User::all() {
        let control = target.run(&Run::of("call_32_bit", "none", user));
        let expected = match control {
            Outcome::Works(_) => SIGSYS,
            // A kernel without that gate.
            Outcome::Signal(libc::SIGSEGV) => libc::SIGSEGV,
            other => panic!("{other:?}"),
        };
        for layers in ["load", "serve"] {
            let outcome = target.run(&Run::of("call_32_bit", layers, user));
            assert_eq!(outcome, Outcome::Signal(expected), "{layers}");
        }
    }
}
