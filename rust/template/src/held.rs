//! What a template may keep in a namespace: plain values, a few levels deep.
//!
//! minijinja prints, compares and frees nested values by recursion without a bound. A value that
//! grows by one level with each turn of a loop, or that holds itself, would end the process.

use minijinja::value::ValueKind;
use minijinja::{Error, ErrorKind, State, Value};

/// Deepest nesting of lists and mappings.
const DEPTH: usize = 16;

/// The filter: a copy of `value` in lists and mappings of its own.
pub(crate) fn held(state: &State, value: &Value) -> Result<Value, Error> {
    copy(state, value, 0)
}

fn copy(state: &State, value: &Value, depth: usize) -> Result<Value, Error> {
    state.consume_fuel(1)?;
    if depth > DEPTH {
        return Err(refused());
    }
    match value.kind() {
        ValueKind::Seq | ValueKind::Iterable => {
            let items: Result<Vec<Value>, Error> = value
                .try_iter()?
                .map(|item| copy(state, &item, depth + 1))
                .collect();
            Ok(Value::from(items?))
        }
        ValueKind::Map => {
            let mut pairs = Vec::new();
            for key in value.try_iter()? {
                let item = copy(state, &value.get_item(&key)?, depth + 1)?;
                pairs.push((copy(state, &key, depth + 1)?, item));
            }
            Ok(Value::from_pairs(pairs))
        }
        ValueKind::Plain | ValueKind::Invalid => Err(refused()),
        _ => Ok(value.clone()),
    }
}

fn refused() -> Error {
    Error::new(
        ErrorKind::InvalidOperation,
        "a namespace keeps plain values only",
    )
}
