//! The tensors that a header lists.

use crate::{
    limit,
    reader::Reader,
    refusal::{Refusal, refuse, require},
    weights::Weights,
};
use std::{collections::HashSet, ops::Range};

/// A tensor's entry.
#[derive(Debug)]
pub(crate) struct Tensor<'a> {
    pub(crate) name: &'a str,
    /// Fastest first; 1 where the file gives none.
    pub(crate) shape: [u64; 4],
    pub(crate) weights: Weights,
    /// The number of weights.
    pub(crate) elements: u64,
    bytes: u64,
    offset: u64,
}

/// Reads `count` entries; their names are unique.
pub(crate) fn read<'a>(reader: &mut Reader<'a>, count: u64) -> Result<Vec<Tensor<'a>>, Refusal> {
    let mut tensors = Vec::new();
    let mut names = HashSet::new();
    for _ in 0..count {
        let tensor = Tensor::read(reader)?;
        require!(
            names.insert(tensor.name),
            DuplicateTensor,
            "the tensor {} stands there twice",
            tensor.name
        );
        tensors.push(tensor);
    }
    Ok(tensors)
}

impl<'a> Tensor<'a> {
    /// Reads one entry.
    pub(crate) fn read(reader: &mut Reader<'a>) -> Result<Self, Refusal> {
        let name = read_name(reader)?;
        let shape = read_shape(reader, name)?;
        let number = reader.u32()?;
        let Some(weights) = Weights::of(number) else {
            refuse!(
                TensorType,
                "the tensor {name} has weights of type {number}, which ggml doesn't know"
            );
        };
        require!(
            shape[0].is_multiple_of(weights.block),
            RowSize,
            "the tensor {name} has rows of {} weights; {} is stored in blocks of {}",
            shape[0],
            weights.name,
            weights.block
        );
        let elements = shape
            .iter()
            .try_fold(1_u64, |product, side| product.checked_mul(*side));
        let bytes =
            elements.and_then(|elements| (elements / weights.block).checked_mul(weights.bytes));
        let sizes = elements
            .zip(bytes)
            .filter(|(elements, bytes)| elements.max(bytes) >> 62 == 0);
        let Some((elements, bytes)) = sizes else {
            refuse!(
                TensorSize,
                "the tensor {name} has a size that doesn't fit into 62 bits"
            );
        };
        let offset = reader.u64()?;
        Ok(Self {
            name,
            shape,
            weights,
            elements,
            bytes,
            offset,
        })
    }

    /// Where its weights lie in a file whose weights begin at `data`; found to be inside the file.
    pub(crate) fn place(&self, data: u64) -> Range<u64> {
        data + self.offset..data + self.offset + self.bytes
    }
}

fn read_name<'a>(reader: &mut Reader<'a>) -> Result<&'a str, Refusal> {
    let length = reader.u64()?;
    let fits = (1..limit::TENSOR_NAME).contains(&length);
    require!(
        fits,
        TensorName,
        "a tensor name of {length} bytes; 1 to 63 are allowed"
    );
    let bytes = reader.take(length)?;
    // llama.cpp cuts a name at a NUL, and so could take it for another's.
    match str::from_utf8(bytes) {
        Ok(name) if !name.contains(char::is_control) => Ok(name),
        _ => refuse!(
            TensorName,
            "the tensor name \"{}\" isn't printable text",
            bytes.escape_ascii()
        ),
    }
}

fn read_shape(reader: &mut Reader<'_>, name: &str) -> Result<[u64; 4], Refusal> {
    let count = reader.u32()?;
    let mut shape = [1; 4];
    let sides = usize::try_from(count)
        .ok()
        .filter(|count| *count > 0)
        .and_then(|count| shape.get_mut(..count));
    let Some(sides) = sides else {
        refuse!(
            Dimensions,
            "the tensor {name} has {count} dimensions; 1 to 4 are allowed"
        );
    };
    for side in sides {
        *side = reader.u64()?;
        let positive = i64::try_from(*side).is_ok_and(|side| side > 0);
        require!(
            positive,
            Dimension,
            "the tensor {name} has a dimension of {side}"
        );
    }
    Ok(shape)
}

/// Checks that the tensors lie one behind the other, as llama.cpp demands, and inside the file.
///
/// `header` is where the header ends. Returns where the last tensor's data ends.
pub(crate) fn check_layout(
    tensors: &[Tensor<'_>],
    header: u64,
    alignment: u64,
    size: u64,
) -> Result<u64, Refusal> {
    // Can't overflow: the header is below 128 MiB.
    let data = header.next_multiple_of(alignment);
    require!(
        data.is_multiple_of(limit::MAPPING),
        DataAlignment,
        "the weights begin at offset {data}, which isn't a multiple of {}: they can't be mapped",
        limit::MAPPING
    );
    let mut expected = 0_u64;
    let mut end = data;
    for tensor in tensors {
        require!(
            tensor.offset == expected,
            TensorOffset,
            "the tensor {} has offset {}; the one before it ends at {expected}",
            tensor.name,
            tensor.offset
        );
        // Can't overflow: both are below 2^62 as long as the data is inside the file.
        end = data + expected + tensor.bytes;
        require!(
            end <= size,
            Truncated,
            "the tensor {} ends at offset {end}, but the file has {size} bytes",
            tensor.name
        );
        expected = (expected + tensor.bytes).next_multiple_of(alignment);
    }
    Ok(end)
}
