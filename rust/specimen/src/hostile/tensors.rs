//! Faults in the list of tensors.

use super::Faults;
use crate::{
    draft::{Draft, Tensor},
    tiny::Family,
};

/// A tensor in the middle of the file.
const MIDDLE: &str = "blk.0.attn_q.weight";

pub(super) fn add(faults: &mut Faults) {
    names(faults);
    shapes(faults);
    kinds(faults);
    offsets(faults);
    missing(faults);
    unexpected(faults);
    misshapen(faults);
    roles(faults);
}

/// Gives a tensor another shape, and as many bytes as that takes.
fn reshape(tensor: &mut Tensor, shape: &[u64]) {
    tensor.dimensions = shape.to_vec();
    tensor
        .data
        .resize(shape.iter().product::<u64>() as usize * 4, 0);
}

/// Stores a tensor in another type, of which it takes that many bytes.
fn store(tensor: &mut Tensor, kind: u32, bytes: usize) {
    tensor.kind = kind;
    tensor.data = vec![0; bytes];
}

fn names(faults: &mut Faults) {
    let mut named = |code, name, text: &[u8]| {
        faults.llama(code, name, |draft| {
            draft.tensor_mut(MIDDLE).name = text.to_vec();
        });
    };
    named("gguf.tensor_name", "tensor_without_a_name", b"");
    named("gguf.tensor_name", "tensor_name_of_64_bytes", &[b'x'; 64]);
    named(
        "gguf.tensor_name",
        "tensor_name_beyond_a_page",
        &[b'x'; 5000],
    );
    named("gguf.tensor_name", "tensor_name_not_utf8", b"blk.\xff");
    named(
        "gguf.tensor_name",
        "tensor_name_with_a_nul",
        b"blk.0.attn_q.weight\0x",
    );
    named(
        "gguf.duplicate_tensor",
        "tensor_twice",
        b"blk.0.attn_k.weight",
    );
}

fn shapes(faults: &mut Faults) {
    let mut shaped = |code, name, shape: &[u64]| {
        faults.llama(code, name, |draft| {
            draft.tensor_mut(MIDDLE).dimensions = shape.to_vec();
        });
    };
    shaped("gguf.dimensions", "tensor_without_dimensions", &[]);
    shaped(
        "gguf.dimensions",
        "tensor_of_five_dimensions",
        &[64, 64, 1, 1, 1],
    );
    shaped(
        "gguf.dimensions",
        "tensor_of_a_hundred_dimensions",
        &[1; 100],
    );
    shaped("gguf.dimension", "dimension_0", &[64, 0]);
    shaped("gguf.dimension", "dimension_negative", &[64, 1 << 63]);
    shaped("gguf.dimension", "dimension_minus_one", &[u64::MAX, 64]);
    shaped(
        "gguf.tensor_size",
        "tensor_size_wraps_to_zero",
        &[1 << 32, 1 << 32],
    );
    shaped("gguf.tensor_size", "tensor_size_wraps_in_bytes", &[1 << 61]);
    shaped(
        "gguf.tensor_size",
        "tensor_size_of_four_large_sides",
        &[1 << 20; 4],
    );
    shaped("gguf.truncated", "tensor_beyond_the_file", &[64, 1 << 30]);
}

fn kinds(faults: &mut Faults) {
    let mut stored = |code, name, kind| {
        faults.llama(code, name, |draft| draft.tensor_mut(MIDDLE).kind = kind);
    };
    stored("gguf.tensor_type", "tensor_type_removed", 4);
    stored("gguf.tensor_type", "tensor_type_repacked", 31);
    stored("gguf.tensor_type", "tensor_type_43", 43);
    stored("gguf.tensor_type", "tensor_type_negative", u32::MAX);
    stored("gguf.row_size", "row_of_a_quarter_block", 12);
    faults.llama("gguf.row_size", "row_of_one_and_a_half_blocks", |draft| {
        let tensor = draft.tensor_mut(MIDDLE);
        tensor.dimensions = vec![48, 64];
        tensor.kind = 8;
    });
}

fn offsets(faults: &mut Faults) {
    const OFFSET: &str = "gguf.tensor_offset";
    let mut placed = |name, offset| {
        faults.llama(OFFSET, name, |draft| {
            draft.tensor_mut(MIDDLE).offset = Some(offset);
        });
    };
    placed("offset_of_another_tensor", 0);
    placed("offset_unaligned", 1);
    placed("offset_beyond_number", u64::MAX);
    placed("offset_before_the_header", 0_u64.wrapping_sub(64));
    placed("offset_beyond_the_file", 1 << 40);
    faults.llama(OFFSET, "offset_of_the_first_isnt_0", |draft| {
        draft.tensors[0].offset = Some(32);
    });
    faults.llama(OFFSET, "offsets_overlap_by_a_block", |draft| {
        let first = draft.tensors[0].data.len() as u64;
        draft.tensors[1].offset = Some(first - 32);
    });
    faults.llama(OFFSET, "offsets_leave_a_gap", |draft| {
        let first = draft.tensors[0].data.len() as u64;
        draft.tensors[1].offset = Some(first + 32);
    });
}

fn missing(faults: &mut Faults) {
    const MISSING: &str = "gguf.tensor_missing";
    let mut without = |name, tensor: &str| {
        faults.llama(MISSING, name, |draft| {
            draft.remove_tensor(tensor);
        });
    };
    without("no_token_embedding", "token_embd.weight");
    without("no_output_norm", "output_norm.weight");
    without("no_attention_norm", "blk.1.attn_norm.weight");
    without("no_query", "blk.1.attn_q.weight");
    without("no_value", "blk.0.attn_v.weight");
    without("no_attention_output", "blk.0.attn_output.weight");
    without("no_feed_forward_down", "blk.1.ffn_down.weight");
    without("no_gate", "blk.0.ffn_gate.weight");
    let mut lacks = |family, name, tensor: &str| {
        faults.family(family, MISSING, name, |draft| {
            draft.remove_tensor(tensor);
        });
    };
    lacks(
        Family::LlamaExperts,
        "no_expert_gate",
        "blk.0.ffn_gate_exps.weight",
    );
    lacks(
        Family::LlamaExperts,
        "no_router",
        "blk.1.ffn_gate_inp.weight",
    );
    lacks(Family::Qwen3, "no_query_norm", "blk.0.attn_q_norm.weight");
    lacks(
        Family::Gemma3,
        "no_post_attention_norm",
        "blk.1.post_attention_norm.weight",
    );
    lacks(Family::Phi3, "no_fused_attention", "blk.0.attn_qkv.weight");
    faults.family(Family::Phi3, MISSING, "two_of_three_biases", |draft| {
        draft.push("blk.0.attn_q.bias", &[64], &[0.0; 64]);
        draft.push("blk.0.attn_k.bias", &[32], &[0.0; 32]);
    });
}

fn unexpected(faults: &mut Faults) {
    const UNEXPECTED: &str = "gguf.tensor_unexpected";
    let mut with = |name, tensor: &str| {
        faults.llama(UNEXPECTED, name, |draft| {
            draft.push(tensor, &[64], &[1.0; 64]);
        });
    };
    with("tensor_of_a_third_layer", "blk.2.attn_norm.weight");
    with("tensor_of_a_negative_layer", "blk.-1.attn_norm.weight");
    with("tensor_of_a_classifier", "cls.output.weight");
    with("tensor_of_nothing", "weight");
    faults.llama(UNEXPECTED, "fused_and_separate_attention", |draft| {
        draft.push("blk.0.attn_qkv.weight", &[64, 128], &vec![0.0; 64 * 128]);
    });
}

fn misshapen(faults: &mut Faults) {
    const SHAPE: &str = "gguf.tensor_shape";
    let tokens = faults.tokens as u64;
    let mut reshaped = |name, tensor: &str, shape: &[u64]| {
        faults.llama(SHAPE, name, |draft| {
            reshape(draft.tensor_mut(tensor), shape);
        });
    };
    reshaped(
        "embedding_of_too_few_tokens",
        "token_embd.weight",
        &[64, 256],
    );
    reshaped("embedding_too_narrow", "token_embd.weight", &[32, tokens]);
    reshaped("output_of_one_token", "output.weight", &[64, 1]);
    reshaped("norm_too_short", "blk.0.attn_norm.weight", &[32]);
    reshaped("norm_of_one_number", "output_norm.weight", &[1]);
    reshaped("query_of_half_the_heads", "blk.0.attn_q.weight", &[64, 32]);
    reshaped("key_of_one_head", "blk.1.attn_k.weight", &[64, 16]);
    reshaped("down_transposed", "blk.0.ffn_down.weight", &[64, 128]);
    reshaped(
        "matrix_of_three_dimensions",
        "blk.0.ffn_up.weight",
        &[64, 64, 2],
    );
    faults.llama(SHAPE, "rope_factors_too_short", |draft| {
        draft.push("rope_freqs.weight", &[4], &[1.0; 4]);
    });
    faults.family(Family::LlamaExperts, SHAPE, "experts_of_one", |draft| {
        reshape(draft.tensor_mut("blk.0.ffn_up_exps.weight"), &[64, 64, 1]);
    });
    faults.family(Family::Phi3, SHAPE, "phi_without_the_gates_half", |draft| {
        reshape(draft.tensor_mut("blk.0.ffn_up.weight"), &[64, 128]);
    });
}

fn roles(faults: &mut Faults) {
    let mut stored = |name, tensor: &str, kind, bytes| {
        let change = |draft: &mut Draft| store(draft.tensor_mut(tensor), kind, bytes);
        faults.llama("gguf.tensor_role", name, change);
    };
    stored("norm_of_16_bits", "blk.0.attn_norm.weight", 1, 128);
    stored("norm_quantized", "output_norm.weight", 8, 68);
    stored(
        "query_of_whole_numbers",
        "blk.0.attn_q.weight",
        26,
        64 * 64 * 4,
    );
    stored("key_of_doubles", "blk.1.attn_k.weight", 28, 64 * 32 * 8);
    stored(
        "down_of_a_type_for_activations",
        "blk.0.ffn_down.weight",
        9,
        64 * 128 / 32 * 36,
    );
    faults.llama("gguf.tensor_role", "rope_factors_of_16_bits", |draft| {
        draft.push("rope_freqs.weight", &[8], &[1.0; 8]);
        store(draft.tensor_mut("rope_freqs.weight"), 1, 16);
    });
}
