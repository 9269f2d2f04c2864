//! The vocabulary, after `llama_vocab::impl::load` in llama.cpp.

mod pre;

use crate::{
    header::{Finding, SpecialToken, Tokenizer},
    limit,
    metadata::{Metadata, missing},
    refusal::{Refusal, refuse, require},
    value::{Array, Kind, Value},
};
use std::collections::HashSet;

/// Token types that llama.cpp knows (`llama_token_type`), as far as they matter here.
const UNKNOWN: i64 = 2;
const CONTROL: i64 = 3;
const USER_DEFINED: i64 = 4;
const BYTE: i64 = 6;

/// The keys that give a token a role; the last three are older names.
const ROLES: [(&str, &str); 18] = [
    ("bos", "bos_token_id"),
    ("eos", "eos_token_id"),
    ("eot", "eot_token_id"),
    ("eom", "eom_token_id"),
    ("unk", "unknown_token_id"),
    ("sep", "seperator_token_id"),
    ("pad", "padding_token_id"),
    ("cls", "cls_token_id"),
    ("mask", "mask_token_id"),
    ("fim_pre", "fim_pre_token_id"),
    ("fim_suf", "fim_suf_token_id"),
    ("fim_mid", "fim_mid_token_id"),
    ("fim_pad", "fim_pad_token_id"),
    ("fim_rep", "fim_rep_token_id"),
    ("fim_sep", "fim_sep_token_id"),
    ("fim_pre", "prefix_token_id"),
    ("fim_suf", "suffix_token_id"),
    ("fim_mid", "middle_token_id"),
];

/// The kinds of tokenizer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    /// `SentencePiece`, named `llama`.
    Pieces,
    /// Byte-pair encoding, named `gpt2`.
    Pairs,
    /// One that llama.cpp knows and preflight doesn't.
    Other,
}

/// A vocabulary that was read.
struct Vocabulary<'a> {
    /// UTF-8, which reading has checked.
    texts: Vec<&'a [u8]>,
    unique: HashSet<&'a [u8]>,
    types: Option<Array<'a>>,
}

/// Checks the tokenizer. `in_depth` says whether the model's architecture is; then the tokenizer
/// has to be too.
pub(crate) fn check(
    metadata: &Metadata<'_>,
    architecture: &str,
    in_depth: bool,
    findings: &mut Vec<Finding>,
) -> Result<Tokenizer, Refusal> {
    let Some(model) = metadata.text("tokenizer.ggml.model")? else {
        return missing("tokenizer.ggml.model");
    };
    let family = match model {
        "llama" => Family::Pieces,
        "gpt2" => Family::Pairs,
        "bert" | "t5" | "rwkv" | "plamo2" | "gemma4" | "hybriddna" | "whitespace" if !in_depth => {
            Family::Other
        }
        _ => refuse!(
            TokenizerModel,
            "the tokenizer is \"{}\"",
            model.escape_debug()
        ),
    };
    let pre = metadata.text("tokenizer.ggml.pre")?;
    check_pre(family, model, pre, findings)?;

    let vocabulary = Vocabulary::read(metadata, architecture)?;
    let size = vocabulary.texts.len();
    check_empty(&vocabulary, findings)?;
    check_types(&vocabulary, family)?;
    check_scores(metadata, family, size)?;
    check_merges(metadata, family, pre)?;
    let special_tokens = check_roles(metadata, &vocabulary, family, pre)?;
    check_phi(metadata, &vocabulary)?;
    if !["eos_token_id", "eot_token_id"]
        .iter()
        .any(|key| metadata.get(&ggml(key)).is_some())
    {
        findings.push(Finding::new(
            Finding::NO_END_TOKEN,
            "no token is named that ends an answer",
        ));
    }
    let vocabulary_size = u32::try_from(size).unwrap_or(u32::MAX);
    Ok(Tokenizer {
        model: model.to_owned(),
        pre: pre.map(str::to_owned),
        vocabulary_size,
        special_tokens,
    })
}

/// The chat template, of a length that can be rendered.
pub(crate) fn chat_template<'a>(metadata: &Metadata<'a>) -> Result<Option<&'a str>, Refusal> {
    for key in metadata
        .keys()
        .filter(|key| key.starts_with("tokenizer.chat_template"))
    {
        if let Some(Value::Text(template)) = metadata.get(key) {
            let fits = template.len() <= limit::CHAT_TEMPLATE;
            require!(fits, ChatTemplate, "{key} has {} bytes", template.len());
        }
    }
    metadata.text("tokenizer.chat_template")
}

fn ggml(key: &str) -> String {
    format!("tokenizer.ggml.{key}")
}

fn check_pre(
    family: Family,
    model: &str,
    pre: Option<&str>,
    findings: &mut Vec<Finding>,
) -> Result<(), Refusal> {
    match (family, pre) {
        (Family::Pairs, None | Some("")) => findings.push(Finding::new(
            Finding::NO_PRE_TOKENIZER,
            "the pre-tokenizer isn't named: text may be tokenized in another way than in training",
        )),
        (Family::Pairs, Some(pre)) => {
            let known = pre::is_known(pre);
            require!(
                known,
                TokenizerPre,
                "the pre-tokenizer is \"{}\"",
                pre.escape_debug()
            );
        }
        (Family::Other, _) => findings.push(Finding::new(
            Finding::UNCHECKED_TOKENIZER,
            format!("the {model} tokenizer isn't checked in depth"),
        )),
        (Family::Pieces, _) => {}
    }
    Ok(())
}

impl<'a> Vocabulary<'a> {
    fn read(metadata: &Metadata<'a>, architecture: &str) -> Result<Self, Refusal> {
        let Some(tokens) = metadata.array("tokenizer.ggml.tokens", Kind::Text)? else {
            return missing("tokenizer.ggml.tokens");
        };
        let size = tokens.length;
        let sane = (1..=limit::VOCABULARY).contains(&size);
        require!(sane, VocabularySize, "a vocabulary of {size} tokens");
        if let Some(claimed) = metadata.u32(&format!("{architecture}.vocab_size"))? {
            let agrees = usize::try_from(claimed).is_ok_and(|claimed| claimed == size);
            require!(
                agrees,
                VocabularySize,
                "{claimed} tokens are announced, {size} are there"
            );
        }
        let mut texts = Vec::with_capacity(size);
        let mut unique = HashSet::with_capacity(size);
        for (id, text) in tokens.texts().enumerate() {
            require!(
                text.len() <= limit::TOKEN,
                Token,
                "token {id} has {} bytes",
                text.len()
            );
            // llama.cpp asserts this.
            let new = text.is_empty() || unique.insert(text);
            require!(new, DuplicateToken, "token {id} stands there twice");
            texts.push(text);
        }
        let types = metadata.array("tokenizer.ggml.token_type", Kind::I32)?;
        Ok(Self {
            texts,
            unique,
            types,
        })
    }
}

/// llama.cpp gives empty tokens a name, which no other token may have.
fn check_empty(vocabulary: &Vocabulary<'_>, findings: &mut Vec<Finding>) -> Result<(), Refusal> {
    let mut count = 0_usize;
    for (id, _) in vocabulary
        .texts
        .iter()
        .enumerate()
        .filter(|(_, text)| text.is_empty())
    {
        let name = format!("[EMPTY_{id}]");
        let free = !vocabulary.unique.contains(name.as_bytes());
        require!(
            free,
            DuplicateToken,
            "token {id} is empty, and another has the name that it would get"
        );
        count += 1;
    }
    if count > 0 {
        findings.push(Finding::new(
            Finding::EMPTY_TOKENS,
            format!("{count} tokens are empty"),
        ));
    }
    Ok(())
}

fn check_types(vocabulary: &Vocabulary<'_>, family: Family) -> Result<(), Refusal> {
    let size = vocabulary.texts.len();
    let Some(types) = vocabulary.types else {
        require!(
            family == Family::Other,
            TokenTypes,
            "the header has no tokenizer.ggml.token_type"
        );
        return Ok(());
    };
    let found = types.length;
    require!(
        found == size,
        TokenTypes,
        "{found} token types for {size} tokens"
    );
    let mut special = 0;
    for (id, (text, kind)) in vocabulary.texts.iter().zip(types.whole()).enumerate() {
        require!(
            (0..=BYTE).contains(&kind),
            TokenTypes,
            "token {id} has type {kind}"
        );
        if kind == BYTE {
            // Read with fixed positions; an uneven one throws in the middle of an answer.
            require!(
                is_byte(text),
                ByteToken,
                "token {id} is a byte, but isn't written <0xHH>"
            );
        }
        special += usize::from(matches!(kind, UNKNOWN | CONTROL | USER_DEFINED));
    }
    let searchable = special <= limit::SPECIAL_TOKENS;
    require!(searchable, SpecialTokens, "{special} special tokens");
    if family == Family::Pieces {
        check_bytes(vocabulary)?;
    }
    Ok(())
}

/// Text that no other token covers becomes byte tokens; a missing one throws in tokenization.
fn check_bytes(vocabulary: &Vocabulary<'_>) -> Result<(), Refusal> {
    for byte in 0..=u8::MAX {
        let name = format!("<0x{byte:02X}>");
        let present = vocabulary.unique.contains(name.as_bytes());
        require!(present, ByteToken, "the token {name} is missing");
    }
    Ok(())
}

fn is_byte(text: &[u8]) -> bool {
    matches!(text, [b'<', b'0', b'x', high, low, b'>']
        if [high, low].iter().all(|digit| matches!(digit, b'0'..=b'9' | b'A'..=b'F')))
}

fn check_scores(metadata: &Metadata<'_>, family: Family, size: usize) -> Result<(), Refusal> {
    match metadata.get("tokenizer.ggml.scores") {
        Some(Value::Array(scores)) if matches!(scores.kind, Kind::F32 | Kind::I32) => {
            let found = scores.length;
            require!(found == size, Scores, "{found} scores for {size} tokens");
        }
        Some(_) => refuse!(
            KeyType,
            "tokenizer.ggml.scores has to be an array of 32-bit numbers"
        ),
        None => {
            let optional = family != Family::Pieces;
            require!(optional, Scores, "the header has no tokenizer.ggml.scores");
        }
    }
    Ok(())
}

fn check_merges(metadata: &Metadata<'_>, family: Family, pre: Option<&str>) -> Result<(), Refusal> {
    let Some(merges) = metadata.array("tokenizer.ggml.merges", Kind::Text)? else {
        let optional = family != Family::Pairs || pre == Some("kimi-k2");
        require!(optional, Merges, "the header has no tokenizer.ggml.merges");
        return Ok(());
    };
    if family == Family::Pieces {
        // Some converters leave them there; llama.cpp doesn't look at them.
        return Ok(());
    }
    for (rank, merge) in merges.texts().enumerate() {
        // The first byte may itself be a space.
        let space = merge.iter().skip(1).position(|byte| *byte == b' ');
        let pair = space.is_some_and(|position| position + 2 < merge.len());
        require!(pair, Merges, "merge {rank} isn't a pair");
    }
    Ok(())
}

/// Checks that tokens with a role exist, and those that llama.cpp asserts when text is tokenized.
fn check_roles(
    metadata: &Metadata<'_>,
    vocabulary: &Vocabulary<'_>,
    family: Family,
    pre: Option<&str>,
) -> Result<Vec<SpecialToken>, Refusal> {
    let text_of = |id: u32| {
        usize::try_from(id)
            .ok()
            .and_then(|id| vocabulary.texts.get(id))
    };
    let mut found: Vec<SpecialToken> = Vec::new();
    for (role, key) in ROLES {
        let Some(id) = metadata.u32(&ggml(key))? else {
            continue;
        };
        let Some(text) = text_of(id) else {
            refuse!(
                SpecialToken,
                "the {role} token is {id}, outside the vocabulary"
            );
        };
        if !found.iter().any(|token| token.role == role) {
            found.push(SpecialToken {
                role,
                id,
                text: String::from_utf8_lossy(text).into_owned(),
            });
        }
    }
    for key in [
        "add_space_prefix",
        "remove_extra_whitespaces",
        "add_sep_token",
    ] {
        metadata.bool(&ggml(key))?;
    }
    metadata.array("tokenizer.ggml.suppress_tokens", Kind::I32)?;
    metadata.u32("tokenizer.ggml.token_type_count")?;

    let begins = match family {
        Family::Pairs => pre.is_some_and(pre::begins_text),
        Family::Pieces | Family::Other => true,
    };
    let default = |role: &str| match (family, role) {
        (Family::Pieces, "bos") => Some(1),
        (Family::Pieces, "eos") => Some(2),
        (Family::Pairs, "bos") if matches!(pre, Some("chatglm-bpe" | "glm4" | "glm5")) => None,
        (Family::Pairs, _) => Some(11),
        _ => None,
    };
    for (role, adds) in [("bos", begins), ("eos", false)] {
        let adds = metadata
            .bool(&ggml(&format!("add_{role}_token")))?
            .unwrap_or(adds);
        let named = found.iter().any(|token| token.role == role);
        let exists = named || default(role).is_some_and(|id| text_of(id).is_some());
        let sound = exists || !adds || family == Family::Other;
        require!(
            sound,
            SpecialToken,
            "a {role} token is added to every text, but there is none"
        );
    }
    Ok(found)
}

/// llama.cpp knows models by their name here, and throws where one lacks Phi-3's tokens.
fn check_phi(metadata: &Metadata<'_>, vocabulary: &Vocabulary<'_>) -> Result<(), Refusal> {
    let name = metadata
        .text("general.name")?
        .unwrap_or_default()
        .to_ascii_lowercase();
    if name.contains("phi-3") || name.contains("phi3") {
        for token in ["</s>", "<unk>", "<s>", "<|endoftext|>"] {
            let present = vocabulary.unique.contains(token.as_bytes());
            require!(
                present,
                SpecialToken,
                "a model named Phi-3 needs the token {token}"
            );
        }
    }
    Ok(())
}
