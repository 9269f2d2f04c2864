//! Sound models are accepted, and described as they are.

#![allow(clippy::unwrap_used)]

use std::{collections::HashSet, env, fs};
use strongroom_gguf::{Finding, Header, Policy, Refusal, preflight};
use strongroom_specimen::{Draft, Family, Value, Vocabulary, draft};

fn check(draft: &Draft) -> Result<Header, Refusal> {
    let file = draft.write();
    preflight(&file, file.len() as u64, &Policy::default())
}

fn codes(header: &Header) -> Vec<&str> {
    header.findings.iter().map(|finding| finding.code).collect()
}

#[test]
fn every_family_is_accepted_without_a_remark() {
    for family in Family::ALL {
        for vocabulary in [Vocabulary::Spm, Vocabulary::Bpe] {
            let header = check(&draft(family, vocabulary)).unwrap();
            assert_eq!(header.architecture, family.architecture());
            assert_eq!(codes(&header), [""; 0], "{family:?} with {vocabulary:?}");
        }
    }
}

#[test]
fn the_header_says_what_the_model_is() {
    let header = check(&draft(Family::Llama, Vocabulary::Bpe)).unwrap();
    assert_eq!(header.version, 3);
    assert_eq!(header.name.as_deref(), Some("Strongroom specimen"));
    assert_eq!(header.quantization, "F32");
    assert_eq!(
        (
            header.context_length,
            header.embedding_length,
            header.block_count
        ),
        (2048, 64, 2)
    );
    assert_eq!(header.tensor_count, 21);
    assert!(header.chat_template.unwrap().contains("<|im_start|>"));
    assert_eq!(header.tokenizer.model, "gpt2");
    assert_eq!(header.tokenizer.pre.as_deref(), Some("smollm"));
    let roles: Vec<(&str, &str)> = header
        .tokenizer
        .special_tokens
        .iter()
        .map(|token| (token.role, token.text.as_str()))
        .collect();
    assert_eq!(
        roles,
        [
            ("bos", "<|im_start|>"),
            ("eos", "<|endoftext|>"),
            ("eot", "<|im_end|>")
        ]
    );
}

#[test]
fn the_footprint_follows_from_the_shape() {
    // Two layers, two heads of 16 components for keys and two for values, 16 bits each.
    let layers = 2 * 2 * 2 * 16 * 2;
    for family in Family::ALL {
        let header = check(&draft(family, Vocabulary::Bpe)).unwrap();
        let footprint = header.footprint.unwrap();
        let (full, windowed, window) = match family {
            // By default one layer in six sees everything, and here there are two.
            Family::Gemma3 => (0, layers, 512),
            _ => (layers, 0, 0),
        };
        assert_eq!(footprint.token_bytes, full, "{family:?}");
        assert_eq!(footprint.window_token_bytes, windowed, "{family:?}");
        assert_eq!(footprint.window, window, "{family:?}");
    }
}

#[test]
fn the_pattern_says_which_layers_have_a_window() {
    let pattern = "gemma3.attention.sliding_window_pattern";
    let mut gemma = draft(Family::Gemma3, Vocabulary::Bpe);
    gemma.set(pattern, 2);
    let footprint = check(&gemma).unwrap().footprint.unwrap();
    assert_eq!(
        (footprint.token_bytes, footprint.window_token_bytes),
        (128, 128)
    );
    assert_eq!(
        footprint.cache(2048, 128),
        2048 * 128 + 768 * 128,
        "one layer with the context, one with the window and a step"
    );
    gemma.set(pattern, Value::raw_array(7, 2, &[1, 1]));
    let footprint = check(&gemma).unwrap().footprint.unwrap();
    assert_eq!(
        (footprint.token_bytes, footprint.window_token_bytes),
        (0, 256)
    );
    // Without a window no layer looks through one.
    gemma.remove("gemma3.attention.sliding_window");
    let footprint = check(&gemma).unwrap().footprint.unwrap();
    assert_eq!(
        (footprint.token_bytes, footprint.window_token_bytes),
        (256, 0)
    );
}

#[test]
fn parameters_are_counted() {
    let header = check(&draft(Family::Phi3, Vocabulary::Spm)).unwrap();
    let vocabulary = u64::from(header.tokenizer.vocabulary_size);
    let layer = 64 + 64 * 128 + 64 * 64 + 64 + 64 * 256 + 128 * 64;
    assert_eq!(header.parameters, 2 * vocabulary * 64 + 2 * layer + 64);
}

#[test]
fn optional_parts_are_accepted() {
    let mut tied = draft(Family::Llama, Vocabulary::Spm);
    tied.remove_tensor("output.weight")
        .push("rope_freqs.weight", &[8], &[1.0; 8]);
    tied.push("blk.0.attn_q.bias", &[64], &[0.0; 64]);
    check(&tied).unwrap();

    let mut per_layer = draft(Family::Llama, Vocabulary::Spm);
    per_layer
        .set("llama.attention.head_count", Value::U32s(vec![4, 4]))
        .set("llama.attention.head_count_kv", Value::I32s(vec![2, 2]));
    check(&per_layer).unwrap();

    let mut windows = draft(Family::Gemma3, Vocabulary::Spm);
    windows.set(
        "gemma3.attention.sliding_window_pattern",
        Value::Bools(vec![true, false]),
    );
    check(&windows).unwrap();

    let mut old = draft(Family::Llama, Vocabulary::Spm);
    old.version = 2;
    assert_eq!(check(&old).unwrap().version, 2);
}

#[test]
fn what_is_remarkable_is_found() {
    type Change = fn(&mut Draft);
    let cases: [(&str, Change); 7] = [
        ("finding.no_chat_template", |draft| {
            draft.remove("tokenizer.chat_template");
        }),
        ("finding.no_end_token", |draft| {
            draft
                .remove("tokenizer.ggml.eos_token_id")
                .remove("tokenizer.ggml.eot_token_id");
        }),
        ("finding.no_pre_tokenizer", |draft| {
            draft.remove("tokenizer.ggml.pre");
        }),
        ("finding.empty_tokens", |draft| {
            draft.value_mut("tokenizer.ggml.tokens").texts_mut()[200].clear();
        }),
        ("finding.embedding_model", |draft| {
            draft.set("llama.pooling_type", 3);
        }),
        ("finding.unknown_keys", |draft| {
            draft.set("elsewhere.key", 3);
        }),
        ("finding.trailing_bytes", |draft| {
            let last = draft.tensors.len() - 1;
            draft.tensors[last].data.extend([0; 64]);
        }),
    ];
    for (code, change) in cases {
        let mut changed = draft(Family::Llama, Vocabulary::Bpe);
        change(&mut changed);
        assert_eq!(codes(&check(&changed).unwrap()), [code]);
        assert!(Finding::CODES.contains(&code));
    }
}

#[test]
fn other_architectures_need_leave() {
    let mut other = draft(Family::Llama, Vocabulary::Spm);
    for (key, _) in &mut other.metadata {
        if let Some(rest) = key.strip_prefix(b"llama.") {
            *key = [b"granite.", rest].concat();
        }
    }
    other
        .set("general.architecture", "granite")
        .set("tokenizer.ggml.model", "plamo2");
    assert_eq!(check(&other).unwrap_err().code(), "gguf.architecture");

    let file = other.write();
    let policy = Policy {
        allow_architectures: vec!["granite".to_owned()],
    };
    let header = preflight(&file, file.len() as u64, &policy).unwrap();
    assert_eq!(
        codes(&header),
        [
            "finding.unchecked_architecture",
            "finding.unchecked_tokenizer"
        ]
    );
    assert_eq!(header.footprint, None);
    // The other findings have been seen above.
    assert_eq!(Finding::CODES.iter().collect::<HashSet<_>>().len(), 9);

    other.set("granite.block_count", 0);
    let file = other.write();
    let refusal = preflight(&file, file.len() as u64, &policy).unwrap_err();
    assert_eq!(refusal.code(), "gguf.block_count");
}

#[test]
fn a_real_model_is_accepted_from_a_prefix() {
    let Some(path) = env::var_os("STRONGROOM_TEST_MODEL") else {
        eprintln!("SKIPPED: STRONGROOM_TEST_MODEL doesn't name a model");
        return;
    };
    let file = fs::read(path).unwrap();
    let size = file.len() as u64;
    let mut prefix = 1 << 16;
    let header = loop {
        match preflight(&file[..prefix.min(file.len())], size, &Policy::default()) {
            Ok(header) => break header,
            Err(refusal) => {
                let needs = refusal.needs().unwrap_or_else(|| panic!("{refusal}"));
                assert!(needs > prefix as u64);
                prefix = usize::try_from(needs).unwrap().max(prefix * 2);
            }
        }
    };
    assert!(prefix < 8 << 20, "{prefix} bytes were needed");
    assert_eq!(header, preflight(&file, size, &Policy::default()).unwrap());
    assert_eq!(
        (header.architecture.as_str(), header.quantization.as_str()),
        ("llama", "Q4_1")
    );
    assert_eq!(
        (header.parameters, header.context_length),
        (134_515_008, 8192)
    );
    assert_eq!(header.tokenizer.vocabulary_size, 49_152);
    assert_eq!(codes(&header), [""; 0]);
}
