//! Metadata values.

use crate::draft::write_text;

/// A metadata value. `Raw` writes any type number with any bytes behind it.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)]
pub enum Value {
    U8(u8),
    U32(u32),
    I32(i32),
    U64(u64),
    F32(f32),
    F64(f64),
    Bool(bool),
    Text(Vec<u8>),
    U32s(Vec<u32>),
    I32s(Vec<i32>),
    F32s(Vec<f32>),
    Bools(Vec<bool>),
    Texts(Vec<Vec<u8>>),
    /// A type number and whatever shall follow it.
    Raw(u32, Vec<u8>),
}

/// GGUF's type numbers, as far as drafts write them.
pub mod kind {
    #![allow(missing_docs)]
    pub const U8: u32 = 0;
    pub const U32: u32 = 4;
    pub const I32: u32 = 5;
    pub const F32: u32 = 6;
    pub const BOOL: u32 = 7;
    pub const TEXT: u32 = 8;
    pub const ARRAY: u32 = 9;
    pub const U64: u32 = 10;
    pub const F64: u32 = 12;
}

impl Value {
    /// An array as raw bytes: its element type, the length it claims and what really follows.
    pub fn raw_array(element: u32, length: u64, body: &[u8]) -> Self {
        let mut bytes = element.to_le_bytes().to_vec();
        bytes.extend(length.to_le_bytes());
        bytes.extend(body);
        Self::Raw(kind::ARRAY, bytes)
    }

    /// The texts of an array of texts.
    ///
    /// # Panics
    /// If this isn't one.
    pub fn texts_mut(&mut self) -> &mut Vec<Vec<u8>> {
        let Self::Texts(texts) = self else {
            panic!("not an array of texts")
        };
        texts
    }

    /// The numbers of an array of signed numbers.
    ///
    /// # Panics
    /// If this isn't one.
    pub fn i32s_mut(&mut self) -> &mut Vec<i32> {
        let Self::I32s(numbers) = self else {
            panic!("not an array of i32")
        };
        numbers
    }

    /// The numbers of an array of floating point numbers.
    ///
    /// # Panics
    /// If this isn't one.
    pub fn f32s_mut(&mut self) -> &mut Vec<f32> {
        let Self::F32s(numbers) = self else {
            panic!("not an array of f32")
        };
        numbers
    }

    /// Writes the type number and the value.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::U8(value) => scalar(out, kind::U8, &value.to_le_bytes()),
            Self::U32(value) => scalar(out, kind::U32, &value.to_le_bytes()),
            Self::I32(value) => scalar(out, kind::I32, &value.to_le_bytes()),
            Self::U64(value) => scalar(out, kind::U64, &value.to_le_bytes()),
            Self::F32(value) => scalar(out, kind::F32, &value.to_le_bytes()),
            Self::F64(value) => scalar(out, kind::F64, &value.to_le_bytes()),
            Self::Bool(value) => scalar(out, kind::BOOL, &[u8::from(*value)]),
            Self::Text(text) => {
                out.extend(kind::TEXT.to_le_bytes());
                write_text(out, text);
            }
            Self::U32s(values) => array(out, kind::U32, values, |out, v| {
                out.extend(v.to_le_bytes());
            }),
            Self::I32s(values) => array(out, kind::I32, values, |out, v| {
                out.extend(v.to_le_bytes());
            }),
            Self::F32s(values) => array(out, kind::F32, values, |out, v| {
                out.extend(v.to_le_bytes());
            }),
            Self::Bools(values) => array(out, kind::BOOL, values, |out, v| out.push(u8::from(*v))),
            Self::Texts(texts) => array(out, kind::TEXT, texts, |out, text| write_text(out, text)),
            Self::Raw(kind, bytes) => scalar(out, *kind, bytes),
        }
    }
}

fn scalar(out: &mut Vec<u8>, kind: u32, bytes: &[u8]) {
    out.extend(kind.to_le_bytes());
    out.extend(bytes);
}

fn array<T>(out: &mut Vec<u8>, element: u32, values: &[T], write: impl Fn(&mut Vec<u8>, &T)) {
    out.extend(kind::ARRAY.to_le_bytes());
    out.extend(element.to_le_bytes());
    out.extend((values.len() as u64).to_le_bytes());
    for value in values {
        write(out, value);
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.as_bytes().to_vec())
    }
}

impl From<u32> for Value {
    fn from(value: u32) -> Self {
        Self::U32(value)
    }
}

impl From<f32> for Value {
    fn from(value: f32) -> Self {
        Self::F32(value)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}
