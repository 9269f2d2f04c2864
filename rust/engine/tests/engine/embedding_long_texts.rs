//! Long texts to embed are tokenized beside the computing.

use std::{
    rc::Rc,
    sync::mpsc::{Receiver, Sender, channel},
    time::{Duration, Instant},
};

use strongroom_engine::{
    Embedder, EmbeddingContext, EmbeddingOptions, Model, Threadpool, Tokenized, Tokenizer,
};
use strongroom_protocol::{Embed, Event, FinishReason, LONG_TEXT, Pooling, Priority, Private};
use strongroom_specimen::{Vocabulary, tiny};

use crate::rig::{finished_of, model, refusal};

/// An embedder whose tokenizer waits, before it says what became of texts, for a word of the test.
struct Rig {
    embedder: Embedder,
    go_on: Sender<()>,
    heard: Receiver<Tokenized>,
}

impl Rig {
    fn new(model: &Model) -> Self {
        let (go_on, gate) = channel();
        let (hear, heard) = channel();
        let tokenizer = Tokenizer::start(move |texts| {
            let _ = gate.recv();
            let _ = hear.send(texts);
        });
        Self {
            embedder: embedder(model, Some(tokenizer.unwrap())),
            go_on,
            heard,
        }
    }

    fn admit(&mut self, order: Embed) {
        self.embedder.admit(order, Instant::now()).unwrap();
    }

    /// Lets the tokenizer finish the texts of one request; returns whose they were.
    fn hear(&mut self) -> u64 {
        self.go_on.send(()).unwrap();
        match self.heard.recv().unwrap() {
            Tokenized::Several { request, tokens } => {
                self.embedder.read(request, tokens);
                request
            }
            other => panic!("nobody asked for it: {other:?}"),
        }
    }
}

fn embedder(model: &Model, tokenizer: Option<Tokenizer>) -> Embedder {
    let options = EmbeddingOptions {
        length: Some(64),
        pooling: Some(Pooling::Mean),
        batch_tokens: 128,
    };
    let threadpool = Rc::new(Threadpool::new(1).unwrap());
    let context = EmbeddingContext::new(model, options, threadpool, true).unwrap();
    Embedder::new(context, model.vocabulary().unwrap(), tokenizer, 8)
}

fn order(request: u64, texts: &[Private]) -> Embed {
    Embed {
        request,
        texts: texts.to_vec(),
        normalize: true,
        timeout_ms: 60_000,
        tenant: None,
        priority: Priority::Normal,
    }
}

/// Texts of which each fits, and all together are long.
fn long() -> Vec<Private> {
    let text = "the sky is blue one two three";
    let texts = vec![Private::from(text); LONG_TEXT / text.len() + 1];
    assert!(texts.iter().map(|text| text.0.len()).sum::<usize>() > LONG_TEXT);
    texts
}

fn run(embedder: &mut Embedder) -> Vec<Event> {
    let mut events = Vec::new();
    while !embedder.is_idle() {
        embedder.step(&mut events);
    }
    events
}

fn rows(events: &[Event], request: u64) -> Option<&[u8]> {
    events.iter().find_map(|event| match event {
        Event::Embedded(vectors) if vectors.request == request => Some(&vectors.rows[..]),
        _ => None,
    })
}

#[test]
fn others_have_their_vectors_while_long_texts_are_tokenized() {
    let model = model(&tiny(Vocabulary::Bpe));
    let mut rig = Rig::new(&model);
    rig.admit(order(1, &long()));
    rig.admit(order(2, &["hello".into()]));
    // To its end: the long ones have not begun, and there is nothing more to do.
    let events = run(&mut rig.embedder);
    assert!(rows(&events, 2).is_some());
    assert!(rig.embedder.holds(1));
    let of_long = |event: &Event| matches!(event, Event::Began { request: 1, .. });
    assert!(!events.iter().any(of_long));

    assert_eq!(rig.hear(), 1);
    let events = run(&mut rig.embedder);
    assert!(events.iter().any(of_long));
    let mut between_steps = embedder(&model, None);
    between_steps
        .admit(order(1, &long()), Instant::now())
        .unwrap();
    assert_eq!(
        rows(&events, 1).unwrap(),
        rows(&run(&mut between_steps), 1).unwrap()
    );
}

#[test]
fn those_of_the_highest_priority_are_tokenized_first_and_then_in_order() {
    let model = model(&tiny(Vocabulary::Bpe));
    let mut rig = Rig::new(&model);
    rig.admit(order(1, &long()));
    run(&mut rig.embedder);
    rig.admit(order(2, &long()));
    rig.admit(order(3, &long()));
    rig.admit(Embed {
        priority: Priority::High,
        ..order(4, &long())
    });
    let mut order = Vec::new();
    for _ in 0..4 {
        order.push(rig.hear());
        run(&mut rig.embedder);
    }
    assert_eq!(order, [1, 4, 2, 3]);
}

#[test]
fn who_is_cancelled_meanwhile_is_gone_and_holds_nobody_up() {
    let model = model(&tiny(Vocabulary::Bpe));
    let mut rig = Rig::new(&model);
    rig.admit(order(1, &long()));
    rig.admit(order(2, &long()));
    assert!(run(&mut rig.embedder).is_empty());
    rig.embedder.cancel(1);
    let events = run(&mut rig.embedder);
    assert_eq!(finished_of(&events, 1).reason, FinishReason::Cancelled);
    assert!(!rig.embedder.holds(1));
    // The tokenizer has them still; what it says of them is heard by nobody.
    assert_eq!(rig.hear(), 1);
    assert!(run(&mut rig.embedder).is_empty());
    assert_eq!(rig.hear(), 2);
    assert!(rows(&run(&mut rig.embedder), 2).is_some());
}

#[test]
fn their_time_runs_while_they_are_tokenized() {
    let model = model(&tiny(Vocabulary::Bpe));
    let mut rig = Rig::new(&model);
    let late = Embed {
        timeout_ms: 20,
        ..order(1, &long())
    };
    rig.admit(late);
    assert!(run(&mut rig.embedder).is_empty());
    let expiry = rig.embedder.next_expiry().unwrap();
    std::thread::sleep(expiry.saturating_duration_since(Instant::now()) + Duration::from_millis(1));
    let mut events = Vec::new();
    rig.embedder.step(&mut events);
    assert_eq!(refusal(&events, 1), Some("request.deadline"));
    assert!(rig.embedder.next_expiry().is_none());
}

#[test]
fn one_too_long_among_them_is_refused() {
    let model = model(&tiny(Vocabulary::Bpe));
    let mut rig = Rig::new(&model);
    let mut texts = long();
    texts.push("the sky is blue ".repeat(40).as_str().into());
    rig.admit(order(1, &texts));
    assert!(run(&mut rig.embedder).is_empty());
    assert_eq!(rig.hear(), 1);
    let events = run(&mut rig.embedder);
    assert_eq!(refusal(&events, 1), Some("prompt.too_long"));
}
