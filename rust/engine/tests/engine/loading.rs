//! What is refused before a request comes.

use strongroom_engine::{EngineError, Model, Threadpool};
use strongroom_specimen::{Family, Vocabulary, draft, tiny};

use crate::rig::{answer, context, image, model, request, scheduler};

#[test]
fn every_family_that_preflight_knows_loads_and_answers() {
    for family in Family::ALL {
        for vocabulary in [Vocabulary::Spm, Vocabulary::Bpe] {
            let model = model(&draft(family, vocabulary).write());
            let mut scheduler = scheduler(&model, 512, 1);
            let (_, end) = answer(&mut scheduler, request(1, "hello the sky", 8));
            assert_eq!(end.completion_tokens, 8, "{family:?} {vocabulary:?}");
        }
    }
}

#[test]
fn what_is_no_model_is_refused_with_a_reason() {
    let cut = {
        let mut bytes = tiny(Vocabulary::Spm);
        bytes.truncate(bytes.len() / 2);
        bytes
    };
    for (name, bytes) in [
        ("empty", Vec::new()),
        (
            "text",
            b"this is no model, but it is long enough for a header".to_vec(),
        ),
        ("half", cut),
    ] {
        let error = Model::load(image(&bytes))
            .err()
            .unwrap_or_else(|| panic!("{name} loads"));
        let EngineError::Load { detail } = &error else {
            panic!("{name}: {error:?}")
        };
        assert_eq!(error.code(), "load.refused");
        assert!(!detail.is_empty() || name == "empty", "{name}");
        assert!(
            detail.bytes().all(|byte| (b' '..=b'~').contains(&byte)),
            "{detail}"
        );
    }
}

#[test]
fn a_context_longer_than_the_trained_one_is_refused() {
    let model = model(&tiny(Vocabulary::Spm));
    let error = context(&model, 2049).unwrap_err();
    assert_eq!(error.code(), "load.context");
    assert!(error.to_string().contains("2049"), "{error}");
    assert_eq!(context(&model, 2048).unwrap().length(), 2048);
    assert_eq!(context(&model, 0).unwrap_err().code(), "load.context");
}

#[test]
fn the_shortest_context_holds_a_token_and_its_answer() {
    for (vocabulary, one_token) in [(Vocabulary::Spm, "hello"), (Vocabulary::Bpe, "x")] {
        let model = model(&tiny(vocabulary));
        let least = 2 + u32::from(model.vocabulary().unwrap().adds_bos());
        let error = context(&model, least - 1).unwrap_err();
        assert_eq!(error.code(), "load.context");
        assert!(error.to_string().contains("at least"), "{error}");
        let (_, finished) = answer(&mut scheduler(&model, least, 1), request(1, one_token, 5));
        assert_eq!(finished.completion_tokens, 1);
    }
}

#[test]
fn absurd_numbers_of_threads_are_refused() {
    for threads in [513, u32::MAX] {
        assert_eq!(Threadpool::new(threads).unwrap_err().code(), "load.context");
    }
}
