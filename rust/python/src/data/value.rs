//! Python's values as those of an envelope. A value comes back as what it was, type and all; what would
//! come back as something else is refused.

use pyo3::{
    IntoPyObjectExt as _,
    prelude::*,
    types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyList, PyString},
};
use strongroom_seal::{
    SealError,
    record::{DataError, Draft, Item, Items, MAX_DEPTH},
};

use crate::errors::Error;

/// The text of a string; nothing for what is none.
pub(super) fn text<'a>(object: &'a Bound<'_, PyAny>) -> Result<Option<&'a str>, Error> {
    if !object.is_exact_instance_of::<PyString>() {
        return Ok(None);
    }
    let text: &Bound<'_, PyString> = object.cast().map_err(PyErr::from)?;
    let text = text
        .to_str()
        .map_err(|_| Error::value("a text in it holds a lone surrogate, which is no character"))?;
    Ok(Some(text))
}

/// Whether it is a value, on the outside.
pub(super) fn is(object: &Bound<'_, PyAny>) -> bool {
    object.is_none()
        || object.is_exact_instance_of::<PyBool>()
        || object.is_exact_instance_of::<PyInt>()
        || object.is_exact_instance_of::<PyFloat>()
        || object.is_exact_instance_of::<PyList>()
        || object.is_exact_instance_of::<PyDict>()
}

/// Why an object is no value; of what it is only the type is shown.
pub(super) fn refused(object: &Bound<'_, PyAny>) -> Error {
    // By its name: a metaclass may say anything of it.
    let kind = object.get_type().name().map(|name| name.to_string());
    Error::value(&format!(
        "it has a value of the type {}",
        kind.unwrap_or_default()
    ))
}

fn no_memory() -> Error {
    DataError::Seal(SealError::NoMemory { what: "a record" }).into()
}

/// Adds a value to a draft.
pub(super) fn write(object: &Bound<'_, PyAny>, draft: &mut Draft) -> Result<(), Error> {
    write_at(object, draft, 0)
}

fn write_at(object: &Bound<'_, PyAny>, draft: &mut Draft, depth: usize) -> Result<(), Error> {
    if let Some(text) = text(object)? {
        return Ok(Item::Text(text).write(draft)?);
    }
    if !is(object) {
        return Err(refused(object));
    }
    if let Ok(list) = object.cast::<PyList>() {
        let depth = deeper(depth)?;
        let mut items: Vec<Bound<'_, PyAny>> = Vec::new();
        items
            .try_reserve_exact(list.len())
            .map_err(|_| no_memory())?;
        items.extend(list.iter().take(items.capacity()));
        Item::List(items.len() as u64).write(draft)?;
        for item in items {
            write_at(&item, draft, depth)?;
        }
    } else if let Ok(dict) = object.cast::<PyDict>() {
        let depth = deeper(depth)?;
        let mut pairs = Vec::new();
        pairs
            .try_reserve_exact(dict.len())
            .map_err(|_| no_memory())?;
        pairs.extend(dict.iter().take(pairs.capacity()));
        Item::Map(pairs.len() as u64).write(draft)?;
        for (key, value) in pairs {
            let Some(key) = text(&key)? else {
                return Err(Error::value("a dict in it has a key that is no str"));
            };
            Item::Text(key).write(draft)?;
            write_at(&value, draft, depth)?;
        }
    } else if let Ok(truth) = object.cast::<PyBool>() {
        Item::Bool(truth.is_true()).write(draft)?;
    } else if let Ok(number) = object.cast::<PyFloat>() {
        let number = number.value();
        if !number.is_finite() {
            return Err(Error::value("a float in it is not finite"));
        }
        Item::Float(number).write(draft)?;
    } else if object.is_none() {
        Item::Null.write(draft)?;
    } else {
        integer(object, draft)?;
    }
    Ok(())
}

fn deeper(depth: usize) -> Result<usize, Error> {
    if depth == MAX_DEPTH {
        return Err(Error::value(
            "it has more than 64 lists and dicts inside one another",
        ));
    }
    Ok(depth + 1)
}

fn integer(object: &Bound<'_, PyAny>, draft: &mut Draft) -> Result<(), Error> {
    if let Ok(number) = object.extract::<i64>() {
        let item = match u64::try_from(number) {
            Ok(number) => Item::Positive(number),
            Err(_) => Item::Negative(!number.cast_unsigned()),
        };
        return Ok(item.write(draft)?);
    }
    let negative = object.lt(0)?;
    let number = if negative {
        object.call_method0("__invert__")?
    } else {
        object.clone()
    };
    let bits: usize = number.call_method0("bit_length")?.extract()?;
    let bytes = number.call_method1("to_bytes", (bits.div_ceil(8), "big"))?;
    let bytes = bytes.cast::<PyBytes>().map_err(PyErr::from)?.as_bytes();
    let item = match (<[u8; 8]>::try_from(bytes), negative) {
        (Ok(bytes), false) => Item::Positive(u64::from_be_bytes(bytes)),
        (Ok(bytes), true) => Item::Negative(u64::from_be_bytes(bytes)),
        (Err(_), false) => Item::BigPositive(bytes),
        (Err(_), true) => Item::BigNegative(bytes),
    };
    Ok(item.write(draft)?)
}

/// The value that `bytes` are.
pub(super) fn read<'py>(py: Python<'py>, bytes: &[u8]) -> Result<Bound<'py, PyAny>, Error> {
    let mut items = Items::new(bytes);
    let value = read_at(py, &mut items, 0)?;
    if !items.is_empty() {
        return Err(malformed("its value has bytes behind its end"));
    }
    Ok(value)
}

fn read_at<'py>(
    py: Python<'py>,
    items: &mut Items<'_>,
    depth: usize,
) -> Result<Bound<'py, PyAny>, Error> {
    if depth > MAX_DEPTH {
        return Err(malformed("its value is nested too deeply"));
    }
    Ok(match items.next()? {
        Item::Null => py.None().into_bound(py),
        Item::Bool(truth) => truth.into_bound_py_any(py)?,
        Item::Positive(number) => number.into_bound_py_any(py)?,
        Item::Negative(number) => big(py, &number.to_be_bytes(), true)?,
        Item::BigPositive(bytes) => big(py, bytes, false)?,
        Item::BigNegative(bytes) => big(py, bytes, true)?,
        Item::Float(number) => number.into_bound_py_any(py)?,
        Item::Text(text) => PyString::new(py, text).into_any(),
        Item::List(count) => {
            let list = PyList::empty(py);
            for _ in 0..count {
                list.append(read_at(py, items, depth + 1)?)?;
            }
            list.into_any()
        }
        Item::Map(count) => {
            let dict = PyDict::new(py);
            for _ in 0..count {
                let Item::Text(key) = items.next()? else {
                    return Err(malformed("a key in its value is no text"));
                };
                if dict.contains(key)? {
                    return Err(malformed("a map in its value has a key twice"));
                }
                dict.set_item(key, read_at(py, items, depth + 1)?)?;
            }
            dict.into_any()
        }
    })
}

fn big<'py>(py: Python<'py>, bytes: &[u8], negative: bool) -> PyResult<Bound<'py, PyAny>> {
    let number = py
        .get_type::<PyInt>()
        .call_method1("from_bytes", (PyBytes::new(py, bytes), "big"))?;
    if negative {
        return number.call_method0("__invert__");
    }
    Ok(number)
}

fn malformed(reason: &'static str) -> Error {
    DataError::Malformed { reason }.into()
}
