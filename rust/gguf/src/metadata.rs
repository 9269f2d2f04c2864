//! The keys and values of a header.

use crate::{
    limit,
    reader::Reader,
    refusal::{Refusal, refuse, require},
    value::{Array, Kind, Value},
};
use std::collections::{HashMap, hash_map::Entry};

/// All metadata, by key.
#[derive(Debug)]
pub(crate) struct Metadata<'a>(HashMap<&'a str, Value<'a>>);

impl<'a> Metadata<'a> {
    /// Reads `count` entries, a number that was found to fit.
    pub(crate) fn read(reader: &mut Reader<'a>, count: u64) -> Result<Self, Refusal> {
        let mut entries = HashMap::new();
        for _ in 0..count {
            let key = read_key(reader)?;
            let value = Value::read(reader, key)?;
            match entries.entry(key) {
                Entry::Vacant(free) => free.insert(value),
                Entry::Occupied(_) => refuse!(DuplicateKey, "the key {key} stands there twice"),
            };
        }
        Ok(Self(entries))
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &'a str> {
        self.0.keys().copied()
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Value<'a>> {
        self.0.get(key)
    }

    /// The text of `key`.
    pub(crate) fn text(&self, key: &str) -> Result<Option<&'a str>, Refusal> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text)),
            Some(other) => mistyped(key, "a text", other.kind()),
        }
    }

    /// The number of `key`. llama.cpp takes no other type for one than the 32-bit unsigned one.
    pub(crate) fn u32(&self, key: &str) -> Result<Option<u32>, Refusal> {
        self.get(key).map(|value| u32_value(key, value)).transpose()
    }

    /// The number of `key`, which has to be there.
    pub(crate) fn required_u32(&self, key: &str) -> Result<u32, Refusal> {
        let found = self.u32(key)?;
        found.map_or_else(|| missing(key), Ok)
    }

    /// The 32-bit floating point number of `key`.
    pub(crate) fn f32(&self, key: &str) -> Result<Option<f64>, Refusal> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Float(Kind::F32, number)) => Ok(Some(*number)),
            Some(other) => mistyped(key, "a 32-bit floating point number", other.kind()),
        }
    }

    /// The truth value of `key`.
    pub(crate) fn bool(&self, key: &str) -> Result<Option<bool>, Refusal> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Bool(truth)) => Ok(Some(*truth)),
            Some(other) => mistyped(key, "a truth value", other.kind()),
        }
    }

    /// The array of `key`, whose elements must be of that type.
    pub(crate) fn array(&self, key: &str, kind: Kind) -> Result<Option<Array<'a>>, Refusal> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Array(array)) if array.kind == kind => Ok(Some(*array)),
            Some(Value::Array(array)) => {
                mistyped(key, &format!("an array of {kind:?}"), array.kind)
            }
            Some(other) => mistyped(key, &format!("an array of {kind:?}"), other.kind()),
        }
    }

    /// The numbers of `key`: one for all layers, or an array with one for each.
    pub(crate) fn per_layer(&self, key: &str, layers: u32) -> Result<Option<PerLayer>, Refusal> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        if let Some(number) = u32_of(value) {
            return Ok(Some(PerLayer {
                least: number,
                greatest: number,
            }));
        }
        let Value::Array(array) = value else {
            return mistyped(
                key,
                "an unsigned 32-bit number or an array of them",
                value.kind(),
            );
        };
        if !matches!(array.kind, Kind::U32 | Kind::I32) {
            return mistyped(key, "an array of 32-bit numbers", array.kind);
        }
        let long_enough = u32::try_from(array.length).is_ok_and(|length| length == layers);
        require!(
            long_enough,
            KeyType,
            "{key} has {} numbers for {layers} layers",
            array.length
        );
        let numbers = array.whole().map(|number| u32::try_from(number).ok());
        let Some(numbers) = numbers.collect::<Option<Vec<u32>>>() else {
            refuse!(KeyType, "{key} holds a negative number");
        };
        let least = numbers.iter().copied().min().unwrap_or_default();
        let greatest = numbers.iter().copied().max().unwrap_or_default();
        Ok(Some(PerLayer { least, greatest }))
    }
}

/// The range of a number that may differ from layer to layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PerLayer {
    pub(crate) least: u32,
    pub(crate) greatest: u32,
}

/// The number that a value has to be.
pub(crate) fn u32_value(key: &str, value: &Value<'_>) -> Result<u32, Refusal> {
    let found = u32_of(value);
    found.map_or_else(
        || mistyped(key, "an unsigned 32-bit number", value.kind()),
        Ok,
    )
}

fn u32_of(value: &Value<'_>) -> Option<u32> {
    match value {
        Value::Whole(Kind::U32, number) => u32::try_from(*number).ok(),
        _ => None,
    }
}

fn mistyped<T>(key: &str, expected: &str, found: Kind) -> Result<T, Refusal> {
    refuse!(KeyType, "{key} has to be {expected}, but is {found:?}");
}

/// Refuses because of a key that isn't there.
pub(crate) fn missing<T>(key: &str) -> Result<T, Refusal> {
    refuse!(KeyMissing, "the header has no {key}");
}

/// Names of letters, digits, `_` and `-`, separated by dots.
pub(crate) fn read_key<'a>(reader: &mut Reader<'a>) -> Result<&'a str, Refusal> {
    let length = reader.u64()?;
    require!(
        (1..=limit::KEY).contains(&length),
        KeyLength,
        "a key of {length} bytes"
    );
    let bytes = reader.take(length)?;
    let sound = |name: &[u8]| {
        let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        !name.is_empty() && name.iter().all(allowed)
    };
    match str::from_utf8(bytes) {
        Ok(key) if bytes.split(|byte| *byte == b'.').all(sound) => Ok(key),
        _ => refuse!(
            KeySyntax,
            "the key \"{}\" isn't made of names and dots",
            bytes.escape_ascii()
        ),
    }
}
