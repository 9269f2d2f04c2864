//! What people write.

use strongroom_protocol::{Message, Role};

use super::message;

/// Single messages: languages, code, mark-up, white space, and characters at the edges.
const SAYINGS: &[&str] = &[
    "Why is the sky blue?",
    "hi",
    "",
    " ",
    "\n\n",
    "  leading and trailing  ",
    "\ttabs\tand\r\nline ends\r\n",
    "Trailing newline\n",
    "1234567890 and 3.14159, 1e-9, 0xFF",
    "Übergrößenträger, façade, naïve, Łódź, Ørsted",
    "Почему небо голубое?",
    "空はなぜ青いのですか。",
    "为什么天空是蓝色的？",
    "하늘은 왜 파란가요?",
    "لماذا السماء زرقاء؟",
    "आकाश नीला क्यों है?",
    "🙂👩‍👩‍👧‍👦🏳️‍🌈 emoji",
    "e\u{301} decomposed, \u{200B}zero width\u{200D}, \u{FEFF}mark",
    "\u{E000}\u{F0000}\u{F0001}\u{10FFFD} private use, 𝒜 𝄞 beyond the first plane",
    "fn main() {\n    println!(\"{:?}\", vec![1 << 3, 4 >> 1]);\n}",
    "for (int i = 0; i < n && a[i] > 0; i++) { x |= a[i]; }",
    "<p class=\"a\">Some <b>bold</b> &amp; <i>italic</i> text</p>",
    "<table><tr><td>1</td></tr></table>",
    "{\"key\": [1, 2, {\"nested\": \"va\\\"lue\"}], 'single': null}",
    "{{ not_a_variable }} {% not a tag %} {# not a comment #}",
    "| a | b |\n|---|---|\n| 1 | 2 |\n\n- item\n  - nested\n\n```sh\nls | wc -l\n```",
    "C:\\path\\n and https://example.org/?q=a|b&c=<d>#e",
    "a < b > c | d [e] [/f] <<g>> ### h: <|",
    "[x] done, [ ] open; see [link](target)",
    "SELECT * FROM t WHERE a <> 'it''s' -- comment",
    "...!!!???---===***~~~",
    "system user assistant model tool",
    "The word end, the word start, im_end, eot_id, INST, think, bos, eos.",
    "x\0y\u{1}\u{7f}",
];

/// Conversations of the kinds that occur, every saying among them as each speaker's.
pub fn ordinary() -> Vec<Vec<Message>> {
    let mut conversations = Vec::new();
    for (at, saying) in SAYINGS.iter().enumerate() {
        let next = SAYINGS[(at + 1) % SAYINGS.len()];
        let after = SAYINGS[(at + 2) % SAYINGS.len()];
        conversations.push(vec![message(Role::User, saying)]);
        conversations.push(vec![
            message(Role::System, next),
            message(Role::User, saying),
        ]);
        conversations.push(vec![
            message(Role::User, saying),
            message(Role::Assistant, next),
            message(Role::User, after),
        ]);
    }
    let mut named = message(Role::User, "Who am I?");
    named.name = Some("Zoë <z>".into());
    conversations.push(vec![named]);
    conversations.push(vec![
        message(Role::User, "What is the weather?"),
        message(Role::Assistant, "I look it up."),
        message(Role::Tool, "{\"temperature\": 21.5, \"unit\": \"°C\"}"),
    ]);
    conversations.push(
        (0..21)
            .map(|at| {
                let role = [Role::User, Role::Assistant][at % 2];
                message(role, SAYINGS[at])
            })
            .collect(),
    );
    conversations.push(vec![message(Role::User, &"long text, ".repeat(500))]);
    conversations
}
