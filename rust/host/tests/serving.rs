//! Requests: their streams, places, deadlines and ends.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::{fs, sync::Arc, thread, time::Duration};

use strongroom_host::{HostError, TenantName, Update};
use strongroom_protocol::{FinishReason, LONG_TEXT, MAX_MESSAGES, MAX_TEXT, Message, Prompt, Role};
use support::{ask, assert_serves, collect, fake, path, prompt, start, within};

#[test]
fn an_answer_comes_in_pieces_and_ends() {
    within(|| {
        let model = start(fake("")).unwrap();
        let stream = model.generate(prompt("say 3")).unwrap();
        assert_eq!(
            stream.next(None).unwrap(),
            Some(Update::Began {
                prompt_tokens: 3,
                cached_tokens: 0
            })
        );
        let (mut said, mut decoded) = (String::new(), 0);
        let finished = loop {
            match stream.next(None).unwrap().unwrap() {
                // What comes before it is read is one piece.
                Update::Piece { text, tokens } => {
                    said += &text;
                    decoded += tokens;
                }
                Update::Finished(finished) => break finished,
                other => panic!("out of order: {other:?}"),
            }
        };
        assert_eq!((&*said, decoded), ("word word word ", 3));
        assert_eq!(finished.reason, FinishReason::EndOfGeneration);
        assert_eq!(finished.completion_tokens, 3);
        assert_eq!(stream.next(None), Ok(None));
        assert_eq!(stream.poll(), Ok(None));
    });
}

#[test]
fn a_conversation_reaches_the_worker() {
    within(|| {
        let model = start(fake("")).unwrap();
        let mut order = prompt("");
        order.prompt = Prompt::Chat(vec![Message {
            role: Role::User,
            content: "say 1".into(),
            name: Some("ann".into()),
        }]);
        let answer = collect(&model.generate(order).unwrap()).unwrap();
        assert_eq!(answer.text, "word ");
    });
}

#[test]
fn a_wait_ends_with_its_timeout() {
    within(|| {
        let model = start(fake("")).unwrap();
        let stream = model.generate(prompt("hold")).unwrap();
        assert!(stream.next(None).unwrap().is_some());
        assert_eq!(stream.next(Some(Duration::from_millis(5))), Ok(None));
        assert_eq!(stream.poll(), Ok(None));
        stream.cancel().unwrap();
        let answer = collect(&stream).unwrap();
        assert_eq!(answer.finished.unwrap().reason, FinishReason::Cancelled);
    });
}

#[test]
fn a_request_in_the_queue_can_be_cancelled() {
    within(|| {
        let model = start(fake("")).unwrap();
        let first = model.generate(prompt("hold")).unwrap();
        let second = model.generate(prompt("hold")).unwrap();
        second.cancel().unwrap();
        let reason = collect(&second).unwrap().finished.unwrap().reason;
        assert_eq!(reason, FinishReason::Cancelled);
        first.cancel().unwrap();
        assert!(collect(&first).is_ok());
    });
}

#[test]
fn requests_are_served_in_the_order_of_arrival() {
    within(|| {
        let model = start(fake("")).unwrap();
        let holding = model.generate(prompt("hold")).unwrap();
        let queue: Vec<_> = (1..10)
            .map(|_| model.generate(prompt("say 1")).unwrap())
            .collect();
        holding.cancel().unwrap();
        // When the last has ended, every one before it has, and nothing of it is still to come.
        assert!(collect(&queue[8]).is_ok());
        for stream in &queue[..8] {
            let mut updates = Vec::new();
            while let Some(update) = stream.poll().unwrap() {
                updates.push(update);
            }
            assert!(matches!(updates.last(), Some(Update::Finished(_))));
        }
        assert_serves(&model);
    });
}

#[test]
fn what_exceeds_the_limit_is_refused_and_a_dropped_stream_gives_its_place_back() {
    within(|| {
        let mut config = fake("");
        config.concurrent_requests = 2;
        let model = start(config).unwrap();
        let first = model.generate(prompt("hold")).unwrap();
        let second = model.generate(prompt("say 1")).unwrap();
        assert_eq!(
            model.generate(prompt("say 1")).unwrap_err(),
            HostError::Busy { limit: 2 }
        );
        // Counting tokens has places of its own.
        assert_eq!(model.tokenize("a"), Ok(vec![97]));
        drop(first);
        let third = model.generate(prompt("say 1")).unwrap();
        assert!(collect(&second).is_ok());
        assert!(collect(&third).is_ok());
    });
}

#[test]
fn a_greedy_tenant_leaves_places_for_others() {
    within(|| {
        let mut config = fake("");
        config.concurrent_requests = 3;
        config.tenant_requests = Some(1);
        let model = start(config).unwrap();
        let tenant = |name: &[u8]| TenantName::new(name.to_vec()).unwrap();
        let (greedy, other) = (tenant(b"greedy"), tenant(&[0xff, 0, 0x80]));
        let first = model.generate_for(Some(&greedy), prompt("hold")).unwrap();
        let error = model
            .generate_for(Some(&greedy), prompt("say 1"))
            .unwrap_err();
        assert_eq!(error, HostError::TenantBusy { limit: 1 });
        assert_eq!(error.code(), "request.tenant_busy");
        assert!(!error.to_string().contains("greedy"));
        let second = model.generate_for(Some(&other), prompt("say 1")).unwrap();
        let nobodys = model.generate(prompt("say 1")).unwrap();
        assert_eq!(
            model.generate(prompt("say 1")).unwrap_err(),
            HostError::Busy { limit: 3 }
        );
        first.cancel().unwrap();
        assert!(collect(&first).is_ok());
        assert_eq!(collect(&second).unwrap().tokens, 1);
        assert_eq!(collect(&nobodys).unwrap().tokens, 1);
        let again = model.generate_for(Some(&greedy), prompt("say 2")).unwrap();
        assert_eq!(collect(&again).unwrap().tokens, 2);
    });
}

#[test]
fn two_hundred_streams_are_opened_and_dropped() {
    within(|| {
        let mut config = fake("");
        config.concurrent_requests = 4;
        let model = start(config).unwrap();
        for round in 0..200 {
            let text = if round % 2 == 0 { "hold" } else { "say 100" };
            let stream = model.generate(prompt(text)).unwrap();
            if round % 3 == 0 {
                stream.next(None).unwrap();
            }
        }
        assert_serves(&model);
        assert_eq!(model.restarts(), Ok(0));
    });
}

#[test]
fn many_threads_share_a_model() {
    within(|| {
        let mut config = fake("");
        config.concurrent_requests = 16;
        let model = Arc::new(start(config).unwrap());
        let threads: Vec<_> = (0..16)
            .map(|thread| {
                let model = Arc::clone(&model);
                thread::spawn(move || {
                    for round in 0..25 {
                        let count = 1 + (thread * 7 + round) % 40;
                        let answer = ask(&model, &format!("say {count}")).unwrap();
                        assert_eq!(answer.tokens, count);
                        let text = format!("{thread}");
                        assert_eq!(
                            model.tokenize(&text).unwrap(),
                            text.bytes().map(u32::from).collect::<Vec<_>>()
                        );
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(model.restarts(), Ok(0));
    });
}

#[test]
fn one_long_text_at_a_time_is_with_the_worker_and_no_short_one_waits_for_it() {
    within(|| {
        let model = Arc::new(start(fake("")).unwrap());
        let threads: Vec<_> = (0..3)
            .map(|_| {
                let model = Arc::clone(&model);
                thread::spawn(move || {
                    let text = format!("slow{}", "x".repeat(LONG_TEXT));
                    model.tokenize(&text).map(|ids| ids.len())
                })
            })
            .collect();
        // The worker leaves when it is given a second one.
        assert_eq!(model.tokenize("a"), Ok(vec![97]));
        while threads.iter().any(|thread| !thread.is_finished()) {
            assert_eq!(ask(&model, "read-on").unwrap().tokens, 0);
        }
        for thread in threads {
            assert_eq!(thread.join().unwrap(), Ok(LONG_TEXT + 4));
        }
        assert_eq!(model.restarts(), Ok(0));
    });
}

#[test]
fn a_text_whose_time_is_over_costs_nobody_the_worker() {
    within(|| {
        let mut config = fake("");
        config.request_timeout = Duration::from_secs(1);
        config.grace = Duration::from_millis(50);
        let model = Arc::new(start(config).unwrap());
        let text = format!("slow{}", "x".repeat(LONG_TEXT));
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let (model, text) = (Arc::clone(&model), text.clone());
                thread::spawn(move || model.tokenize(&text))
            })
            .collect();
        // One is with the worker, which reads it for longer than it has; the other isn't sent.
        for thread in threads {
            assert_eq!(thread.join().unwrap(), Err(HostError::Deadline));
        }
        // Short ones are answered meanwhile, and long ones again when the worker is done.
        thread::sleep(Duration::from_millis(200));
        assert_eq!(model.tokenize("a"), Ok(vec![97]));
        assert_eq!(model.tokenize(&text), Err(HostError::Deadline));
        let mut read_on = prompt("read-on");
        read_on.timeout_ms = 1000;
        assert_eq!(
            collect(&model.generate(read_on).unwrap()).unwrap().tokens,
            0
        );
        let next = {
            let model = Arc::clone(&model);
            thread::spawn(move || model.tokenize(&text).map(|ids| ids.len()))
        };
        while !next.is_finished() {
            let mut read_on = prompt("read-on");
            read_on.timeout_ms = 1000;
            collect(&model.generate(read_on).unwrap()).unwrap();
        }
        assert_eq!(next.join().unwrap(), Ok(LONG_TEXT + 4));
        assert_eq!(model.restarts(), Ok(0));
    });
}

#[test]
fn text_is_bounded_before_it_is_sent() {
    within(|| {
        let model = start(fake("")).unwrap();
        let longest = format!("refuse {}", "x".repeat(MAX_TEXT - "refuse ".len()));
        let error = ask(&model, &longest).unwrap_err();
        assert!(
            matches!(error, HostError::Refused(_)),
            "the worker's answer"
        );
        let error = ask(&model, &format!("{longest}x")).unwrap_err();
        assert_eq!(error.code(), "prompt.too_long");
        assert!(matches!(error, HostError::TextTooLong { .. }));
        let mut order = prompt("");
        order.prompt = Prompt::Chat(vec![
            Message {
                role: Role::User,
                content: "x".repeat(MAX_TEXT).into(),
                name: Some("y".into()),
            };
            1
        ]);
        assert_eq!(model.generate(order).unwrap_err().code(), "prompt.too_long");
        let mut order = prompt("");
        let message = Message {
            role: Role::User,
            content: "".into(),
            name: None,
        };
        order.prompt = Prompt::Chat(vec![message; MAX_MESSAGES + 1]);
        let error = model.generate(order).unwrap_err();
        assert_eq!(error.code(), "prompt.too_long");
        assert!(matches!(error, HostError::TooManyMessages { .. }));
        let longer = "x".repeat(MAX_TEXT + 1);
        assert_eq!(
            model.tokenize(&longer).unwrap_err().code(),
            "prompt.too_long"
        );
        assert_eq!(model.tokenize(&longer[1..]).unwrap().len(), MAX_TEXT);
    });
}

#[test]
fn a_timeout_is_above_nothing_and_at_most_the_settings() {
    within(|| {
        let model = start(fake("")).unwrap();
        for timeout_ms in [0, 60_001, u64::MAX] {
            let mut order = prompt("say 1");
            order.timeout_ms = timeout_ms;
            let error = model.generate(order).unwrap_err();
            assert_eq!(error.code(), "option.out_of_range");
            assert!(error.to_string().contains("timeout"), "{error}");
        }
    });
}

#[test]
fn the_worker_hears_what_is_left_of_the_time() {
    within(|| {
        let model = start(fake("")).unwrap();
        let mut order = prompt("ask");
        order.timeout_ms = 40_000;
        order.max_tokens = Some(7);
        let answer = collect(&model.generate(order).unwrap()).unwrap().text;
        let (left, max_tokens) = answer.split_once(' ').unwrap();
        let left: u64 = left.parse().unwrap();
        assert!((1..=40_000).contains(&left), "{left}");
        assert_eq!(max_tokens, "7");
    });
}

#[test]
fn options_too_long_for_a_frame_are_refused() {
    within(|| {
        let model = start(fake("")).unwrap();
        let mut order = prompt("say 1");
        order.stop = vec!["x".repeat(33 << 20).into()];
        let error = collect(&model.generate(order).unwrap()).unwrap_err();
        assert_eq!(error.code(), "option.out_of_range");
        assert_serves(&model);
        assert_eq!(model.restarts(), Ok(0));
    });
}

#[test]
fn waiting_without_a_worker_ends_at_the_deadline_or_when_it_is_cancelled() {
    let marker = path("once-then-mute");
    let script = format!("once-then-mute {}", marker.display());
    within(move || {
        let model = start(fake(&script)).unwrap();
        assert!(ask(&model, "signal KILL").is_err());
        // From here on there is no worker that takes a request.
        let mut order = prompt("say 1");
        order.timeout_ms = 30;
        let late = model.generate(order).unwrap();
        let cancelled = model.generate(prompt("say 1")).unwrap();
        assert_eq!(collect(&late).unwrap_err(), HostError::Deadline);
        cancelled.cancel().unwrap();
        let finished = collect(&cancelled).unwrap().finished.unwrap();
        assert_eq!(finished.reason, FinishReason::Cancelled);
    });
    fs::remove_file(marker).unwrap();
}

#[test]
fn a_stream_outlives_its_model_and_says_so() {
    within(|| {
        let model = start(fake("")).unwrap();
        let held = model.generate(prompt("hold")).unwrap();
        assert!(held.next(None).unwrap().is_some());
        let waits = thread::spawn(move || {
            let error = held.next(None).unwrap_err();
            (held, error)
        });
        drop(model);
        let (held, error) = waits.join().unwrap();
        assert_eq!(error, HostError::Unloaded);
        assert_eq!(held.next(None), Err(HostError::Unloaded));
        assert_eq!(held.poll(), Err(HostError::Unloaded));
        assert_eq!(held.cancel(), Ok(()));
    });
}
