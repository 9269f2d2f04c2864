//! Python's methods that templates call and minijinja doesn't have.

use minijinja::value::{Tuple, ValueKind, from_args};
use minijinja::{Error, ErrorKind, State, Value};
use minijinja_contrib::pycompat;

/// Answers a call of a method that a value itself doesn't have.
pub(crate) fn call(
    state: &mut State,
    value: &Value,
    method: &str,
    args: &[Value],
) -> Result<Value, Error> {
    // The engine charges for what a method returns, not for what it reads.
    let read: usize = std::iter::once(value)
        .chain(args)
        .map(|value| match value.kind() {
            ValueKind::String => value.as_str().map_or(0, str::len),
            _ => 64 * value.len().unwrap_or(0),
        })
        .sum();
    state.consume_fuel((read / 64) as u64)?;
    if let Some(text) = value.as_str()
        && let Some(result) = string(text, method, args)
    {
        return result;
    }
    match (value.kind(), method) {
        (ValueKind::Seq, "index") => index(value, args),
        (ValueKind::Seq | ValueKind::Map, "copy") => {
            let () = from_args(args)?;
            Ok(value.clone())
        }
        _ => pycompat::unknown_method_callback(state, value, method, args),
    }
}

/// The methods of `str`; `None` leaves the call to pycompat.
fn string(text: &str, method: &str, args: &[Value]) -> Option<Result<Value, Error>> {
    Some(match method {
        "partition" => cut(text, args, |text, by| {
            text.split_once(by)
                .map_or((text, "", ""), |(a, b)| (a, by, b))
        }),
        "rpartition" => cut(text, args, |text, by| {
            text.rsplit_once(by)
                .map_or(("", "", text), |(a, b)| (a, by, b))
        }),
        "removeprefix" => affix(args, |affix| text.strip_prefix(affix).unwrap_or(text)),
        "removesuffix" => affix(args, |affix| text.strip_suffix(affix).unwrap_or(text)),
        "rsplit" => rsplit(text, args),
        "index" => from_args(args).and_then(|(what,): (&str,)| {
            text.find(what)
                .map(|at| Value::from(text[..at].chars().count()))
                .ok_or_else(|| Error::new(ErrorKind::InvalidOperation, "substring not found"))
        }),
        _ => return None,
    })
}

fn cut<'a>(
    text: &'a str,
    args: &'a [Value],
    split: impl Fn(&'a str, &'a str) -> (&'a str, &'a str, &'a str),
) -> Result<Value, Error> {
    let (by,): (&str,) = from_args(args)?;
    if by.is_empty() {
        return Err(Error::new(ErrorKind::InvalidOperation, "empty separator"));
    }
    let (a, b, c) = split(text, by);
    Ok(Value::from(Tuple::from([a, b, c].map(Value::from))))
}

fn affix<'a>(args: &'a [Value], strip: impl Fn(&'a str) -> &'a str) -> Result<Value, Error> {
    let (affix,): (&str,) = from_args(args)?;
    Ok(Value::from(strip(affix)))
}

fn rsplit(text: &str, args: &[Value]) -> Result<Value, Error> {
    let (by, count): (Option<&str>, Option<i64>) = from_args(args)?;
    let limit = count
        .and_then(|count| usize::try_from(count).ok())
        .map_or(usize::MAX, |count| count.saturating_add(1));
    let mut parts: Vec<&str> = match by {
        Some("") => return Err(Error::new(ErrorKind::InvalidOperation, "empty separator")),
        Some(by) => text.rsplitn(limit, by).collect(),
        None if limit == usize::MAX => text.split_whitespace().rev().collect(),
        None => {
            let mut parts = Vec::new();
            let mut rest = text.trim_end();
            while !rest.is_empty() {
                match rest.rfind(char::is_whitespace) {
                    Some(at) if parts.len() + 1 < limit => {
                        parts.push(rest[at..].trim_start());
                        rest = rest[..at].trim_end();
                    }
                    _ => {
                        parts.push(rest);
                        rest = "";
                    }
                }
            }
            parts
        }
    };
    parts.reverse();
    Ok(parts.into_iter().map(Value::from).collect())
}

fn index(value: &Value, args: &[Value]) -> Result<Value, Error> {
    let (what,): (&Value,) = from_args(args)?;
    for (at, item) in value.try_iter()?.enumerate() {
        if item == *what {
            return Ok(Value::from(at));
        }
    }
    Err(Error::new(ErrorKind::InvalidOperation, "not in the list"))
}
