//! Values, in a subset of CBOR (RFC 8949) in which each has one encoding.

use super::{DataError, Draft};

/// Most lists and maps inside one another.
pub const MAX_DEPTH: usize = 64;

const NEGATIVE: u8 = 1;
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const LIST: u8 = 4;
const MAP: u8 = 5;
const TAG: u8 = 6;
const FALSE: u8 = 0xf4;
const TRUE: u8 = 0xf5;
const NULL: u8 = 0xf6;
const FLOAT: u8 = 0xfb;
/// Tags of integers beyond 64 bits.
const BIG: u64 = 2;
const BIG_NEGATIVE: u64 = 3;

/// Why bytes that were authentic are no value.
const fn malformed(reason: &'static str) -> DataError {
    DataError::Malformed { reason }
}

/// A piece of a value: all of a scalar, or the head of a list or a map, whose items follow.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Item<'a> {
    /// Nothing.
    Null,
    /// A truth value.
    Bool(bool),
    /// n.
    Positive(u64),
    /// -1 - n.
    Negative(u64),
    /// n, big-endian: more than 8 bytes, the first of which isn't zero.
    BigPositive(&'a [u8]),
    /// -1 - n, as above.
    BigNegative(&'a [u8]),
    /// A finite number of IEEE 754's binary64.
    Float(f64),
    /// Text.
    Text(&'a str),
    /// A list of that many items.
    List(u64),
    /// A map of that many pairs: a text, then an item.
    Map(u64),
}

impl Item<'_> {
    /// Adds it to a draft.
    ///
    /// # Errors
    /// [`DataError::TooLarge`]; [`DataError::Malformed`] for a float that isn't finite, or a big integer
    /// that isn't one.
    pub fn write(&self, draft: &mut Draft) -> Result<(), DataError> {
        match *self {
            Self::Null => draft.extend(&[NULL]),
            Self::Bool(true) => draft.extend(&[TRUE]),
            Self::Bool(false) => draft.extend(&[FALSE]),
            Self::Positive(n) => head(draft, 0, n),
            Self::Negative(n) => head(draft, NEGATIVE, n),
            Self::BigPositive(bytes) => big(draft, BIG, bytes),
            Self::BigNegative(bytes) => big(draft, BIG_NEGATIVE, bytes),
            Self::Float(number) if !number.is_finite() => Err(malformed(NOT_FINITE)),
            Self::Float(number) => {
                draft.extend(&[FLOAT])?;
                draft.extend(&number.to_be_bytes())
            }
            Self::Text(text) => {
                head(draft, TEXT, text.len() as u64)?;
                draft.extend(text.as_bytes())
            }
            Self::List(count) => head(draft, LIST, count),
            Self::Map(count) => head(draft, MAP, count),
        }
    }
}

const NOT_FINITE: &str = "a number in its value is not finite";
const SMALL: &str = "a big integer in its value is a small one";

fn big(draft: &mut Draft, tag: u64, bytes: &[u8]) -> Result<(), DataError> {
    if bytes.len() <= 8 || bytes[0] == 0 {
        return Err(malformed(SMALL));
    }
    head(draft, TAG, tag)?;
    head(draft, BYTES, bytes.len() as u64)?;
    draft.extend(bytes)
}

/// A major type with its argument, in the fewest bytes.
#[allow(clippy::cast_possible_truncation)] // Each arm has the values that fit.
fn head(draft: &mut Draft, major: u8, argument: u64) -> Result<(), DataError> {
    let bytes = argument.to_be_bytes();
    let (code, argument) = match argument {
        0..=23 => (argument as u8, &bytes[8..]),
        24..=0xff => (24, &bytes[7..]),
        0x100..=0xffff => (25, &bytes[6..]),
        0x1_0000..=0xffff_ffff => (26, &bytes[4..]),
        _ => (27, &bytes[..]),
    };
    draft.extend(&[major << 5 | code])?;
    draft.extend(argument)
}

/// Reads items one after the other.
#[derive(Debug, Clone, Copy)]
pub struct Items<'a>(&'a [u8]);

impl<'a> Items<'a> {
    /// The items in `bytes`.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// How many bytes are left.
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether all were read.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next one. The count of a list or a map is no more than the bytes that are left.
    ///
    /// # Errors
    /// [`DataError::Malformed`]: it ends, isn't in the subset, or not in its one encoding.
    #[allow(clippy::should_implement_trait)] // It isn't an iterator: an error is not an item.
    pub fn next(&mut self) -> Result<Item<'a>, DataError> {
        let [first] = self.take()?;
        Ok(match first {
            NULL => Item::Null,
            TRUE => Item::Bool(true),
            FALSE => Item::Bool(false),
            FLOAT => {
                let number = f64::from_be_bytes(self.take()?);
                if !number.is_finite() {
                    return Err(malformed(NOT_FINITE));
                }
                Item::Float(number)
            }
            _ => {
                let argument = self.argument(first & 0x1f)?;
                match first >> 5 {
                    0 => Item::Positive(argument),
                    NEGATIVE => Item::Negative(argument),
                    TEXT => Item::Text(
                        std::str::from_utf8(self.split(argument)?)
                            .map_err(|_| malformed("a text in its value is not UTF-8"))?,
                    ),
                    LIST => Item::List(self.count(argument, 1)?),
                    MAP => Item::Map(self.count(argument, 2)?),
                    TAG if argument == BIG => Item::BigPositive(self.big()?),
                    TAG if argument == BIG_NEGATIVE => Item::BigNegative(self.big()?),
                    _ => return Err(malformed("its value has an item that is none of these")),
                }
            }
        })
    }

    fn big(&mut self) -> Result<&'a [u8], DataError> {
        let [first] = self.take()?;
        if first >> 5 != BYTES {
            return Err(malformed("a big integer in its value has no bytes"));
        }
        let length = self.argument(first & 0x1f)?;
        let bytes = self.split(length)?;
        if bytes.len() <= 8 || bytes[0] == 0 {
            return Err(malformed(SMALL));
        }
        Ok(bytes)
    }

    /// A count of items of which each has `least` bytes.
    fn count(&self, argument: u64, least: u64) -> Result<u64, DataError> {
        if argument > self.0.len() as u64 / least {
            return Err(malformed(ENDS));
        }
        Ok(argument)
    }

    fn argument(&mut self, code: u8) -> Result<u64, DataError> {
        let (argument, least) = match code {
            0..=23 => return Ok(u64::from(code)),
            24 => (u64::from(u8::from_be_bytes(self.take()?)), 24),
            25 => (u64::from(u16::from_be_bytes(self.take()?)), 0x100),
            26 => (u64::from(u32::from_be_bytes(self.take()?)), 0x1_0000),
            27 => (u64::from_be_bytes(self.take()?), 0x1_0000_0000),
            _ => return Err(malformed("its value has an item of no definite length")),
        };
        if argument < least {
            return Err(malformed(
                "a length in its value has more bytes than it needs",
            ));
        }
        Ok(argument)
    }

    fn split(&mut self, length: u64) -> Result<&'a [u8], DataError> {
        let length = usize::try_from(length).map_err(|_| malformed(ENDS))?;
        let (now, later) = self.0.split_at_checked(length).ok_or(malformed(ENDS))?;
        self.0 = later;
        Ok(now)
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], DataError> {
        let (now, later) = self.0.split_first_chunk().ok_or(malformed(ENDS))?;
        self.0 = later;
        Ok(*now)
    }
}

const ENDS: &str = "its value ends inside an item";
