//! A model that kills its workers in a row gets no more of them, until it is released.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::{fs, thread, time::Duration};

use rustix::process::{Pid, Signal, kill_process};
use strongroom_host::{HostError, Model};
use strongroom_protocol::LayerName;
use support::{ask, assert_serves, collect, fake, is_gone, path, prompt, start, until, within};

fn kill(model: &Model) {
    let pid = i32::try_from(model.pid().unwrap()).unwrap();
    kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
}

fn assert_quarantined(model: &Model) -> HostError {
    until("quarantined", || model.quarantined().unwrap().is_some());
    let error = model.quarantined().unwrap().unwrap();
    assert_eq!(error.code(), "worker.quarantined");
    assert_eq!(model.generate(prompt("say 1")).unwrap_err(), error);
    assert_eq!(model.tokenize("a").unwrap_err(), error);
    error
}

#[test]
fn three_deaths_in_a_row_and_no_worker_is_started_until_it_is_released() {
    within(|| {
        let model = start(fake("")).unwrap();
        for (text, code) in [
            ("exit 71", "worker.aborted"),
            ("signal SEGV", "worker.crashed"),
            ("exit 72", "worker.out_of_memory"),
        ] {
            assert_eq!(model.quarantined(), Ok(None));
            assert_eq!(ask(&model, text).unwrap_err().code(), code);
        }
        let error = assert_quarantined(&model);
        for named in ["aborted", "SIGSEGV", "out of memory"] {
            assert!(error.to_string().contains(named), "{error}");
        }
        // It can still be described, and stays dead.
        let restarts = model.restarts().unwrap();
        assert_eq!(restarts, 2);
        assert_eq!(model.ready().unwrap().context_length, 256);
        assert_eq!(model.report().unwrap().layers.len(), LayerName::ALL.len());
        thread::sleep(Duration::from_millis(100));
        assert!(is_gone(model.pid().unwrap()));
        assert_eq!(model.restarts(), Ok(restarts));
        model.release().unwrap();
        assert_eq!(model.quarantined(), Ok(None));
        assert_serves(&model);
        assert_eq!(model.restarts(), Ok(restarts + 1));
        // Nothing where there is nothing to release.
        model.release().unwrap();
        assert_serves(&model);
        assert_eq!(model.restarts(), Ok(restarts + 1));
    });
}

#[test]
fn an_answer_in_between_starts_the_count_anew() {
    within(|| {
        let model = start(fake("")).unwrap();
        for round in 0..6 {
            if round % 2 == 0 {
                assert_serves(&model);
            }
            // Neither a count of tokens nor a refusal is an answer.
            model.tokenize("a").unwrap();
            assert_eq!(ask(&model, "refuse").unwrap_err().code(), "prompt.too_long");
            let error = ask(&model, "signal SEGV").unwrap_err();
            assert_eq!(error.code(), "worker.crashed");
        }
        assert_eq!(model.quarantined(), Ok(None));
        model.tokenize("a").unwrap();
        assert!(ask(&model, "signal SEGV").is_err());
        assert_quarantined(&model);
    });
}

/// An operator's kill can't be told from the kernel's for memory.
#[test]
fn kills_from_outside_are_deaths() {
    within(|| {
        let model = start(fake("")).unwrap();
        for round in 1..=2 {
            kill(&model);
            until("replaced", || model.restarts() == Ok(round));
        }
        kill(&model);
        let error = assert_quarantined(&model);
        assert_eq!(error.to_string().matches("SIGKILL").count(), 3, "{error}");
    });
}

#[test]
fn a_worker_that_dies_idle_again_and_again_is_one() {
    within(|| {
        let model = start(fake("exit-ready 71")).unwrap();
        assert_quarantined(&model);
        assert_eq!(model.restarts(), Ok(2));
        model.release().unwrap();
        until("tried again", || model.restarts() == Ok(5));
        assert_quarantined(&model);
        model.close().unwrap();
        assert_eq!(model.ready().unwrap_err(), HostError::Unloaded);
        assert_eq!(model.release().unwrap_err(), HostError::Unloaded);
    });
}

#[test]
fn so_is_a_model_that_cannot_be_loaded_again() {
    let marker = path("once");
    let script = format!("once {}", marker.display());
    within(move || {
        let model = start(fake(&script)).unwrap();
        assert_serves(&model);
        assert_eq!(
            ask(&model, "signal KILL").unwrap_err().code(),
            "worker.killed"
        );
        // This one waits for a worker that never comes, and is told why there is none.
        let error = ask(&model, "say 1").unwrap_err();
        assert_eq!(error, assert_quarantined(&model));
        assert!(error.to_string().contains("while it locked"), "{error}");
        assert_eq!(model.restarts(), Ok(0));
        // Released when what kept it from loading is gone, it serves.
        fs::remove_file(&marker).unwrap();
        model.release().unwrap();
        assert_serves(&model);
        fs::remove_file(&marker).unwrap();
    });
}

#[test]
fn what_waits_when_it_comes_to_it_fails() {
    within(|| {
        let model = start(fake("")).unwrap();
        for _ in 0..2 {
            assert!(ask(&model, "exit 71").is_err());
        }
        let streaming = model.generate(prompt("hold")).unwrap();
        assert!(streaming.next(None).unwrap().is_some());
        let waiting = model.generate(prompt("say 1")).unwrap();
        kill(&model);
        assert_eq!(collect(&streaming).unwrap_err().code(), "worker.killed");
        assert_eq!(collect(&waiting).unwrap_err().code(), "worker.quarantined");
    });
}

#[test]
fn a_quarantined_model_closes() {
    within(|| {
        let model = start(fake("exit-ready 71")).unwrap();
        assert_quarantined(&model);
        model.close().unwrap();
        assert_eq!(
            model.generate(prompt("say 1")).unwrap_err(),
            HostError::Unloaded
        );
    });
}
