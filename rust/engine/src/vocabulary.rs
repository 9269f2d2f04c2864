//! A model's tokens.

use std::ffi::CStr;

use llama_cpp_sys_2 as sys;
use strongroom_protocol::{MAX_TEXT, Private, most_ids};
use strongroom_template::{ControlToken, ControlTokens, Kind, Untokenizable};

use crate::{EngineError, Model, Token, ffi, residue, splitting::Splitting};

/// The vocabulary of a model.
#[derive(Debug, Clone)]
pub struct Vocabulary {
    pointer: *const sys::llama_vocab,
    size: u32,
    bos: Option<Token>,
    eos: Option<Token>,
    adds_bos: bool,
    longest_piece: usize,
    /// Whether every byte of a text is in a piece: others drop white space, or take any word that they don't
    /// know for one token.
    keeps_all: bool,
    /// By id: what is parsed out of text, `None` for ordinary tokens.
    kinds: Vec<Option<Kind>>,
    control_tokens: ControlTokens,
    splitting: Splitting,
    // Keeps `pointer` alive.
    _model: Model,
}

// SAFETY: `pointer` leads into the model, which lives as long as `_model` does and which any thread may read.
unsafe impl Send for Vocabulary {}
// SAFETY: every call made through `pointer` takes it as `const`; what tokenizing works on is made anew in
// each call.
unsafe impl Sync for Vocabulary {}

impl Vocabulary {
    pub(crate) fn of(model: &Model) -> Result<Self, EngineError> {
        let refused = |detail: &str| EngineError::Load {
            detail: detail.to_owned(),
        };
        // SAFETY: the model is loaded; the vocabulary is a part of it.
        let pointer = unsafe { sys::llama_model_get_vocab(model.as_ptr()) };
        if pointer.is_null() {
            return Err(refused("the model has no vocabulary"));
        }
        // SAFETY: `pointer` is valid; the call only reads.
        let kind = unsafe { sys::llama_vocab_type(pointer) };
        let splitting = match kind {
            sys::LLAMA_VOCAB_TYPE_NONE => return Err(refused("the model has no tokenizer")),
            sys::LLAMA_VOCAB_TYPE_BPE => {
                Splitting::of_pairs(&model.pre_tokenizer()).ok_or_else(|| {
                    refused("llama.cpp can't split two spaces with its pre-tokenizer")
                })?
            }
            _ => Splitting::Squared,
        };
        // SAFETY: as above.
        let size = unsafe { sys::llama_vocab_n_tokens(pointer) };
        let size = u32::try_from(size)
            .ok()
            .filter(|&size| size > 0)
            .ok_or_else(|| refused("the vocabulary is empty"))?;
        let within = |id: sys::llama_token| u32::try_from(id).ok().filter(|&id| id < size);
        // SAFETY: as above.
        let bos = within(unsafe { sys::llama_vocab_bos(pointer) });
        // SAFETY: as above.
        let eos = within(unsafe { sys::llama_vocab_eos(pointer) });
        // SAFETY: as above.
        let adds_bos = unsafe { sys::llama_vocab_get_add_bos(pointer) };
        let mut vocabulary = Self {
            pointer,
            size,
            bos,
            eos,
            adds_bos,
            longest_piece: 0,
            keeps_all: matches!(kind, sys::LLAMA_VOCAB_TYPE_BPE | sys::LLAMA_VOCAB_TYPE_SPM),
            kinds: vec![None; size as usize],
            control_tokens: ControlTokens::new(Vec::new()),
            splitting,
            _model: model.clone(),
        };
        vocabulary.survey();
        Ok(vocabulary)
    }

    /// Reads every token once.
    fn survey(&mut self) {
        let mut piece = Vec::new();
        let mut control = Vec::new();
        for id in 0..self.size {
            self.write_piece(id, true, &mut piece);
            self.longest_piece = self.longest_piece.max(piece.len());
            let attributes = self.attributes(id);
            let has = |attribute| attributes & attribute != 0;
            let kind = if has(sys::LLAMA_TOKEN_ATTR_CONTROL) {
                Kind::Control
            } else if has(sys::LLAMA_TOKEN_ATTR_UNKNOWN) {
                Kind::Unknown
            } else if has(sys::LLAMA_TOKEN_ATTR_USER_DEFINED) {
                Kind::UserDefined
            } else {
                continue;
            };
            self.kinds[id as usize] = Some(kind);
            control.push(ControlToken {
                id,
                text: self.text(id),
                kind,
                lstrip: has(sys::LLAMA_TOKEN_ATTR_LSTRIP),
                rstrip: has(sys::LLAMA_TOKEN_ATTR_RSTRIP),
            });
        }
        self.control_tokens = ControlTokens::new(control);
    }

    /// Tokens in it.
    pub fn size(&self) -> u32 {
        self.size
    }

    /// The token that begins a text.
    pub fn bos(&self) -> Option<Token> {
        self.bos
    }

    /// The token that ends a text.
    pub fn eos(&self) -> Option<Token> {
        self.eos
    }

    /// Whether the model wants [`Self::bos`] before a prompt.
    pub fn adds_bos(&self) -> bool {
        self.adds_bos
    }

    /// Bytes of the longest piece: a text of n bytes has at least n divided by this many tokens.
    pub fn longest_piece(&self) -> usize {
        // A character that is in no piece may become the unknown token: four bytes at most.
        self.longest_piece.max(4)
    }

    /// Whether a text of `bytes` can have at most `tokens` tokens: decided before it costs a tokenization.
    pub fn may_fit(&self, bytes: usize, tokens: usize) -> bool {
        !self.keeps_all || bytes / self.longest_piece() <= tokens
    }

    /// The tokens that are parsed out of text.
    pub fn control_tokens(&self) -> &ControlTokens {
        &self.control_tokens
    }

    /// Whether `token` is a control token, which text of a tenant must never become.
    pub fn is_control(&self, token: Token) -> bool {
        matches!(self.kinds.get(token as usize), Some(Some(Kind::Control)))
    }

    /// Whether `token` ends an answer.
    pub fn is_end_of_generation(&self, token: Token) -> bool {
        // SAFETY: the vocabulary is alive; llama.cpp looks the id up in a set.
        token < self.size && unsafe { sys::llama_vocab_is_eog(self.pointer, token.cast_signed()) }
    }

    /// How a template and a reader see `token`: a control token as the file spells it.
    pub fn spelling(&self, token: Token) -> String {
        if token < self.size {
            self.text(token)
        } else {
            String::new()
        }
    }

    /// Bytes that `token` stands for in an answer; nothing for a control token.
    pub fn piece(&self, token: Token) -> Vec<u8> {
        let mut piece = Vec::new();
        self.write_piece(token, false, &mut piece);
        piece
    }

    /// The tokens of `text`, with BOS first if the model wants one. What looks like a control token
    /// in it is text like any other.
    ///
    /// # Errors
    /// [`EngineError::TextTooLong`] over [`MAX_TEXT`], or over 96 KiB unless the vocabulary is of
    /// byte pairs; [`EngineError::RunTooLong`] where llama.cpp could not split the text.
    pub fn tokenize(&self, text: &str) -> Result<Vec<Token>, EngineError> {
        if text.len() > MAX_TEXT {
            return Err(too_long(text.len()));
        }
        let mut tokens = Vec::new();
        if let Some(bos) = self.bos.filter(|_| self.adds_bos) {
            tokens.push(bos);
        }
        tokens.extend(self.tokenize_plain(text)?);
        if tokens.len() > most_ids(text.len()) {
            return Err(too_long(text.len()));
        }
        Ok(tokens)
    }

    /// The tokens of each of `texts`, all as [`Self::tokenize`] returns them.
    ///
    /// # Errors
    /// As it has; [`EngineError::PromptEmpty`] if one is empty, [`EngineError::PromptTooLong`] if one
    /// has more than `length` tokens.
    pub(crate) fn tokenize_all(
        &self,
        texts: &[Private],
        length: u32,
    ) -> Result<Vec<Vec<Token>>, EngineError> {
        let too_long = |size| EngineError::PromptTooLong {
            size,
            context: length,
        };
        let tokens = |Private(text): &Private| {
            if !self.may_fit(text.len(), length as usize) {
                return Err(too_long(format!("{} bytes", text.len())));
            }
            let tokens = self.tokenize(text)?;
            if text.is_empty() || tokens.is_empty() {
                return Err(EngineError::PromptEmpty);
            }
            if tokens.len() > length as usize {
                return Err(too_long(format!("{} tokens", tokens.len())));
            }
            Ok(tokens)
        };
        texts.iter().map(tokens).collect()
    }

    /// The tokens of `text` alone; none of them is a control token.
    ///
    /// # Errors
    /// [`EngineError::TextTooLong`] over four times [`MAX_TEXT`]: a template adds to what it is given.
    /// The other refusals of [`Self::tokenize`].
    pub fn tokenize_plain(&self, text: &str) -> Result<Vec<Token>, EngineError> {
        self.splitting.require_bounded(text)?;
        let tokens = self.raw_tokens(text, false)?;
        if !tokens.iter().any(|&token| self.is_control(token)) {
            return Ok(tokens);
        }
        // Merging can spell a control token out of plain pieces ("<", "s", ">"). Such a token is
        // replaced by its characters, each tokenized alone.
        let mut safe = Vec::with_capacity(tokens.len());
        for token in tokens {
            if self.is_control(token) {
                self.spell(&self.text(token), &mut safe)?;
            } else {
                safe.push(token);
            }
        }
        Ok(safe)
    }

    /// As llama.cpp tokenizes a text in which it parses control tokens. Only for texts that no
    /// tenant wrote, and as the reference in tests: nothing bounds how it is split.
    ///
    /// # Errors
    /// [`EngineError::TextTooLong`] over four times [`MAX_TEXT`].
    pub fn danger_tokenize_parsing_control(&self, text: &str) -> Result<Vec<Token>, EngineError> {
        self.raw_tokens(text, true)
    }

    fn spell(&self, text: &str, into: &mut Vec<Token>) -> Result<(), EngineError> {
        let mut buffer = [0; 4];
        for character in text.chars() {
            let tokens = self.raw_tokens(character.encode_utf8(&mut buffer), false)?;
            into.extend(tokens.into_iter().filter(|&token| !self.is_control(token)));
        }
        Ok(())
    }

    fn raw_tokens(&self, text: &str, parse_control: bool) -> Result<Vec<Token>, EngineError> {
        if text.is_empty() {
            return Ok(Vec::new());
        }
        let length = i32::try_from(text.len())
            .ok()
            .filter(|_| text.len() <= 4 * MAX_TEXT)
            .ok_or_else(|| too_long(text.len()))?;
        // Most tokenizers give at most one token per byte, and one for a leading space.
        let mut tokens = vec![0_i32; text.len() + 2];
        loop {
            let capacity = i32::try_from(tokens.len()).unwrap_or(i32::MAX);
            // SAFETY: `text` has `length` bytes, `tokens` room for `capacity`.
            let count = unsafe {
                ffi::llama_tokenize(
                    self.pointer,
                    text.as_ptr().cast(),
                    length,
                    tokens.as_mut_ptr(),
                    capacity,
                    false,
                    parse_control,
                )
            };
            if let Ok(count) = usize::try_from(count) {
                tokens.truncate(count);
                break;
            }
            // The negative of the number needed.
            let needed = count.unsigned_abs() as usize;
            if needed <= tokens.len() || needed > 16 * MAX_TEXT {
                return Err(too_long(text.len()));
            }
            tokens.resize(needed, 0);
        }
        // Short pieces of the text lie in the frames of what has returned.
        residue::forget_below(None);
        Ok(tokens
            .into_iter()
            .filter_map(|token| u32::try_from(token).ok().filter(|&token| token < self.size))
            .collect())
    }

    fn attributes(&self, token: Token) -> sys::llama_token_attr {
        // SAFETY: the vocabulary is alive and the id inside it.
        unsafe { ffi::llama_vocab_get_attr(self.pointer, token.cast_signed()) }
    }

    /// The token as the file spells it.
    fn text(&self, token: Token) -> String {
        // SAFETY: the vocabulary is alive and the id inside it.
        let text = unsafe { ffi::llama_vocab_get_text(self.pointer, token.cast_signed()) };
        if text.is_null() {
            return String::new();
        }
        // SAFETY: llama.cpp returns a string that ends in NUL and lives as long as the model.
        unsafe { CStr::from_ptr(text) }
            .to_string_lossy()
            .into_owned()
    }

    fn write_piece(&self, token: Token, special: bool, piece: &mut Vec<u8>) {
        piece.clear();
        if token >= self.size {
            return;
        }
        piece.resize(64, 0);
        loop {
            let capacity = i32::try_from(piece.len()).unwrap_or(i32::MAX);
            // SAFETY: the id is inside the vocabulary and `piece` has room for `capacity` bytes.
            let written = unsafe {
                ffi::llama_token_to_piece(
                    self.pointer,
                    token.cast_signed(),
                    piece.as_mut_ptr().cast(),
                    capacity,
                    0,
                    special,
                )
            };
            if let Ok(written) = usize::try_from(written) {
                piece.truncate(written);
                return;
            }
            let needed = written.unsigned_abs() as usize;
            if needed <= piece.len() {
                piece.clear();
                return;
            }
            piece.resize(needed, 0);
        }
    }
}

fn too_long(bytes: usize) -> EngineError {
    EngineError::TextTooLong {
        bytes,
        bound: MAX_TEXT,
    }
}

impl strongroom_template::Vocabulary for Vocabulary {
    fn tokenize(&self, text: &str) -> Result<Vec<Token>, Untokenizable> {
        self.tokenize_plain(text).map_err(|_| Untokenizable)
    }

    fn control_tokens(&self) -> &ControlTokens {
        &self.control_tokens
    }

    fn leading(&self) -> Option<Token> {
        self.bos.filter(|_| self.adds_bos)
    }

    /// None: a conversation's prompt goes on, even if the model wants EOS after a text.
    fn trailing(&self) -> Option<Token> {
        None
    }
}
