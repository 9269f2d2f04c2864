//! The codes that are published are those that can come.

use std::collections::BTreeSet;

use strongroom_engine::{CODES, EngineError};
use strongroom_protocol::{Fault, FaultCode};
use strongroom_template::TemplateError;

#[test]
fn every_code_is_an_errors_and_every_error_has_a_code() {
    let text = String::new;
    let mut errors = vec![
        EngineError::Load { detail: text() },
        EngineError::Context { detail: text() },
        EngineError::PromptEmpty,
        EngineError::PromptTooLong {
            size: text(),
            context: 1,
        },
        EngineError::TextTooLong { bytes: 2, bound: 1 },
        EngineError::RunTooLong {
            length: 2,
            bound: 1,
        },
        EngineError::Option {
            name: "seed",
            range: text(),
        },
        EngineError::Busy { limit: 1 },
        EngineError::Deadline,
        EngineError::Decode { detail: text() },
        EngineError::TemplateMissing,
        EngineError::Task { task: "embed" },
        EngineError::Publish,
    ];
    errors.extend(
        [
            TemplateError::Syntax(text()),
            TemplateError::Failed(text()),
            TemplateError::Limit("fuel"),
            TemplateError::HidesContent,
        ]
        .map(EngineError::Template),
    );
    let raised: BTreeSet<&str> = errors.iter().map(EngineError::code).collect();
    let published: BTreeSet<&str> = CODES.iter().copied().collect();
    assert_eq!(raised, published);
    for error in &errors {
        assert!(!error.next_step().is_empty());
        assert_eq!(error.fault().code.as_str(), error.code());
    }
}

#[test]
fn a_long_detail_is_cut_at_a_character() {
    let error = EngineError::Load {
        detail: "ü".repeat(Fault::MAX_DETAIL),
    };
    let fault = error.fault();
    assert_eq!(fault.code, FaultCode::Load);
    assert!(fault.detail.len() <= Fault::MAX_DETAIL);
    assert!(fault.detail.len() > Fault::MAX_DETAIL - 4);
    assert!(fault.detail.ends_with('ü'));
}
