//! A GGUF file before it is written: everything can still be changed, also into something wrong.
//!
//! Layout after the GGUF specification, version 3
//! (<https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>).

use crate::value::Value;

/// The type number of 32-bit floating point weights in ggml.
pub const F32: u32 = 0;

/// One tensor: its entry in the header, and its bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// The name as it is written, UTF-8 or not.
    pub name: Vec<u8>,
    /// The dimensions, fastest first.
    pub dimensions: Vec<u64>,
    /// ggml's type number.
    pub kind: u32,
    /// The offset to write instead of the right one.
    pub offset: Option<u64>,
    /// The weights as bytes.
    pub data: Vec<u8>,
}

/// A file in the making. [`Draft::write`] writes what stands here, without checking any of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    /// `GGUF` in a sound file.
    pub magic: [u8; 4],
    /// 3 in a sound file.
    pub version: u32,
    /// The number of tensors to write instead of the right one.
    pub tensor_count: Option<u64>,
    /// The number of metadata entries to write instead of the right one.
    pub metadata_count: Option<u64>,
    /// Keys and values in file order.
    pub metadata: Vec<(Vec<u8>, Value)>,
    /// Tensors in file order.
    pub tensors: Vec<Tensor>,
    /// What the data section and each tensor in it are aligned to, in bytes.
    pub alignment: usize,
}

impl Default for Draft {
    fn default() -> Self {
        Self {
            magic: *b"GGUF",
            version: 3,
            tensor_count: None,
            metadata_count: None,
            metadata: Vec::new(),
            tensors: Vec::new(),
            alignment: 32,
        }
    }
}

impl Draft {
    /// Gives `key` a value: the first entry of that name is replaced, or a new one appended.
    pub fn set(&mut self, key: &str, value: impl Into<Value>) -> &mut Self {
        let value = value.into();
        match self
            .metadata
            .iter_mut()
            .find(|(name, _)| name == key.as_bytes())
        {
            Some(entry) => entry.1 = value,
            None => self.metadata.push((key.as_bytes().to_vec(), value)),
        }
        self
    }

    /// Takes every entry named `key` out.
    pub fn remove(&mut self, key: &str) -> &mut Self {
        self.metadata.retain(|(name, _)| name != key.as_bytes());
        self
    }

    /// The value of `key`.
    ///
    /// # Panics
    /// If the draft has no such key: the caller's mistake, not the model's.
    pub fn value_mut(&mut self, key: &str) -> &mut Value {
        let found = self
            .metadata
            .iter_mut()
            .find(|(name, _)| name == key.as_bytes());
        &mut found
            .unwrap_or_else(|| panic!("the draft has no key {key}"))
            .1
    }

    /// Appends a tensor of 32-bit floating point weights.
    pub fn push(&mut self, name: &str, dimensions: &[u64], weights: &[f32]) -> &mut Self {
        self.tensors.push(Tensor {
            name: name.as_bytes().to_vec(),
            dimensions: dimensions.to_vec(),
            kind: F32,
            offset: None,
            data: weights
                .iter()
                .flat_map(|weight| weight.to_le_bytes())
                .collect(),
        });
        self
    }

    /// The tensor of that name.
    ///
    /// # Panics
    /// If the draft has no such tensor: the caller's mistake, not the model's.
    pub fn tensor_mut(&mut self, name: &str) -> &mut Tensor {
        let found = self
            .tensors
            .iter_mut()
            .find(|tensor| tensor.name == name.as_bytes());
        found.unwrap_or_else(|| panic!("the draft has no tensor {name}"))
    }

    /// Takes the tensor of that name out.
    pub fn remove_tensor(&mut self, name: &str) -> &mut Self {
        self.tensors.retain(|tensor| tensor.name != name.as_bytes());
        self
    }

    /// The bytes up to and without the padding before the tensors' data.
    pub fn header(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend(self.magic);
        out.extend(self.version.to_le_bytes());
        out.extend(
            self.tensor_count
                .unwrap_or(self.tensors.len() as u64)
                .to_le_bytes(),
        );
        out.extend(
            self.metadata_count
                .unwrap_or(self.metadata.len() as u64)
                .to_le_bytes(),
        );
        for (key, value) in &self.metadata {
            write_text(&mut out, key);
            value.write(&mut out);
        }
        let mut offset = 0;
        for tensor in &self.tensors {
            write_text(&mut out, &tensor.name);
            out.extend((tensor.dimensions.len() as u32).to_le_bytes());
            for dimension in &tensor.dimensions {
                out.extend(dimension.to_le_bytes());
            }
            out.extend(tensor.kind.to_le_bytes());
            out.extend(tensor.offset.unwrap_or(offset).to_le_bytes());
            offset += tensor.data.len().next_multiple_of(self.alignment) as u64;
        }
        out
    }

    /// The whole file. The last tensor is padded too, as llama.cpp's own writer does.
    pub fn write(&self) -> Vec<u8> {
        let mut out = self.header();
        for tensor in &self.tensors {
            out.resize(out.len().next_multiple_of(self.alignment), 0);
            out.extend(&tensor.data);
        }
        out.resize(out.len().next_multiple_of(self.alignment), 0);
        out
    }
}

/// A length of 64 bits, then the bytes: how GGUF writes every string.
pub(crate) fn write_text(out: &mut Vec<u8>, text: &[u8]) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text);
}
