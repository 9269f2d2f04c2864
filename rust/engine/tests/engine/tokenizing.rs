//! Long prompts are tokenized beside the decoding.

use std::{
    sync::mpsc::{Receiver, Sender, channel},
    time::{Duration, Instant},
};

use strongroom_engine::{
    EngineError, Model, Scheduler, SchedulerOptions, Tokenized, Tokenizer, Work,
};
use strongroom_protocol::{
    Event, FinishReason, Generate, LONG_TEXT, MAX_MESSAGES, Message, PrefixCache, Prompt, Publish,
    Role, Tenant,
};
use strongroom_specimen::{Vocabulary, tiny};

use crate::rig::{
    admit, answer, finished_of, model, options, prompter, refusal, request, run, scheduler,
    text_of, wide_context,
};

const LENGTH: u32 = 2048;

/// A scheduler whose tokenizer waits, before it says what became of a prompt, for a word of the test.
struct Rig {
    scheduler: Scheduler,
    go_on: Sender<()>,
    heard: Receiver<Tokenized>,
}

impl Rig {
    fn new(model: &Model, sequences: u32) -> Self {
        Self::with(model, sequences, options(16))
    }

    fn with(model: &Model, sequences: u32, options: SchedulerOptions) -> Self {
        let (go_on, gate) = channel();
        let (hear, heard) = channel();
        let tokenizer = Tokenizer::start(move |text| {
            let _ = gate.recv();
            let _ = hear.send(text);
        });
        let scheduler = Scheduler::new(
            wide_context(model, LENGTH, sequences).unwrap(),
            prompter(model, LENGTH),
            Some(tokenizer.unwrap()),
            options,
        );
        Self {
            scheduler,
            go_on,
            heard,
        }
    }

    /// Lets the tokenizer finish one prompt; returns whose it was.
    fn hear(&mut self) -> u64 {
        self.go_on.send(()).unwrap();
        match self.heard.recv().unwrap() {
            Tokenized::Prompt { request, tokens } => {
                self.scheduler.read(request, tokens);
                request
            }
            other => panic!("nobody asked for it: {other:?}"),
        }
    }
}

fn long() -> String {
    let text = " because".repeat(LONG_TEXT / 8 + 1);
    assert!(text.len() > LONG_TEXT);
    text
}

fn of_tenant(id: u64, text: &str, tenant: u8) -> Generate {
    Generate {
        tenant: Some(Tenant([tenant; 32])),
        ..request(id, text, 2)
    }
}

#[test]
fn others_are_answered_while_a_long_prompt_is_tokenized() {
    for vocabulary in [Vocabulary::Spm, Vocabulary::Bpe] {
        let model = model(&tiny(vocabulary));
        let mut rig = Rig::new(&model, 2);
        admit(&mut rig.scheduler, request(1, &long(), 8)).unwrap();
        admit(&mut rig.scheduler, request(2, "hello", 8)).unwrap();
        // To its end: the long one has not begun, and there is nothing more to do.
        let events = run(&mut rig.scheduler);
        assert_eq!(finished_of(&events, 2).completion_tokens, 8);
        assert!(rig.scheduler.holds(1));
        assert!(
            !events
                .iter()
                .any(|event| matches!(event, Event::Began { request: 1, .. }))
        );

        assert_eq!(rig.hear(), 1);
        assert!(!rig.scheduler.is_idle());
        let events = run(&mut rig.scheduler);
        let (expected, _) = answer(&mut scheduler(&model, LENGTH, 1), request(1, &long(), 8));
        assert_eq!(text_of(&events, 1), expected);
    }
}

#[test]
fn one_that_is_cancelled_meanwhile_is_gone_and_holds_nobody_up() {
    let model = model(&tiny(Vocabulary::Bpe));
    let mut rig = Rig::new(&model, 1);
    admit(&mut rig.scheduler, request(1, &long(), 2)).unwrap();
    admit(&mut rig.scheduler, request(2, &long(), 2)).unwrap();
    assert!(run(&mut rig.scheduler).is_empty());
    rig.scheduler.cancel(1);
    assert!(!rig.scheduler.is_idle());
    let events = run(&mut rig.scheduler);
    assert_eq!(finished_of(&events, 1).reason, FinishReason::Cancelled);
    assert!(!rig.scheduler.holds(1));
    // The tokenizer has it still; what it says of it is heard by nobody.
    assert_eq!(rig.hear(), 1);
    assert!(run(&mut rig.scheduler).is_empty());
    assert_eq!(rig.hear(), 2);
    assert_eq!(
        finished_of(&run(&mut rig.scheduler), 2).completion_tokens,
        2
    );
}

#[test]
fn its_time_runs_while_it_is_tokenized() {
    let model = model(&tiny(Vocabulary::Bpe));
    let mut rig = Rig::new(&model, 1);
    let order = Generate {
        timeout_ms: 20,
        ..request(1, &long(), 2)
    };
    let arrived = Instant::now();
    let work = Work::Generate(Box::new(order));
    rig.scheduler.admit(work, arrived).unwrap();
    let mut events = Vec::new();
    rig.scheduler.step(&mut events);
    let deadline = arrived + Duration::from_millis(20);
    assert_eq!(rig.scheduler.next_expiry(), Some(deadline));
    std::thread::sleep(deadline.saturating_duration_since(Instant::now()));
    rig.scheduler.step(&mut events);
    assert_eq!(refusal(&events, 1), Some("request.deadline"));
    assert_eq!(rig.scheduler.next_expiry(), None);
}

#[test]
fn what_is_refused_is_refused_by_the_same_code() {
    let model = model(&tiny(Vocabulary::Bpe));
    let mut rig = Rig::new(&model, 1);
    let many = "a b ".repeat(LENGTH as usize);
    admit(&mut rig.scheduler, request(1, &many, 2)).unwrap();
    run(&mut rig.scheduler);
    assert_eq!(rig.hear(), 1);
    let events = run(&mut rig.scheduler);
    assert_eq!(refusal(&events, 1), Some("prompt.too_long"));
}

#[test]
fn the_tokenizer_is_shared_between_tenants_even_if_one_s_prompts_are_refused() {
    let model = model(&tiny(Vocabulary::Bpe));
    let mut rig = Rig::new(&model, 4);
    // Of fewer bytes than a context may have, and of more tokens.
    let refused = "a b ".repeat(LONG_TEXT / 4 + 1);
    for id in 1..=3 {
        admit(&mut rig.scheduler, of_tenant(id, &refused, 1)).unwrap();
    }
    let mut events = Vec::new();
    rig.scheduler.step(&mut events);
    admit(&mut rig.scheduler, of_tenant(4, &long(), 2)).unwrap();
    assert_eq!(rig.hear(), 1);
    rig.scheduler.step(&mut events);
    assert_eq!(refusal(&events, 1), Some("prompt.too_long"));
    // The other tenant's is next though it came last.
    assert_eq!(rig.hear(), 4);
    rig.scheduler.step(&mut events);
    assert_eq!(rig.hear(), 2);
}

#[test]
fn of_tenants_that_come_while_one_is_read_the_first_is_next() {
    let model = model(&tiny(Vocabulary::Bpe));
    let mut rig = Rig::new(&model, 1);
    admit(&mut rig.scheduler, of_tenant(1, &long(), 1)).unwrap();
    let mut events = Vec::new();
    rig.scheduler.step(&mut events);
    for id in 2..=4 {
        let tenant = u8::try_from(id).unwrap();
        admit(&mut rig.scheduler, of_tenant(id, &long(), tenant)).unwrap();
    }
    for id in 1..=4 {
        assert_eq!(rig.hear(), id);
        rig.scheduler.step(&mut events);
    }
}

#[test]
fn messages_without_text_count_too() {
    let model = model(&tiny(Vocabulary::Bpe));
    let mut rig = Rig::new(&model, 1);
    let empty = Message {
        role: Role::User,
        content: "".into(),
        name: None,
    };
    for id in [1, 2, 5] {
        let order = Generate {
            prompt: Prompt::Chat(vec![empty.clone(); 1000]),
            ..of_tenant(id, "", 1)
        };
        admit(&mut rig.scheduler, order).unwrap();
    }
    let mut events = Vec::new();
    rig.scheduler.step(&mut events);
    for id in [3, 4, 6] {
        admit(&mut rig.scheduler, of_tenant(id, &long(), 2)).unwrap();
    }
    // Once the other has had as much, which one of these is worth many of its.
    for id in [1, 3, 2, 4, 6, 5] {
        assert_eq!(rig.hear(), id);
        rig.scheduler.step(&mut events);
    }
}

#[test]
fn a_conversation_has_only_so_many_messages() {
    let model = model(&tiny(Vocabulary::Bpe));
    let prompter = prompter(&model, 64);
    let message = Message {
        role: Role::User,
        content: "".into(),
        name: None,
    };
    let messages = vec![message; MAX_MESSAGES + 1];
    let error = prompter.tokens(&Prompt::Chat(messages)).unwrap_err();
    assert_eq!(error.code(), "prompt.too_long");
    assert!(error.to_string().contains("16385 messages"), "{error}");
}

#[test]
fn a_conversation_is_not_read_to_its_end_once_it_can_not_fit() {
    let model = model(&tiny(Vocabulary::Bpe));
    let prompter = prompter(&model, 64);
    let messages: Vec<Message> = (0..2000)
        .map(|_| Message {
            role: Role::User,
            content: "a b c d".into(),
            name: None,
        })
        .collect();
    let error = prompter.tokens(&Prompt::Chat(messages)).unwrap_err();
    assert_eq!(error.code(), "prompt.too_long");
    assert!(error.to_string().contains("over 64 tokens"), "{error}");
}

#[test]
fn many_short_messages_are_long() {
    let model = model(&tiny(Vocabulary::Bpe));
    let mut rig = Rig::new(&model, 1);
    let message = Message {
        role: Role::User,
        content: "a".into(),
        name: None,
    };
    let order = Generate {
        prompt: Prompt::Chat(vec![message; 16]),
        ..request(1, "", 2)
    };
    admit(&mut rig.scheduler, order).unwrap();
    assert!(run(&mut rig.scheduler).is_empty());
    assert_eq!(rig.hear(), 1);
    assert_eq!(
        finished_of(&run(&mut rig.scheduler), 1).completion_tokens,
        2
    );
}

#[test]
fn a_long_prompt_to_publish_is_tokenized_there_too() {
    let model = model(&tiny(Vocabulary::Bpe));
    let keeping = SchedulerOptions {
        prefix_cache: PrefixCache {
            quota: 1 << 24,
            tenants: 1,
            idle_seconds: 60,
        },
        ..options(16)
    };
    let mut rig = Rig::with(&model, 1, keeping);
    let publish = Publish {
        request: 1,
        prompt: Prompt::Text(long().into()),
        timeout_ms: 600_000,
    };
    let work = Work::Publish(Box::new(publish));
    rig.scheduler.admit(work, Instant::now()).unwrap();
    assert!(run(&mut rig.scheduler).is_empty());
    assert_eq!(rig.hear(), 1);
    let events = run(&mut rig.scheduler);
    assert!(
        events
            .iter()
            .any(|event| matches!(event, Event::Published { request: 1, .. }))
    );
}

#[test]
fn texts_are_tokenized_as_elsewhere() {
    let model = model(&tiny(Vocabulary::Bpe));
    let vocabulary = std::sync::Arc::new(model.vocabulary().unwrap());
    let (hear, heard) = channel();
    let tokenizer = Tokenizer::start(move |text| hear.send(text).unwrap()).unwrap();
    let texts = [long(), String::new(), "x".repeat((1 << 20) + 1)];
    for (id, text) in (0..).zip(&texts) {
        tokenizer.read(id, text.clone().into(), vocabulary.clone());
    }
    for (id, text) in (0..).zip(&texts) {
        let Tokenized::Plain { request, tokens } = heard.recv().unwrap() else {
            panic!("nobody handed a prompt over");
        };
        assert_eq!(request, id);
        let code = |tokens: Result<Vec<u32>, EngineError>| tokens.map_err(|error| error.code());
        assert_eq!(code(tokens), code(vocabulary.tokenize(text)));
    }
}
