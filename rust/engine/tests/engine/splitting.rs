//! A text that llama.cpp's tokenizer can't take is refused before it gets there.

use std::thread;

use strongroom_engine::{EngineError, Vocabulary};
use strongroom_protocol::{Message, Prompt, Role};
use strongroom_specimen::{Family, Vocabulary as Kind, draft, tiny};

use crate::rig::{model, prompter};

/// Characters that one repetition may take.
const LONGEST_RUN: usize = 4_096;

/// The same of white space and line ends.
const LONGEST_GAP: usize = 1_024;

/// The same of digits, for the one expression that looks ahead over them.
const LONGEST_NUMBER: usize = 64;

/// Bytes that a vocabulary of scored pieces takes.
const SQUARED: usize = 96 << 10;

/// Where llama.cpp's recursion ends a stack of 8 MiB, and a little more.
const FATAL: usize = 30_000;

/// What is repeated: letters, digits, punctuation, white space, scripts, marks, symbols, and mixes.
const RUNS: &[&str] = &[
    "a",
    "aA",
    "A",
    "1",
    "!",
    "$",
    "/",
    " ",
    "\n",
    "\t",
    "\r\n",
    "/\n",
    "中",
    "あ",
    "가",
    "д",
    "e\u{301}",
    "\u{301}",
    "🔒",
    "\u{3000}",
    "\u{200b} ",
    "\u{e000}",
    "a1!",
    "a ",
    "ab ",
    "é1",
    "ก",
];

/// The names that the preflight admits.
fn names() -> Vec<&'static str> {
    let source = include_str!("../../../gguf/src/tokenizer/pre.rs");
    let (list, _) = source.split_once("];").unwrap();
    list.lines()
        .filter_map(|line| line.trim().strip_prefix('"')?.strip_suffix("\","))
        .collect()
}

fn vocabulary(pre: &str) -> Vocabulary {
    let mut draft = draft(Family::Llama, Kind::Bpe);
    draft.set("tokenizer.ggml.pre", pre);
    model(&draft.write()).vocabulary().unwrap()
}

fn repeated(unit: &str, characters: usize) -> String {
    unit.chars().cycle().take(characters).collect()
}

/// Runs `test` on the stack that a process has at first, which is where the worker tokenizes.
fn on_the_stack_of_a_process(test: fn()) {
    let thread = thread::Builder::new().stack_size(8 << 20).spawn(test);
    thread.unwrap().join().unwrap();
}

#[test]
fn no_run_ends_the_process() {
    on_the_stack_of_a_process(|| {
        let names = names();
        assert!(names.contains(&"tekken") && names.len() > 80);
        for name in names {
            let vocabulary = vocabulary(name);
            for unit in RUNS {
                let longest = longest(name, unit);
                let under = vocabulary.tokenize(&repeated(unit, longest));
                assert!(under.is_ok(), "{name} {unit:?}");
                match vocabulary.tokenize(&repeated(unit, FATAL)) {
                    Ok(_) => {}
                    Err(EngineError::RunTooLong { length, bound }) => {
                        // "/" is of two classes: the wider one is looked at first.
                        assert_eq!(length, FATAL, "{name} {unit:?}");
                        assert!(bound == longest || bound == LONGEST_RUN, "{name} {unit:?}");
                    }
                    Err(error) => panic!("{name} {unit:?}: {error}"),
                }
            }
            // One repetition takes punctuation and the line ends after it.
            let both = repeated("!", LONGEST_RUN) + &repeated("\n", LONGEST_GAP);
            assert!(vocabulary.tokenize(&both).is_ok(), "{name}");
        }
    });
}

fn longest(name: &str, unit: &str) -> usize {
    match unit {
        "1" if name == "superbpe" => LONGEST_NUMBER,
        " " | "\n" | "\t" | "\r\n" | "/\n" | "/" | "\u{3000}" | "\u{200b} " => LONGEST_GAP,
        _ => LONGEST_RUN,
    }
}

#[test]
fn a_pre_tokenizer_that_aborts_on_two_spaces_is_refused() {
    let mut draft = draft(Family::Llama, Kind::Bpe);
    draft.set("tokenizer.ggml.pre", "whitespace");
    let error = model(&draft.write()).vocabulary().unwrap_err();
    assert_eq!(error.code(), "load.refused");
}

#[test]
fn a_run_over_the_bound_is_refused_where_expressions_split() {
    for name in ["tekken", "falcon", "default", "deepseek-llm", "gpt-4o"] {
        let vocabulary = vocabulary(name);
        let text = "a".repeat(LONGEST_RUN + 1);
        let error = vocabulary.tokenize(&text).unwrap_err();
        assert_eq!(error.code(), "prompt.too_long", "{name}");
        assert_eq!(
            error.to_string(),
            "a run of 4097 characters in the text is over the bound of 4096"
        );
        let broken = text.replacen('a', " ", 1);
        assert!(vocabulary.tokenize(&broken).is_ok(), "{name}");
    }
    for name in ["smollm", "qwen2", "llama-bpe", "gpt-2"] {
        let text = "a".repeat(1 << 20);
        assert!(vocabulary(name).tokenize(&text).is_ok(), "{name}");
    }
    let mut unnamed = draft(Family::Llama, Kind::Bpe);
    unnamed.remove("tokenizer.ggml.pre");
    let vocabulary = model(&unnamed.write()).vocabulary().unwrap();
    let error = vocabulary.tokenize(&"a".repeat(FATAL)).unwrap_err();
    assert!(matches!(error, EngineError::RunTooLong { .. }));
}

#[test]
fn prompts_and_conversations_are_bounded_too() {
    let mut tekken = draft(Family::Llama, Kind::Bpe);
    tekken.set("tokenizer.ggml.pre", "tekken");
    let run = "a".repeat(FATAL);
    let lines = "\n".repeat(SQUARED + 1);
    for (image, text, detail) in [
        (tekken.write(), run, "a run of 3000"),
        (tiny(Kind::Spm), lines, "the bound of 98304"),
    ] {
        let model = model(&image);
        let prompter = prompter(&model, 1 << 20);
        let message = Message {
            role: Role::User,
            content: text.as_str().into(),
            name: None,
        };
        for prompt in [
            Prompt::Text(text.as_str().into()),
            Prompt::Chat(vec![message]),
        ] {
            let error = prompter.tokens(&prompt).unwrap_err();
            assert_eq!(error.code(), "prompt.too_long");
            assert!(error.to_string().contains(detail), "{error}");
        }
    }
}

#[test]
fn scored_pieces_take_as_much_as_they_can_in_reasonable_time() {
    let vocabulary = model(&tiny(Kind::Spm)).vocabulary().unwrap();
    assert!(vocabulary.tokenize(&"\n".repeat(SQUARED)).is_ok());
    let error = vocabulary.tokenize(&"a".repeat(SQUARED + 1)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the text of 98305 bytes is over the bound of 98304"
    );
}
