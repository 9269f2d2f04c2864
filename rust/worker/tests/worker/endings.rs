//! The exit codes: what a worker says last when it can't go on.

use strongroom_protocol::{Event, ExitCode, Order};
use strongroom_specimen::{Family, Vocabulary, draft, tiny};

use crate::rig::{Worker, generate, start};

/// A model that loads and then throws: text beyond ASCII needs byte tokens, and there are none.
fn throwing_model() -> Vec<u8> {
    let mut draft = draft(Family::Llama, Vocabulary::Spm);
    for text in draft.value_mut("tokenizer.ggml.tokens").texts_mut() {
        if text.starts_with(b"<0x") && text != b"<0x0A>" {
            text[1] = b'1';
        }
    }
    draft.write()
}

#[test]
fn an_exception_of_llama_cpp_ends_in_the_panic_code() {
    let (mut worker, _) = Worker::ready(&throwing_model(), start());
    worker.send(&generate(1, "hello", 2));
    assert!(matches!(
        worker.until_done(1).last(),
        Some(Event::Finished(_))
    ));
    worker.send(&Order::Tokenize {
        request: 2,
        text: "grüße".into(),
    });
    assert_eq!(worker.exit_code(), ExitCode::Panic as i32);
}

#[test]
fn an_image_larger_than_the_address_space_is_refused_by_name() {
    let image = tiny(Vocabulary::Spm);
    let mut tight = start();
    tight.limits.address_space = image.len() as u64;
    tight.isolation = strongroom_protocol::Isolation::DangerNone;
    let mut worker = Worker::spawn(&image);
    worker.send(&Order::Start(Box::new(tight)));
    assert!(matches!(worker.next(), Event::Locked(_)));
    let Event::Failed(fault) = worker.next() else {
        panic!("no Failed")
    };
    assert_eq!(fault.code.as_str(), "load.context");
    assert!(fault.detail.contains("memory_limit"), "{fault:?}");
    assert_eq!(worker.exit_code(), ExitCode::Failed as i32);
}

#[test]
fn too_little_memory_always_ends_in_a_known_way() {
    let image = tiny(Vocabulary::Spm);
    let mut kinds = std::collections::BTreeSet::new();
    for mebibytes in (2..64).chain((64..256).step_by(16)) {
        let mut tight = start();
        tight.limits.address_space = mebibytes << 20;
        let mut worker = Worker::spawn(&image);
        worker.send(&Order::Start(Box::new(tight)));
        let mut last = None;
        while let Some(event) = worker.try_next() {
            if let Event::Ready(_) = event {
                worker.send(&generate(1, "hello", 4));
            }
            if let Event::Finished(_) = event {
                worker.close();
            }
            last = Some(event);
        }
        let code = worker.exit_code();
        let kind = match (&last, ExitCode::from_raw(code)) {
            (Some(Event::Failed(fault)), Some(ExitCode::Failed)) => fault.code.as_str(),
            (Some(Event::Finished(_)), Some(ExitCode::Clean)) => "served",
            (_, Some(ExitCode::Memory)) => "memory",
            other => panic!("{mebibytes} MiB: {other:?}, exit code {code}"),
        };
        kinds.insert(kind);
    }
    assert!(kinds.contains("served"), "{kinds:?}");
    assert!(
        kinds.contains("memory") || kinds.contains("load.context"),
        "{kinds:?}"
    );
}
