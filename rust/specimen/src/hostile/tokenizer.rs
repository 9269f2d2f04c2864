//! Faults in the vocabulary.

use super::Faults;
use crate::{
    draft::Draft,
    value::{Value, kind},
};

const TOKENS: &str = "tokenizer.ggml.tokens";
const TYPES: &str = "tokenizer.ggml.token_type";
const SCORES: &str = "tokenizer.ggml.scores";
const MERGES: &str = "tokenizer.ggml.merges";

/// The token `<0x0A>`, and a word.
const LINE_FEED: usize = 13;
const WORD: usize = 360;

pub(super) fn add(faults: &mut Faults) {
    models(faults);
    tokens(faults);
    types(faults);
    bytes(faults);
    scores(faults);
    merges(faults);
    roles(faults);
    templates(faults);
}

fn models(faults: &mut Faults) {
    const MODEL: &str = "gguf.tokenizer_model";
    let key = "tokenizer.ggml.model";
    faults.llama("gguf.key_missing", "tokenizer_missing", |draft| {
        draft.remove(key);
    });
    for (name, model) in [
        ("tokenizer_unknown", "clairvoyant"),
        ("tokenizer_empty", ""),
        ("tokenizer_none", "none"),
        ("tokenizer_for_tests", "test"),
        ("tokenizer_of_another_architecture", "bert"),
    ] {
        faults.llama(MODEL, name, |draft| {
            draft.set(key, model);
        });
    }
    for (name, pre) in [
        ("pre_tokenizer_unknown", "smollm3000"),
        ("pre_tokenizer_in_capitals", "SMOLLM"),
        ("pre_tokenizer_that_aborts_on_two_spaces", "whitespace"),
    ] {
        faults.pairs("gguf.tokenizer_pre", name, |draft| {
            draft.set("tokenizer.ggml.pre", pre);
        });
    }
}

fn tokens(faults: &mut Faults) {
    let size = faults.tokens;
    faults.llama("gguf.key_missing", "tokens_missing", |draft| {
        draft.remove(TOKENS);
    });
    faults.llama("gguf.key_type", "tokens_are_numbers", |draft| {
        draft.set(TOKENS, Value::I32s(vec![0; size]));
    });
    faults.llama("gguf.vocabulary_size", "no_tokens", |draft| {
        draft.set(TOKENS, Value::Texts(vec![]));
    });
    faults.llama(
        "gguf.vocabulary_size",
        "tokens_fewer_than_announced",
        |draft| {
            draft.set("llama.vocab_size", 32_000);
        },
    );
    faults.llama("gguf.duplicate_token", "token_twice", |draft| {
        let tokens = draft.value_mut(TOKENS).texts_mut();
        let twin = tokens[WORD + 1].clone();
        tokens[WORD] = twin;
    });
    faults.llama(
        "gguf.duplicate_token",
        "token_with_the_name_of_an_empty_one",
        |draft| {
            let tokens = draft.value_mut(TOKENS).texts_mut();
            tokens[WORD].clear();
            tokens[WORD + 1] = format!("[EMPTY_{WORD}]").into_bytes();
        },
    );
    faults.llama("gguf.token", "token_of_5000_bytes", |draft| {
        draft.value_mut(TOKENS).texts_mut()[WORD] = vec![b'-'; 5000];
    });
}

fn types(faults: &mut Faults) {
    const CODE: &str = "gguf.token_types";
    let size = faults.tokens;
    faults.llama(CODE, "types_missing", |draft| {
        draft.remove(TYPES);
    });
    faults.llama(CODE, "types_one_too_few", |draft| {
        draft.value_mut(TYPES).i32s_mut().pop();
    });
    faults.llama(CODE, "types_one_too_many", |draft| {
        draft.value_mut(TYPES).i32s_mut().push(1);
    });
    faults.llama(CODE, "types_none", |draft| {
        draft.value_mut(TYPES).i32s_mut().clear();
    });
    faults.llama(CODE, "type_of_a_token_7", |draft| {
        draft.value_mut(TYPES).i32s_mut()[WORD] = 7;
    });
    faults.pairs(CODE, "type_of_a_token_negative", |draft| {
        draft.value_mut(TYPES).i32s_mut()[9] = -1;
    });
    faults.llama("gguf.key_type", "types_unsigned", |draft| {
        draft.set(TYPES, Value::U32s(vec![1; size]));
    });
    faults.llama("gguf.special_tokens", "special_tokens_too_many", |draft| {
        crowd(draft, 17_000);
    });
}

/// Makes the vocabulary so large, all of it special. The weights become 4-bit ones, to be small.
fn crowd(draft: &mut Draft, size: usize) {
    const Q4_0: u32 = 2;
    const USER_DEFINED: i32 = 4;
    let tokens = draft.value_mut(TOKENS).texts_mut();
    for id in tokens.len()..size {
        tokens.push(format!("<special {id}>").into_bytes());
    }
    draft.value_mut(TYPES).i32s_mut().resize(size, USER_DEFINED);
    draft.value_mut(SCORES).f32s_mut().resize(size, 0.0);
    draft.set("llama.vocab_size", size as u32);
    for name in ["token_embd.weight", "output.weight"] {
        let tensor = draft.tensor_mut(name);
        tensor.dimensions[1] = size as u64;
        tensor.kind = Q4_0;
        tensor.data = vec![0; size * 64 / 32 * 18];
    }
}

fn bytes(faults: &mut Faults) {
    let mut written = |name, text: &str| {
        faults.llama("gguf.byte_token", name, |draft| {
            draft.value_mut(TOKENS).texts_mut()[LINE_FEED] = text.as_bytes().to_vec();
        });
    };
    written("byte_in_lower_case", "<0x0a>");
    written("byte_too_short", "<0>");
    written("byte_too_long", "<0x00A>");
    written("byte_not_hex", "<0xZZ>");
    written("byte_with_a_sign", "<0x-1>");
    written("byte_without_brackets", "0x0A");
    written("byte_empty", "");
    faults.llama("gguf.byte_token", "byte_missing", |draft| {
        draft.value_mut(TOKENS).texts_mut()[LINE_FEED] = b"newline".to_vec();
        draft.value_mut(TYPES).i32s_mut()[LINE_FEED] = 1;
    });
    faults.pairs("gguf.byte_token", "byte_among_pairs", |draft| {
        draft.value_mut(TYPES).i32s_mut()[LINE_FEED] = 6;
    });
}

fn scores(faults: &mut Faults) {
    let size = faults.tokens;
    faults.llama("gguf.scores", "scores_missing", |draft| {
        draft.remove(SCORES);
    });
    faults.llama("gguf.scores", "scores_one_too_few", |draft| {
        draft.value_mut(SCORES).f32s_mut().pop();
    });
    faults.llama("gguf.scores", "scores_one_too_many", |draft| {
        draft.value_mut(SCORES).f32s_mut().push(0.0);
    });
    faults.llama("gguf.key_type", "scores_of_one_byte", |draft| {
        draft.set(
            SCORES,
            Value::raw_array(kind::U8, size as u64, &vec![0; size]),
        );
    });
    faults.llama("gguf.key_type", "scores_a_number", |draft| {
        draft.set(SCORES, 1.0);
    });
}

fn merges(faults: &mut Faults) {
    const CODE: &str = "gguf.merges";
    faults.pairs(CODE, "merges_missing", |draft| {
        draft.remove(MERGES);
    });
    let mut merge = |name, text: &str| {
        faults.pairs(CODE, name, |draft| {
            draft.value_mut(MERGES).texts_mut()[3] = text.as_bytes().to_vec();
        });
    };
    merge("merge_empty", "");
    merge("merge_of_one", "Ġt");
    merge("merge_without_a_second", "Ġt ");
    merge("merge_without_a_first", " h");
    faults.pairs("gguf.key_type", "merges_are_numbers", |draft| {
        draft.set(MERGES, Value::I32s(vec![1, 2, 3]));
    });
}

fn roles(faults: &mut Faults) {
    const CODE: &str = "gguf.special_token";
    let size = faults.tokens as u32;
    for (name, key, id) in [
        ("bos_outside", "bos_token_id", size),
        ("eos_outside", "eos_token_id", 128_009),
        ("eot_beyond_number", "eot_token_id", u32::MAX),
        ("padding_outside", "padding_token_id", 32_000),
        ("unknown_outside", "unknown_token_id", 1 << 31),
        ("old_prefix_outside", "prefix_token_id", 32_007),
    ] {
        faults.llama(CODE, name, |draft| {
            draft.set(&format!("tokenizer.ggml.{key}"), id);
        });
    }
    faults.llama("gguf.key_type", "bos_negative", |draft| {
        draft.set("tokenizer.ggml.bos_token_id", Value::I32(-1));
    });
    faults.llama("gguf.key_type", "add_bos_a_number", |draft| {
        draft.set("tokenizer.ggml.add_bos_token", 1);
    });
    faults.llama("gguf.key_type", "types_counted_in_words", |draft| {
        draft.set("tokenizer.ggml.token_type_count", "two");
    });
    faults.llama("gguf.key_type", "suppressed_tokens_unsigned", |draft| {
        draft.set("tokenizer.ggml.suppress_tokens", Value::U32s(vec![1]));
    });
    faults.pairs(CODE, "bos_added_that_isnt_there", |draft| {
        draft.remove("tokenizer.ggml.bos_token_id");
        draft
            .set("tokenizer.ggml.pre", "glm4")
            .set("tokenizer.ggml.add_bos_token", true);
    });
    faults.pairs(CODE, "phi_without_its_tokens", |draft| {
        draft.set("general.name", "Phi-3 mini");
    });
}

fn templates(faults: &mut Faults) {
    for (name, key) in [
        ("template_of_300_kib", "tokenizer.chat_template"),
        (
            "second_template_of_300_kib",
            "tokenizer.chat_template.tool_use",
        ),
    ] {
        faults.llama("gguf.chat_template", name, |draft| {
            draft.set(key, " ".repeat(300 << 10).as_str());
        });
    }
    faults.llama("gguf.key_type", "template_a_number", |draft| {
        draft.set("tokenizer.chat_template", 1);
    });
}
