//! A template of strangers, rendering a conversation of others: never a panic, never a token that
//! the vocabulary doesn't have.

#![no_main]

use libfuzzer_sys::fuzz_target;
use std::{sync::LazyLock, time::Duration};
use strongroom_template::{
    ChatTemplate, ControlToken, ControlTokens, Kind, Limits, Message, Role, Untokenizable,
    Vocabulary,
};

/// One token for each byte, and a few that are parsed out of text.
struct Bytes(ControlTokens);

static VOCABULARY: LazyLock<Bytes> = LazyLock::new(|| {
    let texts = ["<s>", "</s>", "<|im_start|>", "<|im_end|>", "<table>"];
    let tokens = texts.into_iter().zip(256..).map(|(text, id)| ControlToken {
        id,
        text: text.to_owned(),
        kind: if text == "<table>" {
            Kind::UserDefined
        } else {
            Kind::Control
        },
        lstrip: text == "</s>",
        rstrip: text == "<s>",
    });
    Bytes(ControlTokens::new(tokens.collect()))
});

impl Vocabulary for Bytes {
    fn tokenize(&self, text: &str) -> Result<Vec<u32>, Untokenizable> {
        Ok(text.bytes().map(u32::from).collect())
    }

    fn control_tokens(&self) -> &ControlTokens {
        &self.0
    }

    fn leading(&self) -> Option<u32> {
        Some(256)
    }

    fn trailing(&self) -> Option<u32> {
        None
    }
}

fuzz_target!(|input: &str| {
    // The template, then messages, separated by NULs.
    let mut parts = input.split('\0');
    let source = parts.next().unwrap_or_default();
    let messages: Vec<Message> = parts
        .zip(Role::ALL.into_iter().cycle())
        .map(|(content, role)| Message {
            role,
            content: content.into(),
            name: None,
        })
        .collect();
    let limits = Limits {
        fuel: 50_000,
        output: 1 << 16,
        time: Duration::from_secs(2),
        ..Limits::default()
    };
    let Ok(template) = ChatTemplate::with_limits(source, "<s>", "</s>", limits) else {
        return;
    };
    if let Ok(ids) = template.encode(&messages, &*VOCABULARY) {
        assert!(ids.iter().all(|id| *id < 261));
    }
});
