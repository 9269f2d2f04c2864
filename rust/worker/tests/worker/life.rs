//! From `Start` to the end of the process.

use strongroom_protocol::{
    Embed, Event, ExitCode, FaultCode, FinishReason, Isolation, LayerName, LayerState, MAX_ORDER,
    Order, Pooling, PrefixCache, Priority, Task, Tenant,
};
use strongroom_specimen::{Vocabulary, tiny};

use crate::rig::{Worker, generate, start};

#[test]
fn answers_from_inside_the_sandbox() {
    for vocabulary in [Vocabulary::Spm, Vocabulary::Bpe] {
        let (mut worker, ready) = Worker::ready(&tiny(vocabulary), start());
        for name in LayerName::ALL {
            let layer = ready.report.layers.iter().find(|layer| layer.name == name);
            let state = layer.map(|layer| layer.state);
            assert_ne!(state, None, "{name:?} is not in the report");
            assert_ne!(state, Some(LayerState::Off), "{name:?}");
        }
        assert_eq!(ready.chat, None);
        assert_eq!((ready.context_length, ready.context_trained), (2048, 2048));
        worker.send(&generate(7, "hello world", 5));
        let events = worker.until_done(7);
        assert!(
            matches!(events[0], Event::Began { request: 7, prompt_tokens, .. } if prompt_tokens > 0)
        );
        let Some(Event::Finished(finished)) = events.last() else {
            panic!("{events:?}")
        };
        assert_eq!(finished.completion_tokens, 5);
        assert_eq!(finished.reason, FinishReason::Length);
        worker.close();
        assert_eq!(worker.exit_code(), ExitCode::Clean as i32);
    }
}

#[test]
fn danger_none_is_the_same_worker_without_a_layer() {
    let mut open = start();
    open.isolation = Isolation::DangerNone;
    let (mut worker, ready) = Worker::ready(&tiny(Vocabulary::Bpe), open);
    assert_eq!(ready.report.layers.len(), LayerName::ALL.len());
    for layer in &ready.report.layers {
        assert_eq!(layer.state, LayerState::Off, "{layer:?}");
    }
    worker.send(&generate(1, "hello", 12));
    let free = worker.until_done(1);
    let (mut worker, _) = Worker::ready(&tiny(Vocabulary::Bpe), start());
    worker.send(&generate(1, "hello", 12));
    let locked = worker.until_done(1);
    let text = |events: &[Event]| {
        events
            .iter()
            .filter_map(|event| match event {
                Event::Piece { text, .. } => Some(text.0.clone()),
                _ => None,
            })
            .collect::<String>()
    };
    assert_eq!(text(&free), text(&locked));
}

#[test]
fn several_threads_compute_inside_the_sandbox() {
    let mut two = start();
    two.limits.threads = 2;
    let (mut worker, ready) = Worker::ready(&tiny(Vocabulary::Spm), two);
    assert_eq!(ready.threads, 2);
    worker.send(&generate(1, "hello the sky", 20));
    assert!(matches!(
        worker.until_done(1).last(),
        Some(Event::Finished(_))
    ));
}

#[test]
fn tokenizes_without_parsing_control_tokens() {
    let (mut worker, ready) = Worker::ready(&tiny(Vocabulary::Bpe), start());
    worker.send(&Order::Tokenize {
        request: 4,
        text: "<|im_start|>".into(),
    });
    let events = worker.until_done(4);
    let [Event::Tokens { ids, .. }] = &events[..] else {
        panic!("{events:?}")
    };
    assert!(ids.len() > 3);
    assert!(ids.iter().all(|&id| id < ready.vocabulary_size));
    worker.send(&Order::Tokenize {
        request: 5,
        text: "x".repeat((1 << 20) + 1).into(),
    });
    assert!(matches!(
        worker.until_done(5)[..],
        [Event::Refused { request: 5, .. }]
    ));
}

#[test]
fn a_mebibyte_of_one_character_is_answered_in_bounded_time() {
    for (vocabulary, takes_it) in [(Vocabulary::Spm, false), (Vocabulary::Bpe, true)] {
        let (mut worker, _) = Worker::ready(&tiny(vocabulary), start());
        worker.send(&Order::Tokenize {
            request: 1,
            text: "a".repeat(1 << 20).into(),
        });
        match &worker.until_done(1)[..] {
            [Event::Tokens { .. }] => assert!(takes_it),
            [Event::Refused { fault, .. }] => {
                assert!(!takes_it);
                assert_eq!(fault.code.as_str(), "prompt.too_long");
            }
            events => panic!("{events:?}"),
        }
        worker.send(&generate(2, &"a".repeat(1 << 20), 4));
        let events = worker.until_done(2);
        assert!(
            matches!(&events[..], [Event::Refused { fault, .. }] if fault.code.as_str() == "prompt.too_long")
        );
    }
}

#[test]
fn a_cancel_stops_a_request_that_decodes() {
    let (mut worker, _) = Worker::ready(&tiny(Vocabulary::Spm), start());
    worker.send(&generate(1, "hello", 2000));
    while !matches!(worker.next(), Event::Piece { .. }) {}
    worker.send(&Order::Cancel { request: 1 });
    let events = worker.until_done(1);
    let Some(Event::Finished(finished)) = events.last() else {
        panic!("{events:?}")
    };
    // Unless it was through already, which a cancel doesn't undo.
    assert!(finished.reason == FinishReason::Cancelled || finished.completion_tokens == 2000);
    worker.send(&generate(2, "hello", 2));
    assert!(matches!(
        worker.until_done(2).last(),
        Some(Event::Finished(_))
    ));
}

#[test]
fn more_than_the_limit_is_refused_and_the_rest_is_served() {
    let (mut worker, _) = Worker::ready(&tiny(Vocabulary::Spm), start());
    for request in 0..40 {
        worker.send(&generate(request, "hello", 40));
    }
    let (mut finished, mut busy) = (0, 0);
    while finished + busy < 40 {
        match worker.next() {
            Event::Finished(_) => finished += 1,
            Event::Refused { fault, .. } => {
                assert_eq!(fault.code.as_str(), "request.busy");
                busy += 1;
            }
            _ => {}
        }
    }
    assert!(finished >= 4, "{finished} finished");
}

#[test]
fn the_end_of_the_socket_ends_the_worker() {
    let image = tiny(Vocabulary::Spm);
    let mut before = Worker::spawn(&image);
    before.close();
    assert_eq!(before.exit_code(), ExitCode::Clean as i32);

    let (mut idle, _) = Worker::ready(&image, start());
    idle.close();
    assert_eq!(idle.exit_code(), ExitCode::Clean as i32);

    let (mut busy, _) = Worker::ready(&image, start());
    busy.send(&generate(1, "hello", 2000));
    while !matches!(busy.next(), Event::Piece { .. }) {}
    busy.close();
    assert_eq!(busy.exit_code(), ExitCode::Clean as i32);
}

#[test]
fn what_is_no_order_ends_the_worker() {
    let image = tiny(Vocabulary::Spm);
    let too_long = u32::try_from(MAX_ORDER + 1).unwrap().to_le_bytes();
    let nonsense: &[&[u8]] = &[
        &[0, 0, 0, 0],
        &[255, 255, 255, 255],
        &too_long,
        &[1, 0, 0, 0, 250],
        &[3, 0, 0, 0, 3, 1, 0],
        b"GET / HTTP/1.1\r\n\r\n",
    ];
    for bytes in nonsense {
        let mut worker = Worker::spawn(&image);
        worker.send_bytes(bytes);
        worker.finish_sending();
        assert_eq!(worker.exit_code(), ExitCode::Protocol as i32, "{bytes:?}");

        let (mut worker, _) = Worker::ready(&image, start());
        worker.send_bytes(bytes);
        worker.finish_sending();
        assert_eq!(worker.exit_code(), ExitCode::Protocol as i32, "{bytes:?}");
    }
}

#[test]
fn orders_out_of_order_end_the_worker() {
    let image = tiny(Vocabulary::Spm);
    let mut worker = Worker::spawn(&image);
    worker.send(&generate(1, "hello", 1));
    assert_eq!(worker.exit_code(), ExitCode::Protocol as i32);

    let (mut worker, _) = Worker::ready(&image, start());
    worker.send(&Order::Start(Box::new(start())));
    assert_eq!(worker.exit_code(), ExitCode::Protocol as i32);

    let (mut worker, _) = Worker::ready(&image, start());
    worker.send(&generate(1, "hello", 2000));
    worker.send(&generate(1, "hello", 2000));
    assert_eq!(worker.exit_code(), ExitCode::Protocol as i32);
}

#[test]
fn a_host_of_another_version_is_told_so() {
    let mut other = start();
    other.version += 1;
    let mut worker = Worker::spawn(&tiny(Vocabulary::Spm));
    worker.send(&Order::Start(Box::new(other)));
    assert!(
        matches!(worker.next(), Event::Failed(fault) if fault.code.as_str() == "worker.protocol")
    );
    assert_eq!(worker.exit_code(), ExitCode::Failed as i32);
}

#[test]
fn a_worker_that_embeds_does_so_inside_and_refuses_to_answer() {
    let mut embedding = start();
    embedding.task = Task::Embed {
        pooling: Some(Pooling::Mean),
    };
    let (mut worker, ready) = Worker::ready(&tiny(Vocabulary::Bpe), embedding);
    assert_eq!(ready.dimensions, 64);
    let embed = |request| {
        Order::Embed(Box::new(Embed {
            request,
            texts: vec!["hello".into(), "the sky is blue".into()],
            normalize: true,
            timeout_ms: 60_000,
            tenant: None,
            priority: Priority::Normal,
        }))
    };
    worker.send(&embed(1));
    let events = worker.until_done(1);
    let Some(Event::Embedded(embedded)) = events.last() else {
        panic!("{events:?}")
    };
    assert_eq!(embedded.rows.len(), 2 * 64 * 4);
    worker.send(&generate(2, "hello", 4));
    let refused = |events: Vec<Event>| match events.last() {
        Some(Event::Refused { fault, .. }) => fault.code,
        last => panic!("{last:?}"),
    };
    assert_eq!(refused(worker.until_done(2)), FaultCode::Task);

    let (mut worker, ready) = Worker::ready(&tiny(Vocabulary::Bpe), start());
    assert_eq!(ready.dimensions, 0);
    worker.send(&embed(3));
    assert_eq!(refused(worker.until_done(3)), FaultCode::Task);
}

#[test]
fn many_requests_at_once_are_answered_inside_and_a_tenants_prefix_is_kept() {
    let mut many = start();
    many.concurrent_requests = 32;
    many.prefix_cache = PrefixCache {
        quota: 16 << 20,
        tenants: 4,
        idle_seconds: 1,
    };
    let (mut worker, ready) = Worker::ready(&tiny(Vocabulary::Bpe), many);
    assert_eq!(ready.max_concurrent, 4);
    let prompt =
        "the sky is blue and it is hello of the model to the light because it is the answer";
    let of = |request, number| {
        let Order::Generate(mut order) = generate(request, prompt, 8) else {
            panic!()
        };
        order.tenant = Some(Tenant([number; 32]));
        Order::Generate(order)
    };
    for request in 1..=32 {
        worker.send(&of(request, 1));
    }
    let mut ended = 0;
    while ended < 32 {
        if let Event::Finished(finished) = worker.next() {
            assert_eq!(finished.completion_tokens, 8);
            ended += 1;
        }
    }
    let cached = |events: Vec<Event>| match events[0] {
        Event::Began {
            cached_tokens,
            prompt_tokens,
            ..
        } => (cached_tokens, prompt_tokens),
        _ => panic!("{events:?}"),
    };
    worker.send(&of(40, 1));
    let (hit, prompt) = cached(worker.until_done(40));
    assert_eq!(hit, prompt - 1);
    worker.send(&of(41, 2));
    assert_eq!(cached(worker.until_done(41)).0, 0);
    // Both are wiped when they have been idle for a second.
    std::thread::sleep(std::time::Duration::from_millis(1500));
    worker.send(&of(42, 1));
    assert_eq!(cached(worker.until_done(42)).0, 0);
}
