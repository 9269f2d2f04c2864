//! A worker that attacks: it locks itself in as the real one does, its threads started where the
//! real one starts them, then does one thing that a worker must not be able to do, and says on its
//! socket how that went, if it lives to.
//!
//! `hostile-worker LAYERS THREAD ATTACK [ARGUMENT]`, with the descriptors of a worker. On the
//! socket: `ready` once the layers hold, then `works TEXT` or `errno NUMBER`.
#![allow(unsafe_code)]
// Everything here is a raw system call whose result is what is being asked for.
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss
)]

mod kernel;
mod memory;
mod network;
mod others;
mod paths;
mod privileged;
mod undoing;

use std::ffi::CString;
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::mpsc;
use std::thread;

use strongroom_protocol::{Isolation, Limits, descriptor};
use strongroom_sandbox::{Lockdown, danger};

/// How an attack went: what it got, or the errno that stopped it.
type Outcome = Result<String, i32>;

/// What the attacks work with, gathered before the layers hold.
struct Situation {
    /// The attack's argument; its meaning is the attack's.
    argument: String,
    /// The process to reach.
    parent: i32,
    /// A namespace, opened in time.
    namespace: i32,
    /// Where the initial environment stands.
    environment: Vec<(usize, usize)>,
    /// The rows of the report, one per line.
    report: String,
}

impl Situation {
    fn number<T: std::str::FromStr>(&self) -> Result<T, i32> {
        self.argument.parse().map_err(|_| libc::EINVAL)
    }
}

type Attack = fn(&Situation) -> Outcome;

/// The attack of that name.
fn attack(name: &str) -> Option<Attack> {
    [
        paths::ATTACKS,
        network::ATTACKS,
        others::ATTACKS,
        memory::ATTACKS,
        privileged::ATTACKS,
        undoing::ATTACKS,
    ]
    .into_iter()
    .flatten()
    .find(|(known, _)| *known == name)
    .map(|(_, attack)| *attack)
}

fn main() {
    let mut words = std::env::args().skip(1);
    let mut word = || words.next().unwrap_or_default();
    let (layers, from, name, argument) = (word(), word(), word(), word());
    match layers.as_str() {
        "parent" => be_parent(&from),
        "stepparent" => be_stepparent(&from),
        _ => {}
    }
    let mut situation = Situation {
        argument,
        parent: kernel::parent(),
        namespace: File::open("/proc/self/ns/net").map_or(-1, IntoRawFd::into_raw_fd),
        environment: undoing::environment(),
        report: String::new(),
    };
    let Some(attack) = attack(&name) else {
        fail(&format!("no attack is called {name:?}"));
    };
    // The pool's thread and, in its place, the one that attacks: both exist before the filters.
    let (go, gone) = mpsc::channel::<Situation>();
    let (tell, told) = mpsc::channel();
    let pool = || {
        let (started, start) = mpsc::channel();
        thread::spawn(move || {
            let _ = started.send(());
            if let Ok(situation) = gone.recv() {
                let _ = tell.send(attack(&situation));
            }
        });
        let _ = start.recv();
    };
    situation.report = match lock_in(&layers, pool) {
        Ok(report) => report,
        Err(error) => fail(&format!("{error}")),
    };
    say("ready");
    let outcome = if from == "thread" {
        let _ = go.send(situation);
        told.recv().unwrap_or(Err(libc::EPIPE))
    } else {
        attack(&situation)
    };
    match outcome {
        Ok(text) => say(&format!("works {text}")),
        Err(errno) => say(&format!("errno {errno}")),
    }
    leave(0);
}

/// Puts `layers` in force around the start of the threads.
fn lock_in(layers: &str, pool: impl FnOnce()) -> Result<String, strongroom_sandbox::SandboxError> {
    let mut limits = Limits {
        address_space: 2 << 30,
        cores: strongroom_sandbox::probe().cores,
        threads: 1,
        load_cpu_seconds: if layers.ends_with("-brief") { 1 } else { 60 },
    };
    let usual = limits.clone();
    let enter = |isolation| strongroom_sandbox::enter(&usual, isolation);
    let rows = match layers.trim_end_matches("-brief") {
        "none" => {
            pool();
            rows(&enter(Isolation::DangerNone)?)
        }
        "landlock" => {
            danger::landlock_alone()?;
            pool();
            String::new()
        }
        "rlimits" => {
            pool();
            danger::rlimits_alone(&limits)?;
            String::new()
        }
        "seccomp" => {
            pool();
            danger::seccomp_alone()?;
            String::new()
        }
        "entered" => {
            let entered = enter(Isolation::Process)?;
            pool();
            rows(&entered)
        }
        "late" => {
            pool();
            rows(&enter(Isolation::Process)?)
        }
        // With a hard limit below what is asked for.
        "lowered" => {
            let lower = (1_u64 << 30).to_ne_bytes().repeat(2);
            let _ = kernel::call!(libc::SYS_prlimit64, 0, libc::RLIMIT_AS, &lower[..], 0);
            rows(&enter(Isolation::Process)?)
        }
        // On a processor that isn't the host's.
        "elsewhere" => {
            limits.cores.push(1023);
            rows(&strongroom_sandbox::enter(&limits, Isolation::Process)?)
        }
        // Started by someone for whom every readable page is executable.
        "implied" => {
            let _ = kernel::call!(libc::SYS_personality, libc::READ_IMPLIES_EXEC);
            rows(&enter(Isolation::Process)?)
        }
        "implied-alone" => {
            let _ = kernel::call!(libc::SYS_personality, libc::READ_IMPLIES_EXEC);
            String::new()
        }
        stage => {
            let isolation = if stage == "maximum" {
                Isolation::Maximum
            } else {
                Isolation::Process
            };
            let fenced = enter(isolation)?.landlock()?;
            pool();
            let loading = fenced.processes()?.seccomp_load()?;
            match stage {
                "load" => rows(&loading),
                _ => rows(&loading.seccomp_serve()?),
            }
        }
    };
    Ok(rows)
}

fn rows<Stage>(lockdown: &Lockdown<Stage>) -> String {
    let rows = lockdown.report().layers.iter();
    rows.map(|row| format!("{}={:?}", row.name.as_str(), row.state))
        .collect::<Vec<_>>()
        .join(" ")
}

/// Starts a worker that waits, with this process as its host, and waits itself.
fn be_parent(layers: &str) -> ! {
    // SAFETY: the harness opened it for this process, and nothing else owns it.
    let socket = unsafe { File::from_raw_fd(descriptor::SOCKET) };
    let (ours, theirs) = match std::os::unix::net::UnixStream::pair() {
        Ok(pair) => pair,
        Err(error) => fail(&error.to_string()),
    };
    let program = std::env::current_exe().unwrap_or_default();
    let number = theirs.as_raw_fd();
    let mut command = Command::new(program);
    command
        .args([layers, "main", "wait"])
        .env_clear()
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null());
    let place = move || match kernel::call!(libc::SYS_dup2, number, descriptor::SOCKET) {
        Ok(_) => Ok(()),
        Err(errno) => Err(std::io::Error::from_raw_os_error(errno)),
    };
    // SAFETY: one system call on plain integers is all that happens between fork and exec.
    unsafe { command.pre_exec(place) };
    let child = command.spawn();
    drop(theirs);
    let Ok(child) = child else {
        fail("the worker did not start");
    };
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(ours));
    if !lines.any(|line| line.is_ok_and(|line| line == "waiting")) {
        fail("the worker did not wait");
    }
    let _ = writeln!(&socket, "works {}", child.id());
    // The other end stays open, so that the worker has no end-of-file to notice.
    loop {
        thread::park();
    }
}

/// Starts a worker on a socket that another process made, and passes on how it went.
fn be_stepparent(layers: &str) -> ! {
    let program = std::env::current_exe().unwrap_or_default();
    let _ = Command::new(program)
        .args([layers, "main", "report"])
        .status();
    leave(0)
}

/// Writes a line to the socket.
fn say(line: &str) {
    let line = CString::new(format!("{line}\n")).unwrap_or_default();
    let _ = kernel::call!(
        libc::SYS_write,
        descriptor::SOCKET,
        line.as_c_str(),
        line.as_bytes().len()
    );
}

fn fail(why: &str) -> ! {
    say(&format!("failed {why}"));
    leave(1)
}

fn leave(code: i32) -> ! {
    // SAFETY: ends the process at once, destructors and all.
    unsafe { libc::_exit(code) }
}
