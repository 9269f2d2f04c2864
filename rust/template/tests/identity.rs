//! Conversations without control tokens get the ids that llama.cpp gives to the whole prompt.

#![allow(clippy::unwrap_used)]

mod fake;

use std::time::{Duration, UNIX_EPOCH};

use fake::fakes;
use strongroom_template::corpus::{STYLES, ordinary};
use strongroom_template::{ChatTemplate, TemplateError};

#[test]
fn ordinary_conversations_have_the_ids_of_the_whole_prompt() {
    assert!(ordinary().len() >= 30);
    for style in STYLES {
        let template = ChatTemplate::new(style.source, style.bos, style.eos)
            .unwrap()
            .at(UNIX_EPOCH + Duration::from_secs(1_721_952_000));
        let fakes = fakes(style);
        let (mut same, mut raised) = (0, 0);
        for (at, conversation) in ordinary().into_iter().enumerate() {
            match template.render(&conversation) {
                Ok(rendered) => {
                    // Each conversation meets two of the six vocabularies.
                    for fake in fakes.iter().skip(at % 3).step_by(3) {
                        let ids = template.encode(&conversation, fake);
                        assert_eq!(
                            ids,
                            Ok(fake.reference(&rendered, style)),
                            "{} / {} / {rendered:?}",
                            style.name,
                            fake.name
                        );
                        same += 1;
                    }
                }
                Err(error) => {
                    // The style doesn't have the role, or wants turns to alternate.
                    assert!(matches!(error, TemplateError::Failed(_)), "{error}");
                    raised += 1;
                }
            }
        }
        assert!(
            same >= 30 && raised <= 40,
            "{}: {same}, {raised}",
            style.name
        );
    }
}
