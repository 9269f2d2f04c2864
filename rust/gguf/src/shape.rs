//! What the tensors' shapes follow from, where the architecture is known in depth.

use crate::{
    architecture::Architecture,
    limit,
    metadata::{Metadata, missing},
    model::{Keys, Model},
    refusal::{Refusal, refuse, require},
    value::Value,
};

/// What the tensors' shapes follow from, for the architectures that are checked in depth.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) layers: u32,
    pub(crate) embedding: u64,
    pub(crate) feed_forward: u64,
    pub(crate) head: u64,
    pub(crate) heads: u64,
    pub(crate) key_value_heads: u64,
    pub(crate) rotated: u64,
    pub(crate) experts: u64,
    pub(crate) experts_used: u64,
    /// Layers that see a window of the context.
    pub(crate) windowed: u32,
    /// Tokens of that window; 0 where there is none.
    pub(crate) window: u32,
    pub(crate) long_rope: bool,
}

impl Shape {
    /// Checks what holds for an architecture that is known in depth.
    pub(crate) fn check(
        metadata: &Metadata<'_>,
        name: &str,
        architecture: Architecture,
        model: &Model,
    ) -> Result<Self, Refusal> {
        let keys = Keys {
            metadata,
            architecture: name,
        };
        check_purpose(keys, architecture, model)?;
        let rms = keys.f32("attention.layer_norm_rms_epsilon")?;
        require!(
            rms.is_some(),
            KeyMissing,
            "the header has no {name}.attention.layer_norm_rms_epsilon"
        );

        let feed_forward = one(keys, "feed_forward_length", model.layers)?;
        let Some(feed_forward) = feed_forward.filter(|length| (1..=limit::WIDTH).contains(length))
        else {
            refuse!(
                FeedForwardLength,
                "{name}.feed_forward_length isn't one positive number for all layers"
            );
        };
        let heads = one(keys, "attention.head_count", model.layers)?;
        let Some(heads) = heads.filter(|heads| (1..=model.embedding).contains(heads)) else {
            refuse!(
                HeadCount,
                "{name}.attention.head_count isn't one positive number for all layers"
            );
        };
        let key_value_heads = match keys.per_layer("attention.head_count_kv", model.layers)? {
            None => heads,
            Some(range) if range.least == range.greatest => range.greatest,
            Some(_) => refuse!(
                HeadCount,
                "{name}.attention.head_count_kv differs between layers"
            ),
        };
        let shared = key_value_heads > 0 && heads.is_multiple_of(key_value_heads);
        require!(
            shared,
            HeadCount,
            "{heads} heads can't share {key_value_heads} keys and values"
        );

        let head = check_heads(keys, architecture, model, heads)?;
        let rotated = check_rotation(keys, architecture, head)?;
        let (windowed, window) = check_windows(keys, architecture, model, head, rotated)?;
        let method = metadata.text(&keys.name("rope.scaling.type"))?;
        Ok(Self {
            layers: model.layers,
            embedding: model.embedding.into(),
            feed_forward: feed_forward.into(),
            head: head.into(),
            heads: heads.into(),
            key_value_heads: key_value_heads.into(),
            rotated: rotated.into(),
            experts: model.experts.into(),
            experts_used: model.experts_used.into(),
            windowed,
            window,
            long_rope: method == Some("longrope"),
        })
    }
}

/// Generates text from left to right, token by token, and has no parts that are unknown here.
fn check_purpose(
    keys: Keys<'_, '_>,
    architecture: Architecture,
    model: &Model,
) -> Result<(), Refusal> {
    let causal = keys
        .metadata
        .bool(&keys.name("attention.causal"))?
        .unwrap_or(true);
    require!(
        causal,
        Causality,
        "the model looks at what comes later: it can't generate text"
    );
    let next = keys.u32("nextn_predict_layers")?.unwrap_or(0);
    require!(
        next == 0,
        NextTokens,
        "{next} layers predict further tokens, which this architecture doesn't"
    );
    if let Some(out) = keys.u32("embedding_length_out")? {
        let same = out == model.embedding;
        require!(
            same,
            EmbeddingLength,
            "embeddings of {} components go in, of {out} come out",
            model.embedding
        );
    }
    let mixed = architecture == Architecture::Llama || model.experts == 0;
    require!(
        mixed,
        Experts,
        "{} experts in an architecture that has none",
        model.experts
    );
    Ok(())
}

/// The number that `key` gives for all layers alike, if it does.
fn one(keys: Keys<'_, '_>, key: &str, layers: u32) -> Result<Option<u32>, Refusal> {
    let Some(range) = keys.per_layer(key, layers)? else {
        return missing(&keys.name(key));
    };
    Ok((range.least == range.greatest).then_some(range.greatest))
}

fn check_heads(
    keys: Keys<'_, '_>,
    architecture: Architecture,
    model: &Model,
    heads: u32,
) -> Result<u32, Refusal> {
    let key = keys.u32("attention.key_length")?;
    let divides = model.embedding.is_multiple_of(heads);
    require!(
        key.is_some() || divides,
        HeadCount,
        "embeddings of {} components can't be divided among {heads} heads",
        model.embedding
    );
    let head = key.unwrap_or(model.embedding / heads);
    let value = keys
        .u32("attention.value_length")?
        .unwrap_or(model.embedding / heads);
    require!(
        value == head,
        HeadLength,
        "keys have {head} components and values {value}"
    );
    let sane = head.is_multiple_of(2) && (1..=limit::WIDTH).contains(&head);
    require!(sane, HeadLength, "heads of {head} components");
    let fills = u64::from(head) * u64::from(heads) == u64::from(model.embedding);
    require!(
        fills || !architecture.heads_fill_embedding(),
        HeadLength,
        "{heads} heads of {head} components don't make embeddings of {}",
        model.embedding
    );
    Ok(head)
}

fn check_rotation(
    keys: Keys<'_, '_>,
    architecture: Architecture,
    head: u32,
) -> Result<u32, Refusal> {
    let rotated = keys.u32("rope.dimension_count")?.unwrap_or(head);
    let sane = rotated.is_multiple_of(2) && (1..=head).contains(&rotated);
    require!(
        sane,
        RopeDimension,
        "{rotated} of a head's {head} components are rotated"
    );
    require!(
        rotated == head || !architecture.rotates_whole_heads(),
        RopeDimension,
        "{rotated} of a head's {head} components are rotated, but this architecture rotates all"
    );
    Ok(rotated)
}

/// Gemma 3 looks at a window of the context in most layers; the other architectures ignore it.
/// Returns the number of those layers, and the window.
fn check_windows(
    keys: Keys<'_, '_>,
    architecture: Architecture,
    model: &Model,
    head: u32,
    rotated: u32,
) -> Result<(u32, u32), Refusal> {
    // Layers with a window may have heads of their own, but not in these architectures.
    for (key, expected) in [
        ("attention.key_length_swa", head),
        ("attention.value_length_swa", head),
        ("rope.dimension_count_swa", rotated),
    ] {
        let found = keys.u32(key)?.unwrap_or(expected);
        require!(
            found == expected,
            HeadLength,
            "{} is {found}, not {expected}",
            keys.name(key)
        );
    }
    let window = keys.u32("attention.sliding_window")?;
    if architecture != Architecture::Gemma3 {
        return Ok((0, 0));
    }
    if let Some(window) = window {
        let sane = (1..=limit::CONTEXT).contains(&window);
        require!(sane, SlidingWindow, "a sliding window of {window} tokens");
    }
    let key = keys.name("attention.sliding_window_pattern");
    // A window that no layer looks through makes llama.cpp abort.
    let windowed = if let Some(Value::Array(array)) = keys.metadata.get(&key) {
        let one_each = u32::try_from(array.length).is_ok_and(|length| length == model.layers);
        let switches = array.switches().filter(|_| one_each);
        let sound = switches.is_some_and(|on| on > 0 || window.is_none());
        require!(
            sound,
            SlidingWindow,
            "{key} isn't one switch for each of {} layers, some of them on",
            model.layers
        );
        switches.map_or(0, |on| u32::try_from(on).unwrap_or(u32::MAX))
    } else {
        let every = keys.u32("attention.sliding_window_pattern")?.unwrap_or(6);
        let sane = (2..=limit::LAYERS).contains(&every);
        require!(
            sane,
            SlidingWindow,
            "one layer in {every} sees the whole context"
        );
        model.layers - model.layers / every
    };
    Ok(window.map_or((0, 0), |window| (windowed.min(model.layers), window)))
}
