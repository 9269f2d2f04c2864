//! The numbers that describe a model, and what has to hold between them.
//!
//! llama.cpp reads them in `load_hparams` and the architectures' `load_arch_hparams`, partly
//! asserting, partly dividing by what it finds.

use crate::{
    limit,
    metadata::{Metadata, PerLayer},
    refusal::{Refusal, require},
    value::Kind,
};

/// A model's numbers as far as every architecture has them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Model {
    pub(crate) context: u32,
    pub(crate) embedding: u32,
    pub(crate) layers: u32,
    pub(crate) experts: u32,
    pub(crate) experts_used: u32,
    /// Whether the model says how to pool embeddings, as models made for that do.
    pub(crate) pools: bool,
}

/// Looks an architecture's own keys up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Keys<'m, 'a> {
    pub(crate) metadata: &'m Metadata<'a>,
    pub(crate) architecture: &'m str,
}

impl Keys<'_, '_> {
    pub(crate) fn name(&self, key: &str) -> String {
        format!("{}.{key}", self.architecture)
    }

    pub(crate) fn u32(&self, key: &str) -> Result<Option<u32>, Refusal> {
        self.metadata.u32(&self.name(key))
    }

    pub(crate) fn required_u32(&self, key: &str) -> Result<u32, Refusal> {
        self.metadata.required_u32(&self.name(key))
    }

    pub(crate) fn f32(&self, key: &str) -> Result<Option<f64>, Refusal> {
        self.metadata.f32(&self.name(key))
    }

    pub(crate) fn per_layer(&self, key: &str, layers: u32) -> Result<Option<PerLayer>, Refusal> {
        self.metadata.per_layer(&self.name(key), layers)
    }
}

impl Model {
    /// Checks what holds for every architecture.
    pub(crate) fn check(metadata: &Metadata<'_>, architecture: &str) -> Result<Self, Refusal> {
        let keys = Keys {
            metadata,
            architecture,
        };
        let context = keys.required_u32("context_length")?;
        let sane = (1..=limit::CONTEXT).contains(&context);
        require!(
            sane,
            ContextLength,
            "the model claims a context of {context} tokens"
        );
        let embedding = keys.required_u32("embedding_length")?;
        let sane = (1..=limit::WIDTH).contains(&embedding);
        require!(
            sane,
            EmbeddingLength,
            "the model claims embeddings of {embedding} components"
        );
        let layers = keys.required_u32("block_count")?;
        let sane = (1..=limit::LAYERS).contains(&layers);
        require!(
            sane,
            BlockCount,
            "the model claims {layers} layers; 1 to {} are possible",
            limit::LAYERS
        );
        let next = keys.u32("nextn_predict_layers")?.unwrap_or(0);
        require!(
            next <= layers,
            NextTokens,
            "{next} of {layers} layers predict further tokens"
        );
        let (experts, experts_used) = check_experts(keys, layers)?;
        check_rope(keys)?;
        check_scales(keys)?;
        let pools = check_pooling(keys)?;
        Ok(Self {
            context,
            embedding,
            layers,
            experts,
            experts_used,
            pools,
        })
    }
}

/// The rules that llama.cpp asserts about mixtures of experts: how many there are, and how many are
/// used at once.
fn check_experts(keys: Keys<'_, '_>, layers: u32) -> Result<(u32, u32), Refusal> {
    let count = keys.u32("expert_count")?.unwrap_or(0);
    require!(
        count <= limit::EXPERTS,
        Experts,
        "{count} experts; at most {} are possible",
        limit::EXPERTS
    );
    let used = keys
        .per_layer("expert_used_count", layers)?
        .map_or(0, |used| used.greatest);
    let sound = if count == 0 {
        used == 0
    } else {
        (1..=count).contains(&used)
    };
    require!(sound, Experts, "{used} of {count} experts are used");
    let groups = keys.u32("expert_group_count")?.unwrap_or(0);
    let groups_used = keys.u32("expert_group_used_count")?.unwrap_or(0);
    require!(
        groups < count.max(1),
        Experts,
        "{count} experts in {groups} groups"
    );
    if groups > 1 {
        require!(
            count.is_multiple_of(groups),
            Experts,
            "{count} experts don't fill {groups} groups"
        );
        let sound = (1..groups).contains(&groups_used);
        require!(
            sound,
            Experts,
            "{groups_used} of {groups} groups of experts are used"
        );
    }
    Ok((count, used))
}

fn check_rope(keys: Keys<'_, '_>) -> Result<(), Refusal> {
    for key in ["rope.freq_base", "rope.freq_base_swa"] {
        if let Some(base) = keys.f32(key)? {
            // ggml divides by the base's logarithm.
            let sane = base > 1.0;
            require!(
                sane,
                RopeBase,
                "{} is {base}; it has to be above 1",
                keys.name(key)
            );
        }
    }
    let name = keys.name("rope.scaling.type");
    if let Some(method) = keys.metadata.text(&name)? {
        let known = matches!(method, "none" | "linear" | "yarn" | "longrope");
        require!(
            known,
            RopeScaling,
            "{name} is \"{}\"",
            method.escape_debug()
        );
    }
    for key in [
        "rope.scaling.factor",
        "rope.scale_linear",
        "rope.scaling.attn_factor",
        "rope.scaling.alpha",
    ] {
        if let Some(factor) = keys.f32(key)? {
            let sane = factor > 0.0 && factor <= 1e6;
            require!(
                sane,
                RopeScaling,
                "{} is {factor}; it has to be above 0",
                keys.name(key)
            );
        }
    }
    for key in [
        "yarn_log_multiplier",
        "yarn_ext_factor",
        "yarn_attn_factor",
        "yarn_beta_fast",
        "yarn_beta_slow",
    ] {
        let key = format!("rope.scaling.{key}");
        if let Some(factor) = keys.f32(&key)? {
            let sane = (0.0..=1e6).contains(&factor);
            require!(
                sane,
                RopeScaling,
                "{} is {factor}; it can't be negative",
                keys.name(&key)
            );
        }
    }
    if let Some(context) = keys.u32("rope.scaling.original_context_length")? {
        let sane = (1..=limit::CONTEXT).contains(&context);
        require!(
            sane,
            RopeScaling,
            "the context is stretched from {context} tokens"
        );
    }
    keys.metadata.bool(&keys.name("rope.scaling.finetuned"))?;
    Ok(())
}

fn check_scales(keys: Keys<'_, '_>) -> Result<(), Refusal> {
    for key in [
        "layer_norm_rms_epsilon",
        "layer_norm_epsilon",
        "group_norm_epsilon",
    ] {
        let key = format!("attention.{key}");
        if let Some(epsilon) = keys.f32(&key)? {
            let sane = epsilon > 0.0 && epsilon <= 1.0;
            require!(
                sane,
                Epsilon,
                "{} is {epsilon}; it has to be above 0",
                keys.name(&key)
            );
        }
    }
    let scales = [
        "attention.scale",
        "attention.max_alibi_bias",
        "attention.clamp_kqv",
        "attn_logit_softcapping",
        "final_logit_softcapping",
        "router_logit_softcapping",
        "expert_weights_scale",
        "logit_scale",
        "residual_scale",
        "embedding_scale",
    ];
    for key in scales {
        if let Some(scale) = keys.f32(key)? {
            let sane = (0.0..=1e6).contains(&scale);
            require!(
                sane,
                Scale,
                "{} is {scale}; it can't be negative",
                keys.name(key)
            );
        }
    }
    Ok(())
}

/// Whether the model says how to pool, by `llama_pooling_type`: none, mean, cls, last, rank.
fn check_pooling(keys: Keys<'_, '_>) -> Result<bool, Refusal> {
    let mut pools = false;
    for key in ["pooling_type", "classifier.pooling_type"] {
        if let Some(way) = keys.u32(key)? {
            require!(
                way <= 4,
                Pooling,
                "{} is {way}, which llama.cpp doesn't know",
                keys.name(key)
            );
            pools |= way != 0;
        }
    }
    keys.metadata
        .array(&keys.name("classifier.output_labels"), Kind::Text)?;
    Ok(pools)
}
