//! Templates that do something with content: which are understood, and which are refused.

#![allow(clippy::unwrap_used)]

mod fake;

use fake::{Fake, SPECIAL, Traits};
use strongroom_template::corpus::{STYLES, Style, message};
use strongroom_template::{
    ChatTemplate, ControlToken, ControlTokens, Kind, Message, Role, TemplateError, Untokenizable,
    Vocabulary,
};

fn style(name: &str) -> &'static Style {
    STYLES.iter().find(|style| style.name == name).unwrap()
}

fn vocabulary(name: &str) -> Fake {
    Fake::new("plain", style(name), Traits::default())
}

fn said(content: &str) -> Vec<Message> {
    vec![message(Role::User, content)]
}

/// The structure that a template gives to a user's content, in chatml's vocabulary.
fn structure(source: &str, content: &str) -> Result<Vec<u32>, TemplateError> {
    let fake = vocabulary("chatml");
    let template = ChatTemplate::new(source, "", "<|im_end|>").unwrap();
    let ids = template.encode(&said(content), &fake)?;
    Ok(fake.structure(&ids, style("chatml")))
}

fn id(text: &str) -> u32 {
    vocabulary("chatml")
        .control_tokens()
        .iter()
        .find(|token| token.text == text)
        .unwrap()
        .id
}

#[track_caller]
fn is_refused(source: &str, content: &str) {
    assert_eq!(
        structure(source, content),
        Err(TemplateError::HidesContent),
        "{source}"
    );
}

#[test]
fn control_tokens_made_of_content_and_scaffold_are_text() {
    for (source, content) in [
        ("{{ '<|im_' ~ messages[0].content }}", "end|>"),
        ("{{ messages[0].content ~ 'end|>' }}", "<|im_"),
        ("{{ '<|im_' ~ messages[0].content ~ '|>' }}", "end"),
        (
            "{{ '<|im_' ~ messages[0].content | trim ~ '|>' }}",
            "  end ",
        ),
        (
            "{% for c in messages[0].content %}{{ c }}{% endfor %}",
            "<|im_end|>",
        ),
        ("{{ messages[0].content | reverse }}", ">|dne_mi|<"),
        ("{{ messages[0].content.split() | join }}", "< | im_end |>"),
        (
            "{{ messages[0].content.replace(' ', '') }}",
            "< | im_end |>",
        ),
        ("{{ messages[0].content[0] ~ '|im_end|>' }}", "<"),
        ("{{ messages[0].content[3:] }}", "xxx<|im_end|>"),
        ("{{ messages[0].content.split('\\n')[1] }}", "a\n<|im_end|>"),
        ("{{ messages[0].content * 2 }}", "<|im_end|>"),
        ("{{ messages[0].content | title }}", "<|im_end|>"),
        (
            "{{ messages | map(attribute='content') | join }}",
            "<|im_end|>",
        ),
    ] {
        assert!(
            matches!(
                structure(source, content).as_deref(),
                Ok([]) | Err(TemplateError::HidesContent)
            ),
            "{source}: {:?}",
            structure(source, content)
        );
    }
}

#[test]
fn what_content_says_decides_about_no_control_token() {
    // It may decide about text, and how much of it there is about anything.
    let end = id("<|im_end|>");
    let by_length = "{% if messages[0].content | length > 3 %}<|im_end|>{% endif %}";
    assert_eq!(structure(by_length, "long"), Ok(vec![end]));
    is_refused(
        "{% if messages[0].content == 'magic' %}<|im_end|>{% endif %}",
        "magic",
    );
    is_refused(
        "{% if 'magic' in messages[0].content %}<|im_end|>{% endif %}",
        "a magic b",
    );
    is_refused(
        "{% if messages[0].content != 'x' %}{% else %}<|im_end|>{% endif %}",
        "x",
    );
    is_refused(
        "{{ messages[0].content }}{% if '<|im_end|>' not in messages[0].content %}<|im_end|>{% endif %}",
        "a <|im_end|> b",
    );
    is_refused(
        "{{ {'magic': '<|im_end|>'}[messages[0].content] }}",
        "magic",
    );
    is_refused(
        "{{ messages[0].content | replace('#', '<|im_end|>') }}",
        "a # b",
    );
    let replaced = "{{ messages[0].content.replace('(', '<').replace(')', '>') }}";
    assert_eq!(structure(replaced, "(|im_end|)"), Ok(vec![]));
}

#[test]
fn content_that_is_escaped_or_folded_is_followed() {
    let (start, end) = (id("<|im_start|>"), id("<|im_end|>"));
    for source in [
        "<|im_start|>{{ messages[0].content | tojson }}<|im_end|>",
        "<|im_start|>{{ messages[0].content | lower }}<|im_end|>",
        "<|im_start|>{{ messages[0].content | capitalize }}<|im_end|>",
        "<|im_start|>{{ messages[0].content.upper() }}<|im_end|>",
        "<|im_start|>{{ messages[0].content.replace('/no_think', '') }}<|im_end|>",
    ] {
        for content in [
            "Say \"Hi\" /no_think",
            "<|IM_END|> <|im_end|> <|im_",
            "ß \\ ŉ",
        ] {
            assert_eq!(
                structure(source, content),
                Ok(vec![start, end]),
                "{source} {content}"
            );
        }
    }
}

#[test]
fn an_assistants_reasoning_is_cut_away() {
    let style = style("reasoning");
    let fake = vocabulary("reasoning");
    let template = ChatTemplate::new(style.source, style.bos, style.eos).unwrap();
    let conversation = |answer: &str| {
        vec![
            message(Role::User, "Why <b>so</b>?"),
            message(Role::Assistant, answer),
            message(Role::User, "And then </think>?"),
        ]
    };
    let with = conversation("<think>\nIs it <|im_end|>?\n</think>\n\nBecause.");
    let without = conversation("Because.");
    assert_eq!(
        template.encode(&with, &fake).unwrap(),
        template.encode(&without, &fake).unwrap()
    );
}

#[test]
fn markers_of_the_scaffold_are_kept_from_content() {
    let style = style("reasoning");
    for traits in [
        Traits::default(),
        Traits {
            space_prefix: true,
            ..Traits::default()
        },
    ] {
        let fake = Fake::new("markers", style, traits);
        let template = ChatTemplate::new(style.source, style.bos, style.eos).unwrap();
        // The scaffold of this conversation has no tool's turn, and yet its marker is kept.
        let ids = template
            .encode(&said("a <tool_response> b <table> c"), &fake)
            .unwrap();
        let texts: Vec<&str> = ids
            .iter()
            .filter_map(|id| fake.control_tokens().iter().find(|token| token.id == *id))
            .map(|token| token.text.as_str())
            .collect();
        assert_eq!(
            texts,
            [
                "<|im_start|>",
                "<table>",
                "<|im_end|>",
                "<|im_start|>",
                "<think>"
            ]
        );
    }
}

#[test]
fn the_begin_of_the_text_stands_once() {
    let style = style("turns");
    let adds = Fake::new(
        "adds",
        style,
        Traits {
            bos: true,
            ..Traits::default()
        },
    );
    let leaves = Fake::new("leaves", style, Traits::default());
    let template = ChatTemplate::new(style.source, style.bos, style.eos).unwrap();
    let ids = template.encode(&said("hi"), &adds).unwrap();
    assert_eq!(ids, template.encode(&said("hi"), &leaves).unwrap());
    let bos = adds.leading().unwrap();
    assert_eq!(ids.iter().filter(|id| **id == bos).count(), 1);
    // A user's BOS at the start of the text is not the scaffold's.
    let bare = ChatTemplate::new("{{ messages[0].content }}", style.bos, style.eos).unwrap();
    let ids = bare.encode(&said("<bos>"), &adds).unwrap();
    assert_eq!(ids[0], bos);
    assert!(ids.len() > 1 && !ids[1..].contains(&bos));
}

#[test]
fn a_template_that_drops_messages_is_followed() {
    let fake = vocabulary("chatml");
    let source = "{% for m in messages if m.role == 'user' %}{{ m.content }}{% endfor %}<|im_end|>";
    let template = ChatTemplate::new(source, "", "").unwrap();
    let conversation = [
        message(Role::System, "<|im_end|>"),
        message(Role::User, "hi"),
    ];
    assert_eq!(
        template.encode(&conversation, &fake),
        template.encode(&said("hi"), &fake)
    );
    assert_eq!(
        ChatTemplate::new("", "", "")
            .unwrap()
            .encode(&conversation, &fake),
        Ok(vec![])
    );
}

/// Control tokens that are made of white space, or hold some.
struct Spaced(ControlTokens);

impl Spaced {
    fn new() -> Self {
        let texts = ["<|end turn|>", "\n\n", "<|x|>", "<|x|>\n"];
        let tokens = texts.iter().zip(SPECIAL..).map(|(text, id)| ControlToken {
            id,
            text: (*text).to_owned(),
            kind: Kind::Control,
            lstrip: false,
            rstrip: false,
        });
        Self(ControlTokens::new(tokens.collect()))
    }
}

impl Vocabulary for Spaced {
    fn tokenize(&self, text: &str) -> Result<Vec<u32>, Untokenizable> {
        Ok(text.bytes().map(u32::from).collect())
    }

    fn control_tokens(&self) -> &ControlTokens {
        &self.0
    }

    fn leading(&self) -> Option<u32> {
        None
    }

    fn trailing(&self) -> Option<u32> {
        None
    }
}

#[test]
fn white_space_of_content_is_no_part_of_a_control_token() {
    let encode = |source: &str, content: &str| {
        let template = ChatTemplate::new(source, "", "").unwrap();
        let ids = template.encode(&said(content), &Spaced::new())?;
        Ok(ids.into_iter().filter(|id| *id >= SPECIAL).collect())
    };
    let plain = "{{ messages[0].content }}<|end turn|>";
    assert_eq!(encode(plain, "a\n\nb <|end turn|>"), Ok(vec![SPECIAL]));
    assert_eq!(
        encode("<|x|>{{ messages[0].content }}", "\nb"),
        Ok(vec![SPECIAL + 2])
    );
    assert_eq!(
        encode("<|end{{ messages[0].content }}turn|>", " "),
        Ok(vec![])
    );
    // A template that looks for line ends can't be followed there.
    assert_eq!(
        encode(
            "{{ messages[0].content.split('\n') | join(' ') }}<|end turn|>",
            "a\nb"
        ),
        Err(TemplateError::HidesContent)
    );
}

#[test]
fn more_characters_than_can_be_followed_are_a_limit() {
    let fake = vocabulary("chatml");
    let all: String = ('\u{0}'..='\u{10FFFF}').take(140_000).collect();
    let template = ChatTemplate::new("{{ messages[0].content }}", "", "").unwrap();
    assert_eq!(
        template.encode(&said(&all), &fake),
        Err(TemplateError::Limit("distinct characters in the messages"))
    );
}

/// A vocabulary whose every text is one control token.
struct Possessed(ControlTokens);

impl Vocabulary for Possessed {
    fn tokenize(&self, _: &str) -> Result<Vec<u32>, Untokenizable> {
        Ok(vec![SPECIAL])
    }

    fn control_tokens(&self) -> &ControlTokens {
        &self.0
    }

    fn leading(&self) -> Option<u32> {
        None
    }

    fn trailing(&self) -> Option<u32> {
        None
    }
}

#[test]
fn a_vocabulary_that_cannot_spell_plainly_is_an_error() {
    let token = ControlToken {
        id: SPECIAL,
        text: "<s>".to_owned(),
        kind: Kind::Control,
        lstrip: false,
        rstrip: false,
    };
    let vocabulary = Possessed(ControlTokens::new(vec![token]));
    let template = ChatTemplate::new("{{ messages[0].content }}", "", "").unwrap();
    for content in ["hello", "a <s> b"] {
        assert_eq!(
            template.encode(&said(content), &vocabulary),
            Err(TemplateError::Untokenizable(Untokenizable))
        );
    }
}
