//! Whatever a worker does, its callers get an error and the next ones an answer.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use strongroom_host::{HostError, Model, Update};
use strongroom_protocol::{Embed, Priority, Prompt, Publish, Task};
use support::{Answer, ask, assert_serves, collect, fake, prompt, start, until, within};

/// One request that goes wrong, and what the caller is told.
fn assert_fails(text: &'static str, code: &str, words: &str) {
    let error = within(move || {
        let model = start(fake("")).unwrap();
        let pid = model.pid().unwrap();
        let error = ask(&model, text).unwrap_err();
        assert_serves(&model);
        assert_eq!(model.restarts(), Ok(1));
        assert_ne!(model.pid().unwrap(), pid);
        until("the old worker is gone", || support::is_gone(pid));
        error
    });
    assert_eq!(error.code(), code, "{text}: {error}");
    assert!(error.to_string().contains(words), "{text}: {error}");
    assert!(!error.next_step().is_empty());
}

#[test]
fn a_worker_that_is_killed() {
    assert_fails("signal KILL", "worker.killed", "SIGKILL");
    assert_fails("signal TERM", "worker.killed", "SIGTERM");
}

#[test]
fn a_worker_that_makes_a_forbidden_call() {
    assert_fails("signal SYS", "worker.violation", "forbids");
}

#[test]
fn a_worker_that_aborts() {
    assert_fails("signal ABRT", "worker.aborted", "llama.cpp");
    assert_fails("exit 71", "worker.aborted", "llama.cpp");
}

#[test]
fn a_worker_that_crashes_or_panics() {
    assert_fails("signal SEGV", "worker.crashed", "SIGSEGV");
    assert_fails("exit 70", "worker.crashed", "panic");
}

#[test]
fn a_worker_out_of_memory() {
    assert_fails("exit 72", "worker.out_of_memory", "memory");
}

#[test]
fn a_worker_out_of_processor_time() {
    assert_fails("signal XCPU", "worker.over_time", "processor time");
}

#[test]
fn a_worker_that_leaves() {
    assert_fails("exit 0", "worker.exited", "exit code 0");
    assert_fails("exit 3", "worker.exited", "exit code 3");
    assert_fails("exit 73", "worker.protocol", "the host did");
}

#[test]
fn frames_that_are_none() {
    for text in [
        "giant",
        "empty-frame",
        "unknown-event",
        "left-over",
        "not-text",
    ] {
        assert_fails(text, "worker.protocol", "decoded");
    }
}

#[test]
fn a_frame_that_never_ends() {
    assert_fails("half", "worker.protocol", "not ended");
    assert_fails("slow-prefix", "worker.protocol", "not ended");
    // Nor by one that always has something to say.
    assert_fails("trickle", "worker.protocol", "not ended");
}

#[test]
fn a_socket_that_is_closed_by_a_worker_that_lives() {
    assert_fails("shut", "worker.protocol", "lived on");
}

#[test]
fn events_against_the_rules() {
    for (text, words) in [
        ("stranger", "doesn't hold"),
        ("ready-again", "Ready twice"),
        ("locked-again", "has left"),
        ("failed-late", "has left"),
        ("began-twice", "Began twice"),
        ("no-began", "Piece before Began"),
        ("finish-unbegun", "Finished before Began"),
        ("long-prompt", "prompt_tokens"),
        ("cached-over", "cached_tokens"),
        ("vectors", "no Embed"),
        ("published", "no Publish"),
        ("empty-piece", "without text"),
        ("many-tokens", "more tokens"),
        ("long-text", "more text"),
        ("ids", "no Tokenize"),
        ("wrong-count", "disagree"),
    ] {
        assert_fails(text, "worker.protocol", words);
    }
}

#[test]
fn a_flood_ends_at_what_the_request_allows() {
    let error = within(|| {
        let model = start(fake("")).unwrap();
        let mut order = prompt("flood");
        order.max_tokens = Some(5);
        let stream = model.generate(order).unwrap();
        let mut said = String::new();
        let error = loop {
            match stream.next(None) {
                Ok(Some(Update::Piece { text, .. })) => said += &text,
                Ok(Some(_)) => {}
                Ok(None) => panic!("it doesn't end well"),
                Err(error) => break error,
            }
        };
        // One letter per token, and one that was held back.
        assert_eq!(said, "x".repeat(5 + 1));
        assert_serves(&model);
        error
    });
    assert_eq!(error.code(), "worker.protocol");
}

#[test]
fn an_end_that_comes_twice_costs_the_worker_but_not_the_answer() {
    within(|| {
        let model = start(fake("")).unwrap();
        let answer = ask(&model, "finish-twice").unwrap();
        assert!(answer.finished.is_some());
        assert_serves(&model);
        assert_eq!(model.restarts(), Ok(1));
    });
}

#[test]
fn a_worker_that_never_answers_is_killed_at_the_deadline() {
    let error = within(|| {
        let model = start(fake("")).unwrap();
        let mut order = prompt("deaf");
        order.timeout_ms = 50;
        let error = collect(&model.generate(order).unwrap()).unwrap_err();
        assert_serves(&model);
        error
    });
    assert_eq!(error.code(), "worker.over_time");
    assert!(error.to_string().contains("deadline"));
}

#[test]
fn a_worker_that_never_reads_holds_nobody_up() {
    within(|| {
        let mut config = fake("");
        config.concurrent_requests = 64;
        let model = start(config).unwrap();
        let mut deaf = prompt("deaf");
        deaf.timeout_ms = 300;
        let deaf = model.generate(deaf).unwrap();
        // Far more than a socket holds; each call returns at once.
        let long = format!("refuse {}", "x".repeat(1_000_000));
        let others: Vec<_> = (0..40)
            .map(|_| model.generate(prompt(&long)).unwrap())
            .collect();
        assert_eq!(collect(&deaf).unwrap_err().code(), "worker.over_time");
        // None of them had begun: the next worker answers them.
        for other in &others {
            assert_eq!(collect(other).unwrap_err().code(), "prompt.too_long");
        }
        assert_eq!(model.restarts(), Ok(1));
    });
}

#[test]
fn a_worker_that_fills_its_log_is_served_all_the_same() {
    within(|| {
        let model = start(fake("")).unwrap();
        assert!(ask(&model, "noise").unwrap().finished.is_some());
        assert_eq!(model.restarts(), Ok(0));
    });
}

#[test]
fn a_tokenizer_may_write_out_what_a_character_stands_for() {
    within(|| {
        let model = start(fake("")).unwrap();
        let ids = model.tokenize("expand").unwrap();
        assert_eq!(ids.len(), 16 * "expand".len() + 16);
    });
}

#[test]
fn ids_against_the_rules() {
    for (text, words) in [
        ("outside", "outside the vocabulary"),
        ("many", "more ids"),
        ("as-text", "Piece for what is no Generate"),
    ] {
        let error = within(move || {
            let model = start(fake("")).unwrap();
            let error = model.tokenize(text).unwrap_err();
            assert_eq!(model.tokenize("ab"), Ok(vec![97, 98]));
            error
        });
        assert_eq!(error.code(), "worker.protocol");
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[test]
fn what_a_worker_says_of_a_refusal_is_cut_and_made_printable() {
    let error = within(|| {
        let model = start(fake("")).unwrap();
        let error = ask(&model, "refuse").unwrap_err();
        assert_serves(&model);
        assert_eq!(model.restarts(), Ok(0), "a refusal is no offence");
        error
    });
    assert_eq!(error.code(), "prompt.too_long");
    let text = error.to_string();
    assert!(text.len() <= 512 && text.starts_with("\\u{202e}"), "{text}");
}

#[test]
fn no_error_repeats_what_was_asked() {
    let secret = "say 3 the tenant's secret";
    within(move || {
        let model = start(fake("")).unwrap();
        // `say` can't parse this number, and panics.
        let error: HostError = ask(&model, secret).unwrap_err();
        assert_eq!(error.code(), "worker.exited");
        for text in [
            error.to_string(),
            format!("{error:?}"),
            error.next_step().to_owned(),
        ] {
            assert!(!text.contains("secret"), "{text}");
        }
        let _: Answer = ask(&model, "say 1").unwrap();
    });
}

#[test]
fn vectors_that_are_none_or_of_another_number() {
    for (text, words) in [
        ("short", "number of vectors"),
        ("torn", "number of vectors"),
        ("nan", "is none"),
        ("cached", "cached_tokens of an Embed"),
        ("unbegun", "before Began"),
        ("answer", "Finished"),
    ] {
        let error = within(move || {
            let mut config = fake("");
            config.task = Task::Embed { pooling: None };
            let model = start(config).unwrap();
            let error = vectors(&model, text).unwrap_err();
            assert_eq!(vectors(&model, "hello").unwrap(), [1.0; 8]);
            error
        });
        assert_eq!(error.code(), "worker.protocol", "{text}: {error}");
        assert!(error.to_string().contains(words), "{text}: {error}");
    }
}

#[test]
fn a_public_prefix_that_is_none() {
    for (text, words) in [("over", "over the context"), ("unbegun", "before Began")] {
        let error = within(move || {
            let model = start(fake("")).unwrap();
            let stream = model.publish(publish(text)).unwrap();
            let error = loop {
                match stream.next(None) {
                    Ok(Some(_)) => {}
                    Ok(None) => panic!("it ended well"),
                    Err(error) => break error,
                }
            };
            assert_serves(&model);
            error
        });
        assert!(error.to_string().contains(words), "{text}: {error}");
    }
}

#[test]
fn a_worker_that_is_ready_for_something_else() {
    for (script, embeds) in [
        ("wide", false),
        ("vectors", false),
        ("thick", false),
        ("thick", true),
        ("flat", true),
    ] {
        let error = within(move || {
            let mut config = fake(script);
            if embeds {
                config.task = Task::Embed { pooling: None };
            }
            start(config).unwrap_err()
        });
        assert_eq!(error.code(), "worker.protocol", "{script}: {error}");
    }
}

fn publish(text: &str) -> Publish {
    Publish {
        request: 0,
        prompt: Prompt::Text(text.into()),
        timeout_ms: 60_000,
    }
}

/// The numbers of the vectors of `text` and another.
fn vectors(model: &Model, text: &str) -> Result<Vec<f32>, HostError> {
    let stream = model.embed(
        None,
        Embed {
            request: 0,
            texts: vec![text.into(), "other".into()],
            normalize: true,
            timeout_ms: 60_000,
            tenant: None,
            priority: Priority::Normal,
        },
    )?;
    let mut numbers = Vec::new();
    while let Some(update) = stream.next(None)? {
        if let Update::Embedded { rows, .. } = update {
            let (rows, _) = rows.as_chunks::<4>();
            numbers = rows
                .iter()
                .map(|bytes| f32::from_le_bytes(*bytes))
                .collect();
        }
    }
    Ok(numbers)
}
