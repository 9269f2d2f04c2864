//! Nothing is left behind: no process, no descriptor, no thread.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    sync::Arc,
    thread,
    time::Duration,
};

use strongroom_host::Bell;
use support::{assert_serves, fake, is_gone, prompt, start, until, within};

/// Names the test that plays the parent, in a process of its own.
const PARENT: &str = "STRONGROOM_TEST_PARENT";

fn entries(path: &str) -> usize {
    fs::read_dir(path).unwrap().count()
}

/// Alone in its process, because it counts what the process has: `cargo test` would run others
/// beside it.
#[test]
fn fifty_models_leave_nothing_behind() {
    if std::env::var_os(PARENT).is_none() {
        let output = play("fifty_models_leave_nothing_behind")
            .stdout(Stdio::piped())
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stdout)
        );
        return;
    }
    within(|| {
        let life = || {
            let model = start(fake("")).unwrap();
            let stream = model.generate(prompt("say 1")).unwrap();
            let bell = Arc::new(Bell::new().unwrap());
            stream.watch(bell, 1).unwrap();
            assert_serves(&model);
            let pid = model.pid().unwrap();
            model.close().unwrap();
            assert!(is_gone(pid));
        };
        life();
        let before = (entries("/proc/self/fd"), entries("/proc/self/task"));
        for _ in 0..50 {
            life();
        }
        let after = (entries("/proc/self/fd"), entries("/proc/self/task"));
        assert_eq!(before, after);
    });
}

#[test]
fn failed_starts_leave_no_process() {
    within(|| {
        for script in ["mute", "late", "ready-first", "garbage"] {
            let mut config = fake(script);
            config.load_timeout = Duration::from_millis(50);
            assert!(start(config).is_err());
        }
        // The threads of other tests have children as well; a zombie would be one of ours.
        until("no zombie", || zombies() == 0);
    });
}

fn zombies() -> usize {
    let this = format!("PPid:\t{}\n", std::process::id());
    fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| fs::read_to_string(entry.ok()?.path().join("status")).ok())
        .filter(|status| status.contains(&this) && status.contains("State:\tZ"))
        .count()
}

#[test]
fn a_worker_ends_with_a_parent_that_is_killed() {
    within(|| {
        let mut parent = play("plays_a_parent")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(parent.stdout.take().unwrap()).lines();
        let pid: u32 = lines
            .map_while(Result::ok)
            .find_map(|line| line.strip_prefix("worker ")?.parse().ok())
            .unwrap();
        assert!(!is_gone(pid));
        parent.kill().unwrap();
        parent.wait().unwrap();
        until("the worker is gone", || is_gone(pid));
    });
}

/// Does nothing unless it is played by another test.
#[test]
#[allow(clippy::print_stdout)]
fn plays_a_parent() {
    if std::env::var_os(PARENT).is_some() {
        let model = start(fake("")).unwrap();
        println!("\nworker {}", model.pid().unwrap());
        // Until it is killed.
        thread::sleep(Duration::from_secs(600));
    }
}

fn play(test: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(PARENT, "1")
        .stdin(Stdio::null());
    command
}
