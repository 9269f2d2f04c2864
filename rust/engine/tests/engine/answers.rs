//! What comes out: deterministic where it should be, and steered by each option.

use strongroom_protocol::{FinishReason, Message, Prompt, Role, Sampling};
use strongroom_specimen::{Vocabulary, tiny};

use crate::rig::{
    admit, answer, finished, greedy, model, real_model, refusal, request, run, scheduler, text,
};

#[test]
fn both_vocabularies_answer_and_repeat_themselves() {
    for vocabulary in [Vocabulary::Spm, Vocabulary::Bpe] {
        let model = model(&tiny(vocabulary));
        let mut first = scheduler(&model, 256, 4);
        let (text, end) = answer(&mut first, request(1, "hello the sky", 24));
        assert!(!text.is_empty());
        assert_eq!(end.reason, FinishReason::Length);
        assert_eq!(end.completion_tokens, 24);
        // In the same context after another request, and in a new one.
        answer(
            &mut first,
            request(2, "something else and then more of it", 12),
        );
        assert_eq!(answer(&mut first, request(3, "hello the sky", 24)).0, text);
        let mut second = scheduler(&model, 256, 4);
        assert_eq!(answer(&mut second, request(1, "hello the sky", 24)).0, text);
    }
}

#[test]
fn a_seed_repeats_and_another_differs() {
    let model = model(&tiny(Vocabulary::Bpe));
    let mut scheduler = scheduler(&model, 256, 4);
    let mut sampled = |seed| {
        let mut order = request(1, "hello", 48);
        order.sampling = Sampling {
            temperature: 1.5,
            top_k: 0,
            top_p: 1.0,
            min_p: 0.0,
            seed,
            ..greedy()
        };
        answer(&mut scheduler, order).0
    };
    let once = sampled(7);
    assert_eq!(sampled(7), once);
    assert_ne!(sampled(8), once);
}

#[test]
fn a_bias_forces_and_forbids_a_token() {
    let model = model(&tiny(Vocabulary::Bpe));
    let vocabulary = model.vocabulary().unwrap();
    let mut scheduler = scheduler(&model, 256, 4);
    let token = vocabulary.tokenize_plain("x").unwrap()[0];
    let mut order = request(1, "hello", 5);
    order.sampling.logit_bias = vec![(token, 100.0)];
    assert_eq!(answer(&mut scheduler, order).0, "xxxxx");

    let free = answer(&mut scheduler, request(2, "hello", 1)).0;
    let first = vocabulary.tokenize_plain(&free).unwrap()[0];
    let mut order = request(3, "hello", 1);
    order.sampling.logit_bias = vec![(first, -100.0)];
    assert_ne!(answer(&mut scheduler, order).0, free);
}

#[test]
fn top_k_of_one_is_greedy_whatever_the_temperature() {
    let model = model(&tiny(Vocabulary::Spm));
    let mut scheduler = scheduler(&model, 256, 4);
    let likeliest = answer(&mut scheduler, request(1, "hello", 16)).0;
    for (top_k, top_p, min_p) in [(1, 1.0, 0.0), (0, 1e-6, 0.0), (0, 1.0, 1.0)] {
        let mut order = request(2, "hello", 16);
        order.sampling = Sampling {
            temperature: 5.0,
            top_k,
            top_p,
            min_p,
            ..greedy()
        };
        assert_eq!(
            answer(&mut scheduler, order).0,
            likeliest,
            "{top_k} {top_p} {min_p}"
        );
    }
}

#[test]
fn penalties_keep_a_token_from_coming_back() {
    let model = model(&tiny(Vocabulary::Bpe));
    let vocabulary = model.vocabulary().unwrap();
    let mut scheduler = scheduler(&model, 256, 4);
    let x = vocabulary.tokenize_plain("x").unwrap()[0];
    let y = vocabulary.tokenize_plain("y").unwrap()[0];
    // The prompt is "x": its tokens count as seen.
    let mut next = |bias: f32, (repeat, presence, frequency): (f32, f32, f32)| {
        let mut order = request(1, "x", 1);
        order.sampling.logit_bias = vec![(x, 80.0), (y, bias)];
        order.sampling.repeat_penalty = repeat;
        order.sampling.presence_penalty = presence;
        order.sampling.frequency_penalty = frequency;
        answer(&mut scheduler, order).0
    };
    let none = (1.0, 0.0, 0.0);
    // The bias at which y overtakes x, less one: x is ahead by a little.
    let bias = (0..400_u16)
        .map(|step| 60.0 + f32::from(step) * 0.1)
        .find(|&bias| next(bias, none) == "y")
        .unwrap()
        - 1.0;
    assert_eq!(next(bias, none), "x");
    for penalties in [(2.0, 0.0, 0.0), (1.0, 2.0, 0.0), (1.0, 0.0, 2.0)] {
        assert_eq!(next(bias, penalties), "y", "{penalties:?}");
    }
    // Negative ones draw it back.
    assert_eq!(next(bias + 2.0, none), "y");
    assert_eq!(next(bias + 2.0, (1.0, -2.0, 0.0)), "x");
    assert_eq!(next(bias + 2.0, (1.0, 0.0, -2.0)), "x");
}

#[test]
fn the_end_token_ends_the_answer_and_is_not_a_part_of_it() {
    for vocabulary in [Vocabulary::Spm, Vocabulary::Bpe] {
        let model = model(&tiny(vocabulary));
        let eos = model.vocabulary().unwrap().eos().unwrap();
        let mut scheduler = scheduler(&model, 256, 4);
        let mut order = request(1, "hello", 9);
        order.sampling.logit_bias = vec![(eos, 100.0)];
        let (text, end) = answer(&mut scheduler, order);
        assert_eq!(text, "");
        assert_eq!(end.reason, FinishReason::EndOfGeneration);
        assert_eq!(end.completion_tokens, 0);
    }
}

type Spoil = fn(&mut Sampling);

#[test]
fn options_out_of_range_are_refused_by_name() {
    let model = model(&tiny(Vocabulary::Spm));
    let mut scheduler = scheduler(&model, 256, 64);
    let spoils: &[(&str, Spoil)] = &[
        ("temperature", |s| s.temperature = -0.1),
        ("temperature", |s| s.temperature = f32::NAN),
        ("temperature", |s| s.temperature = 1e30),
        ("top_p", |s| s.top_p = 0.0),
        ("top_p", |s| s.top_p = f32::NAN),
        ("min_p", |s| s.min_p = f32::INFINITY),
        ("min_p", |s| s.min_p = f32::NAN),
        ("repeat_penalty", |s| s.repeat_penalty = 0.0),
        ("repeat_penalty", |s| s.repeat_penalty = f32::NAN),
        ("presence_penalty", |s| s.presence_penalty = f32::NAN),
        ("frequency_penalty", |s| s.frequency_penalty = -3.0),
        ("seed", |s| s.seed = u32::MAX),
        ("logit_bias", |s| s.logit_bias = vec![(u32::MAX, 0.0)]),
        ("logit_bias", |s| s.logit_bias = vec![(0, f32::NAN)]),
        ("logit_bias", |s| s.logit_bias = vec![(0, 0.0); 1025]),
    ];
    for (name, spoil) in spoils {
        let mut order = request(1, "hello", 4);
        spoil(&mut order.sampling);
        admit(&mut scheduler, order).unwrap();
        let events = run(&mut scheduler);
        assert_eq!(refusal(&events, 1), Some("option.out_of_range"), "{name}");
        assert!(format!("{events:?}").contains(name), "{name}: {events:?}");
    }
    // Huge, but within: top_k beyond the vocabulary keeps all.
    let mut order = request(2, "hello", 4);
    order.sampling.top_k = u32::MAX;
    order.sampling.temperature = 0.5;
    assert_eq!(answer(&mut scheduler, order).1.completion_tokens, 4);
}

#[test]
fn a_conversation_is_answered_through_the_template() {
    let model = model(&tiny(Vocabulary::Bpe));
    let mut scheduler = scheduler(&model, 256, 4);
    let mut order = request(1, "", 6);
    order.prompt = Prompt::Chat(vec![Message {
        role: Role::User,
        content: "hello".into(),
        name: None,
    }]);
    admit(&mut scheduler, order).unwrap();
    let events = run(&mut scheduler);
    assert_eq!(finished(&events).completion_tokens, 6);
    assert!(!text(&events).is_empty());
}

#[test]
fn the_real_model_knows_a_capital() {
    let Some(model) = real_model() else { return };
    let mut scheduler = scheduler(&model, 512, 4);
    let (text, _) = answer(&mut scheduler, request(1, "The capital of France is", 4));
    assert!(text.contains("Paris"), "{text}");
}
