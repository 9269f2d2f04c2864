//! Models that are split over several files: their headers become one.
//!
//! `llama-gguf-split` writes the metadata into the first part, and into every part `split.no` (from
//! 0), `split.count` and `split.tensors.count`, with the entries of its own tensors. Joined, the
//! parts are the file that was split but for those keys; preflight then checks it as a whole.

use std::{collections::HashSet, ops::Range};

use crate::{
    limit,
    metadata::read_key,
    preflight::{alignment_of, read_counts, read_version},
    reader::Reader,
    refusal::{Refusal, refuse, require},
    tensor,
    value::Value,
};

/// Parts of one model, at most.
pub const MAX_PARTS: u64 = 1 << 10;

/// Bytes at the end of a tensor's entry that say where its weights lie.
const OFFSET: usize = size_of::<u64>();

/// What the header of one part says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    version: u32,
    alignment: u64,
    /// From 0.
    number: u64,
    count: u64,
    tensors_in_all: Option<u64>,
    /// The entries to keep, as they are written.
    entries: Vec<Vec<u8>>,
    tensors: Vec<Tensor>,
}

/// A tensor's entry as it is written, without its offset; and where its weights lie in its part.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Tensor {
    name: String,
    entry: Vec<u8>,
    weights: Range<u64>,
}

/// How parts become one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    /// The header of the whole, padded to where the weights begin.
    pub header: Vec<u8>,
    /// What of each part follows it, in order.
    pub parts: Vec<Vec<Stretch>>,
}

/// Bytes of a part, and the zeros that follow them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stretch {
    /// Where they lie in the part; not empty, and not before the end of the stretch before it.
    pub bytes: Range<u64>,
    /// Zeros that follow.
    pub padding: u64,
}

impl Joined {
    /// Bytes of the whole.
    pub fn size(&self) -> u64 {
        let stretches = self.parts.iter().flatten();
        let weights: u64 = stretches
            .map(|stretch| stretch.bytes.end - stretch.bytes.start + stretch.padding)
            .sum();
        self.header.len() as u64 + weights
    }
}

impl Part {
    /// Reads the header of a part of `size` bytes, of which `bytes` is the beginning.
    ///
    /// # Errors
    /// As [`preflight`](crate::preflight()), for what concerns a part by itself.
    pub fn read(bytes: &[u8], size: u64) -> Result<Self, Refusal> {
        let size = size.min(i64::MAX.unsigned_abs());
        let mut reader = Reader::new(bytes, size);
        let version = read_version(&mut reader)?;
        let (tensor_count, metadata_count) = read_counts(&mut reader)?;
        let mut keys = HashSet::new();
        let mut entries = Vec::new();
        let mut alignment = None;
        let (mut number, mut count, mut tensors_in_all) = (None, None, None);
        for _ in 0..metadata_count {
            let start = reader.position();
            let key = read_key(&mut reader)?;
            let value = Value::read(&mut reader, key)?;
            require!(
                keys.insert(key),
                DuplicateKey,
                "the key {key} stands there twice"
            );
            match key {
                "split.no" => number = Some(whole(key, &value)?),
                "split.count" => count = Some(whole(key, &value)?),
                "split.tensors.count" => tensors_in_all = Some(whole(key, &value)?),
                _ => entries.push(raw(bytes, start..reader.position())?),
            }
            if key == "general.alignment" {
                alignment = Some(value);
            }
        }
        let alignment = alignment_of(alignment.as_ref())?;
        let (Some(number), Some(count)) = (number, count) else {
            refuse!(
                Split,
                "the file is no part of a split model: it has no split.no or no split.count"
            );
        };
        require!(
            (2..=MAX_PARTS).contains(&count),
            Split,
            "the file is one of {count} parts; 2 to {MAX_PARTS} are joined"
        );
        let mut listed = Vec::new();
        let mut starts = vec![reader.position()];
        for _ in 0..tensor_count {
            listed.push(tensor::Tensor::read(&mut reader)?);
            starts.push(reader.position());
        }
        tensor::check_layout(&listed, reader.position(), alignment, size)?;
        let data = reader.position().next_multiple_of(alignment);
        let tensors = listed.iter().zip(starts.windows(2)).map(|(tensor, at)| {
            let mut entry = raw(bytes, at[0]..at[1])?;
            entry.truncate(entry.len() - OFFSET);
            let weights = tensor.place(data);
            Ok(Tensor {
                name: tensor.name.to_owned(),
                entry,
                weights,
            })
        });
        Ok(Self {
            version,
            alignment,
            number,
            count,
            tensors_in_all,
            tensors: tensors.collect::<Result<_, Refusal>>()?,
            entries,
        })
    }

    /// The number of parts that it says the model has.
    pub const fn count(&self) -> u64 {
        self.count
    }
}

/// Joins the parts of a model, given in their order.
///
/// # Errors
/// `gguf.split_count` where there are more or fewer than they say, `gguf.split_order` where one is not
/// in its place, `gguf.split_foreign` where they contradict each other, and what a header of that
/// length is refused for.
pub fn join(parts: &[Part]) -> Result<Joined, Refusal> {
    let Some(first) = parts.first() else {
        refuse!(SplitCount, "there is no part");
    };
    let mut names = HashSet::new();
    for (place, part) in (0..).zip(parts) {
        require!(
            part.count == parts.len() as u64,
            SplitCount,
            "part {} says that there are {}, but {} are given",
            place + 1,
            part.count,
            parts.len()
        );
        require!(
            part.number == place,
            SplitOrder,
            "part {} says that it is part {}",
            place + 1,
            part.number.saturating_add(1)
        );
        require!(
            part.version == first.version && part.tensors_in_all == first.tensors_in_all,
            SplitForeign,
            "part {} belongs to another model than the first: version or number of tensors differ",
            place + 1
        );
        // The first alone is read for them: what another says must not get lost silently.
        require!(
            place == 0
                || part
                    .entries
                    .iter()
                    .all(|entry| first.entries.contains(entry)),
            SplitForeign,
            "part {} has metadata that the first has not",
            place + 1
        );
        for tensor in &part.tensors {
            require!(
                names.insert(tensor.name.as_str()),
                SplitForeign,
                "the tensor {} is in part {} and in one before it",
                tensor.name,
                place + 1
            );
        }
    }
    let found = names.len() as u64;
    require!(
        first.tensors_in_all.is_none_or(|all| all == found),
        SplitForeign,
        "the parts have {found} tensors, but say that there are {}",
        first.tensors_in_all.unwrap_or_default()
    );
    require!(
        found <= limit::TENSORS,
        TensorCount,
        "the parts have {found} tensors"
    );
    Ok(Joined {
        header: header(first, parts, found)?,
        parts: parts
            .iter()
            .map(|part| {
                let stretch = |tensor: &Tensor| Stretch {
                    bytes: tensor.weights.clone(),
                    padding: padding(&tensor.weights, first.alignment),
                };
                part.tensors.iter().map(stretch).collect()
            })
            .collect(),
    })
}

/// The header of the whole.
fn header(first: &Part, parts: &[Part], tensors: u64) -> Result<Vec<u8>, Refusal> {
    let mut header = b"GGUF".to_vec();
    header.extend(first.version.to_le_bytes());
    header.extend(tensors.to_le_bytes());
    header.extend((first.entries.len() as u64).to_le_bytes());
    header.extend(first.entries.concat());
    let mut offset = 0_u64;
    for tensor in parts.iter().flat_map(|part| &part.tensors) {
        header.extend(&tensor.entry);
        header.extend(offset.to_le_bytes());
        let weights = &tensor.weights;
        let next =
            offset.checked_add(weights.end - weights.start + padding(weights, first.alignment));
        let Some(next) = next.filter(|next| i64::try_from(*next).is_ok()) else {
            refuse!(TensorSize, "the parts together don't fit into 63 bits");
        };
        offset = next;
    }
    let length = (header.len() as u64).next_multiple_of(first.alignment);
    require!(
        length <= limit::HEADER,
        HeaderLength,
        "the headers together are longer than {} bytes",
        limit::HEADER
    );
    // Not above 128 MiB.
    header.resize(usize::try_from(length).unwrap_or(usize::MAX), 0);
    Ok(header)
}

/// Zeros from the end of a tensor to the next multiple of the alignment, counted from its beginning.
const fn padding(weights: &Range<u64>, alignment: u64) -> u64 {
    let length = weights.end - weights.start;
    length.next_multiple_of(alignment) - length
}

fn whole(key: &str, value: &Value<'_>) -> Result<u64, Refusal> {
    match value {
        Value::Whole(_, number) => u64::try_from(*number).ok(),
        _ => None,
    }
    .map_or_else(
        || refuse!(KeyType, "{key} has to be a whole number, not below 0"),
        Ok,
    )
}

/// Bytes that were just read.
fn raw(bytes: &[u8], range: Range<u64>) -> Result<Vec<u8>, Refusal> {
    let place = usize::try_from(range.start)
        .ok()
        .zip(usize::try_from(range.end).ok());
    place
        .and_then(|(start, end)| bytes.get(start..end))
        .map(<[u8]>::to_vec)
        .ok_or_else(|| Refusal::incomplete(range.end))
}
