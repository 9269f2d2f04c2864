//! JSON of strangers: a tree without duplicate names, of bounded depth, taken apart field by field.
//!
//! What serde derives takes an array for a struct, and the last of two equal names. Here a field is
//! there once, has its type, and nothing is left over; what is wrong is named by its path.

use std::{borrow::Cow, fmt};

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use super::text;

/// Deepest nesting that any of the formats needs, and room for the log's entries.
const DEEPEST: usize = 24;

/// What is wrong with a document, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Malformed {
    pub(super) at: String,
    pub(super) reason: String,
}

/// The path to a value, for messages.
#[derive(Debug, Clone, Copy)]
pub(super) enum At<'p> {
    Root,
    Field(&'p At<'p>, &'static str),
    Item(&'p At<'p>, usize),
}

impl At<'_> {
    pub(super) fn malformed(&self, reason: impl Into<String>) -> Malformed {
        Malformed {
            at: self.to_string(),
            reason: reason.into(),
        }
    }
}

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Field(At::Root, name) => f.write_str(name),
            Self::Field(parent, name) => write!(f, "{parent}.{name}"),
            Self::Item(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

/// A JSON value.
#[derive(Debug)]
pub(super) enum Value<'a> {
    Null,
    Boolean(bool),
    Whole(u64),
    Number(f64),
    Text(Cow<'a, str>),
    Array(Vec<Value<'a>>),
    Object(Vec<(Cow<'a, str>, Value<'a>)>),
}

/// Reads one document and nothing after it.
pub(super) fn parse(bytes: &[u8]) -> Result<Value<'_>, Malformed> {
    let mut document = serde_json::Deserializer::from_slice(bytes);
    Tree(DEEPEST)
        .deserialize(&mut document)
        .and_then(|value| document.end().map(|()| value))
        .map_err(|error| At::Root.malformed(text::shown(&error.to_string())))
}

impl<'a> Value<'a> {
    pub(super) fn object(self, at: &At<'_>) -> Result<Object<'a>, Malformed> {
        match self {
            Self::Object(fields) => Ok(Object { fields }),
            other => Err(other.wrong(at, "an object")),
        }
    }

    pub(super) fn array(self, at: &At<'_>) -> Result<Vec<Self>, Malformed> {
        match self {
            Self::Array(items) => Ok(items),
            other => Err(other.wrong(at, "an array")),
        }
    }

    pub(super) fn boolean(self, at: &At<'_>) -> Result<bool, Malformed> {
        match self {
            Self::Boolean(value) => Ok(value),
            other => Err(other.wrong(at, "true or false")),
        }
    }

    /// A string of at most `longest` bytes.
    pub(super) fn text(self, at: &At<'_>, longest: usize) -> Result<Cow<'a, str>, Malformed> {
        match self {
            Self::Text(value) if value.len() <= longest => Ok(value),
            Self::Text(value) => {
                Err(at.malformed(format!("it has {} bytes, more than {longest}", value.len())))
            }
            other => Err(other.wrong(at, "a string")),
        }
    }

    /// A whole number, also where it is written as a float: `1048576.0`.
    pub(super) fn whole(self, at: &At<'_>) -> Result<u64, Malformed> {
        /// Above it a float no longer holds every whole number.
        const EXACT: f64 = 9_007_199_254_740_992.0;
        match self {
            Self::Whole(value) => Ok(value),
            // Truncation and sign: it was just looked at.
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            Self::Number(value) if value.fract() == 0.0 && (0.0..EXACT).contains(&value) => {
                Ok(value as u64)
            }
            Self::Number(_) => Err(at.malformed("it is no whole number that is read exactly")),
            other => Err(other.wrong(at, "a number")),
        }
    }

    fn wrong(&self, at: &At<'_>, expected: &str) -> Malformed {
        let found = match self {
            Self::Null => "null",
            Self::Boolean(_) => "true or false",
            Self::Whole(_) | Self::Number(_) => "a number",
            Self::Text(_) => "a string",
            Self::Array(_) => "an array",
            Self::Object(_) => "an object",
        };
        at.malformed(format!("it is {found}, not {expected}"))
    }
}

/// An object whose fields are taken out one by one.
#[derive(Debug)]
pub(super) struct Object<'a> {
    fields: Vec<(Cow<'a, str>, Value<'a>)>,
}

impl<'a> Object<'a> {
    /// A field that may be absent.
    pub(super) fn optional(&mut self, name: &str) -> Option<Value<'a>> {
        let position = self.fields.iter().position(|(key, _)| key == name)?;
        Some(self.fields.swap_remove(position).1)
    }

    /// A field that has to be there.
    pub(super) fn field(
        &mut self,
        at: &At<'_>,
        name: &'static str,
    ) -> Result<Value<'a>, Malformed> {
        self.optional(name)
            .ok_or_else(|| At::Field(at, name).malformed("it is missing"))
    }

    /// A string that has to be there.
    pub(super) fn text(
        &mut self,
        at: &At<'_>,
        name: &'static str,
        longest: usize,
    ) -> Result<Cow<'a, str>, Malformed> {
        self.field(at, name)?.text(&At::Field(at, name), longest)
    }

    /// Refuses what is left.
    pub(super) fn finish(self, at: &At<'_>) -> Result<(), Malformed> {
        match self.fields.first() {
            None => Ok(()),
            Some((name, _)) => {
                Err(at.malformed(format!("the field \"{}\" is unknown", text::shown(name))))
            }
        }
    }
}

/// Builds the tree, to so many levels.
struct Tree(usize);

impl<'de> DeserializeSeed<'de> for Tree {
    type Value = Value<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Tree {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value<'de>, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value<'de>, E> {
        Ok(Value::Boolean(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value<'de>, E> {
        Ok(Value::Whole(value))
    }

    // Negative: no field takes one, so its exact value doesn't matter.
    #[allow(clippy::cast_precision_loss)]
    fn visit_i64<E>(self, value: i64) -> Result<Value<'de>, E> {
        Ok(Value::Number(value as f64))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value<'de>, E> {
        Ok(Value::Number(value))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Value<'de>, E> {
        Ok(Value::Text(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value<'de>, E> {
        Ok(Value::Text(Cow::Owned(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value<'de>, A::Error> {
        let deeper = self.deeper()?;
        let mut array = Vec::new();
        while let Some(item) = items.next_element_seed(Self(deeper))? {
            array.push(item);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value<'de>, A::Error> {
        let deeper = self.deeper()?;
        let mut fields: Vec<(Cow<'de, str>, Value<'de>)> = Vec::new();
        while let Some(name) = entries.next_key_seed(Name)? {
            fields.push((name, entries.next_value_seed(Self(deeper))?));
        }
        fields.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        if let Some(twice) = fields.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(A::Error::custom(format_args!(
                "the field \"{}\" is there twice",
                text::shown(&twice[0].0)
            )));
        }
        Ok(Value::Object(fields))
    }
}

impl Tree {
    fn deeper<E: serde::de::Error>(&self) -> Result<usize, E> {
        self.0
            .checked_sub(1)
            .ok_or_else(|| E::custom(format_args!("it is nested deeper than {DEEPEST} levels")))
    }
}

/// A field's name, borrowed where it holds no escapes.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Cow<'de, str>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field's name")
    }

    fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Borrowed(name))
    }

    fn visit_str<E>(self, name: &str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Owned(name.to_owned()))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn refused(document: &str) -> String {
        parse(document.as_bytes()).unwrap_err().reason
    }

    #[test]
    fn a_name_that_is_there_twice_is_refused_at_any_depth() {
        for document in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"b":2,"\u0061":3}"#,
            r#"[{"x":{"y":[{"a":null,"a":null}]}}]"#,
        ] {
            assert!(refused(document).contains("twice"), "{document}");
        }
        assert!(parse(br#"{"a":{"a":1},"b":{"a":1}}"#).is_ok());
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |depth| "[".repeat(depth) + &"]".repeat(depth);
        assert!(parse(nested(DEEPEST).as_bytes()).is_ok());
        assert!(refused(&nested(DEEPEST + 1)).contains("nested"));
        assert!(!refused(&nested(1_000_000)).is_empty());
        assert!(!refused(&"{\"a\":".repeat(1_000_000)).is_empty());
    }

    #[test]
    fn nothing_may_follow_and_nothing_may_be_loose() {
        for document in [
            "",
            " ",
            "{} {}",
            "{}x",
            "{,}",
            "{\"a\":1,}",
            "[1,]",
            "{'a':1}",
            "{a:1}",
            "NaN",
            "01",
            "\u{feff}{}",
            "{\"a\":1}\0",
            "\"\u{1}\"",
            r#""\ud800""#,
            "1e999",
            "nul",
        ] {
            assert!(!refused(document).is_empty(), "{document:?}");
        }
        assert!(parse(b"\"\xff\"").is_err());
    }

    #[test]
    fn whole_numbers_are_read_exactly_or_not_at_all() {
        let whole = |document: &'static str| parse(document.as_bytes()).unwrap().whole(&At::Root);
        for (document, value) in [
            ("0", 0),
            ("1048576", 1_048_576),
            ("1048576.0", 1_048_576),
            ("1e6", 1_000_000),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(whole(document), Ok(value));
        }
        for document in [
            "-1",
            "0.5",
            "1e300",
            "-0.5",
            "9007199254740993.0",
            "\"1\"",
            "true",
        ] {
            assert!(whole(document).is_err(), "{document}");
        }
    }

    #[test]
    fn messages_escape_and_cut_what_strangers_wrote() {
        let long = format!(
            "{{\"{}\":1}}",
            "\u{1b}[2J".escape_default().to_string().repeat(900)
        );
        let _ = parse(long.as_bytes());
        let document = format!("{{\"{}\":1}}", "é\\n".repeat(9_000));
        let object = parse(document.as_bytes())
            .unwrap()
            .object(&At::Root)
            .unwrap();
        let malformed = object.finish(&At::Root).unwrap_err();
        assert!(malformed.reason.len() < 400, "{}", malformed.reason.len());
        assert!(!malformed.reason.contains('\n'));
    }
}
