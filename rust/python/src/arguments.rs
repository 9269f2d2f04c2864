//! Arguments that need more than a conversion: errors that name them, and never show them.

use std::time::Duration;

use pyo3::{exceptions::PyOverflowError, prelude::*, types::PyString};
use strongroom_protocol::{Isolation, Message, Pooling, Priority, Prompt, Role, Task};

use crate::errors::Error;

/// An integer that may be too large, or negative, for what takes it.
pub(crate) fn integer<'py, T>(
    name: &str,
    value: &Bound<'py, PyAny>,
    refuse: fn(&str, &str) -> Error,
) -> Result<T, Error>
where
    T: for<'a> FromPyObject<'a, 'py, Error = PyErr>,
{
    value.extract().map_err(|error: PyErr| {
        if error.is_instance_of::<PyOverflowError>(value.py()) {
            refuse(name, "is negative or too large")
        } else {
            error.into()
        }
    })
}

/// Seconds, from 0 to what a `Duration` holds.
pub(crate) fn seconds(
    name: &str,
    value: f64,
    refuse: fn(&str, &str) -> Error,
) -> Result<Duration, Error> {
    Duration::try_from_secs_f64(value)
        .map_err(|_| refuse(name, "is no number of seconds from 0 on"))
}

/// Text, without lone surrogates.
pub(crate) fn text(what: &str, value: &Bound<'_, PyString>) -> Result<String, Error> {
    value
        .to_str()
        .map(str::to_owned)
        .map_err(|_| Error::not_unicode(what))
}

/// The word for an isolation.
pub(crate) fn isolation(word: &str) -> Result<Isolation, Error> {
    match word {
        "danger-none" => Ok(Isolation::DangerNone),
        "process" => Ok(Isolation::Process),
        "maximum" => Ok(Isolation::Maximum),
        _ => Err(Error::setting(
            "isolation",
            "is none of process, maximum and danger-none",
        )),
    }
}

/// The word for a way of pooling, as the task of embedding; `model` is the model's own.
pub(crate) fn pooling(word: &str) -> Result<Task, Error> {
    let pooling = [Pooling::Mean, Pooling::Cls, Pooling::Last]
        .into_iter()
        .find(|pooling| pooling.as_str() == word);
    if pooling.is_none() && word != "model" {
        return Err(Error::setting(
            "pooling",
            "is none of model, mean, cls and last",
        ));
    }
    Ok(Task::Embed { pooling })
}

/// The word for a priority.
pub(crate) fn priority(word: &str) -> Result<Priority, Error> {
    match word {
        "low" => Ok(Priority::Low),
        "normal" => Ok(Priority::Normal),
        "high" => Ok(Priority::High),
        _ => Err(Error::option("priority", "is none of low, normal and high")),
    }
}

/// Text, or messages of a role, a content, and a name or `None`.
pub(crate) fn prompt(value: &Bound<'_, PyAny>) -> Result<Prompt, Error> {
    if let Ok(plain) = value.cast::<PyString>() {
        return Ok(Prompt::Text(text("the prompt", plain)?.into()));
    }
    let mut messages = Vec::new();
    for (position, item) in value.try_iter()?.enumerate() {
        messages.push(message(position + 1, &item?)?);
    }
    Ok(Prompt::Chat(messages))
}

fn message(number: usize, item: &Bound<'_, PyAny>) -> Result<Message, Error> {
    type Parts<'py> = (
        Bound<'py, PyString>,
        Bound<'py, PyString>,
        Option<Bound<'py, PyString>>,
    );
    let (role, content, name): Parts<'_> = item.extract().map_err(|_| {
        Error::prompt(format!(
            "message {number} is no tuple of a role, a content, and a name or None"
        ))
    })?;
    let role = Role::ALL
        .into_iter()
        .find(|known| role.to_str().is_ok_and(|word| word == known.as_str()))
        .ok_or_else(|| {
            let words = Role::ALL.map(Role::as_str).join(", ");
            Error::prompt(format!("the role of message {number} is none of {words}"))
        })?;
    Ok(Message {
        role,
        content: text(&format!("message {number}"), &content)?.into(),
        name: name
            .map(|name| text(&format!("the name of message {number}"), &name))
            .transpose()?
            .map(Into::into),
    })
}
