//! What happens to requests when their worker dies.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::fs;

use rustix::process::{Pid, Signal, kill_process};
use strongroom_host::{HostError, Model};
use strongroom_protocol::FinishReason;
use support::{ask, assert_serves, collect, fake, path, prompt, start, until, within};

fn kill(model: &Model) {
    let pid = i32::try_from(model.pid().unwrap()).unwrap();
    kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
}

#[test]
fn a_worker_killed_while_idle_is_replaced() {
    within(|| {
        let model = start(fake("")).unwrap();
        for round in 1..=3 {
            kill(&model);
            until("replaced", || model.restarts() == Ok(round));
            assert_serves(&model);
        }
    });
}

#[test]
fn a_worker_killed_while_it_streams_fails_that_stream_alone() {
    within(|| {
        let model = start(fake("")).unwrap();
        let streaming = model.generate(prompt("hold")).unwrap();
        assert!(streaming.next(None).unwrap().is_some());
        let queued: Vec<_> = (0..5)
            .map(|_| model.generate(prompt("say 4")).unwrap())
            .collect();
        kill(&model);
        let error = collect(&streaming).unwrap_err();
        assert_eq!(error.code(), "worker.killed");
        for stream in &queued {
            assert_eq!(collect(stream).unwrap().tokens, 4);
        }
        assert_eq!(model.restarts(), Ok(1));
    });
}

#[test]
fn a_worker_killed_after_it_streamed_takes_nothing_back() {
    within(|| {
        let model = start(fake("")).unwrap();
        let stream = model.generate(prompt("say 3")).unwrap();
        assert_serves(&model);
        kill(&model);
        until("replaced", || model.restarts() == Ok(1));
        assert_eq!(collect(&stream).unwrap().tokens, 3);
    });
}

#[test]
fn what_had_not_begun_is_asked_again() {
    let marker = path("die-once");
    let text = format!("die-once {}", marker.display());
    within(move || {
        let model = start(fake("")).unwrap();
        let answer = ask(&model, &text).unwrap();
        assert!(answer.finished.is_some());
        assert_eq!(model.restarts(), Ok(1));
    });
    fs::remove_file(marker).unwrap();
}

#[test]
fn what_kills_a_second_worker_before_it_begins_is_blamed() {
    within(|| {
        let model = start(fake("")).unwrap();
        let poison = model.generate(prompt("unbegun-exit 71")).unwrap();
        let innocent = model.generate(prompt("say 2")).unwrap();
        assert_eq!(collect(&poison).unwrap_err().code(), "worker.aborted");
        assert_eq!(collect(&innocent).unwrap().tokens, 2);
        assert_eq!(model.restarts(), Ok(2));
    });
}

/// Or it would take the next worker's streams with it as well.
#[test]
fn a_text_that_kills_its_worker_is_not_sent_to_another() {
    within(|| {
        let model = start(fake("")).unwrap();
        let streaming = model.generate(prompt("hold")).unwrap();
        assert!(streaming.next(None).unwrap().is_some());
        let queued = model.generate(prompt("say 3")).unwrap();
        assert_eq!(model.tokenize("die").unwrap_err().code(), "worker.aborted");
        assert_eq!(collect(&streaming).unwrap_err().code(), "worker.aborted");
        assert_eq!(collect(&queued).unwrap().tokens, 3);
        assert_eq!(model.restarts(), Ok(1));
        assert_eq!(model.tokenize("die").unwrap_err().code(), "worker.aborted");
        assert_serves(&model);
        assert_eq!(model.restarts(), Ok(2));
    });
}

#[test]
fn what_waits_is_sent_to_three_workers_at_most() {
    within(|| {
        let model = start(fake("")).unwrap();
        let (mut answered, mut holding) = (Vec::new(), Vec::new());
        for _ in 0..3 {
            // An answer, or the third of them would be the model's last worker.
            answered.push(model.generate(prompt("say 1")).unwrap());
            holding.push(model.generate(prompt("hold")).unwrap());
        }
        let waits = model.generate(prompt("say 1")).unwrap();
        // Sent after those, so that they are with the worker by now.
        assert_eq!(model.tokenize("a"), Ok(vec![97]));
        for stream in &holding {
            assert!(stream.next(None).unwrap().is_some());
            kill(&model);
            assert_eq!(collect(stream).unwrap_err().code(), "worker.killed");
        }
        assert_eq!(collect(&waits).unwrap_err().code(), "worker.killed");
        for stream in &answered {
            assert_eq!(collect(stream).unwrap().tokens, 1);
        }
        assert_serves(&model);
        assert_eq!(model.restarts(), Ok(3));
    });
}

#[test]
fn nothing_is_asked_again_for_nobody() {
    within(|| {
        let model = start(fake("")).unwrap();
        let streaming = model.generate(prompt("hold")).unwrap();
        assert!(streaming.next(None).unwrap().is_some());
        let marker = path("abandoned");
        drop(model.generate(prompt(&format!("die-once {}", marker.display()))));
        kill(&model);
        assert!(collect(&streaming).is_err());
        assert_serves(&model);
        assert!(!marker.exists());
    });
}

#[test]
fn what_was_cancelled_is_not_asked_again() {
    within(|| {
        let model = start(fake("")).unwrap();
        let deaf = model.generate(prompt("deaf")).unwrap();
        // Sent: the worker hears nothing after it.
        std::thread::sleep(std::time::Duration::from_millis(50));
        deaf.cancel().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(50));
        kill(&model);
        let finished = collect(&deaf).unwrap().finished.unwrap();
        assert_eq!(finished.reason, FinishReason::Cancelled);
        assert_serves(&model);
    });
}

#[test]
fn closing_ends_everything_and_more_than_once() {
    within(|| {
        let model = start(fake("")).unwrap();
        let pid = model.pid().unwrap();
        let held = model.generate(prompt("hold")).unwrap();
        let queued = model.generate(prompt("say 1")).unwrap();
        model.close().unwrap();
        assert!(support::is_gone(pid));
        model.close().unwrap();
        assert!(collect(&queued).is_err());
        let error = loop {
            match held.next(None) {
                Ok(Some(_)) => {}
                other => break other,
            }
        };
        assert_eq!(error, Err(HostError::Unloaded));
        assert_eq!(
            model.generate(prompt("say 1")).unwrap_err(),
            HostError::Unloaded
        );
        assert_eq!(model.tokenize("a"), Err(HostError::Unloaded));
        assert_eq!(model.ready().unwrap_err().code(), "request.unloaded");
    });
}

#[test]
fn closing_does_not_wait_for_a_worker_that_does_not_listen() {
    within(|| {
        let model = start(fake("")).unwrap();
        let pid = model.pid().unwrap();
        let stream = model.generate(prompt("deaf")).unwrap();
        model.close().unwrap();
        assert!(support::is_gone(pid));
        assert_eq!(collect(&stream).unwrap_err(), HostError::Unloaded);
    });
}
