//! From the bytes of tokens to text that may be sent.

/// Stop strings that a request may carry.
pub const MAX_STOPS: usize = 16;

/// Longest stop string, in bytes.
pub const MAX_STOP: usize = 256;

/// The text of an answer, as it grows. A character is never split, bytes that are none become
/// U+FFFD, and what might yet become a stop string is held back.
#[derive(Debug, Default)]
pub struct Text {
    stops: Vec<String>,
    /// The beginning of a character, at most three bytes.
    partial: Vec<u8>,
    /// Whole characters that might be the beginning of a stop string.
    held: String,
    stopped: bool,
}

impl Text {
    /// Text that ends before the first of `stops`, none of them empty.
    pub fn new(stops: Vec<String>) -> Self {
        Self {
            stops: stops.into_iter().filter(|stop| !stop.is_empty()).collect(),
            ..Self::default()
        }
    }

    /// Appends the bytes of a token and returns what can be sent.
    pub fn push(&mut self, bytes: &[u8]) -> String {
        if self.stopped {
            return String::new();
        }
        self.partial.extend_from_slice(bytes);
        self.take_characters();
        if let Some(start) = self.find_stop() {
            self.held.truncate(start);
            self.stopped = true;
            self.partial.clear();
            return std::mem::take(&mut self.held);
        }
        let undecided = self.undecided();
        let rest = self.held.split_off(self.held.len() - undecided);
        std::mem::replace(&mut self.held, rest)
    }

    /// Ends the text and returns what was held back; the beginning of a character that never came
    /// is one U+FFFD.
    pub fn finish(&mut self) -> String {
        if self.stopped {
            return String::new();
        }
        self.stopped = true;
        if !self.partial.is_empty() {
            self.partial.clear();
            self.held.push(char::REPLACEMENT_CHARACTER);
        }
        std::mem::take(&mut self.held)
    }

    /// Whether a stop string came up.
    pub fn stopped(&self) -> bool {
        self.stopped
    }

    /// Moves the whole characters of `partial` to `held`.
    fn take_characters(&mut self) {
        let mut rest: &[u8] = &self.partial;
        loop {
            match std::str::from_utf8(rest) {
                Ok(text) => {
                    self.held.push_str(text);
                    rest = &[];
                    break;
                }
                Err(error) => {
                    let (valid, after) = rest.split_at(error.valid_up_to());
                    // Valid by the error's own word; lossy conversion then changes nothing.
                    self.held.push_str(&String::from_utf8_lossy(valid));
                    rest = after;
                    let Some(invalid) = error.error_len() else {
                        break;
                    };
                    self.held.push(char::REPLACEMENT_CHARACTER);
                    rest = &rest[invalid..];
                }
            }
        }
        let kept = rest.len();
        self.partial.drain(..self.partial.len() - kept);
    }

    /// Where the first stop string begins.
    fn find_stop(&self) -> Option<usize> {
        self.stops
            .iter()
            .filter_map(|stop| self.held.find(stop.as_str()))
            .min()
    }

    /// Bytes at the end of `held` that begin a stop string.
    fn undecided(&self) -> usize {
        self.stops
            .iter()
            .map(|stop| {
                (1..stop.len().min(self.held.len() + 1))
                    .rev()
                    .find(|&length| self.held.as_bytes().ends_with(&stop.as_bytes()[..length]))
                    // A match inside a character can't be: both sides are UTF-8, and the first
                    // byte of `stop` begins a character.
                    .unwrap_or(0)
            })
            .max()
            .unwrap_or(0)
    }
}
