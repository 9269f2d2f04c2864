//! `tojson` as transformers defines it: Python's `json.dumps` with `ensure_ascii=False`.

use std::fmt::Write as _;

use minijinja::value::{Kwargs, ValueKind};
use minijinja::{Error, ErrorKind, State, Value};

/// Deepest nesting of lists and mappings.
const DEPTH: usize = 32;

/// The filter; its options are those of `json.dumps` that transformers passes on.
#[allow(clippy::needless_pass_by_value)] // minijinja hands arguments over by value
pub(crate) fn tojson(
    state: &State,
    value: &Value,
    indent: Option<Value>,
    options: Kwargs,
) -> Result<Value, Error> {
    let indent = match indent {
        Some(indent) => Some(indent),
        None => options.get::<Option<Value>>("indent")?,
    };
    let indent = match indent {
        Some(indent) if !indent.is_none() => Some(usize::try_from(indent)?.min(16)),
        _ => None,
    };
    let separators = match options.get::<Option<Value>>("separators")? {
        Some(pair) if !pair.is_none() => {
            let item = pair.get_item_by_index(0)?;
            let key = pair.get_item_by_index(1)?;
            (text(&item)?.to_owned(), text(&key)?.to_owned())
        }
        _ if indent.is_some() => (",".to_owned(), ": ".to_owned()),
        _ => (", ".to_owned(), ": ".to_owned()),
    };
    let mut writer = Writer {
        state,
        out: String::new(),
        paid: 0,
        ascii: options
            .get::<Option<bool>>("ensure_ascii")?
            .unwrap_or(false),
        sorted: options.get::<Option<bool>>("sort_keys")?.unwrap_or(false),
        indent,
        separators,
    };
    options.assert_all_used()?;
    writer.value(value, 0)?;
    Ok(Value::from(writer.out))
}

fn text(value: &Value) -> Result<&str, Error> {
    value.as_str().ok_or_else(unserializable)
}

fn unserializable() -> Error {
    Error::new(ErrorKind::BadSerialization, "no JSON for this value")
}

struct Writer<'a, 'env, 'template> {
    state: &'a State<'env, 'template>,
    out: String,
    paid: usize,
    ascii: bool,
    sorted: bool,
    indent: Option<usize>,
    separators: (String, String),
}

impl Writer<'_, '_, '_> {
    fn value(&mut self, value: &Value, depth: usize) -> Result<(), Error> {
        if depth > DEPTH {
            return Err(unserializable());
        }
        // Pays while it grows: shared values can unfold to far more than they occupy.
        self.state
            .consume_fuel(1 + ((self.out.len() - self.paid) / 16) as u64)?;
        self.paid = self.out.len();
        match value.kind() {
            ValueKind::None => self.out.push_str("null"),
            ValueKind::Bool => self
                .out
                .push_str(if value.is_true() { "true" } else { "false" }),
            ValueKind::Number => self.out.push_str(&value.to_string()),
            ValueKind::String => self.string(text(value)?),
            ValueKind::Seq | ValueKind::Iterable => {
                self.out.push('[');
                let mut empty = true;
                for item in value.try_iter()? {
                    self.separate(&mut empty, depth + 1);
                    self.value(&item, depth + 1)?;
                }
                self.close(empty, depth, ']');
            }
            ValueKind::Map => {
                let mut keys: Vec<Value> = value.try_iter()?.collect();
                if self.sorted {
                    keys.sort();
                }
                self.out.push('{');
                let mut empty = true;
                for key in keys {
                    self.separate(&mut empty, depth + 1);
                    match key.as_str() {
                        Some(name) => self.string(name),
                        None => self.string(&key.to_string()),
                    }
                    self.out.push_str(&self.separators.1);
                    self.value(&value.get_item(&key)?, depth + 1)?;
                }
                self.close(empty, depth, '}');
            }
            _ => return Err(unserializable()),
        }
        Ok(())
    }

    fn separate(&mut self, empty: &mut bool, depth: usize) {
        if !std::mem::replace(empty, false) {
            self.out.push_str(&self.separators.0);
        }
        self.line(depth);
    }

    fn close(&mut self, empty: bool, depth: usize, bracket: char) {
        if !empty {
            self.line(depth);
        }
        self.out.push(bracket);
    }

    fn line(&mut self, depth: usize) {
        if let Some(indent) = self.indent {
            self.out.push('\n');
            self.out.extend(std::iter::repeat_n(' ', indent * depth));
        }
    }

    fn string(&mut self, text: &str) {
        self.out.push('"');
        for c in text.chars() {
            match c {
                '"' => self.out.push_str("\\\""),
                '\\' => self.out.push_str("\\\\"),
                '\n' => self.out.push_str("\\n"),
                '\r' => self.out.push_str("\\r"),
                '\t' => self.out.push_str("\\t"),
                '\u{8}' => self.out.push_str("\\b"),
                '\u{c}' => self.out.push_str("\\f"),
                c if c < ' ' || (self.ascii && !c.is_ascii()) => {
                    // Writing to a string can't fail.
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        let _ = write!(self.out, "\\u{unit:04x}");
                    }
                }
                c => self.out.push(c),
            }
        }
        self.out.push('"');
    }
}
