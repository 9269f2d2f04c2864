//! Faults in the numbers that describe a model.

use super::Faults;
use crate::{tiny::Family, value::Value};

pub(super) fn add(faults: &mut Faults) {
    identity(faults);
    sizes(faults);
    heads(faults);
    rope(faults);
    scales(faults);
    experts(faults);
    windows(faults);
    purposes(faults);
}

impl Faults {
    /// A Llama with another value of one key.
    fn with(&mut self, code: &'static str, name: &'static str, key: &str, value: impl Into<Value>) {
        self.llama(code, name, |draft| {
            draft.set(key, value);
        });
    }

    /// A Llama without one key.
    fn without(&mut self, code: &'static str, name: &'static str, key: &str) {
        self.llama(code, name, |draft| {
            draft.remove(key);
        });
    }
}

fn identity(faults: &mut Faults) {
    const KEY: &str = "general.architecture";
    faults.without("gguf.key_missing", "architecture_missing", KEY);
    faults.with("gguf.architecture", "architecture_empty", KEY, "");
    faults.with("gguf.architecture", "architecture_unchecked", KEY, "mamba");
    faults.with(
        "gguf.architecture",
        "architecture_unknown",
        KEY,
        "llama\u{0}",
    );
    faults.with("gguf.key_type", "architecture_a_number", KEY, 7);
    faults.with("gguf.key_type", "name_a_number", "general.name", 7);
    faults.with(
        "gguf.key_type",
        "file_type_a_text",
        "general.file_type",
        "Q4_0",
    );
    faults.with("gguf.kind", "an_adapter", "general.type", "adapter");
    faults.with("gguf.kind", "a_projector", "general.type", "mmproj");
    faults.with("gguf.split", "first_part_of_two", "split.count", 2);
    faults.with("gguf.split", "second_part", "split.no", 1);
    faults.with(
        "gguf.split",
        "minus_one_parts",
        "split.count",
        Value::I32(-1),
    );
    faults.with("gguf.key_type", "parts_as_text", "split.count", "2");
}

fn sizes(faults: &mut Faults) {
    faults.with("gguf.block_count", "layers_0", "llama.block_count", 0);
    faults.with("gguf.block_count", "layers_513", "llama.block_count", 513);
    faults.with(
        "gguf.block_count",
        "layers_beyond_number",
        "llama.block_count",
        u32::MAX,
    );
    faults.with(
        "gguf.tensor_missing",
        "layers_one_too_many",
        "llama.block_count",
        3,
    );
    faults.with(
        "gguf.tensor_unexpected",
        "layers_one_too_few",
        "llama.block_count",
        1,
    );
    faults.with(
        "gguf.key_type",
        "layers_of_64_bits",
        "llama.block_count",
        Value::U64(2),
    );
    faults.with(
        "gguf.key_type",
        "layers_signed",
        "llama.block_count",
        Value::I32(2),
    );
    faults.without("gguf.key_missing", "layers_missing", "llama.block_count");
    faults.with(
        "gguf.context_length",
        "context_0",
        "llama.context_length",
        0,
    );
    faults.with(
        "gguf.context_length",
        "context_beyond_number",
        "llama.context_length",
        u32::MAX,
    );
    faults.without(
        "gguf.key_missing",
        "context_missing",
        "llama.context_length",
    );
    faults.with(
        "gguf.embedding_length",
        "embedding_0",
        "llama.embedding_length",
        0,
    );
    faults.with(
        "gguf.embedding_length",
        "embedding_beyond_number",
        "llama.embedding_length",
        u32::MAX,
    );
    faults.with(
        "gguf.embedding_length",
        "embedding_of_another_output",
        "llama.embedding_length_out",
        32,
    );
    faults.without(
        "gguf.key_missing",
        "embedding_missing",
        "llama.embedding_length",
    );
    let key = "llama.feed_forward_length";
    faults.with("gguf.feed_forward_length", "feed_forward_0", key, 0);
    faults.with(
        "gguf.feed_forward_length",
        "feed_forward_uneven",
        key,
        Value::U32s(vec![128, 64]),
    );
    faults.with(
        "gguf.tensor_shape",
        "feed_forward_of_another_length",
        key,
        96,
    );
    faults.without("gguf.key_missing", "feed_forward_missing", key);
}

fn heads(faults: &mut Faults) {
    const COUNT: &str = "gguf.head_count";
    const LENGTH: &str = "gguf.head_length";
    let key = "llama.attention.head_count";
    faults.with(COUNT, "heads_0", key, 0);
    faults.with(COUNT, "heads_3", key, 3);
    faults.with(COUNT, "heads_more_than_components", key, 65);
    faults.with(COUNT, "heads_beyond_number", key, u32::MAX);
    faults.with(COUNT, "heads_uneven", key, Value::U32s(vec![4, 2]));
    faults.with(
        "gguf.key_type",
        "heads_of_three_layers",
        key,
        Value::U32s(vec![4, 4, 4]),
    );
    faults.with(
        "gguf.key_type",
        "heads_of_no_layer",
        key,
        Value::U32s(vec![]),
    );
    faults.with(
        "gguf.key_type",
        "heads_negative",
        key,
        Value::I32s(vec![-4, -4]),
    );
    faults.without("gguf.key_missing", "heads_missing", key);
    let key = "llama.attention.head_count_kv";
    faults.with(COUNT, "shared_heads_0", key, 0);
    faults.with(COUNT, "shared_heads_3", key, 3);
    faults.with(COUNT, "shared_heads_uneven", key, Value::U32s(vec![2, 4]));
    faults.with(
        "gguf.tensor_shape",
        "shared_heads_of_another_number",
        key,
        1,
    );

    let mut sized = |name, key_length: u32, value_length: u32| {
        faults.llama(LENGTH, name, |draft| {
            draft.set("llama.attention.key_length", key_length);
            draft.set("llama.attention.value_length", value_length);
        });
    };
    sized("heads_of_no_component", 0, 0);
    sized("heads_of_17_components", 17, 17);
    sized("heads_of_two_lengths", 16, 32);
    sized("heads_of_lengths_beyond_number", u32::MAX - 1, u32::MAX - 1);
    faults.family(
        Family::Qwen2,
        LENGTH,
        "heads_wider_than_the_embedding",
        |draft| {
            draft.set("qwen2.attention.key_length", 32);
            draft.set("qwen2.attention.value_length", 32);
        },
    );
}

fn rope(faults: &mut Faults) {
    const DIMENSION: &str = "gguf.rope_dimension";
    const SCALING: &str = "gguf.rope_scaling";
    let key = "llama.rope.dimension_count";
    faults.with(DIMENSION, "rotation_of_nothing", key, 0);
    faults.with(DIMENSION, "rotation_of_15_components", key, 15);
    faults.with(DIMENSION, "rotation_of_half_a_head", key, 8);
    faults.with(DIMENSION, "rotation_beyond_the_head", key, 32);
    faults.with(DIMENSION, "rotation_beyond_number", key, u32::MAX - 1);
    faults.family(
        Family::Qwen3,
        DIMENSION,
        "rotation_of_half_a_qwen_head",
        |draft| {
            draft.set("qwen3.rope.dimension_count", 8);
        },
    );
    faults.family(
        Family::Phi3,
        DIMENSION,
        "rotation_of_9_phi_components",
        |draft| {
            draft.set("phi3.rope.dimension_count", 9);
        },
    );
    let key = "llama.rope.freq_base";
    faults.with("gguf.rope_base", "rope_base_0", key, 0.0);
    faults.with("gguf.rope_base", "rope_base_1", key, 1.0);
    faults.with("gguf.rope_base", "rope_base_negative", key, -10_000.0);
    faults.with(
        "gguf.key_type",
        "rope_base_double",
        key,
        Value::F64(10_000.0),
    );
    faults.with(
        SCALING,
        "scaling_unknown",
        "llama.rope.scaling.type",
        "cubic",
    );
    faults.with(SCALING, "scaling_empty", "llama.rope.scaling.type", "");
    faults.with(SCALING, "scaling_by_0", "llama.rope.scaling.factor", 0.0);
    faults.with(
        SCALING,
        "scaling_by_minus_2",
        "llama.rope.scaling.factor",
        -2.0,
    );
    faults.with(
        SCALING,
        "scaling_beyond_number",
        "llama.rope.scaling.factor",
        f32::MAX,
    );
    faults.with(
        SCALING,
        "scaling_from_no_context",
        "llama.rope.scaling.original_context_length",
        0,
    );
    faults.with(
        SCALING,
        "scaling_attention_by_minus_1",
        "llama.rope.scaling.attn_factor",
        -1.0,
    );
    faults.with(
        SCALING,
        "yarn_beyond_number",
        "llama.rope.scaling.yarn_ext_factor",
        f32::MAX,
    );
    faults.with(
        "gguf.key_type",
        "scaling_type_a_number",
        "llama.rope.scaling.type",
        1,
    );
}

fn scales(faults: &mut Faults) {
    let key = "llama.attention.layer_norm_rms_epsilon";
    faults.with("gguf.epsilon", "epsilon_0", key, 0.0);
    faults.with("gguf.epsilon", "epsilon_negative", key, -1e-5);
    faults.with("gguf.epsilon", "epsilon_of_a_million", key, 1e6);
    faults.without("gguf.key_missing", "epsilon_missing", key);
    faults.family(
        Family::Gemma3,
        "gguf.scale",
        "softcapping_negative",
        |draft| {
            draft.set("gemma3.final_logit_softcapping", -30.0_f32);
        },
    );
    faults.with(
        "gguf.scale",
        "attention_scale_negative",
        "llama.attention.scale",
        -1.0,
    );
    faults.with(
        "gguf.scale",
        "logit_scale_beyond_number",
        "llama.logit_scale",
        f32::MAX,
    );
}

fn experts(faults: &mut Faults) {
    const EXPERTS: &str = "gguf.experts";
    let mut mixed = |name, key: &str, value: u32| {
        faults.family(Family::LlamaExperts, EXPERTS, name, |draft| {
            draft.set(key, value);
        });
    };
    mixed("experts_beyond_number", "llama.expert_count", u32::MAX);
    mixed("experts_none_of_two_used", "llama.expert_count", 0);
    mixed(
        "experts_of_which_none_is_used",
        "llama.expert_used_count",
        0,
    );
    mixed("experts_used_more_than_exist", "llama.expert_used_count", 5);
    mixed("experts_in_groups_of_one", "llama.expert_group_count", 4);
    mixed("experts_in_uneven_groups", "llama.expert_group_count", 3);
    mixed("experts_in_unused_groups", "llama.expert_group_count", 2);
    faults.family(
        Family::Qwen2,
        EXPERTS,
        "experts_in_a_dense_model",
        |draft| {
            draft
                .set("qwen2.expert_count", 4)
                .set("qwen2.expert_used_count", 2);
        },
    );
}

fn windows(faults: &mut Faults) {
    const WINDOW: &str = "gguf.sliding_window";
    let mut windowed = |code, name, key: &str, value: Value| {
        faults.family(Family::Gemma3, code, name, |draft| {
            draft.set(key, value);
        });
    };
    let key = "gemma3.attention.sliding_window";
    windowed(WINDOW, "window_0", key, Value::U32(0));
    windowed(WINDOW, "window_beyond_number", key, Value::U32(u32::MAX));
    windowed("gguf.key_type", "window_signed", key, Value::I32(512));
    let key = "gemma3.attention.sliding_window_pattern";
    windowed(WINDOW, "window_pattern_0", key, Value::U32(0));
    windowed(WINDOW, "window_of_no_layer", key, Value::U32(1));
    windowed(
        WINDOW,
        "window_switched_off_everywhere",
        key,
        Value::Bools(vec![false; 2]),
    );
    windowed(
        WINDOW,
        "window_pattern_of_three_layers",
        key,
        Value::Bools(vec![true, true, false]),
    );
    windowed(
        WINDOW,
        "window_pattern_of_600_layers",
        key,
        Value::Bools(vec![true; 600]),
    );
    windowed(
        WINDOW,
        "window_pattern_with_a_2",
        key,
        Value::U32s(vec![0, 2]),
    );
    windowed(
        WINDOW,
        "window_pattern_of_fractions",
        key,
        Value::F32s(vec![0.0, 1.0]),
    );
    windowed(
        "gguf.head_length",
        "window_heads_of_another_length",
        "gemma3.attention.key_length_swa",
        Value::U32(32),
    );
}

fn purposes(faults: &mut Faults) {
    faults.with(
        "gguf.causality",
        "sees_what_comes_later",
        "llama.attention.causal",
        false,
    );
    faults.with(
        "gguf.key_type",
        "causality_a_number",
        "llama.attention.causal",
        1,
    );
    faults.with("gguf.pooling", "pooling_9", "llama.pooling_type", 9);
    let labels = Value::Bools(vec![true; 2]);
    faults.with(
        "gguf.key_type",
        "labels_of_truths",
        "llama.classifier.output_labels",
        labels,
    );
    faults.with(
        "gguf.pooling",
        "pooling_of_a_classifier",
        "llama.classifier.pooling_type",
        u32::MAX,
    );
    faults.with(
        "gguf.next_tokens",
        "a_layer_for_further_tokens",
        "llama.nextn_predict_layers",
        1,
    );
    faults.with(
        "gguf.next_tokens",
        "more_layers_than_there_are",
        "llama.nextn_predict_layers",
        3,
    );
}
