//! Metadata values, borrowed from the file.

use crate::{
    limit,
    reader::Reader,
    refusal::{Refusal, refuse, require},
};

/// A value's type, by GGUF's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    F32,
    Bool,
    Text,
    Array,
    U64,
    I64,
    F64,
}

impl Kind {
    fn read(reader: &mut Reader<'_>, key: &str) -> Result<Self, Refusal> {
        Ok(match reader.u32()? {
            0 => Self::U8,
            1 => Self::I8,
            2 => Self::U16,
            3 => Self::I16,
            4 => Self::U32,
            5 => Self::I32,
            6 => Self::F32,
            7 => Self::Bool,
            8 => Self::Text,
            9 => Self::Array,
            10 => Self::U64,
            11 => Self::I64,
            12 => Self::F64,
            number => refuse!(
                ValueType,
                "{key} has type {number}, which GGUF doesn't define"
            ),
        })
    }

    /// Bytes of one value; `None` where that varies.
    fn width(self) -> Option<u64> {
        match self {
            Self::U8 | Self::I8 | Self::Bool => Some(1),
            Self::U16 | Self::I16 => Some(2),
            Self::U32 | Self::I32 | Self::F32 => Some(4),
            Self::U64 | Self::I64 | Self::F64 => Some(8),
            Self::Text | Self::Array => None,
        }
    }
}

/// A value. Whole numbers are widened; `kind` keeps what the file says.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Value<'a> {
    Whole(Kind, i128),
    Float(Kind, f64),
    Bool(bool),
    Text(&'a str),
    Array(Array<'a>),
}

/// An array of scalars or texts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Array<'a> {
    pub(crate) kind: Kind,
    pub(crate) length: usize,
    body: &'a [u8],
}

impl<'a> Value<'a> {
    /// Reads the type and the value of `key`.
    pub(crate) fn read(reader: &mut Reader<'a>, key: &str) -> Result<Self, Refusal> {
        match Kind::read(reader, key)? {
            Kind::Array => Array::read(reader, key).map(Self::Array),
            Kind::Text => {
                let bytes = reader.text(limit::TEXT, key)?;
                utf8(bytes, key).map(Self::Text)
            }
            kind => {
                let bytes = reader.take(kind.width().unwrap_or_default())?;
                scalar(kind, bytes, key)
            }
        }
    }

    /// The type that the file says.
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Whole(kind, _) | Self::Float(kind, _) => *kind,
            Self::Bool(_) => Kind::Bool,
            Self::Text(_) => Kind::Text,
            Self::Array(_) => Kind::Array,
        }
    }
}

impl<'a> Array<'a> {
    fn read(reader: &mut Reader<'a>, key: &str) -> Result<Self, Refusal> {
        let kind = Kind::read(reader, key)?;
        let length = reader.u64()?;
        require!(
            kind != Kind::Array,
            NestedArray,
            "{key} is an array of arrays"
        );
        // A text takes at least the eight bytes of its length.
        let width = kind.width().unwrap_or(8);
        let fits = length
            .checked_mul(width)
            .is_some_and(|bytes| bytes <= reader.remaining());
        let Some(count) = usize::try_from(length).ok().filter(|_| fits) else {
            refuse!(
                ArrayLength,
                "{key} announces {length} elements, more than fit into the file"
            );
        };
        let mut array = Self {
            kind,
            length: count,
            body: &[],
        };
        if kind == Kind::Text {
            array.body = texts(reader, count, key)?;
        } else {
            array.body = reader.take(length * width)?;
            array.check(key)?;
        }
        Ok(array)
    }

    /// Truth values must be 0 or 1, and floating point numbers finite.
    fn check(&self, key: &str) -> Result<(), Refusal> {
        match self.kind {
            Kind::Bool => {
                let sound = self.body.iter().all(|byte| *byte <= 1);
                require!(sound, Bool, "{key} holds a truth value other than 0 and 1");
            }
            Kind::F32 => {
                let finite = self.f32s().all(f32::is_finite);
                require!(finite, NotFinite, "{key} holds a NaN or an infinity");
            }
            Kind::F64 => {
                let mut numbers = self
                    .body
                    .chunks_exact(8)
                    .map(|c| f64::from_le_bytes(fixed(c)));
                require!(
                    numbers.all(f64::is_finite),
                    NotFinite,
                    "{key} holds a NaN or an infinity"
                );
            }
            _ => {}
        }
        Ok(())
    }

    /// The texts of an array of texts, as bytes that are known to be UTF-8; nothing of another.
    pub(crate) fn texts(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let mut rest = if self.kind == Kind::Text {
            self.body
        } else {
            &[]
        };
        std::iter::from_fn(move || {
            let (length, after) = rest.split_first_chunk::<8>()?;
            let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
            let (text, after) = after.split_at_checked(length)?;
            rest = after;
            Some(text)
        })
    }

    /// The numbers of an array of signed or unsigned 32-bit numbers; nothing of another.
    pub(crate) fn whole(&self) -> impl Iterator<Item = i64> + use<'a> {
        let signed = self.kind == Kind::I32;
        let body = if signed || self.kind == Kind::U32 {
            self.body
        } else {
            &[]
        };
        body.chunks_exact(4).map(move |chunk| {
            let chunk = fixed(chunk);
            if signed {
                i64::from(i32::from_le_bytes(chunk))
            } else {
                i64::from(u32::from_le_bytes(chunk))
            }
        })
    }

    /// How many of an array of switches are on; `None` if it holds anything else. llama.cpp takes
    /// truth values and 32-bit numbers for switches.
    pub(crate) fn switches(&self) -> Option<usize> {
        match self.kind {
            // Each is 0 or 1, or the array would have been refused.
            Kind::Bool => Some(self.body.iter().map(|byte| usize::from(*byte)).sum()),
            Kind::U32 | Kind::I32 if self.whole().all(|number| (0..=1).contains(&number)) => {
                Some(self.whole().filter(|number| *number == 1).count())
            }
            _ => None,
        }
    }

    /// The numbers of an array of 32-bit floating point numbers; nothing of another.
    pub(crate) fn f32s(&self) -> impl Iterator<Item = f32> + use<'a> {
        let body = if self.kind == Kind::F32 {
            self.body
        } else {
            &[]
        };
        body.chunks_exact(4)
            .map(|chunk| f32::from_le_bytes(fixed(chunk)))
    }
}

/// Walks over `count` texts and returns the bytes from the first to the last.
fn texts<'a>(reader: &mut Reader<'a>, count: usize, key: &str) -> Result<&'a [u8], Refusal> {
    let mut ahead = reader.fork();
    for _ in 0..count {
        utf8(ahead.text(limit::ELEMENT, key)?, key)?;
    }
    reader.take(ahead.position() - reader.position())
}

fn utf8<'a>(bytes: &'a [u8], key: &str) -> Result<&'a str, Refusal> {
    match str::from_utf8(bytes) {
        Ok(text) => Ok(text),
        Err(_) => refuse!(TextEncoding, "{key} holds a text that isn't UTF-8"),
    }
}

fn scalar<'a>(kind: Kind, bytes: &[u8], key: &str) -> Result<Value<'a>, Refusal> {
    let whole = |value: i128| Value::Whole(kind, value);
    Ok(match kind {
        Kind::U8 => whole(u8::from_le_bytes(fixed(bytes)).into()),
        Kind::I8 => whole(i8::from_le_bytes(fixed(bytes)).into()),
        Kind::U16 => whole(u16::from_le_bytes(fixed(bytes)).into()),
        Kind::I16 => whole(i16::from_le_bytes(fixed(bytes)).into()),
        Kind::U32 => whole(u32::from_le_bytes(fixed(bytes)).into()),
        Kind::I32 => whole(i32::from_le_bytes(fixed(bytes)).into()),
        Kind::U64 => whole(u64::from_le_bytes(fixed(bytes)).into()),
        Kind::I64 => whole(i64::from_le_bytes(fixed(bytes)).into()),
        Kind::F32 | Kind::F64 => {
            let number = match kind {
                Kind::F32 => f64::from(f32::from_le_bytes(fixed(bytes))),
                _ => f64::from_le_bytes(fixed(bytes)),
            };
            require!(number.is_finite(), NotFinite, "{key} is {number}");
            Value::Float(kind, number)
        }
        Kind::Bool | Kind::Text | Kind::Array => match bytes {
            [0] => Value::Bool(false),
            [1] => Value::Bool(true),
            _ => refuse!(Bool, "{key} is neither 0 nor 1"),
        },
    })
}

/// The bytes as an array; zeros where there are too few, which the callers rule out.
fn fixed<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.first_chunk().copied().unwrap_or([0; N])
}
