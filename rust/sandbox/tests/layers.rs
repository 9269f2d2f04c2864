//! What single layers are worth, with the others off.
#![allow(clippy::unwrap_used)]

mod harness;

use harness::{Image, Outcome, Run, Target, User};
use libc::{EACCES, EAGAIN, EMFILE, ENOMEM, EPERM, SIGSYS, SIGXCPU, SIGXFSZ};

#[test]
fn landlock_alone_stops_files_tcp_signals_and_abstract_sockets() {
    let target = Target::new();
    for user in User::all() {
        for (attack, errno) in [
            ("open", EACCES),
            ("open_legacy", EACCES),
            ("openat2", EACCES),
            ("create", EACCES),
            ("exec", EACCES),
            ("execveat", EACCES),
            ("tcp_connect", EACCES),
            ("tcp_bind", EACCES),
            ("abstract_connect", EPERM),
            ("kill", EPERM),
            ("tgkill", EPERM),
            ("pidfd_send_signal", EPERM),
            ("ptrace", EPERM),
            ("vm_read", EPERM),
        ] {
            for run in [
                Run::of(attack, "landlock", user),
                Run::of(attack, "landlock", user).in_thread(),
            ] {
                let run = run.argument(target.aim(attack));
                assert_eq!(target.run(&run), Outcome::Errno(errno), "{run:?}");
            }
        }
    }
}

/// Why seccomp has to stand beside it.
#[test]
fn landlock_alone_leaves_udp_stat_and_processes() {
    let target = Target::new();
    for user in User::all() {
        for attack in ["udp_send", "stat", "statx", "fork", "mmap_exec"] {
            let run = Run::of(attack, "landlock", user).argument(target.aim(attack));
            let outcome = target.run(&run);
            assert!(matches!(outcome, Outcome::Works(_)), "{run:?}: {outcome:?}");
        }
    }
}

#[test]
fn rlimits_alone_stop_memory_files_and_file_size() {
    let target = Target::new();
    for user in User::all() {
        for (attack, outcome) in [
            ("allocate", Outcome::Errno(ENOMEM)),
            ("open", Outcome::Errno(EMFILE)),
            ("socket_inet", Outcome::Errno(EMFILE)),
            ("memfd", Outcome::Errno(EMFILE)),
            ("duplicate", Outcome::Errno(EMFILE)),
            // Through a descriptor that was open before.
            ("file_size", Outcome::Signal(SIGXFSZ)),
        ] {
            let run = Run::of(attack, "rlimits", user).argument(target.aim(attack));
            assert_eq!(target.run(&run), outcome, "{run:?}");
        }
    }
}

/// Root is exempt from NPROC, and may raise what it lowered: seccomp has to stand beside them.
#[test]
fn rlimits_alone_hold_an_ordinary_user_to_no_process_and_to_its_limits() {
    let target = Target::new();
    for (attack, errno) in [
        ("fork", EAGAIN),
        ("clone3", EAGAIN),
        ("thread", EAGAIN),
        ("raise_memory", EPERM),
        ("raise_processes", EPERM),
        ("raise_files", EPERM),
    ] {
        let run = Run::of(attack, "rlimits", User::Ordinary);
        assert_eq!(target.run(&run), Outcome::Errno(errno), "{run:?}");
    }
}

#[test]
fn a_worker_that_uses_up_its_processor_time_is_ended_by_sigxcpu() {
    let target = Target::new();
    for layers in ["rlimits-brief", "load-brief"] {
        let run = Run::of("spin", layers, User::all()[0]);
        assert_eq!(target.run(&run), Outcome::Signal(SIGXCPU), "{run:?}");
    }
}

#[test]
fn seccomp_alone_stops_what_root_could_do_with_every_capability() {
    let target = Target::new();
    for user in User::all() {
        for attack in [
            "socket_inet",
            "socket_packet",
            "exec",
            "fork",
            "ptrace",
            "vm_read",
            "kill",
            "bpf",
            "chroot",
            "unshare",
            "setns",
            "mmap_exec",
            "mprotect_exec",
            "model_write",
            "prctl_dumpable",
            "raise_memory",
            "secret_descriptor",
        ] {
            let run = Run::of(attack, "seccomp", user)
                .argument(target.aim(attack))
                .image(Image::Open);
            assert_eq!(target.run(&run), Outcome::Signal(SIGSYS), "{run:?}");
        }
        let run = Run::of("open", "seccomp", user);
        assert_eq!(target.run(&run), Outcome::Errno(EPERM), "{run:?}");
    }
}

/// The first step by itself, before any filter: nothing inherited is left, no privilege is held.
#[test]
fn entering_alone_leaves_nothing_inherited_and_no_privilege() {
    let target = Target::new();
    for user in User::all() {
        for (attack, errno) in [
            ("secret_descriptor", libc::EBADF),
            ("secret_environment", libc::ENOENT),
            ("chroot", EPERM),
            ("unshare", EPERM),
            ("socket_packet", EPERM),
            ("raise_memory", EPERM),
        ] {
            let run = Run::of(attack, "entered", user);
            assert_eq!(target.run(&run), Outcome::Errno(errno), "{run:?}");
        }
    }
}

/// A personality is inherited through exec, and this one would make the filters' care about
/// executable pages worthless.
#[test]
fn a_personality_that_makes_every_page_executable_is_not_kept() {
    let target = Target::new();
    let user = User::all()[0];
    let control = Run::of("run_readable", "implied-alone", user);
    assert_eq!(target.run(&control), Outcome::Works("42".to_owned()));
    let run = Run::of("run_readable", "implied", user);
    assert_eq!(target.run(&run), Outcome::Signal(libc::SIGSEGV));
}

/// A worker that breaks says so by the signal that it died of, not by that of a forbidden call.
#[test]
fn a_worker_dies_of_its_own_signal() {
    let target = Target::new();
    for (attack, signal) in [
        ("abort", libc::SIGABRT),
        ("double_free", libc::SIGABRT),
        ("segfault", libc::SIGSEGV),
        ("overflow", libc::SIGSEGV),
    ] {
        for layers in ["load", "serve"] {
            for user in User::all() {
                let run = Run::of(attack, layers, user);
                assert_eq!(target.run(&run), Outcome::Signal(signal), "{run:?}");
                let run = run.in_thread();
                assert_eq!(target.run(&run), Outcome::Signal(signal), "{run:?}");
            }
        }
    }
}
