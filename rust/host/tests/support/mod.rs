//! What the tests of this folder share.
#![allow(dead_code, unreachable_pub, missing_docs, clippy::unwrap_used)]

use std::{
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::mpsc::{RecvTimeoutError, channel},
    thread,
    time::{Duration, Instant},
};

use strongroom_host::{Config, HostError, Model, Stream, Update};
use strongroom_memory::{Image, image};
use strongroom_protocol::{Finished, Generate, Isolation, Prompt, Sampling};

/// Fails a test that hangs: everything here is over long before, on the slowest of machines.
pub fn within<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, over) = channel();
    let body = thread::spawn(move || {
        let value = body();
        let _ = done.send(());
        value
    });
    match over.recv_timeout(Duration::from_secs(120)) {
        Err(RecvTimeoutError::Timeout) => panic!("the test hangs"),
        Ok(()) | Err(RecvTimeoutError::Disconnected) => match body.join() {
            Ok(value) => value,
            Err(panic) => std::panic::resume_unwind(panic),
        },
    }
}

/// Waits until `condition` holds; the test fails if it never does.
pub fn until(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(60), "never: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// A path of this test's own, where nothing is yet.
pub fn path(name: &str) -> PathBuf {
    let path =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
    let _ = fs::remove_file(&path);
    path
}

pub fn image_of(name: &str, bytes: &[u8]) -> Image {
    let path = path(name);
    fs::write(&path, bytes).unwrap();
    let image = image::read(&path, &[], None, &mut |_, _| ControlFlow::Continue(())).unwrap();
    fs::remove_file(&path).unwrap();
    image.danger_accept()
}

/// The fake worker, loading as `script` says.
pub fn fake(script: &str) -> Config {
    let mut config = Config::new(env!("CARGO_BIN_EXE_strongroom-worker-fake").into());
    config.isolation = Isolation::DangerNone;
    config.chat_template = Some(script.to_owned());
    config.load_timeout = Duration::from_secs(60);
    config.request_timeout = Duration::from_secs(60);
    config.grace = Duration::from_millis(300);
    config
}

pub fn start(config: Config) -> Result<Model, HostError> {
    Model::start(&image_of(&thread_name(), b"weights"), config)
}

/// Tests of one binary run side by side, each in a thread of its own.
fn thread_name() -> String {
    format!("image-{:?}", thread::current().id()).replace(['(', ')'], "")
}

pub fn prompt(text: &str) -> Generate {
    Generate {
        request: 0,
        prompt: Prompt::Text(text.into()),
        sampling: Sampling {
            logit_bias: Vec::new(),
            repeat_penalty: 1.0,
            presence_penalty: 0.0,
            frequency_penalty: 0.0,
            top_k: 0,
            top_p: 1.0,
            min_p: 0.0,
            temperature: 0.0,
            seed: 1,
        },
        max_tokens: None,
        stop: Vec::new(),
        timeout_ms: 60_000,
        piece_interval_ms: 0,
        tenant: None,
        priority: strongroom_protocol::Priority::Normal,
    }
}

/// Everything that a stream yields.
#[derive(Debug, Default)]
pub struct Answer {
    pub prompt_tokens: u32,
    pub text: String,
    pub tokens: u32,
    pub finished: Option<Finished>,
}

pub fn collect(stream: &Stream) -> Result<Answer, HostError> {
    let mut answer = Answer::default();
    while let Some(update) = stream.next(None)? {
        match update {
            Update::Began { prompt_tokens, .. } => answer.prompt_tokens = prompt_tokens,
            Update::Piece { text, tokens } => {
                answer.text += &text;
                answer.tokens += tokens;
            }
            Update::Finished(finished) => answer.finished = Some(*finished),
            Update::Embedded { .. } | Update::Published { .. } => {
                panic!("no answer")
            }
        }
    }
    Ok(answer)
}

pub fn ask(model: &Model, text: &str) -> Result<Answer, HostError> {
    collect(&model.generate(prompt(text))?)
}

/// The model answers.
pub fn assert_serves(model: &Model) {
    let answer = ask(model, "say 2").unwrap();
    assert_eq!(answer.text, "word word ");
    assert_eq!(answer.tokens, 2);
    assert!(answer.finished.is_some());
}

pub fn is_gone(pid: u32) -> bool {
    !Path::new(&format!("/proc/{pid}")).exists()
}
