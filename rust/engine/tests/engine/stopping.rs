//! Every way in which an answer ends early.

use std::time::{Duration, Instant};

use strongroom_engine::Work;
use strongroom_protocol::{Event, FinishReason};
use strongroom_specimen::{Vocabulary, tiny};

use crate::rig::{admit, answer, finished, model, refusal, request, run, scheduler, text};

#[test]
fn a_stop_string_across_tokens_ends_the_answer_before_it() {
    let model = model(&tiny(Vocabulary::Bpe));
    let mut scheduler = scheduler(&model, 256, 4);
    let (whole, _) = answer(&mut scheduler, request(1, "hello", 32));
    let characters: Vec<char> = whole.chars().collect();
    // Stop strings cut from the answer itself, at every place: they begin and end inside tokens.
    for start in 1..characters.len() - 5 {
        let stop: String = characters[start..start + 5].iter().collect();
        let first = whole.find(&stop).unwrap();
        let mut order = request(2, "hello", 32);
        order.stop = vec!["never to be seen".into(), stop.as_str().into()];
        let (text, end) = answer(&mut scheduler, order);
        assert_eq!(text, whole[..first], "{stop:?}");
        assert_eq!(end.reason, FinishReason::StopString);
    }
}

#[test]
fn text_held_back_for_a_stop_string_is_sent_at_the_end() {
    let model = model(&tiny(Vocabulary::Bpe));
    let x = model.vocabulary().unwrap().tokenize_plain("x").unwrap()[0];
    let mut scheduler = scheduler(&model, 256, 4);
    let mut order = request(1, "hello", 5);
    order.sampling.logit_bias = vec![(x, 100.0)];
    order.stop = vec!["xxxxxxxxxx".into()];
    let (text, end) = answer(&mut scheduler, order);
    assert_eq!(text, "xxxxx");
    assert_eq!(end.reason, FinishReason::Length);
}

#[test]
fn stop_strings_and_max_tokens_have_bounds() {
    let model = model(&tiny(Vocabulary::Spm));
    let mut scheduler = scheduler(&model, 256, 4);
    for stop in [
        vec!["".into()],
        vec!["x".repeat(257).into()],
        vec!["x".into(); 17],
    ] {
        let mut order = request(1, "hello", 4);
        order.stop = stop;
        let error = admit(&mut scheduler, order).unwrap_err();
        assert_eq!(error.code(), "option.out_of_range");
    }
    let error = admit(&mut scheduler, request(1, "hello", 0)).unwrap_err();
    assert!(error.to_string().contains("max_tokens"), "{error}");
    assert!(scheduler.is_idle());
}

#[test]
fn a_cancel_takes_effect_with_the_next_step() {
    let model = model(&tiny(Vocabulary::Spm));
    let mut scheduler = scheduler(&model, 2048, 4);
    // While the prompt is read: it takes several chunks.
    let long = "hello the sky is blue ".repeat(150);
    admit(&mut scheduler, request(1, &long, 100)).unwrap();
    let mut events = Vec::new();
    scheduler.step(&mut events);
    assert!(matches!(events[..], [Event::Began { prompt_tokens, .. }] if prompt_tokens > 512));
    scheduler.step(&mut events);
    assert!(scheduler.context().used(0) > 0);
    scheduler.cancel(1);
    events.clear();
    scheduler.step(&mut events);
    let end = finished(&events);
    assert_eq!(end.reason, FinishReason::Cancelled);
    assert_eq!(end.completion_tokens, 0);
    assert_eq!(run(&mut scheduler), []);

    // While it answers.
    admit(&mut scheduler, request(2, "hello", 100)).unwrap();
    events.clear();
    for _ in 0..=10 {
        scheduler.step(&mut events);
    }
    scheduler.cancel(2);
    scheduler.step(&mut events);
    let end = finished(&events);
    assert_eq!(
        (end.reason, end.completion_tokens),
        (FinishReason::Cancelled, 10)
    );
    run(&mut scheduler);

    // An unknown request is ignored, before and after.
    scheduler.cancel(3);
    assert_eq!(
        answer(&mut scheduler, request(3, "hello", 4)).1.reason,
        FinishReason::Length
    );
}

#[test]
fn a_deadline_takes_effect_with_the_next_step() {
    let model = model(&tiny(Vocabulary::Spm));
    let mut scheduler = scheduler(&model, 256, 4);
    let mut active = request(1, "hello", 100);
    active.timeout_ms = 3_600_000;
    let mut late = request(2, "hello", 100);
    late.timeout_ms = 1;
    // Arrived long enough ago that no clock is waited for.
    let Some(past) = Instant::now().checked_sub(Duration::from_millis(5)) else {
        return;
    };
    scheduler
        .admit(Work::Generate(Box::new(active)), past)
        .unwrap();
    scheduler
        .admit(Work::Generate(Box::new(late)), past)
        .unwrap();
    let mut events = Vec::new();
    scheduler.step(&mut events);
    assert_eq!(refusal(&events, 2), Some("request.deadline"));
    assert!(scheduler.holds(1));
    assert!(!scheduler.holds(2));
    scheduler.cancel(1);
    run(&mut scheduler);

    // While it decodes: 50 ms are over before a million steps are.
    let mut order = request(3, "hello", 240);
    order.timeout_ms = 50;
    admit(&mut scheduler, order).unwrap();
    events.clear();
    scheduler.step(&mut events);
    assert!(matches!(events[0], Event::Began { .. }));
    while Instant::now() < past + Duration::from_millis(100) || scheduler.holds(3) {
        scheduler.step(&mut events);
    }
    let refused = refusal(&events, 3);
    // A machine fast enough finishes 240 tokens of a tiny model first.
    assert!(refused == Some("request.deadline") || text(&events).len() > 240);
}

#[test]
fn the_context_bounds_the_answer() {
    let model = model(&tiny(Vocabulary::Bpe));
    let mut scheduler = scheduler(&model, 256, 4);
    let mut order = request(1, "hello", 1);
    order.max_tokens = None;
    admit(&mut scheduler, order).unwrap();
    let events = run(&mut scheduler);
    let Event::Began { prompt_tokens, .. } = events[0] else {
        panic!("{events:?}")
    };
    let end = finished(&events);
    assert_eq!(end.reason, FinishReason::Length);
    assert_eq!(prompt_tokens + end.completion_tokens, 256);
}

/// The lengths of an answer's pieces in tokens, and its text.
fn pieces(events: &[Event]) -> (Vec<u32>, String) {
    let tokens = events.iter().filter_map(|event| match event {
        Event::Piece { tokens, .. } => Some(*tokens),
        _ => None,
    });
    (tokens.collect(), text(events))
}

#[test]
fn between_two_pieces_lies_the_interval() {
    let model = model(&tiny(Vocabulary::Bpe));
    let mut scheduler = scheduler(&model, 256, 4);
    let mut asked = |interval| {
        let mut order = request(1, "hello", 32);
        order.piece_interval_ms = interval;
        admit(&mut scheduler, order).unwrap();
        let events = run(&mut scheduler);
        (pieces(&events), finished(&events).completion_tokens)
    };
    let ((each, whole), completion_tokens) = asked(0);
    assert!(each.len() > 2, "{each:?}");
    // The first text at once, the rest with the end.
    let ((two, text), tokens) = asked(3_600_000);
    assert_eq!((two.len(), two[0]), (2, each[0]));
    assert_eq!(two.iter().sum::<u32>(), each.iter().sum::<u32>());
    assert_eq!((text, tokens), (whole, completion_tokens));
}

#[test]
fn text_that_is_held_comes_before_a_deadline_s_refusal() {
    let model = model(&tiny(Vocabulary::Bpe));
    let x = model.vocabulary().unwrap().tokenize_plain("x").unwrap()[0];
    let mut scheduler = scheduler(&model, 256, 4);
    let mut order = request(1, "hello", 200);
    order.sampling.logit_bias = vec![(x, 100.0)];
    order.piece_interval_ms = 3_600_000;
    order.timeout_ms = 20;
    admit(&mut scheduler, order).unwrap();
    let mut events = Vec::new();
    // The prompt, then a few tokens, then the deadline, whatever they took.
    for _ in 0..6 {
        scheduler.step(&mut events);
    }
    std::thread::sleep(Duration::from_millis(20));
    scheduler.step(&mut events);
    assert_eq!(refusal(&events, 1), Some("request.deadline"));
    let last = events.len() - 1;
    assert!(matches!(events[last], Event::Refused { .. }), "{events:?}");
    assert_eq!(text(&events[..last]), text(&events));
}

#[test]
fn much_text_comes_before_its_time() {
    let model = model(&tiny(Vocabulary::Bpe));
    let x = model.vocabulary().unwrap().tokenize_plain("x").unwrap()[0];
    let mut scheduler = scheduler(&model, 2_000, 4);
    let mut order = request(1, "hello", 1_500);
    order.sampling.logit_bias = vec![(x, 100.0)];
    order.piece_interval_ms = u32::MAX;
    admit(&mut scheduler, order).unwrap();
    let (pieces, text) = pieces(&run(&mut scheduler));
    assert_eq!(text.len(), 1_500);
    assert_eq!(pieces, [1, 1 << 10, 1_500 - 1 - (1 << 10)]);
}
