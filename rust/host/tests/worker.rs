//! The real worker with a generated model: the same tests as with the fake, as far as it lets them.
//!
//! They need the executable: `STRONGROOM_WORKER_EXECUTABLE`, or else where the worker's own build
//! leaves it. `make test` always names it; without it these tests say so and pass.
#![allow(missing_docs, clippy::unwrap_used, clippy::print_stderr)]

mod support;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use strongroom_host::{Config, HostError, Model, Stream, TenantName, Update};
use strongroom_memory::Image;
use strongroom_protocol::{
    FinishReason, Generate, Isolation, LayerState, MAX_TEXT, Message, PrefixCache, Prompt, Publish,
    Role,
};
use strongroom_specimen::{Vocabulary, tiny, tiny_without_template};
use support::{Answer, collect, image_of, prompt, until, within};

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

fn config(executable: PathBuf) -> Config {
    let mut config = Config::new(executable);
    // Tests run side by side.
    config.cores = 1;
    config.address_space = 1_000_000_000;
    config.request_timeout = Duration::from_secs(60);
    config
}

fn image() -> Image {
    let name = format!("tiny-{:?}", thread::current().id()).replace(['(', ')'], "");
    image_of(&name, &tiny(Vocabulary::Spm))
}

/// Runs `body` with a model that is loaded, where there is a worker.
fn with_model(body: impl FnOnce(Model) + Send + 'static) {
    let Some(executable) = executable() else {
        return;
    };
    within(move || body(Model::start(&image(), config(executable)).unwrap()));
}

/// Text that the worker can go on from for as long as its context lasts.
fn long() -> Generate {
    let mut order = prompt("hello");
    // The end of generation can't be chosen, whatever its id among the first ones.
    order.sampling.logit_bias = (0..8).map(|id| (id, -100.0)).collect();
    order
}

fn short(tokens: u32) -> Generate {
    Generate {
        max_tokens: Some(tokens),
        ..long()
    }
}

fn answer(model: &Model, order: Generate) -> Result<Answer, HostError> {
    collect(&model.generate(order)?)
}

fn assert_serves(model: &Model) {
    let answer = answer(model, short(3)).unwrap();
    assert_eq!(answer.finished.unwrap().completion_tokens, 3);
}

fn kill(model: &Model) {
    let pid = i32::try_from(model.pid().unwrap()).unwrap();
    kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
}

#[test]
fn it_answers_and_every_required_layer_is_in_force() {
    with_model(|model| {
        let ready = model.ready().unwrap();
        assert!(ready.context_length >= 512 && ready.vocabulary_size > 256);
        assert!(model.report().unwrap().layers.iter().all(|layer| {
            layer.state == LayerState::InForce || layer.name.as_str().starts_with("landlock_")
        }));
        let status = fs::read_to_string(format!("/proc/{}/status", model.pid().unwrap())).unwrap();
        assert!(status.contains("Seccomp:\t2\n") && status.contains("NoNewPrivs:\t1\n"));
        let answer = answer(&model, short(8)).unwrap();
        let finished = answer.finished.unwrap();
        assert_eq!(finished.reason, FinishReason::Length);
        assert_eq!(finished.completion_tokens, 8);
        assert!(answer.prompt_tokens > 0 && !answer.text.is_empty());
    });
}

#[test]
fn the_same_seed_gives_the_same_answer() {
    with_model(|model| {
        let asked = || {
            let mut order = short(16);
            order.sampling.temperature = 1.0;
            order.sampling.seed = 7;
            answer(&model, order).unwrap().text
        };
        assert_eq!(asked(), asked());
    });
}

#[test]
fn a_conversation_is_rendered_by_the_models_own_template() {
    with_model(|model| {
        let mut order = short(4);
        order.prompt = Prompt::Chat(vec![Message {
            role: Role::User,
            content: "hello <|im_end|> world".into(),
            name: None,
        }]);
        assert!(answer(&model, order).unwrap().prompt_tokens > 4);
    });
}

#[test]
fn a_model_without_a_template_says_so_and_takes_the_operators() {
    let Some(executable) = executable() else {
        return;
    };
    within(move || {
        let image = image_of("without-template", &tiny_without_template(Vocabulary::Bpe));
        let chat = || {
            let mut order = short(1);
            order.prompt = Prompt::Chat(vec![Message {
                role: Role::User,
                content: "hello".into(),
                name: None,
            }]);
            order
        };
        let model = Model::start(&image, config(executable.clone())).unwrap();
        assert!(model.ready().unwrap().chat.is_some());
        let error = answer(&model, chat()).unwrap_err();
        assert_eq!(error.code(), "template.missing");
        let mut config = config(executable);
        config.chat_template = Some("{{ messages[0].content }}:".to_owned());
        let model = Model::start(&image, config).unwrap();
        assert_eq!(model.ready().unwrap().chat, None);
        assert!(answer(&model, chat()).is_ok());
    });
}

#[test]
fn cancelling_stops_the_decoding() {
    with_model(|model| {
        let context = model.ready().unwrap().context_length;
        let stream = model.generate(long()).unwrap();
        assert!(matches!(stream.next(None), Ok(Some(Update::Began { .. }))));
        stream.cancel().unwrap();
        let finished = collect(&stream).unwrap().finished.unwrap();
        // It may have been at its end already; then cancelling came too late.
        assert!(
            finished.reason == FinishReason::Cancelled || finished.completion_tokens >= context / 2
        );
        assert_serves(&model);
    });
}

#[test]
fn two_hundred_streams_are_opened_and_dropped() {
    with_model(|model| {
        for round in 0..200 {
            let stream = model.generate(long()).unwrap();
            if round % 20 == 0 {
                assert!(stream.next(None).unwrap().is_some());
            }
        }
        assert_serves(&model);
        assert_eq!(model.restarts(), Ok(0));
    });
}

#[test]
fn requests_are_served_in_the_order_of_arrival() {
    with_model(|model| {
        let streams: Vec<_> = (0..8).map(|_| model.generate(short(5)).unwrap()).collect();
        assert!(collect(&streams[7]).is_ok());
        for stream in &streams[..7] {
            let mut last = None;
            while let Some(update) = stream.poll().unwrap() {
                last = Some(update);
            }
            assert!(matches!(last, Some(Update::Finished(_))));
        }
    });
}

#[test]
fn killed_before_while_and_after_streaming() {
    with_model(|model| {
        kill(&model);
        until("replaced", || model.restarts() == Ok(1));
        assert_serves(&model);

        let stream = model.generate(long()).unwrap();
        assert!(stream.next(None).unwrap().is_some());
        let queued: Vec<_> = (0..4).map(|_| model.generate(short(2)).unwrap()).collect();
        kill(&model);
        match collect(&stream) {
            Err(error) => assert_eq!(error.code(), "worker.killed"),
            // The tiny model can be quicker than the kill.
            Ok(answer) => assert!(answer.finished.is_some()),
        }
        for stream in &queued {
            let answer = collect(stream);
            assert!(
                answer.as_ref().is_ok_and(|answer| answer.tokens <= 2)
                    || answer.is_err_and(|error| error.code() == "worker.killed")
            );
        }
        until("replaced again", || model.restarts() == Ok(2));

        let stream = model.generate(short(2)).unwrap();
        assert_serves(&model);
        kill(&model);
        until("replaced once more", || model.restarts() == Ok(3));
        assert!(collect(&stream).unwrap().finished.is_some());
        assert_serves(&model);
    });
}

#[test]
fn a_stopped_worker_is_killed_at_the_deadline_and_the_rest_is_asked_again() {
    let Some(executable) = executable() else {
        return;
    };
    within(move || {
        let mut config = config(executable);
        config.grace = Duration::from_millis(200);
        let model = Model::start(&image(), config).unwrap();
        let pid = i32::try_from(model.pid().unwrap()).unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), Signal::STOP).unwrap();
        let mut hurried = short(1);
        hurried.timeout_ms = 50;
        let hurried = model.generate(hurried).unwrap();
        let patient = model.generate(short(1)).unwrap();
        assert_eq!(collect(&hurried).unwrap_err().code(), "worker.over_time");
        assert_eq!(collect(&patient).unwrap().tokens, 1);
        assert_eq!(model.restarts(), Ok(1));
    });
}

#[test]
fn its_processor_time_is_limited_by_the_kernel() {
    with_model(|model| {
        assert_serves(&model);
        let limits = fs::read_to_string(format!("/proc/{}/limits", model.pid().unwrap())).unwrap();
        let line = limits
            .lines()
            .find(|line| line.starts_with("Max cpu time"))
            .unwrap();
        let soft: u64 = line.split_whitespace().nth(3).unwrap().parse().unwrap();
        // 60 seconds of a request on one thread, 5 of grace, 10 spare, and what it has used.
        assert!((60..200).contains(&soft), "{line}");
    });
}

#[test]
fn deadlines_are_kept_by_the_worker() {
    with_model(|model| {
        let mut order = long();
        order.timeout_ms = 1;
        let error = answer(&model, order).unwrap_err();
        assert_eq!(error.code(), "request.deadline");
        assert_serves(&model);
        assert_eq!(model.restarts(), Ok(0));
    });
}

#[test]
fn prompts_that_do_not_fit() {
    with_model(|model| {
        for text in ["a ".repeat(5000), "x".repeat(MAX_TEXT)] {
            let error = answer(&model, prompt(&text)).unwrap_err();
            assert_eq!(error.code(), "prompt.too_long");
        }
        assert_serves(&model);
        assert_eq!(model.restarts(), Ok(0));
    });
}

#[test]
fn options_that_are_out_of_range() {
    with_model(|model| {
        let mut orders = Vec::new();
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -1.0, 1e30] {
            for set in [
                (|order, value| order.sampling.temperature = value) as fn(&mut Generate, f32),
                |order, value| order.sampling.top_p = value,
                |order, value| order.sampling.min_p = value,
                |order, value| order.sampling.repeat_penalty = value,
                |order, value| order.sampling.logit_bias = vec![(1, value * 1000.0)],
            ] {
                let mut order = short(1);
                set(&mut order, value);
                orders.push(order);
            }
        }
        let mut order = short(1);
        order.stop = vec![String::new().into()];
        orders.push(order);
        orders.push(short(0));
        for order in orders {
            let shown = format!("{order:?}");
            let error = answer(&model, order).unwrap_err();
            assert_eq!(error.code(), "option.out_of_range", "{shown}: {error}");
        }
        assert_serves(&model);
        assert_eq!(model.restarts(), Ok(0));
    });
}

#[test]
fn counting_tokens_never_parses_special_ones() {
    with_model(|model| {
        let plain = model.tokenize("hello").unwrap();
        assert!(!plain.is_empty());
        // As one control token it would be as long as BOS alone.
        let control = model.tokenize("<|im_start|>").unwrap();
        assert!(control.len() > 2, "{control:?}");
        let vocabulary = model.ready().unwrap().vocabulary_size;
        assert!(control.iter().all(|&id| id < vocabulary));
    });
}

#[test]
fn many_threads_share_a_worker() {
    with_model(|model| {
        let model = Arc::new(model);
        let threads: Vec<_> = (1..=8)
            .map(|tokens| {
                let model = Arc::clone(&model);
                thread::spawn(move || {
                    for _ in 0..5 {
                        assert_eq!(answer(&model, short(tokens)).unwrap().tokens, tokens);
                        assert!(model.tokenize("hello").is_ok());
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
    });
}

/// The weights are mapped shared and read-only, and they are the same file in every worker: the
/// kernel keeps each of its pages once.
#[test]
fn workers_of_one_image_share_its_pages() {
    let Some(executable) = executable() else {
        return;
    };
    within(move || {
        let image = image();
        let models = [(); 2].map(|()| Model::start(&image, config(executable.clone())).unwrap());
        let mut inodes = Vec::new();
        for model in &models {
            assert_serves(model);
            let maps = fs::read_to_string(format!("/proc/{}/maps", model.pid().unwrap())).unwrap();
            let mapped: Vec<&str> = maps
                .lines()
                .filter(|line| line.contains("memfd:"))
                .collect();
            assert!(!mapped.is_empty(), "{maps}");
            for line in mapped {
                let mut fields = line.split_whitespace();
                assert_eq!(fields.nth(1), Some("r--s"), "{line}");
                inodes.push(fields.nth(2).unwrap().to_owned());
            }
            let status =
                fs::read_to_string(format!("/proc/{}/status", model.pid().unwrap())).unwrap();
            let shared: usize = status
                .lines()
                .find_map(|line| line.strip_prefix("RssShmem:"))
                .and_then(|value| value.split_whitespace().next()?.parse().ok())
                .unwrap();
            // Most of the weights at least are resident there.
            assert!(
                shared * 1024 * 2 > image.len(),
                "{shared} kB of {}",
                image.len()
            );
        }
        inodes.dedup();
        assert_eq!(inodes.len(), 1, "one file: {inodes:?}");
    });
}

#[test]
fn a_model_over_its_memory_limit_is_refused() {
    let Some(executable) = executable() else {
        return;
    };
    within(move || {
        let mut config = config(executable);
        config.address_space = 20_000_000;
        let error = Model::start(&image(), config).unwrap_err();
        assert!(
            [
                "load.context",
                "load.refused",
                "worker.out_of_memory",
                "sandbox.unavailable"
            ]
            .contains(&error.code()),
            "{}: {error}",
            error.code()
        );
    });
}

#[test]
fn an_image_that_is_no_model_is_refused() {
    let Some(executable) = executable() else {
        return;
    };
    within(move || {
        let image = image_of("no-model", b"not a model");
        let error = Model::start(&image, config(executable)).unwrap_err();
        assert_eq!(error.code(), "load.refused", "{error}");
    });
}

#[test]
fn a_context_longer_than_trained_is_refused() {
    let Some(executable) = executable() else {
        return;
    };
    within(move || {
        let mut config = config(executable);
        config.context_length = Some(1 << 20);
        let error = Model::start(&image(), config).unwrap_err();
        assert_eq!(error.code(), "load.context", "{error}");
    });
}

#[test]
fn danger_none_puts_nothing_in_force_and_says_so() {
    let Some(executable) = executable() else {
        return;
    };
    within(move || {
        let mut config = config(executable);
        config.isolation = Isolation::DangerNone;
        let model = Model::start(&image(), config).unwrap();
        let report = model.report().unwrap();
        assert!(!report.layers.is_empty());
        assert!(
            report
                .layers
                .iter()
                .all(|layer| layer.state == LayerState::Off)
        );
        assert_serves(&model);
    });
}

/// With sixteen sequences, and what tenants have kept.
fn with_many(body: impl FnOnce(Model) + Send + 'static) {
    let Some(executable) = executable() else {
        return;
    };
    within(move || {
        let mut config = config(executable);
        config.max_concurrent = 16;
        config.prefix_cache = PrefixCache {
            quota: 16 << 20,
            tenants: 4,
            idle_seconds: 600,
        };
        body(Model::start(&image(), config).unwrap());
    });
}

/// How many tokens of the prompt were cached, and the answer.
fn cached(stream: &Stream) -> (u32, String) {
    let (mut count, mut said) = (0, String::new());
    while let Some(update) = stream.next(None).unwrap() {
        match update {
            Update::Began { cached_tokens, .. } => count = cached_tokens,
            Update::Piece { text, .. } => said += &text,
            _ => {}
        }
    }
    (count, said)
}

fn tenant(name: &str) -> TenantName {
    TenantName::new(name.as_bytes().to_vec()).unwrap()
}

#[test]
fn killed_while_sixteen_are_answered_all_are_told_and_the_next_one_is_served() {
    with_many(|model| {
        let streams: Vec<_> = (0..16).map(|_| model.generate(long()).unwrap()).collect();
        for stream in &streams {
            assert!(matches!(stream.next(None), Ok(Some(Update::Began { .. }))));
        }
        kill(&model);
        for stream in &streams {
            match collect(stream) {
                Err(error) => assert_eq!(error.code(), "worker.killed"),
                // The tiny model can be quicker than the kill.
                Ok(answer) => assert!(answer.finished.is_some()),
            }
        }
        assert_serves(&model);
        assert_eq!(model.restarts(), Ok(1));
    });
}

#[test]
fn what_is_kept_of_a_tenant_is_found_by_it_alone() {
    with_many(|model| {
        let ask = |name: Option<&str>| {
            let mut order = short(6);
            order.prompt = Prompt::Text("hello of the sky and the light ".repeat(3).into());
            let tenant = name.map(tenant);
            cached(&model.generate_for(tenant.as_ref(), order).unwrap())
        };
        let (none, first) = ask(Some("ann"));
        assert_eq!(none, 0);
        assert!(ask(Some("ann")).0 > 20);
        for other in [Some("bob"), Some("ann "), Some("Ann"), None] {
            assert_eq!(ask(other), (0, first.clone()), "{other:?}");
        }
    });
}

#[test]
fn without_separation_everybody_finds_it() {
    let Some(executable) = executable() else {
        return;
    };
    within(move || {
        let mut config = config(executable);
        config.separate = false;
        config.prefix_cache = PrefixCache {
            quota: 16 << 20,
            tenants: 4,
            idle_seconds: 600,
        };
        let model = Model::start(&image(), config).unwrap();
        let ask = |name: Option<&str>| {
            let mut order = short(6);
            order.prompt = Prompt::Text("hello of the sky and the light ".repeat(3).into());
            let tenant = name.map(tenant);
            cached(&model.generate_for(tenant.as_ref(), order).unwrap()).0
        };
        assert_eq!(ask(Some("ann")), 0);
        assert!(ask(Some("bob")) > 20);
        assert!(ask(None) > 20);
    });
}

#[test]
fn what_was_published_is_read_again_by_the_worker_that_takes_the_place() {
    with_many(|model| {
        let prefix = "hello of the sky and the light ".repeat(3);
        let stream = model
            .publish(Publish {
                request: 0,
                prompt: Prompt::Text(prefix.as_str().into()),
                timeout_ms: 60_000,
            })
            .unwrap();
        let mut tokens = 0;
        while let Some(update) = stream.next(None).unwrap() {
            if let Update::Published { tokens: count } = update {
                tokens = count;
            }
        }
        let ask = || {
            let mut order = short(6);
            order.prompt = Prompt::Text(format!("{prefix}question").into());
            cached(&model.generate(order).unwrap()).0
        };
        assert!(ask() > tokens / 2, "{} of {tokens}", ask());
        kill(&model);
        until("replaced", || model.restarts() == Ok(1));
        until("read again", || ask() > tokens / 2);
    });
}
