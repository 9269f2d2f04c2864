//! Sound models of a few hundred kilobytes that llama.cpp loads and that generate text.
//!
//! Nobody trained them, so what they say means nothing; but they say it with printable characters,
//! go on until they are stopped, and a given prompt at temperature 0 always has the same answer.
//! To make them stop, raise the bias of the end token above 60.

use crate::{
    draft::Draft,
    random::Random,
    value::Value,
    vocabulary::{Speech, Tokens, Vocabulary},
};

/// The `ChatML` template, as most small chat models carry it.
pub const CHATML: &str = "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + \
message['content'] + '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}\
{{ '<|im_start|>assistant\n' }}{% endif %}";

/// The context that every tiny model claims to be trained for, in tokens.
pub const CONTEXT_LENGTH: u32 = 2048;

/// GGUF's number of the type.
const U16: u32 = 2;

const EMBEDDING: u64 = 64;
const HEADS: u64 = 4;
const KEY_VALUE_HEADS: u64 = 2;
const HEAD: u64 = EMBEDDING / HEADS;
const KEY_VALUE: u64 = HEAD * KEY_VALUE_HEADS;
const LAYERS: u64 = 2;
const EXPERTS: u64 = 4;

/// The architectures that preflight checks in depth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Family {
    Llama,
    /// The `llama` architecture with four experts, two of them in use.
    LlamaExperts,
    Qwen2,
    Qwen3,
    Gemma3,
    Phi3,
}

impl Family {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Llama,
        Self::LlamaExperts,
        Self::Qwen2,
        Self::Qwen3,
        Self::Gemma3,
        Self::Phi3,
    ];

    /// What `general.architecture` says.
    pub fn architecture(self) -> &'static str {
        match self {
            Self::Llama | Self::LlamaExperts => "llama",
            Self::Qwen2 => "qwen2",
            Self::Qwen3 => "qwen3",
            Self::Gemma3 => "gemma3",
            Self::Phi3 => "phi3",
        }
    }

    /// Four experts have to be smaller, for the model to stay below a megabyte.
    fn feed_forward(self) -> u64 {
        if self == Self::LlamaExperts { 64 } else { 128 }
    }
}

/// A tiny Llama as a file: two layers, 32-bit weights, a `ChatML` template.
pub fn tiny(vocabulary: Vocabulary) -> Vec<u8> {
    draft(Family::Llama, vocabulary).write()
}

/// The same without a chat template.
pub fn tiny_without_template(vocabulary: Vocabulary) -> Vec<u8> {
    draft(Family::Llama, vocabulary)
        .remove("tokenizer.chat_template")
        .write()
}

/// The same, of which the file says that its vectors are pooled by their mean.
pub fn tiny_that_pools(vocabulary: Vocabulary) -> Vec<u8> {
    draft(Family::Llama, vocabulary)
        .set("llama.pooling_type", 1_u32)
        .write()
}

/// A tiny model in `count` parts, as `llama-gguf-split` writes them: the first has the metadata.
///
/// # Panics
/// If it has fewer tensors than that.
pub fn split(vocabulary: Vocabulary, count: usize) -> Vec<Draft> {
    let whole = draft(Family::Llama, vocabulary);
    let tensors = whole.tensors.len();
    assert!((1..=tensors).contains(&count), "{tensors} tensors");
    let number = |number: usize| Value::Raw(U16, (number as u16).to_le_bytes().to_vec());
    (0..count)
        .map(|part| {
            let mut draft = if part == 0 {
                whole.clone()
            } else {
                Draft::default()
            };
            draft.tensors =
                whole.tensors[part * tensors / count..(part + 1) * tensors / count].to_vec();
            draft
                .set("split.no", number(part))
                .set("split.count", number(count))
                .set("split.tensors.count", Value::U32(tensors as u32));
            draft
        })
        .collect()
}

/// The first of two parts of a split model.
pub fn split_part(vocabulary: Vocabulary) -> Vec<u8> {
    split(vocabulary, 2)[0].write()
}

/// A tiny model of any family before it is written, to be changed.
pub fn draft(family: Family, vocabulary: Vocabulary) -> Draft {
    let tokens = vocabulary.tokens();
    let mut draft = Draft::default();
    describe(&mut draft, family, &tokens);
    tokens.describe(vocabulary, &mut draft);
    draft.set("tokenizer.chat_template", CHATML);
    Weights {
        draft: &mut draft,
        random: Random::new(0x5742_0001),
    }
    .all(family, &tokens);
    draft
}

fn describe(draft: &mut Draft, family: Family, tokens: &Tokens) {
    let architecture = family.architecture();
    let key = |name: &str| format!("{architecture}.{name}");
    draft
        .set("general.architecture", architecture)
        .set("general.type", "model")
        .set("general.name", "Strongroom specimen")
        .set("general.file_type", 0)
        .set(&key("context_length"), CONTEXT_LENGTH)
        .set(&key("embedding_length"), EMBEDDING as u32)
        .set(&key("block_count"), LAYERS as u32)
        .set(&key("feed_forward_length"), family.feed_forward() as u32)
        .set(&key("attention.head_count"), HEADS as u32)
        .set(&key("attention.head_count_kv"), KEY_VALUE_HEADS as u32)
        .set(&key("attention.layer_norm_rms_epsilon"), 1e-5_f32)
        .set(&key("rope.dimension_count"), HEAD as u32)
        .set(&key("rope.freq_base"), 10_000.0_f32)
        .set(&key("vocab_size"), tokens.len() as u32);
    match family {
        Family::LlamaExperts => {
            draft
                .set("llama.expert_count", EXPERTS as u32)
                .set("llama.expert_used_count", 2);
        }
        Family::Qwen3 | Family::Gemma3 => {
            draft
                .set(&key("attention.key_length"), HEAD as u32)
                .set(&key("attention.value_length"), HEAD as u32);
            if family == Family::Gemma3 {
                draft.set("gemma3.attention.sliding_window", 512);
            }
        }
        _ => {}
    }
}

/// Writes the weights. Component 0 of the residual stream is a constant that no layer touches, so
/// that the output matrix can use it as a bias: that is how the model is kept to printable text.
struct Weights<'a> {
    draft: &'a mut Draft,
    random: Random,
}

impl Weights<'_> {
    fn all(&mut self, family: Family, tokens: &Tokens) {
        let vocabulary = tokens.len() as u64;
        self.embedding(vocabulary);
        for layer in 0..LAYERS {
            self.attention(family, layer);
            self.feed_forward(family, layer);
        }
        self.norm("output_norm.weight", EMBEDDING);
        self.output(tokens, vocabulary);
    }

    fn attention(&mut self, family: Family, layer: u64) {
        let name = |part: &str| format!("blk.{layer}.{part}.weight");
        self.norm(&name("attn_norm"), EMBEDDING);
        if family == Family::Phi3 {
            self.matrix(&name("attn_qkv"), &[EMBEDDING, EMBEDDING + 2 * KEY_VALUE]);
        } else {
            self.matrix(&name("attn_q"), &[EMBEDDING, EMBEDDING]);
            self.matrix(&name("attn_k"), &[EMBEDDING, KEY_VALUE]);
            self.matrix(&name("attn_v"), &[EMBEDDING, KEY_VALUE]);
        }
        if family == Family::Qwen2 {
            for (part, length) in [("q", EMBEDDING), ("k", KEY_VALUE), ("v", KEY_VALUE)] {
                self.zeros(&format!("blk.{layer}.attn_{part}.bias"), length);
            }
        }
        if matches!(family, Family::Qwen3 | Family::Gemma3) {
            self.norm(&name("attn_q_norm"), HEAD);
            self.norm(&name("attn_k_norm"), HEAD);
        }
        self.residual_matrix(&name("attn_output"), &[EMBEDDING, EMBEDDING]);
        if family == Family::Gemma3 {
            self.norm(&name("post_attention_norm"), EMBEDDING);
        }
    }

    fn feed_forward(&mut self, family: Family, layer: u64) {
        let inner = family.feed_forward();
        let name = |part: &str| format!("blk.{layer}.{part}.weight");
        self.norm(&name("ffn_norm"), EMBEDDING);
        match family {
            Family::LlamaExperts => {
                self.matrix(&name("ffn_gate_inp"), &[EMBEDDING, EXPERTS]);
                self.matrix(&name("ffn_gate_exps"), &[EMBEDDING, inner, EXPERTS]);
                self.residual_matrix(&name("ffn_down_exps"), &[inner, EMBEDDING, EXPERTS]);
                self.matrix(&name("ffn_up_exps"), &[EMBEDDING, inner, EXPERTS]);
            }
            Family::Phi3 => {
                self.matrix(&name("ffn_up"), &[EMBEDDING, 2 * inner]);
                self.residual_matrix(&name("ffn_down"), &[inner, EMBEDDING]);
            }
            _ => {
                self.matrix(&name("ffn_gate"), &[EMBEDDING, inner]);
                self.matrix(&name("ffn_up"), &[EMBEDDING, inner]);
                self.residual_matrix(&name("ffn_down"), &[inner, EMBEDDING]);
            }
        }
        if family == Family::Gemma3 {
            self.norm(&name("post_ffw_norm"), EMBEDDING);
        }
    }

    fn embedding(&mut self, vocabulary: u64) {
        let shape = [EMBEDDING, vocabulary];
        let weights = self.draw(&shape, 1.0, |_, column| (column == 0).then_some(4.0));
        self.draft.push("token_embd.weight", &shape, &weights);
    }

    fn output(&mut self, tokens: &Tokens, vocabulary: u64) {
        let shape = [EMBEDDING, vocabulary];
        let weights = self.draw(&shape, 0.35, |row, column| {
            (column == 0).then(|| match tokens.speech.get(row) {
                Some(Speech::Word) => 0.0,
                Some(Speech::Byte) => -2.0,
                _ => -8.0,
            })
        });
        self.draft.push("output.weight", &shape, &weights);
    }

    fn matrix(&mut self, name: &str, shape: &[u64]) {
        let weights = self.draw(shape, (shape[0] as f32).sqrt().recip(), |_, _| None);
        self.draft.push(name, shape, &weights);
    }

    /// A matrix whose result is added to the residual stream: it leaves component 0 alone.
    fn residual_matrix(&mut self, name: &str, shape: &[u64]) {
        let rows = shape[1] as usize;
        let scale = (shape[0] as f32).sqrt().recip();
        let weights = self.draw(shape, scale, |row, _| {
            row.is_multiple_of(rows).then_some(0.0)
        });
        self.draft.push(name, shape, &weights);
    }

    fn norm(&mut self, name: &str, length: u64) {
        self.draft
            .push(name, &[length], &vec![1.0; length as usize]);
    }

    fn zeros(&mut self, name: &str, length: u64) {
        self.draft
            .push(name, &[length], &vec![0.0; length as usize]);
    }

    /// Random weights, row by row, where `fixed` doesn't say otherwise.
    fn draw(
        &mut self,
        shape: &[u64],
        scale: f32,
        fixed: impl Fn(usize, usize) -> Option<f32>,
    ) -> Vec<f32> {
        let columns = shape[0] as usize;
        let count = shape.iter().product::<u64>() as usize;
        let mut weight = |index: usize| {
            let random = self.random.weight() * scale;
            fixed(index / columns, index % columns).unwrap_or(random)
        };
        (0..count).map(&mut weight).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{Family, Vocabulary, draft, tiny};

    #[test]
    fn models_are_small_and_always_the_same() {
        for vocabulary in [Vocabulary::Spm, Vocabulary::Bpe] {
            for family in Family::ALL {
                let file = draft(family, vocabulary).write();
                assert!(
                    file.len() < 1_000_000,
                    "{family:?} has {} bytes",
                    file.len()
                );
                assert_eq!(file, draft(family, vocabulary).write());
            }
        }
        assert_ne!(tiny(Vocabulary::Spm), tiny(Vocabulary::Bpe));
    }
}
