//! The order of the checks.

use crate::{
    architecture::Architecture,
    footprint::Footprint,
    header::{Finding, Header},
    layout, limit,
    metadata::{self, Metadata, missing},
    model::Model,
    reader::Reader,
    refusal::{Refusal, refuse, require},
    shape::Shape,
    tensor::{self, Tensor},
    tokenizer,
    value::Value,
};
use std::collections::HashMap;

/// What the caller accepts beyond what can be checked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    /// Architectures that are accepted without checking their tensors one by one.
    pub allow_architectures: Vec<String>,
}

/// Checks the header of a GGUF file of `size` bytes.
///
/// `bytes` is the whole file or its beginning. The header isn't copied: the time is linear in its
/// length, the memory in the numbers of keys, tensors and tokens.
///
/// # Errors
/// A [`Refusal`]. If the header doesn't end within `bytes`, but might within the file,
/// [`Refusal::needs`] says how many bytes to come back with.
pub fn preflight(bytes: &[u8], size: u64, policy: &Policy) -> Result<Header, Refusal> {
    // Offsets are signed in llama.cpp, and no file is larger.
    let size = size.min(i64::MAX.unsigned_abs());
    let mut reader = Reader::new(bytes, size);
    let version = read_version(&mut reader)?;
    let (tensor_count, metadata_count) = read_counts(&mut reader)?;
    let metadata = Metadata::read(&mut reader, metadata_count)?;
    let alignment = alignment_of(metadata.get("general.alignment"))?;
    check_kind(&metadata)?;
    let tensors = tensor::read(&mut reader, tensor_count)?;
    let end = tensor::check_layout(&tensors, reader.position(), alignment, size)?;

    let mut findings = Vec::new();
    let Some(name) = metadata.text("general.architecture")? else {
        return missing("general.architecture");
    };
    let architecture = Architecture::of(name);
    if architecture.is_none() {
        accept_unchecked(name, policy, &mut findings)?;
    }
    let model = Model::check(&metadata, name)?;
    let tokenizer = tokenizer::check(&metadata, name, architecture.is_some(), &mut findings)?;
    let mut footprint = None;
    if let Some(architecture) = architecture {
        let shape = Shape::check(&metadata, name, architecture, &model)?;
        layout::check(
            architecture,
            &shape,
            tokenizer.vocabulary_size.into(),
            &tensors,
        )?;
        footprint = Some(Footprint::of(&shape, tokenizer.vocabulary_size));
    }
    let chat_template = tokenizer::chat_template(&metadata)?;
    remark(&metadata, name, &model, chat_template, &mut findings);
    remark_trailing(end.next_multiple_of(alignment), size, &mut findings);
    Ok(Header {
        version,
        architecture: name.to_owned(),
        name: metadata.text("general.name")?.map(str::to_owned),
        parameters: tensors.iter().map(|tensor| tensor.elements).sum(),
        quantization: quantization(&tensors).to_owned(),
        context_length: model.context,
        embedding_length: model.embedding,
        block_count: model.layers,
        tokenizer,
        chat_template: chat_template.map(str::to_owned),
        footprint,
        tensor_count,
        metadata_count,
        findings,
    })
}

pub(crate) fn read_version(reader: &mut Reader<'_>) -> Result<u32, Refusal> {
    match reader.take(4)? {
        b"GGUF" => {}
        magic => refuse!(
            Magic,
            "the file begins with \"{}\", not GGUF",
            magic.escape_ascii()
        ),
    }
    match reader.u32()? {
        version @ (2 | 3) => Ok(version),
        version if matches!(version.swap_bytes(), 1..=3) => {
            refuse!(ByteOrder, "the file is big-endian")
        }
        version => refuse!(
            Version,
            "the file is of GGUF version {version}; 2 and 3 are read"
        ),
    }
}

/// The numbers of tensors and of metadata entries.
pub(crate) fn read_counts(reader: &mut Reader<'_>) -> Result<(u64, u64), Refusal> {
    let tensors = reader.u64()?;
    let entries = reader.u64()?;
    // A tensor's entry takes at least 8 + 1 + 4 + 8 + 4 + 8 bytes.
    let fits = (1..=limit::TENSORS).contains(&tensors) && tensors * 33 <= reader.remaining();
    require!(fits, TensorCount, "{tensors} tensors are announced");
    // A key takes nine bytes with its length, a value five with its type.
    let fits = entries <= limit::METADATA && entries * 14 <= reader.remaining();
    require!(
        fits,
        MetadataCount,
        "{entries} metadata entries are announced"
    );
    Ok((tensors, entries))
}

/// What the weights are aligned to, in bytes.
pub(crate) fn alignment_of(value: Option<&Value<'_>>) -> Result<u64, Refusal> {
    let key = "general.alignment";
    let alignment = value.map_or(Ok(32), |value| metadata::u32_value(key, value))?;
    let sound = alignment.is_power_of_two() && (8..=1 << 16).contains(&alignment);
    require!(sound, Alignment, "an alignment of {alignment} bytes");
    Ok(alignment.into())
}

/// A whole model, and a language model.
fn check_kind(metadata: &Metadata<'_>) -> Result<(), Refusal> {
    let kind = metadata.text("general.type")?.unwrap_or("model");
    require!(
        kind == "model",
        Kind,
        "the file holds a \"{}\", not a model",
        kind.escape_debug()
    );
    for key in ["split.count", "split.no"] {
        let (least, most) = if key == "split.no" { (0, 0) } else { (0, 1) };
        match metadata.get(key) {
            None => {}
            Some(Value::Whole(_, number)) => {
                let whole = (least..=most).contains(number);
                require!(
                    whole,
                    Split,
                    "the file is one part of a split model: {key} is {number}"
                );
            }
            Some(_) => refuse!(KeyType, "{key} has to be a whole number"),
        }
    }
    metadata.u32("general.file_type")?;
    metadata.u32("general.quantization_version")?;
    Ok(())
}

fn accept_unchecked(
    name: &str,
    policy: &Policy,
    findings: &mut Vec<Finding>,
) -> Result<(), Refusal> {
    let allowed = policy
        .allow_architectures
        .iter()
        .any(|allowed| allowed == name);
    require!(
        allowed,
        Architecture,
        "the architecture \"{}\" isn't checked in depth",
        name.escape_debug()
    );
    findings.push(Finding::new(
        Finding::UNCHECKED_ARCHITECTURE,
        format!(
            "the architecture {name} isn't checked in depth: the policy allows it nevertheless"
        ),
    ));
    Ok(())
}

fn remark(
    metadata: &Metadata<'_>,
    architecture: &str,
    model: &Model,
    chat_template: Option<&str>,
    findings: &mut Vec<Finding>,
) {
    if chat_template.is_none_or(str::is_empty) {
        let message = "the model has no chat template: chatting needs one from you";
        findings.push(Finding::new(Finding::NO_CHAT_TEMPLATE, message));
    }
    if model.pools {
        let message = "the model is made for embeddings, not for text";
        findings.push(Finding::new(Finding::EMBEDDING_MODEL, message));
    }
    let known = |key: &str| {
        let room = key.split('.').next().unwrap_or_default();
        matches!(room, "general" | "tokenizer" | "split" | "quantize") || room == architecture
    };
    let unknown = metadata.keys().filter(|key| !known(key)).count();
    if unknown > 0 {
        let message = format!("{unknown} metadata keys belong to no known group");
        findings.push(Finding::new(Finding::UNKNOWN_KEYS, message));
    }
}

/// llama.cpp ignores what follows the weights; it may hold anything.
fn remark_trailing(end: u64, size: u64, findings: &mut Vec<Finding>) {
    let trailing = size.saturating_sub(end);
    if trailing > 0 {
        let message = format!("{trailing} bytes follow the weights");
        findings.push(Finding::new(Finding::TRAILING_BYTES, message));
    }
}

/// The type in which most weights are stored.
fn quantization(tensors: &[Tensor<'_>]) -> &'static str {
    let mut counts: HashMap<&str, u64> = HashMap::new();
    for tensor in tensors {
        *counts.entry(tensor.weights.name).or_default() += tensor.elements;
    }
    let most = counts
        .into_iter()
        .max_by_key(|(name, count)| (*count, *name));
    most.map_or("", |(name, _)| name)
}
