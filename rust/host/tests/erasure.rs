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
    thread,
    time::Duration,
};

use strongroom_host::{Config, Model, Stream, TenantName, Update};
use strongroom_protocol::{
    FinishReason, Generate, Isolation, LONG_TEXT, Message, PrefixCache, Prompt, Role,
};
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
    with_config(name, |_| {}, body);
}

fn with_config(
    name: &'static str,
    choose: impl FnOnce(&mut Config) + Send + 'static,
    body: impl FnOnce(Model) + Send + 'static,
) {
    let Some(executable) = executable() else {
        return;
    };
    within(move || {
        let mut config = Config::new(executable);
        config.cores = 1;
        config.address_space = 1_000_000_000;
        config.request_timeout = Duration::from_secs(60);
        config.isolation = Isolation::DangerNone;
        choose(&mut config);
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

        // Long ones, which another thread tokenizes: not even a word of them is left.
        let mut words = looks;
        words.extend(["zanzibar", "quokka"].map(|word| word.as_bytes().to_vec()));
        let long = SECRET.repeat(300);
        assert!(long.len() > LONG_TEXT);
        let mut refused = order(false);
        refused.prompt = Prompt::Text(long.as_str().into());
        assert!(collect(&model.generate(refused).unwrap()).is_err());
        until("nothing is left", || traces(&model, &words) == 0);
        assert!(model.tokenize(&long).unwrap().len() > 2048);
        until("nothing is left", || traces(&model, &words) == 0);
    });
}

/// Requests that say something else, and go on for long.
fn neighbours(model: &Model) -> Vec<Stream> {
    (0..3)
        .map(|number| {
            let mut order = prompt(&format!("hello {number} of the sky"));
            order.sampling.logit_bias = (0..8).map(|id| (id, -100.0)).collect();
            model.generate(order).unwrap()
        })
        .collect()
}

/// Asks once beside neighbours, hands over what to look for, and shows that the others went on.
fn beside_neighbours(model: &Model, look: impl FnOnce(&[Vec<u8>])) {
    let looks = looks(model);
    let mut order = order(false);
    order.max_tokens = Some(64);
    // Its prompt is read before the others come, in large parts, of which more is left.
    let stream = model.generate(order).unwrap();
    while !matches!(stream.next(None).unwrap(), Some(Update::Piece { .. })) {}
    let others = neighbours(model);
    collect(&stream).unwrap();
    look(&looks);
    for other in others {
        other.cancel().unwrap();
        let mut finished = None;
        while let Some(update) = other.next(None).unwrap() {
            if let Update::Finished(end) = update {
                finished = Some(end);
            }
        }
        assert_eq!(finished.unwrap().reason, FinishReason::Cancelled);
    }
}

#[test]
fn of_one_among_many_while_the_others_go_on() {
    with_model("erasure-beside", |model| {
        beside_neighbours(&model, |looks| {
            until("nothing is left", || traces(&model, looks) == 0);
        });
    });
}

#[test]
fn without_erasure_it_is_there() {
    let choose = |config: &mut Config| config.erase = false;
    with_config("erasure-off", choose, |model| {
        beside_neighbours(&model, |looks| {
            for _ in 0..10 {
                assert!(traces(&model, looks) > 0);
                thread::sleep(Duration::from_millis(20));
            }
        });
    });
}

#[test]
fn what_is_kept_for_a_tenant_is_wiped_when_it_has_been_idle() {
    let choose = |config: &mut Config| {
        config.prefix_cache = PrefixCache {
            quota: 16 << 20,
            tenants: 2,
            idle_seconds: 8,
        };
    };
    with_config("erasure-kept", choose, |model| {
        let looks = looks(&model);
        let mut order = order(false);
        order.max_tokens = Some(4);
        let tenant = TenantName::new(b"ann".to_vec()).unwrap();
        collect(&model.generate_for(Some(&tenant), order).unwrap()).unwrap();
        // The control: its tokens are kept, its text isn't.
        until("the tokens are kept", || traces(&model, &looks[1..]) > 0);
        assert_eq!(traces(&model, &looks[..1]), 0);
        until("nothing is left", || traces(&model, &looks) == 0);
    });
}
