//! What a worker still holds of a request that has ended: nothing.
//!
//! The workers are outside of their sandbox, so that their memory can be read by whoever runs the tests;
//! what is looked for lies the same way inside. They need the executable, as tests/worker.rs does.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stderr)]

mod support;

use std::{
    fs,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    time::Duration,
};

use strongroom_host::{Config, Model, Update};
use strongroom_protocol::{Generate, Isolation, Message, Prompt, Role};
use strongroom_specimen::{Vocabulary, tiny};
use support::{collect, image_of, prompt, until, within};

const SECRET: &str = "zanzibar quokka ";

fn executable() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("STRONGROOM_WORKER_EXECUTABLE") {
        return Some(named.into());
    }
    let built = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../target/worker/avx2/x86_64-unknown-linux-gnu/worker/strongroom-worker");
    if built.exists() {
        return Some(built);
    }
    eprintln!("skipped: the worker is not built, and STRONGROOM_WORKER_EXECUTABLE is not set");
    None
}

fn with_model(name: &'static str, body: impl FnOnce(Model) + Send + 'static) {
    let Some(executable) = executable() else {
        return;
    };
    within(move || {
        let mut config = Config::new(executable);
        config.cores = 1;
        config.address_space = 1_000_000_000;
        config.request_timeout = Duration::from_secs(60);
        config.isolation = Isolation::DangerNone;
        body(Model::start(&image_of(name, &tiny(Vocabulary::Spm)), config).unwrap());
    });
}

/// How often any of these bytes lie in memory that the worker could write.
fn traces(model: &Model, wanted: &[Vec<u8>]) -> usize {
    let pid = model.pid().unwrap();
    let memory = fs::File::open(format!("/proc/{pid}/mem")).unwrap();
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let mut found = 0;
    for line in maps.lines() {
        let mut fields = line.split_whitespace();
        let (start, end) = fields.next().unwrap().split_once('-').unwrap();
        if !fields.next().unwrap().starts_with("rw") {
            continue;
        }
        let address = |text| u64::from_str_radix(text, 16).unwrap();
        let mut region = vec![0; usize::try_from(address(end) - address(start)).unwrap()];
        if memory.read_exact_at(&mut region, address(start)).is_err() {
            continue;
        }
        for wanted in wanted {
            let first = wanted[0];
            let mut place = 0;
            while let Some(next) = region[place..].iter().position(|&byte| byte == first) {
                place += next + 1;
                found += usize::from(region[place - 1..].starts_with(wanted));
            }
        }
    }
    found
}

/// The text, and its tokens, several in a row, as the engine and llama.cpp hold them.
fn looks(model: &Model) -> Vec<Vec<u8>> {
    let ids = model.tokenize(SECRET).unwrap();
    let bytes: Vec<u8> = ids.iter().flat_map(|id| id.to_le_bytes()).collect();
    let middle = bytes.len() / 8 * 4;
    let tokens = bytes[middle - 12..middle + 12].to_vec();
    vec![SECRET.as_bytes().to_vec(), tokens]
}

/// A request that says the secret many times over, and goes on for as long as it may.
fn order(chat: bool) -> Generate {
    let text = SECRET.repeat(12);
    let mut order = prompt(&text);
    if chat {
        order.prompt = Prompt::Chat(vec![Message {
            role: Role::User,
            content: text.into(),
            name: None,
        }]);
    }
    order.sampling.logit_bias = (0..8).map(|id| (id, -100.0)).collect();
    order.stop = vec![SECRET.trim_end().into()];
    order
}

#[test]
fn of_a_request_that_was_answered() {
    with_model("erasure-answered", |model| {
        let looks = looks(&model);
        for chat in [false, true] {
            let mut order = order(chat);
            order.max_tokens = Some(16);
            let answer = collect(&model.generate(order).unwrap()).unwrap();
            assert!(answer.prompt_tokens > 12);
            let mut said = looks.clone();
            said.push(answer.text.into_bytes());
            until("nothing is left", || traces(&model, &said) == 0);
        }
    });
}

#[test]
fn of_a_request_that_was_cancelled_and_it_is_there_while_it_goes_on() {
    with_model("erasure-cancelled", |model| {
        let looks = looks(&model);
        let stream = model.generate(order(false)).unwrap();
        while !matches!(stream.next(None).unwrap(), Some(Update::Piece { .. })) {}
        // The control.
        assert!(traces(&model, &looks) > 0);
        stream.cancel().unwrap();
        while stream.next(None).unwrap().is_some() {}
        until("nothing is left", || traces(&model, &looks) == 0);
    });
}

#[test]
fn of_requests_that_were_refused_or_tokenized() {
    with_model("erasure-refused", |model| {
        let looks = looks(&model);
        let mut refused = order(false);
        refused.prompt = Prompt::Text(SECRET.repeat(4000).into());
        assert!(collect(&model.generate(refused).unwrap()).is_err());
        until("nothing is left", || traces(&model, &looks) == 0);
        model.tokenize(&SECRET.repeat(8)).unwrap();
        until("nothing is left", || traces(&model, &looks) == 0);
    });
}
