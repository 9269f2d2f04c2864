//! The frames in `vectors/` and this implementation agree.
#![allow(missing_docs, clippy::unwrap_used)]

use std::fmt::Debug;

use serde::{Serialize, de::DeserializeOwned};
use strongroom_protocol::{
    Buffer, Decoder, Embed, Embedded, Event, ExitCode, Fault, FaultCode, FinishReason, Finished,
    FrameError, Generate, Isolation, Layer, LayerName, LayerState, Limits, MAX_EVENT, MAX_ORDER,
    MAX_TEXT, Message, Order, Pooling, PrefixCache, Priority, Prompt, Publish, Ready, Report, Role,
    Sampling, Start, Task, Tenant, frame,
};

const FRAMES: &str = include_str!("../vectors/frames.txt");
const REFUSED: &str = include_str!("../vectors/refused.txt");

/// The lines of a file of vectors: words before the hex, and the bytes.
fn vectors<const WORDS: usize>(text: &str) -> Vec<([&str; WORDS], Vec<u8>)> {
    text.lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| {
            let mut words = line.split_whitespace();
            let named = [(); WORDS].map(|()| words.next().unwrap());
            (named, hex(&words.collect::<String>()))
        })
        .collect()
}

fn hex(text: &str) -> Vec<u8> {
    assert!(text.len().is_multiple_of(2), "{text}");
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

fn limits(cores: Vec<u32>, threads: u32) -> Limits {
    Limits {
        address_space: 2_000_000_000,
        cores,
        threads,
        load_cpu_seconds: 60,
    }
}

fn generate_text() -> Order {
    Order::Generate(Box::new(Generate {
        request: 2,
        prompt: Prompt::Text("hi".into()),
        sampling: Sampling {
            logit_bias: vec![(5, -1.5)],
            repeat_penalty: 1.1,
            presence_penalty: 0.0,
            frequency_penalty: 0.5,
            top_k: 40,
            top_p: 0.95,
            min_p: 0.05,
            temperature: 0.7,
            seed: u32::MAX - 1,
        },
        max_tokens: Some(64),
        stop: vec!["\n\n".into()],
        timeout_ms: 30_000,
        piece_interval_ms: 25,
        tenant: Some(Tenant([0x5a; 32])),
        priority: Priority::High,
    }))
}

fn generate_chat() -> Order {
    Order::Generate(Box::new(Generate {
        request: 3,
        prompt: Prompt::Chat(vec![
            Message {
                role: Role::System,
                content: "a".into(),
                name: None,
            },
            Message {
                role: Role::User,
                content: "b".into(),
                name: Some("n".into()),
            },
        ]),
        sampling: Sampling {
            logit_bias: Vec::new(),
            repeat_penalty: 1.0,
            presence_penalty: 0.0,
            frequency_penalty: 0.0,
            top_k: 0,
            top_p: 1.0,
            min_p: 0.0,
            temperature: 0.0,
            seed: 0,
        },
        max_tokens: None,
        stop: Vec::new(),
        timeout_ms: 1,
        piece_interval_ms: 0,
        tenant: None,
        priority: Priority::Normal,
    }))
}

fn order(name: &str) -> Order {
    match name {
        "cancel" => Order::Cancel { request: 7 },
        "cancel-300" => Order::Cancel { request: 300 },
        "tokenize" => Order::Tokenize {
            request: 1,
            text: "hé".into(),
        },
        "start" => Order::Start(Box::new(Start {
            version: 3,
            isolation: Isolation::Process,
            limits: limits(vec![0, 1], 2),
            task: Task::Generate,
            context_length: None,
            chat_template: None,
            concurrent_requests: 4,
            max_concurrent: 2,
            batch_tokens: 64,
            prefix_cache: PrefixCache {
                quota: 1000,
                tenants: 3,
                idle_seconds: 600,
            },
            erase: true,
        })),
        "start-danger" => Order::Start(Box::new(Start {
            version: 3,
            isolation: Isolation::DangerNone,
            limits: limits(vec![3], 1),
            task: Task::Embed {
                pooling: Some(Pooling::Last),
            },
            context_length: Some(512),
            chat_template: Some("{}".to_owned()),
            concurrent_requests: 128,
            max_concurrent: 1,
            batch_tokens: 512,
            prefix_cache: PrefixCache {
                quota: 0,
                tenants: 0,
                idle_seconds: 0,
            },
            erase: false,
        })),
        "generate-text" => generate_text(),
        "generate-chat" => generate_chat(),
        "embed" => Order::Embed(Box::new(Embed {
            request: 4,
            texts: vec!["a".into(), "hé".into()],
            normalize: true,
            timeout_ms: 1000,
            tenant: None,
            priority: Priority::Low,
        })),
        "publish" => Order::Publish(Box::new(Publish {
            request: 5,
            prompt: Prompt::Text("hi".into()),
            timeout_ms: 2000,
        })),
        _ => panic!("no order is named {name}"),
    }
}

fn layer(name: LayerName, state: LayerState, detail: &str) -> Layer {
    Layer {
        name,
        state,
        detail: detail.to_owned(),
    }
}

fn ready() -> Ready {
    Ready {
        context_length: 4096,
        context_trained: 8192,
        vocabulary_size: 32_000,
        parameters: 1_000_000,
        chat: None,
        threads: 2,
        max_concurrent: 16,
        dimensions: 0,
        report: Report::default(),
        lock_micros: 1500,
        load_micros: 250_000,
    }
}

fn event(name: &str) -> Event {
    match name {
        "locked" => Event::Locked(Report {
            layers: vec![layer(
                LayerName::NoNewPrivileges,
                LayerState::InForce,
                "prctl",
            )],
        }),
        "locked-partly" => Event::Locked(Report {
            layers: vec![
                layer(LayerName::LandlockNetwork, LayerState::Absent, "abi 3"),
                layer(LayerName::SeccompServe, LayerState::Off, ""),
            ],
        }),
        "ready" => Event::Ready(Box::new(ready())),
        "ready-without-chat" => Event::Ready(Box::new(Ready {
            chat: Some(Fault::new(FaultCode::TemplateMissing, "no")),
            report: Report {
                layers: vec![layer(LayerName::SeccompLoad, LayerState::InForce, "")],
            },
            lock_micros: 0,
            load_micros: 1,
            ..ready()
        })),
        "failed" => Event::Failed(Fault::new(FaultCode::Load, "magic")),
        "began" => Event::Began {
            request: 1,
            prompt_tokens: 12,
            cached_tokens: 4,
        },
        "piece" => Event::Piece {
            request: 1,
            text: "→".into(),
            tokens: 2,
        },
        "finished" => Event::Finished(Box::new(Finished {
            request: 1,
            reason: FinishReason::Length,
            completion_tokens: 64,
            queue_micros: 0,
            prompt_micros: 1500,
            decode_micros: 250_000,
        })),
        "tokens" => Event::Tokens {
            request: 9,
            ids: vec![1, 256, 31_999],
        },
        "refused" => Event::Refused {
            request: 4,
            fault: Fault::new(FaultCode::Busy, ""),
        },
        "embedded" => Event::Embedded(Box::new(Embedded {
            request: 4,
            tokens: 3,
            rows: [1.0_f32, -0.5]
                .iter()
                .flat_map(|number| number.to_le_bytes())
                .collect(),
        })),
        "published" => Event::Published {
            request: 5,
            tokens: 2,
        },
        _ => panic!("no event is named {name}"),
    }
}

fn agree<T>(name: &str, message: &T, bytes: &[u8], bound: usize)
where
    T: Serialize + DeserializeOwned + PartialEq + Debug,
{
    let mut encoded = Vec::new();
    frame::encode(message, bound, &mut encoded).unwrap();
    assert_eq!(encoded, bytes, "{name} encodes to its vector");
    let decoded: T = Decoder::new(bytes, bound).next().unwrap().unwrap();
    assert_eq!(&decoded, message, "{name} decodes from its vector");
}

#[test]
fn frames_are_what_the_specification_says() {
    let vectors = vectors(FRAMES);
    assert_eq!(vectors.len(), 21, "none is lost in reading the file");
    for ([side, name], bytes) in vectors {
        match side {
            "host" => agree(name, &order(name), &bytes, MAX_ORDER),
            "worker" => agree(name, &event(name), &bytes, MAX_EVENT),
            _ => panic!("{side} is no side"),
        }
    }
}

#[test]
fn every_kind_of_message_has_a_vector() {
    let kinds = |wanted: &str| -> Vec<u8> {
        let mut kinds: Vec<u8> = vectors::<2>(FRAMES)
            .iter()
            .filter(|([side, _], _)| *side == wanted)
            .map(|(_, bytes)| bytes[frame::PREFIX])
            .collect();
        kinds.sort_unstable();
        kinds.dedup();
        kinds
    };
    assert_eq!(kinds("host"), [0, 1, 2, 3, 4, 5]);
    assert_eq!(kinds("worker"), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
}

fn refusal<T: DeserializeOwned + Debug>(bytes: &[u8], bound: usize) -> &'static str {
    let kind = |error| match error {
        FrameError::Empty => "empty",
        FrameError::TooLong { .. } => "too_long",
        FrameError::Malformed => "malformed",
        FrameError::Truncated => "truncated",
        FrameError::Io(_) => "io",
    };
    let refusal = kind(Decoder::new(bytes, bound).next::<T>().unwrap_err());
    let mut buffer = Buffer::new(bound);
    buffer.extend(bytes);
    let buffered = match buffer.next::<T>() {
        Err(error) => kind(error),
        // A buffer can't know that nothing follows.
        Ok(None) if !buffer.is_empty() => "truncated",
        Ok(message) => panic!("{message:?}"),
    };
    assert_eq!(refusal, buffered, "both decoders agree");
    refusal
}

#[test]
fn what_is_no_frame_is_refused() {
    let vectors = vectors(REFUSED);
    assert_eq!(vectors.len(), 30, "none is lost in reading the file");
    for ([side, name, error], bytes) in vectors {
        let refused = match side {
            "host" => refusal::<Order>(&bytes, MAX_ORDER),
            "worker" => refusal::<Event>(&bytes, MAX_EVENT),
            _ => panic!("{side} is no side"),
        };
        assert_eq!(refused, error, "{name}");
    }
}

#[test]
fn the_specification_lists_every_code_and_layer() {
    let page = include_str!("../SPEC.md");
    let page = page.split_whitespace().collect::<Vec<_>>().join(" ");
    for (number, code) in FaultCode::ALL.iter().enumerate() {
        let row = format!("{number} {}", code.as_str());
        assert!(page.contains(&row), "{row}");
    }
    for (number, name) in LayerName::ALL.iter().enumerate() {
        let row = format!("{number} {}", name.as_str());
        assert!(page.contains(&row), "{row}");
    }
    for code in 0..=255 {
        let listed = page.contains(&format!("| {code} | the host closed"))
            || page.contains(&format!("| {code} | Failed was sent"))
            || page.contains(&format!("| {code} | a panic"))
            || page.contains(&format!("| {code} | llama.cpp aborted"))
            || page.contains(&format!("| {code} | out of memory"))
            || page.contains(&format!("| {code} | the host broke"));
        assert_eq!(ExitCode::from_raw(code).is_some(), listed, "{code}");
    }
    for bound in [MAX_ORDER, MAX_EVENT, MAX_TEXT] {
        let digits = bound.to_string();
        let mut grouped = String::new();
        for (index, digit) in digits.chars().enumerate() {
            if index > 0 && (digits.len() - index).is_multiple_of(3) {
                grouped.push(',');
            }
            grouped.push(digit);
        }
        assert!(page.contains(&grouped), "{grouped}");
    }
}
