//! A worker that is locked in, seen from outside: what the kernel says of it, and its end.
#![allow(clippy::unwrap_used)]

mod harness;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::time::{Duration, Instant};

use harness::{Image, Outcome, Run, Running, Target, User, image};
use strongroom_protocol::LayerName;

/// A worker in `layers` that has said that it waits.
fn waiting(target: &Target, layers: &'static str, user: User) -> Running {
    let mut running = target.start(&Run::of("wait", layers, user));
    assert_eq!(running.line().as_deref(), Some("ready"));
    assert_eq!(running.line().as_deref(), Some("waiting"));
    running
}

fn status(pid: i32) -> BTreeMap<String, String> {
    fs::read_to_string(format!("/proc/{pid}/status"))
        .unwrap()
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect()
}

#[test]
fn the_kernel_confirms_privileges_and_filters() {
    let target = Target::new();
    for user in User::all() {
        let worker = waiting(&target, "serve", user);
        let status = status(worker.pid());
        assert_eq!(status["NoNewPrivs"], "1");
        assert_eq!(status["Seccomp"], "2", "filters");
        assert_eq!(status["Seccomp_filters"], "2", "one for each stage");
        for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
            assert_eq!(u64::from_str_radix(&status[set], 16), Ok(0), "{set}");
        }
        // Every thread, not only the one that asked.
        let mut threads = 0;
        for thread in fs::read_dir(format!("/proc/{}/task", worker.pid())).unwrap() {
            let text = fs::read_to_string(thread.unwrap().path().join("status")).unwrap();
            assert!(text.contains("Seccomp_filters:\t2"), "{text}");
            threads += 1;
        }
        assert_eq!(threads, 2);
        worker.end();
    }
}

#[test]
fn the_kernel_confirms_limits() {
    let target = Target::new();
    let worker = waiting(&target, "serve", User::all()[0]);
    let limits = fs::read_to_string(format!("/proc/{}/limits", worker.pid())).unwrap();
    let limit = |name: &str| {
        let line = limits.lines().find(|line| line.starts_with(name)).unwrap();
        line[name.len()..]
            .split_whitespace()
            .take(2)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let memory = (2_u64 << 30).to_string();
    assert_eq!(limit("Max address space"), [memory.clone(), memory]);
    assert_eq!(limit("Max file size"), ["0", "0"]);
    assert_eq!(limit("Max core file size"), ["0", "0"]);
    assert_eq!(limit("Max processes"), ["0", "0"]);
    assert_eq!(limit("Max open files"), ["5", "5"]);
    assert_eq!(limit("Max cpu time")[0], "60");
    worker.end();
}

#[test]
fn only_the_five_descriptors_are_open() {
    let target = Target::new();
    for user in User::all() {
        let worker = waiting(&target, "serve", user);
        match fs::read_dir(format!("/proc/{}/fd", worker.pid())) {
            Ok(entries) => {
                let mut numbers: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
                numbers.sort();
                assert_eq!(numbers, ["0", "1", "2", "3", "4"]);
            }
            // What isn't dumpable belongs to root in /proc: nobody but root can look.
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied),
        }
        worker.end();
    }
}

#[test]
fn the_inherited_environment_cannot_be_seen_from_outside() {
    let target = Target::new();
    for user in User::all() {
        let control = waiting(&target, "none", user);
        let read = fs::read(format!("/proc/{}/environ", control.pid())).unwrap();
        assert!(read.windows(6).any(|window| window == b"SECRET"));
        control.end();

        let worker = waiting(&target, "serve", user);
        match fs::read(format!("/proc/{}/environ", worker.pid())) {
            Ok(bytes) => {
                let left: Vec<_> = bytes.into_iter().filter(|&byte| byte != 0).collect();
                assert_eq!(left, b"GGML_NO_BACKTRACE=1");
            }
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied),
        }
        worker.end();
    }
}

#[test]
fn another_process_of_the_same_user_cannot_trace_it() {
    let target = Target::new();
    let attack = |victim: &Running| {
        let run = Run::of("ptrace_of", "none", User::Ordinary).argument(victim.pid().to_string());
        target.run(&run)
    };
    let worker = waiting(&target, "serve", User::Ordinary);
    assert_eq!(attack(&worker), Outcome::Errno(libc::EPERM));
    worker.end();
    // Yama may forbid it to all but descendants; then the machine is what stops it.
    let control = waiting(&target, "none", User::Ordinary);
    let yama = fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope");
    let expected = match yama.as_deref().map(str::trim) {
        Err(_) | Ok("0") => Outcome::Works("yes".to_owned()),
        Ok(_) => Outcome::Errno(libc::EPERM),
    };
    assert_eq!(attack(&control), expected);
    control.end();
}

#[test]
fn it_can_abort_itself_but_no_other_process() {
    let target = Target::new();
    for user in User::all() {
        let mut victim = waiting(&target, "none", user);
        let pid = victim.pid().to_string();
        let attack = |layers| {
            let run = Run::of("abort_other", layers, user);
            target.run(&run.argument(pid.as_str()))
        };
        for layers in ["load", "serve"] {
            assert_eq!(attack(layers), Outcome::Signal(libc::SIGSYS));
        }
        assert_eq!(attack("none"), Outcome::Works("yes".to_owned()));
        assert_eq!(victim.wait().signal(), Some(libc::SIGABRT));
    }
}

/// The worker waits on a futex, so that it is the signal that ends it, not the end of its socket.
#[test]
fn it_dies_with_its_parent() {
    let target = Target::new();
    let cases = User::all()
        .into_iter()
        .flat_map(|user| [(user, "serve"), (user, "none")]);
    for (user, layers) in cases {
        let mut parent = Run::of("", "parent", user);
        parent.from = layers;
        let mut parent = target.start(&parent);
        let said = parent.line().unwrap();
        let worker: i32 = said.strip_prefix("works ").expect(&said).parse().unwrap();
        assert!(alive(worker));
        // SIGKILL, so that the parent can't clean up.
        parent.child.kill().unwrap();
        parent.child.wait().unwrap();
        let deadline = Instant::now() + Duration::from_secs(30);
        while alive(worker) {
            assert!(
                Instant::now() < deadline,
                "worker {worker}, {layers}, outlives its parent"
            );
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// Whether the process runs; one that nobody has reaped yet doesn't.
fn alive(pid: i32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .ok()
        .and_then(|stat| {
            stat.rsplit_once(") ")
                .map(|(_, rest)| !rest.starts_with(['Z', 'X']))
        })
        .unwrap_or(false)
}

/// The host raises the soft limit of processor time of a worker that is locked in, for each
/// request; the worker can't.
#[test]
fn the_host_can_raise_the_processor_time() {
    use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
    let target = Target::new();
    let worker = waiting(&target, "serve", User::all()[0]);
    let raised = Rlimit {
        current: Some(120),
        maximum: getrlimit(Resource::Cpu).maximum,
    };
    let before = prlimit(Pid::from_raw(worker.pid()), Resource::Cpu, raised);
    assert_eq!(before.unwrap().current, Some(60));
    let limits = fs::read_to_string(format!("/proc/{}/limits", worker.pid())).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max cpu time"));
    assert_eq!(line.unwrap().split_whitespace().nth(3), Some("120"));
    worker.end();
}

fn report(target: &Target, layers: &'static str) -> BTreeMap<String, String> {
    match target.run(&Run::of("report", layers, User::all()[0])) {
        Outcome::Works(text) => text
            .split_whitespace()
            .filter_map(|row| row.split_once('='))
            .map(|(name, state)| (name.to_owned(), state.to_owned()))
            .collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_report_names_every_layer_once_it_serves() {
    let target = Target::new();
    for layers in ["serve", "maximum"] {
        let rows = report(&target, layers);
        assert_eq!(rows.len(), LayerName::ALL.len());
        for name in LayerName::ALL {
            let abi = strongroom_sandbox::probe().landlock;
            let expected = match name {
                LayerName::LandlockNetwork if abi < 4 => "Absent",
                LayerName::LandlockScopes if abi < 6 => "Absent",
                _ => "InForce",
            };
            assert_eq!(rows[name.as_str()], expected, "{}", name.as_str());
        }
    }
}

#[test]
fn the_report_claims_no_layer_that_is_not_there() {
    let target = Target::new();
    let rows = report(&target, "none");
    assert_eq!(rows.len(), LayerName::ALL.len());
    assert!(rows.values().all(|state| state == "Off"), "{rows:?}");
    let loading = report(&target, "load");
    assert!(!loading.contains_key("seccomp_serve"), "{loading:?}");
    let entered = report(&target, "entered");
    assert!(!entered.contains_key("landlock_files"), "{entered:?}");
}

#[test]
fn it_refuses_to_lock_in_with_threads_running() {
    let target = Target::new();
    let outcome = target.run(&Run::of("report", "late", User::all()[0]));
    assert_eq!(
        outcome,
        Outcome::Failed("2 threads run where one must".to_owned())
    );
}

#[test]
fn it_refuses_descriptors_that_are_not_a_worker_s() {
    let target = Target::new();
    let run = Run::of("report", "serve", User::all()[0]);
    let refused = |outcome: Outcome, descriptor: i32| match outcome {
        Outcome::Failed(why) => {
            assert!(
                why.starts_with(&format!("descriptor {descriptor} is not")),
                "{why}"
            );
        }
        other => panic!("{other:?}"),
    };
    // An image that could still change.
    for image in [Image::Open, Image::Writable, Image::Unsealed] {
        refused(target.run(&run.clone().image(image)), 4);
    }
    // A log in a file, where RLIMIT_FSIZE would kill.
    let (ours, theirs) = UnixStream::pair().unwrap();
    let file = fs::File::from(image(Image::Open));
    let started = target.start_with(
        &run,
        ours,
        theirs.into(),
        image(Image::Sealed),
        Stdio::from(file),
    );
    refused(started.finish(), 2);
}

#[test]
fn the_one_variable_that_llama_cpp_needs_stays() {
    let target = Target::new();
    let run = Run::of("kept_environment", "serve", User::all()[0]);
    assert_eq!(target.run(&run), Outcome::Works("1".to_owned()));
}

#[test]
fn it_refuses_limits_that_the_machine_does_not_give() {
    let target = Target::new();
    let why = |layers| match target.run(&Run::of("report", layers, User::all()[0])) {
        Outcome::Failed(why) => why,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        why("lowered"),
        "RLIMIT_AS can't be set to 2147483648: this process may have at most 1073741824"
    );
    let cores = strongroom_sandbox::probe().cores;
    assert!(
        !cores.contains(&1023),
        "the test needs a processor that isn't there"
    );
    assert!(why("elsewhere").starts_with("the worker can't be placed on cores"));
}

#[test]
fn it_refuses_a_host_that_is_not_its_parent() {
    let target = Target::new();
    // The socket's maker is this process, the worker's parent another.
    for layers in ["serve", "none"] {
        let mut run = Run::of("", "stepparent", User::all()[0]);
        run.from = layers;
        let outcome = target.run(&run);
        assert_eq!(
            outcome,
            Outcome::Failed("the host ended before the worker was locked in".to_owned())
        );
    }
}
