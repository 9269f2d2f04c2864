//! Seeded hostile streams, read from both sides: no decoder panics, none believes a length, and what
//! is accepted means the same to both decoders and survives being encoded again.
#![allow(missing_docs, clippy::unwrap_used)]

use std::fmt::Debug;

use serde::{Serialize, de::DeserializeOwned};
use strongroom_protocol::{
    Buffer, Decoder, Embed, Embedded, Event, Fault, FaultCode, FinishReason, Finished, Generate,
    Isolation, Layer, LayerName, LayerState, Limits, MAX_EVENT, MAX_ORDER, Message, Order, Pooling,
    PrefixCache, Priority, Prompt, Publish, Ready, Report, Role, Sampling, Start, Task, Tenant,
    frame, order::Private,
};

/// Reads between two decodings, small and large.
const CHUNKS: [usize; 4] = [1, 3, 64, usize::MAX];

/// `SplitMix64` (Steele, Lea, Flood 2014).
struct Random(u64);

impl Random {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.bits() % bound as u64).unwrap()
    }

    fn byte(&mut self) -> u8 {
        self.bits().to_le_bytes()[0]
    }

    /// Numbers of every length.
    fn number(&mut self) -> u64 {
        let shift = self.below(64);
        self.bits() >> shift
    }

    fn small(&mut self) -> u32 {
        let shift = self.below(32);
        u32::try_from(self.bits() >> 32).unwrap() >> shift
    }

    fn float(&mut self) -> f32 {
        // Not NaN, which equals nothing, itself included.
        let float = f32::from_bits(self.small().rotate_left(7));
        if float.is_nan() { 0.0 } else { float }
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    fn text(&mut self) -> String {
        let length = self.below(40);
        (0..length)
            .map(|_| self.one(&['a', '\0', 'é', '→', '𝄞', '\u{10ffff}', '\u{200b}', '"']))
            .collect()
    }

    fn private(&mut self) -> Private {
        self.text().into()
    }

    fn many<T>(&mut self, mut one: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let length = self.below(5);
        (0..length).map(|_| one(self)).collect()
    }

    fn maybe<T>(&mut self, one: impl FnOnce(&mut Self) -> T) -> Option<T> {
        (self.below(2) == 1).then(|| one(self))
    }

    fn fault(&mut self) -> Fault {
        Fault::new(self.one(FaultCode::ALL), self.text())
    }

    fn report(&mut self) -> Report {
        Report {
            layers: self.many(|random| Layer {
                name: random.one(&LayerName::ALL),
                state: random.one(&[LayerState::InForce, LayerState::Absent, LayerState::Off]),
                detail: random.text(),
            }),
        }
    }

    fn prompt(&mut self) -> Prompt {
        match self.below(2) {
            0 => Prompt::Text(self.private()),
            _ => Prompt::Chat(self.many(|random| Message {
                role: random.one(&Role::ALL),
                content: random.private(),
                name: random.maybe(Self::private),
            })),
        }
    }

    fn tenant(&mut self) -> Option<Tenant> {
        self.maybe(|random| Tenant([(); 32].map(|()| random.byte())))
    }

    fn priority(&mut self) -> Priority {
        self.one(&[Priority::Low, Priority::Normal, Priority::High])
    }

    fn order(&mut self) -> Order {
        let request = self.number();
        match self.below(6) {
            0 => Order::Start(Box::new(Start {
                version: self.small(),
                isolation: self.one(&[
                    Isolation::DangerNone,
                    Isolation::Process,
                    Isolation::Maximum,
                ]),
                limits: Limits {
                    address_space: self.number(),
                    cores: self.many(Self::small),
                    threads: self.small(),
                    load_cpu_seconds: self.number(),
                },
                task: self.one(&[
                    Task::Generate,
                    Task::Embed { pooling: None },
                    Task::Embed {
                        pooling: Some(Pooling::Cls),
                    },
                ]),
                context_length: self.maybe(Self::small),
                chat_template: self.maybe(Self::text),
                concurrent_requests: self.small(),
                max_concurrent: self.small(),
                batch_tokens: self.small(),
                prefix_cache: PrefixCache {
                    quota: self.number(),
                    tenants: self.small(),
                    idle_seconds: self.small(),
                },
                erase: self.below(2) == 1,
            })),
            1 => Order::Generate(Box::new(Generate {
                request,
                prompt: self.prompt(),
                sampling: Sampling {
                    logit_bias: self.many(|random| (random.small(), random.float())),
                    repeat_penalty: self.float(),
                    presence_penalty: self.float(),
                    frequency_penalty: self.float(),
                    top_k: self.small(),
                    top_p: self.float(),
                    min_p: self.float(),
                    temperature: self.float(),
                    seed: self.small(),
                },
                max_tokens: self.maybe(Self::small),
                stop: self.many(Self::private),
                timeout_ms: self.number(),
                piece_interval_ms: self.small(),
                tenant: self.tenant(),
                priority: self.priority(),
            })),
            2 => Order::Tokenize {
                request,
                text: self.private(),
            },
            3 => Order::Embed(Box::new(Embed {
                request,
                texts: self.many(Self::private),
                normalize: self.below(2) == 1,
                timeout_ms: self.number(),
                tenant: self.tenant(),
                priority: self.priority(),
            })),
            4 => Order::Publish(Box::new(Publish {
                request,
                prompt: self.prompt(),
                timeout_ms: self.number(),
            })),
            _ => Order::Cancel { request },
        }
    }

    fn event(&mut self) -> Event {
        let request = self.number();
        match self.below(10) {
            0 => Event::Locked(self.report()),
            1 => Event::Ready(Box::new(Ready {
                context_length: self.small(),
                context_trained: self.small(),
                vocabulary_size: self.small(),
                parameters: self.number(),
                chat: self.maybe(Self::fault),
                threads: self.small(),
                max_concurrent: self.small(),
                dimensions: self.small(),
                report: self.report(),
                lock_micros: self.number(),
                load_micros: self.number(),
            })),
            2 => Event::Failed(self.fault()),
            3 => Event::Began {
                request,
                prompt_tokens: self.small(),
                cached_tokens: self.small(),
            },
            4 => Event::Piece {
                request,
                text: self.private(),
                tokens: self.small(),
            },
            5 => Event::Finished(Box::new(Finished {
                request,
                reason: self.one(&[
                    FinishReason::EndOfGeneration,
                    FinishReason::StopString,
                    FinishReason::Length,
                    FinishReason::Cancelled,
                ]),
                completion_tokens: self.small(),
                queue_micros: self.number(),
                prompt_micros: self.number(),
                decode_micros: self.number(),
            })),
            6 => Event::Tokens {
                request,
                ids: self.many(Self::small),
            },
            7 => Event::Refused {
                request,
                fault: self.fault(),
            },
            8 => Event::Embedded(Box::new(Embedded {
                request,
                tokens: self.small(),
                rows: self.many(Self::byte),
            })),
            _ => Event::Published {
                request,
                tokens: self.small(),
            },
        }
    }

    /// Changes some bytes: flips, cuts, repeats, puts in.
    fn damage(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len() + 1);
            match self.below(5) {
                0 => bytes.truncate(at),
                1 => bytes.insert(at, self.byte()),
                2 => {
                    let tail = bytes[at..].to_vec();
                    bytes.extend(tail);
                }
                _ if at < bytes.len() => {
                    bytes[at] ^= 1 << self.below(8);
                }
                _ => bytes.push(self.byte()),
            }
        }
    }
}

/// Everything that a stream of bytes says, and whether it ended well.
fn read<T: DeserializeOwned>(bytes: &[u8], bound: usize) -> (Vec<T>, bool) {
    let mut decoder = Decoder::new(bytes, bound);
    let mut messages = Vec::new();
    loop {
        match decoder.next() {
            Ok(Some(message)) => messages.push(message),
            Ok(None) => return (messages, true),
            Err(_) => return (messages, false),
        }
    }
}

/// The same, put into a buffer in chunks.
fn read_in_chunks<T: DeserializeOwned>(bytes: &[u8], bound: usize, chunk: usize) -> (Vec<T>, bool) {
    let mut buffer = Buffer::new(bound);
    let mut messages = Vec::new();
    for chunk in bytes.chunks(chunk.min(bytes.len().max(1))) {
        buffer.extend(chunk);
        loop {
            match buffer.next() {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(_) => return (messages, false),
            }
        }
    }
    (messages, buffer.is_empty())
}

fn encoded<T: Serialize>(messages: &[T], bound: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for message in messages {
        frame::encode(message, bound, &mut bytes).unwrap();
    }
    bytes
}

/// Reads `bytes` in every way; what was accepted means the same when it is encoded again.
fn check<T: Serialize + DeserializeOwned + Debug>(bytes: &[u8], bound: usize) {
    let (messages, ended) = read::<T>(bytes, bound);
    // Compared as text, because NaN equals nothing.
    let shown = format!("{messages:?}");
    for chunk in CHUNKS {
        let (chunked, chunked_ended) = read_in_chunks::<T>(bytes, bound, chunk);
        assert_eq!(format!("{chunked:?}"), shown);
        assert_eq!(chunked_ended, ended);
    }
    let again = encoded(&messages, bound);
    let (repeated, true) = read::<T>(&again, bound) else {
        panic!("what was encoded decodes");
    };
    assert_eq!(encoded(&repeated, bound), again);
}

fn sound<T>(random: &mut Random, bound: usize, one: fn(&mut Random) -> T)
where
    T: Serialize + DeserializeOwned + PartialEq + Debug,
{
    let messages = random.many(one);
    let bytes = encoded(&messages, bound);
    assert_eq!(read::<T>(&bytes, bound), (messages, true));
    check::<T>(&bytes, bound);
}

fn damaged<T>(random: &mut Random, bound: usize, one: fn(&mut Random) -> T)
where
    T: Serialize + DeserializeOwned + Debug,
{
    let messages = random.many(one);
    let mut bytes = encoded(&messages, bound);
    random.damage(&mut bytes);
    check::<T>(&bytes, bound);
}

#[test]
fn what_is_sent_is_what_is_read() {
    for seed in 0..2_000 {
        let random = &mut Random(seed);
        sound(random, MAX_ORDER, Random::order);
        sound(random, MAX_EVENT, Random::event);
    }
}

#[test]
fn damaged_streams() {
    for seed in 0..6_000 {
        let random = &mut Random(seed);
        damaged(random, MAX_ORDER, Random::order);
        damaged(random, MAX_EVENT, Random::event);
    }
}

#[test]
fn noise_behind_a_sound_prefix() {
    for seed in 0..6_000 {
        let random = &mut Random(seed);
        let length = 1 + random.below(60);
        let mut bytes = u32::try_from(length).unwrap().to_le_bytes().to_vec();
        // A sound first byte takes the noise further in.
        bytes.push(random.byte() % 8);
        bytes.extend((1..length).map(|_| random.byte()));
        check::<Order>(&bytes, MAX_ORDER);
        check::<Event>(&bytes, MAX_EVENT);
    }
}

#[test]
fn truncated_at_every_byte() {
    let random = &mut Random(1);
    for _ in 0..200 {
        let bytes = encoded(&[random.event()], MAX_EVENT);
        for end in 1..bytes.len() {
            assert_eq!(read::<Event>(&bytes[..end], MAX_EVENT), (vec![], false));
        }
        let bytes = encoded(&[random.order()], MAX_ORDER);
        for end in 1..bytes.len() {
            assert_eq!(read::<Order>(&bytes[..end], MAX_ORDER), (vec![], false));
        }
    }
}

#[test]
fn a_promised_length_allocates_nothing() {
    /// Gives a prefix, then one byte, then the end; counts what it is asked for at once.
    struct Promise {
        left: Vec<u8>,
        largest: usize,
    }

    impl std::io::Read for Promise {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            self.largest = self.largest.max(buffer.len());
            let count = self.left.len().min(buffer.len());
            buffer[..count].copy_from_slice(&self.left[..count]);
            self.left.drain(..count);
            Ok(count)
        }
    }

    let mut left = u32::try_from(MAX_ORDER).unwrap().to_le_bytes().to_vec();
    left.push(0);
    let mut promise = Promise { left, largest: 0 };
    let mut decoder = Decoder::new(&mut promise, MAX_ORDER);
    assert!(decoder.next::<Order>().is_err());
    assert!(promise.largest < 1 << 20, "{}", promise.largest);
}

#[test]
fn a_message_over_the_bound_is_not_encoded() {
    let message = Order::Tokenize {
        request: 1,
        text: "x".repeat(100).into(),
    };
    let mut out = vec![7];
    assert!(frame::encode(&message, 50, &mut out).is_err());
    assert_eq!(out, [7], "what was there stays");
    frame::encode(&message, 200, &mut out).unwrap();
    assert_eq!(read::<Order>(&out[1..], 200), (vec![message], true));
}

#[test]
fn private_text_is_not_shown() {
    let order = Order::Tokenize {
        request: 1,
        text: "the tenant's secret".into(),
    };
    assert_eq!(
        format!("{order:?}"),
        "Tokenize { request: 1, text: <19 bytes> }"
    );
}
