//! The tensors that an architecture needs, and their shapes.
//!
//! After `load_arch_tensors` of the architectures in llama.cpp's `src/models`, without the parts
//! that only classifiers, embedding models and pre-scaled weights have: a tensor that isn't named
//! here is refused, because llama.cpp refuses it too or would use it in ways unchecked here.

use crate::{
    architecture::Architecture,
    refusal::{Refusal, refuse, require},
    shape::Shape,
    tensor::Tensor,
};
use std::collections::HashMap;

/// What llama.cpp does with a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// Multiplied by, or looked rows up in: nearly any type will do.
    Matrix,
    /// Added to or multiplied with 32-bit activations: ggml aborts at any other type.
    Vector,
}

/// Checks that exactly the tensors are there that the architecture needs.
pub(crate) fn check(
    architecture: Architecture,
    shape: &Shape,
    vocabulary: u64,
    tensors: &[Tensor<'_>],
) -> Result<(), Refusal> {
    let mut left = Tensors(tensors.iter().map(|tensor| (tensor.name, tensor)).collect());
    left.model(architecture, shape, vocabulary)?;
    for layer in 0..shape.layers {
        left.attention(architecture, shape, layer)?;
        left.feed_forward(architecture, shape, layer)?;
    }
    match left.0.keys().min() {
        None => Ok(()),
        Some(name) => refuse!(TensorUnexpected, "the architecture has no tensor {name}"),
    }
}

/// The tensors that nothing has asked for yet.
struct Tensors<'t, 'a>(HashMap<&'a str, &'t Tensor<'a>>);

impl Tensors<'_, '_> {
    fn model(
        &mut self,
        architecture: Architecture,
        shape: &Shape,
        vocabulary: u64,
    ) -> Result<(), Refusal> {
        let width = shape.embedding;
        self.matrix("token_embd.weight", &[width, vocabulary])?;
        self.vector("output_norm.weight", width)?;
        // Without a matrix of its own, the output uses the embedding's.
        self.optional("output.weight", &[width, vocabulary], Role::Matrix)?;
        if architecture == Architecture::Qwen2 {
            self.optional("output.bias", &[vocabulary], Role::Vector)?;
        }
        let factors: &[&str] = match architecture {
            Architecture::Llama if !shape.long_rope => &["rope_freqs.weight"],
            Architecture::Llama | Architecture::Phi3 => {
                &["rope_factors_long.weight", "rope_factors_short.weight"]
            }
            _ => &[],
        };
        for name in factors {
            self.optional(name, &[shape.rotated / 2], Role::Vector)?;
        }
        Ok(())
    }

    fn attention(
        &mut self,
        architecture: Architecture,
        shape: &Shape,
        layer: u32,
    ) -> Result<(), Refusal> {
        let name = |part: &str| format!("blk.{layer}.{part}");
        let width = shape.embedding;
        let query = shape.head * shape.heads;
        let shared = shape.head * shape.key_value_heads;
        self.vector(&name("attn_norm.weight"), width)?;
        let fused = self.optional(
            &name("attn_qkv.weight"),
            &[width, query + 2 * shared],
            Role::Matrix,
        )?;
        let fused_bias =
            fused && self.optional(&name("attn_qkv.bias"), &[query + 2 * shared], Role::Vector)?;
        let mut biases = 0;
        for (part, length) in [("attn_q", query), ("attn_k", shared), ("attn_v", shared)] {
            if !fused {
                self.matrix(&name(&format!("{part}.weight")), &[width, length])?;
            }
            if !fused_bias {
                biases += u32::from(self.optional(
                    &name(&format!("{part}.bias")),
                    &[length],
                    Role::Vector,
                )?);
            }
        }
        // Of three biases beside fused weights llama.cpp uses all or none.
        let whole = !fused || matches!(biases, 0 | 3);
        require!(
            whole,
            TensorMissing,
            "layer {layer} has {biases} of the three attention biases"
        );
        if matches!(architecture, Architecture::Qwen3 | Architecture::Gemma3) {
            self.vector(&name("attn_q_norm.weight"), shape.head)?;
            self.vector(&name("attn_k_norm.weight"), shape.head)?;
        }
        self.matrix(&name("attn_output.weight"), &[query, width])?;
        if architecture == Architecture::Llama {
            self.optional(&name("attn_output.bias"), &[width], Role::Vector)?;
        }
        if architecture == Architecture::Gemma3 {
            self.vector(&name("post_attention_norm.weight"), width)?;
        }
        Ok(())
    }

    fn feed_forward(
        &mut self,
        architecture: Architecture,
        shape: &Shape,
        layer: u32,
    ) -> Result<(), Refusal> {
        let name = |part: &str| format!("blk.{layer}.{part}");
        let (width, inner) = (shape.embedding, shape.feed_forward);
        self.vector(&name("ffn_norm.weight"), width)?;
        if shape.experts > 0 {
            let experts = shape.experts;
            self.matrix(&name("ffn_gate_inp.weight"), &[width, experts])?;
            self.matrix(&name("ffn_gate_exps.weight"), &[width, inner, experts])?;
            self.matrix(&name("ffn_down_exps.weight"), &[inner, width, experts])?;
            return self.matrix(&name("ffn_up_exps.weight"), &[width, inner, experts]);
        }
        let up = if architecture == Architecture::Phi3 {
            // The gate is the first half of this matrix.
            2 * inner
        } else {
            self.matrix(&name("ffn_gate.weight"), &[width, inner])?;
            inner
        };
        self.matrix(&name("ffn_up.weight"), &[width, up])?;
        self.matrix(&name("ffn_down.weight"), &[inner, width])?;
        if architecture == Architecture::Llama {
            self.optional(&name("ffn_gate.bias"), &[inner], Role::Vector)?;
            self.optional(&name("ffn_up.bias"), &[inner], Role::Vector)?;
            self.optional(&name("ffn_down.bias"), &[width], Role::Vector)?;
        }
        if architecture == Architecture::Gemma3 {
            self.vector(&name("post_ffw_norm.weight"), width)?;
        }
        Ok(())
    }

    fn matrix(&mut self, name: &str, shape: &[u64]) -> Result<(), Refusal> {
        self.required(name, shape, Role::Matrix)
    }

    fn vector(&mut self, name: &str, length: u64) -> Result<(), Refusal> {
        self.required(name, &[length], Role::Vector)
    }

    fn required(&mut self, name: &str, shape: &[u64], role: Role) -> Result<(), Refusal> {
        let found = self.optional(name, shape, role)?;
        require!(found, TensorMissing, "the tensor {name} is missing");
        Ok(())
    }

    /// Takes a tensor out, if it is there, and checks it.
    fn optional(&mut self, name: &str, shape: &[u64], role: Role) -> Result<bool, Refusal> {
        let Some(tensor) = self.0.remove(name) else {
            return Ok(false);
        };
        let sides = shape.iter().copied().chain(std::iter::repeat(1));
        let same = tensor
            .shape
            .iter()
            .copied()
            .eq(sides.take(tensor.shape.len()));
        require!(
            same,
            TensorShape,
            "the tensor {name} has the shape {:?}; the header implies {shape:?}",
            tensor.shape
        );
        let fits = match role {
            Role::Matrix => tensor.weights.matrix,
            Role::Vector => tensor.weights.name == "F32",
        };
        require!(
            fits,
            TensorRole,
            "the tensor {name} can't be of type {}",
            tensor.weights.name
        );
        Ok(true)
    }
}
