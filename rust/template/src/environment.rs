//! minijinja, with nothing in it that reaches outside and everything in it bounded.

use std::io::{self, Write};
use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime};

use minijinja::syntax::SyntaxConfig;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Value};
use strongroom_protocol::Role;

use crate::error::TemplateError;
use crate::limits::Limits;
use crate::source::{HELD, Source};
use crate::{calendar, held, json, methods};

/// The name under which the template is known; it has no other.
const NAME: &str = "chat_template";

/// A message as the template is shown it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Turn {
    pub(crate) role: Role,
    pub(crate) content: String,
    pub(crate) name: Option<String>,
}

/// The moment that all renderings of one conversation share, and when, by which clock, they must be done.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    pub(crate) now: SystemTime,
    pub(crate) deadline: Option<Duration>,
    pub(crate) time: fn() -> Duration,
}

impl Clock {
    pub(crate) fn check(self) -> Result<(), TemplateError> {
        match self.deadline {
            Some(deadline) if (self.time)() < deadline => Ok(()),
            _ => Err(TemplateError::Limit("time")),
        }
    }
}

/// Time as it passes.
fn passed() -> Duration {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    START.elapsed()
}

/// A parsed template with what it may call.
#[derive(Debug)]
pub(crate) struct Parsed {
    environment: Environment<'static>,
    source: Source,
    bos: String,
    eos: String,
    /// Short conversations of every role, rendered: more of the scaffold than one conversation
    /// shows.
    samples: Vec<String>,
    limits: Limits,
    pub(crate) time: fn() -> Duration,
}

impl Parsed {
    pub(crate) fn new(
        text: &str,
        bos: &str,
        eos: &str,
        limits: Limits,
    ) -> Result<Self, TemplateError> {
        let mut environment = Environment::new();
        // As transformers sets them.
        let syntax = SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .build()
            .map_err(|error| TemplateError::syntax(&error))?;
        let source = Source::read(text, limits.source, syntax.clone())?;
        environment.set_syntax(syntax);
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        environment.set_recursion_limit(limits.recursion);
        environment.set_fuel(Some(limits.fuel));
        environment.remove_global("debug");
        environment.set_unknown_method_callback(methods::call);
        environment.add_filter("tojson", json::tojson);
        environment.add_filter(HELD, held::held);
        environment.add_function("raise_exception", |message: &str| -> Result<Value, Error> {
            Err(Error::new(ErrorKind::InvalidOperation, message.to_owned()))
        });
        environment
            .add_template_owned(NAME, source.text.clone())
            .map_err(|error| TemplateError::syntax(&error))?;
        let mut parsed = Self {
            environment,
            source,
            bos: bos.to_owned(),
            eos: eos.to_owned(),
            samples: Vec::new(),
            limits,
            time: passed,
        };
        let clock = parsed.clock(SystemTime::UNIX_EPOCH);
        parsed.samples = samples()
            .iter()
            // What a template refuses shows nothing.
            .filter_map(|turns| parsed.render(turns, clock).ok())
            .collect();
        Ok(parsed)
    }

    /// The texts that the scaffold is known to be made of.
    pub(crate) fn scaffold(&self) -> Vec<&str> {
        [&self.source.text, &self.bos, &self.eos]
            .into_iter()
            .chain(&self.samples)
            .map(String::as_str)
            .collect()
    }

    /// The quoted strings of the source.
    pub(crate) fn literals(&self) -> impl Iterator<Item = &str> {
        self.source.literals.iter().map(String::as_str)
    }

    pub(crate) fn bos(&self) -> &str {
        &self.bos
    }

    pub(crate) fn eos(&self) -> &str {
        &self.eos
    }

    pub(crate) fn clock(&self, now: SystemTime) -> Clock {
        Clock {
            now,
            deadline: (self.time)().checked_add(self.limits.time),
            time: self.time,
        }
    }

    /// The conversation, with the generation prompt.
    pub(crate) fn render(&self, turns: &[Turn], clock: Clock) -> Result<String, TemplateError> {
        clock.check()?;
        let now = clock.now;
        let messages: Value = turns.iter().map(shown).collect();
        let context = Value::from_pairs([
            ("messages", messages),
            ("bos_token", Value::from(self.bos.as_str())),
            ("eos_token", Value::from(self.eos.as_str())),
            ("add_generation_prompt", Value::from(true)),
            ("tools", Value::from(())),
            ("documents", Value::from(())),
            (
                "strftime_now",
                Value::from_function(move |format: &str| {
                    calendar::format(now, format).ok_or_else(|| {
                        Error::new(ErrorKind::InvalidOperation, "unknown date format")
                    })
                }),
            ),
        ]);
        let mut page = Page {
            text: Vec::new(),
            characters: self.limits.output,
            clock,
            exceeded: None,
        };
        let template = self
            .environment
            .get_template(NAME)
            .map_err(|error| TemplateError::syntax(&error))?;
        let rendered = template.render_captured_to(context, &mut page).map(drop);
        if let Some(limit) = page.exceeded {
            return Err(TemplateError::Limit(limit));
        }
        rendered.map_err(|error| self.failure(&error))?;
        String::from_utf8(page.text)
            .map_err(|_| TemplateError::Failed("its output is not text".to_owned()))
    }

    /// Errors of minijinja carry values in their details; only what the source itself spells out
    /// is repeated.
    fn failure(&self, error: &Error) -> TemplateError {
        let detail = error.detail().unwrap_or_default();
        match error.kind() {
            ErrorKind::OutOfFuel => return TemplateError::Limit("fuel"),
            ErrorKind::InvalidOperation
                if detail.starts_with("recursion limit")
                    || detail.starts_with("range has too many")
                    || detail.starts_with("repeated string is too large")
                    || detail.starts_with("repeated sequence is too large") =>
            {
                return TemplateError::Limit("size of a value, or recursion");
            }
            _ => {}
        }
        let mut message = error.kind().to_string();
        if error.kind() == ErrorKind::InvalidOperation
            && (8..=200).contains(&detail.len())
            && self.source.text.contains(detail)
        {
            detail.clone_into(&mut message);
        }
        if let Some(line) = error.line() {
            message = format!("{message} (line {line})");
        }
        TemplateError::Failed(message)
    }
}

/// Conversations that show the scaffold around each role.
fn samples() -> Vec<Vec<Turn>> {
    let turn = |role| Turn {
        role,
        content: "x".to_owned(),
        name: None,
    };
    let mut samples: Vec<Vec<Turn>> = Role::ALL
        .into_iter()
        .map(|role| vec![turn(role), turn(Role::User)])
        .collect();
    samples.push([Role::User, Role::Assistant, Role::User].map(turn).into());
    samples.push(
        [Role::User, Role::Assistant, Role::Tool, Role::Assistant]
            .map(turn)
            .into(),
    );
    samples
}

fn shown(turn: &Turn) -> Value {
    let mut fields = vec![
        ("role", Value::from(turn.role.as_str())),
        ("content", Value::from(turn.content.as_str())),
    ];
    if let Some(name) = &turn.name {
        fields.push(("name", Value::from(name.as_str())));
    }
    Value::from_pairs(fields)
}

/// Output that ends at a number of characters, and at the deadline.
struct Page {
    text: Vec<u8>,
    characters: usize,
    clock: Clock,
    exceeded: Option<&'static str>,
}

impl Write for Page {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        // Bytes that don't continue a character.
        let characters = piece.iter().filter(|byte| **byte & 0xC0 != 0x80).count();
        match self.characters.checked_sub(characters) {
            Some(left) => self.characters = left,
            None => self.exceeded = Some("size of the output"),
        }
        if self.clock.check().is_err() {
            self.exceeded = Some("time");
        }
        if self.exceeded.is_some() {
            return Err(io::Error::other("limit"));
        }
        self.text.extend_from_slice(piece);
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
