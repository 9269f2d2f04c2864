//! Vectors of texts.

use std::{rc::Rc, time::Instant};

use strongroom_engine::{
    Embedder, EmbeddingContext, EmbeddingOptions, EngineError, Model, Threadpool,
};
use strongroom_protocol::{Embed, Event, FinishReason, Pooling, Priority, Tenant};
use strongroom_specimen::{Family, Vocabulary, draft, tiny};

use crate::rig::{finished_of, model, refusal};

const TEXTS: [&str; 4] = ["hello", "the sky is blue", "one two three", "a"];

fn context(model: &Model, pooling: Option<Pooling>) -> Result<EmbeddingContext, EngineError> {
    let options = EmbeddingOptions {
        length: Some(64),
        pooling,
        batch_tokens: 128,
    };
    let threadpool = Rc::new(Threadpool::new(1).unwrap());
    EmbeddingContext::new(model, options, threadpool, true)
}

fn embedder(model: &Model, pooling: Pooling) -> Embedder {
    let context = context(model, Some(pooling)).unwrap();
    Embedder::new(context, model.vocabulary().unwrap(), None, 8)
}

fn order(request: u64, texts: &[&str], normalize: bool) -> Embed {
    Embed {
        request,
        texts: texts.iter().map(|&text| text.into()).collect(),
        normalize,
        timeout_ms: 60_000,
        tenant: None,
        priority: Priority::Normal,
    }
}

fn run(embedder: &mut Embedder) -> Vec<Event> {
    let mut events = Vec::new();
    while !embedder.is_idle() {
        embedder.step(&mut events);
    }
    events
}

/// The vectors of a request.
fn rows(events: &[Event], id: u64, dimensions: usize) -> Vec<Vec<f32>> {
    let embedded = events.iter().find_map(|event| match event {
        Event::Embedded(vectors) if vectors.request == id => Some(vectors),
        _ => None,
    });
    let numbers: Vec<f32> = embedded
        .unwrap()
        .rows
        .as_chunks::<4>()
        .0
        .iter()
        .map(|bytes| f32::from_le_bytes(*bytes))
        .collect();
    numbers.chunks(dimensions).map(<[f32]>::to_vec).collect()
}

fn length(row: &[f32]) -> f32 {
    row.iter().map(|number| number * number).sum::<f32>().sqrt()
}

fn close(a: &[f32], b: &[f32]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-4)
}

#[test]
fn each_text_has_a_vector_in_its_place_the_same_as_alone() {
    let model = model(&tiny(Vocabulary::Bpe));
    for pooling in [Pooling::Mean, Pooling::Cls, Pooling::Last] {
        let mut embedder = embedder(&model, pooling);
        embedder
            .admit(order(1, &TEXTS, true), Instant::now())
            .unwrap();
        let together = rows(&run(&mut embedder), 1, 64);
        assert_eq!(together.len(), 4);
        for (text, vector) in TEXTS.iter().zip(&together) {
            assert!((length(vector) - 1.0).abs() < 1e-5, "{pooling:?}");
            embedder
                .admit(order(2, &[text], true), Instant::now())
                .unwrap();
            let alone = rows(&run(&mut embedder), 2, 64);
            assert!(close(&alone[0], vector), "{pooling:?} {text}");
        }
        // The first token of a sequence sees nothing else: its vector tells no two of these apart.
        if pooling != Pooling::Cls {
            assert!(!close(&together[0], &together[1]), "{pooling:?}");
        }
    }
}

#[test]
fn a_vector_keeps_its_length_unless_asked_otherwise() {
    let model = model(&tiny(Vocabulary::Bpe));
    let mut embedder = embedder(&model, Pooling::Mean);
    embedder
        .admit(order(1, &["hello"], false), Instant::now())
        .unwrap();
    embedder
        .admit(order(2, &["hello"], true), Instant::now())
        .unwrap();
    let events = run(&mut embedder);
    let (plain, scaled) = (&rows(&events, 1, 64)[0], &rows(&events, 2, 64)[0]);
    let size = length(plain);
    assert!((size - 1.0).abs() > 1e-3, "{size}");
    let by_hand: Vec<f32> = plain.iter().map(|number| number / size).collect();
    assert!(close(&by_hand, scaled));
}

#[test]
fn many_texts_take_several_steps_and_small_requests_overtake_large_ones() {
    let model = model(&tiny(Vocabulary::Bpe));
    let mut embedder = embedder(&model, Pooling::Last);
    let long = "the sky is blue ".repeat(10);
    let many: Vec<&str> = (0..100).map(|_| long.trim_end()).collect();
    embedder
        .admit(order(1, &many, true), Instant::now())
        .unwrap();
    embedder
        .admit(order(2, &["hello"], true), Instant::now())
        .unwrap();
    let events = run(&mut embedder);
    let place = |id| {
        events
            .iter()
            .position(|event| matches!(event, Event::Embedded(vectors) if vectors.request == id))
            .unwrap()
    };
    assert!(place(2) < place(1));
    let vectors = rows(&events, 1, 64);
    assert_eq!(vectors.len(), 100);
    assert!(vectors.iter().all(|vector| close(vector, &vectors[0])));
}

#[test]
fn a_large_request_is_not_held_up_by_small_ones_that_keep_coming() {
    let model = model(&tiny(Vocabulary::Bpe));
    let options = EmbeddingOptions {
        length: Some(64),
        pooling: Some(Pooling::Last),
        batch_tokens: 64,
    };
    let threadpool = Rc::new(Threadpool::new(1).unwrap());
    let context = EmbeddingContext::new(&model, options, threadpool, true).unwrap();
    let mut embedder = Embedder::new(context, model.vocabulary().unwrap(), None, 8);
    // A small one leaves no room in its step for a text of the large one.
    let (small, text) = ("the sky is blue ".repeat(10), "the sky is blue ".repeat(6));
    embedder
        .admit(order(1, &[text.trim_end(); 8], true), Instant::now())
        .unwrap();
    let (mut events, mut small_ones, mut last) = (Vec::new(), Vec::new(), 1);
    for _ in 0..100 {
        small_ones.retain(|&id| embedder.holds(id));
        while small_ones.len() < 3 {
            last += 1;
            let small = order(last, &[small.trim_end()], true);
            embedder.admit(small, Instant::now()).unwrap();
            small_ones.push(last);
        }
        embedder.step(&mut events);
    }
    assert!(!embedder.holds(1));
    assert_eq!(rows(&events, 1, 64).len(), 8);
}

#[test]
fn tenants_take_turns_however_many_requests_each_has() {
    let model = model(&tiny(Vocabulary::Bpe));
    let mut embedder = embedder(&model, Pooling::Last);
    let text = "the sky is blue ".repeat(10);
    let of = |id, tenant| Embed {
        tenant: Some(Tenant([tenant; 32])),
        ..order(id, &[text.trim_end(); 2], true)
    };
    // Each is one step's, and none of those that wait has had a turn.
    for id in 1..=7 {
        embedder.admit(of(id, 1), Instant::now()).unwrap();
    }
    let mut events = Vec::new();
    for _ in 0..2 {
        embedder.step(&mut events);
    }
    embedder.admit(of(8, 2), Instant::now()).unwrap();
    events.extend(run(&mut embedder));
    let place = |id| {
        events
            .iter()
            .position(|event| matches!(event, Event::Embedded(vectors) if vectors.request == id))
            .unwrap()
    };
    let before = (1..=7).filter(|&id| place(id) < place(8)).count();
    assert!(before <= 2, "{before} of the other's seven");
}

#[test]
fn what_is_refused_holds_no_other_up() {
    let model = model(&tiny(Vocabulary::Bpe));
    let mut embedder = embedder(&model, Pooling::Last);
    embedder
        .admit(order(1, &["hello"], true), Instant::now())
        .unwrap();
    let mut events = Vec::new();
    for id in 2..=3 {
        embedder
            .admit(order(id, &[""], true), Instant::now())
            .unwrap();
        embedder.step(&mut events);
        assert_eq!(refusal(&events, id), Some("prompt.empty"));
    }
    assert_eq!(rows(&events, 1, 64).len(), 1);
}

#[test]
fn nothing_stays_behind() {
    let model = model(&tiny(Vocabulary::Bpe));
    let mut embedder = embedder(&model, Pooling::Mean);
    embedder
        .admit(order(1, &TEXTS, true), Instant::now())
        .unwrap();
    run(&mut embedder);
    assert!(embedder.context().residue().iter().all(|&byte| byte == 0));
}

#[test]
fn what_is_asked_for_wrongly_is_refused_by_itself() {
    let model = model(&tiny(Vocabulary::Bpe));
    let mut embedder = embedder(&model, Pooling::Mean);
    for texts in [&[][..], &["a"; 257]] {
        let error = embedder
            .admit(order(1, texts, true), Instant::now())
            .unwrap_err();
        assert_eq!(error.code(), "option.out_of_range");
    }
    let long = "hello ".repeat(65);
    for (id, text) in [(1, ""), (2, long.as_str()), (3, "hello")] {
        embedder
            .admit(order(id, &["a", text], true), Instant::now())
            .unwrap();
    }
    let events = run(&mut embedder);
    assert_eq!(refusal(&events, 1), Some("prompt.empty"));
    assert_eq!(refusal(&events, 2), Some("prompt.too_long"));
    assert_eq!(rows(&events, 3, 64).len(), 2);
}

#[test]
fn it_can_be_cancelled_and_has_a_deadline_and_a_limit() {
    let model = model(&tiny(Vocabulary::Bpe));
    let mut embedder = embedder(&model, Pooling::Mean);
    for id in 1..=8 {
        let mut order = order(id, &["hello"], true);
        order.timeout_ms = if id == 2 { 0 } else { 60_000 };
        embedder.admit(order, Instant::now()).unwrap();
    }
    let error = embedder
        .admit(order(9, &["hello"], true), Instant::now())
        .unwrap_err();
    assert_eq!(error.code(), "request.busy");
    embedder.cancel(1);
    let events = run(&mut embedder);
    assert_eq!(finished_of(&events, 1).reason, FinishReason::Cancelled);
    assert_eq!(refusal(&events, 2), Some("request.deadline"));
    assert_eq!(rows(&events, 8, 64).len(), 1);
}

#[test]
fn a_model_that_names_no_pooling_has_to_be_told() {
    let model = model(&tiny(Vocabulary::Bpe));
    let error = context(&model, None).unwrap_err();
    assert_eq!(error.code(), "load.context");
    assert!(error.to_string().contains("pooling="), "{error}");
}

#[test]
fn a_vector_that_is_none_fails_its_request_alone() {
    let mut draft = draft(Family::Llama, Vocabulary::Spm);
    let (first_byte, row) = (3, 64 * size_of::<f32>());
    let embedding = &mut draft.tensor_mut("token_embd.weight").data;
    let at = (first_byte + 1) * row;
    embedding[at..at + row].copy_from_slice(&f32::NAN.to_le_bytes().repeat(64));
    let model = model(&draft.write());
    let mut embedder = embedder(&model, Pooling::Mean);
    embedder
        .admit(order(1, &["hello", "\u{1}"], true), Instant::now())
        .unwrap();
    embedder
        .admit(order(2, &["hello"], true), Instant::now())
        .unwrap();
    let events = run(&mut embedder);
    assert_eq!(refusal(&events, 1), Some("request.decode_failed"));
    assert_eq!(rows(&events, 2, 64).len(), 1);
}
