//! Content never becomes a control token, and the scaffold's control tokens stay.

#![allow(clippy::unwrap_used)]

mod fake;

use fake::{Fake, fakes};
use strongroom_template::corpus::{Attack, STYLES, Style, attacks};
use strongroom_template::{ChatTemplate, Kind, TemplateError, Vocabulary};

/// What became of the attacks on one style.
#[derive(Debug, Default)]
struct Tally {
    /// The control tokens are those of the harmless conversation.
    held: usize,
    /// The template was refused for this conversation.
    refused: usize,
    /// The template raises, whatever is said.
    raised: usize,
    /// The same conversation fools a tokenizer that parses control tokens out of all of it.
    fools_reference: usize,
}

fn every_attack(fake: &Fake, style: &Style) -> Vec<Attack> {
    fake.control_tokens()
        .iter()
        .filter(|token| {
            token.kind != Kind::UserDefined || style.markers.contains(&token.text.as_str())
        })
        .flat_map(|token| attacks(&token.text))
        .collect()
}

fn tally(style: &Style) -> Tally {
    let template = ChatTemplate::new(style.source, style.bos, style.eos).unwrap();
    let mut tally = Tally::default();
    for (shift, fake) in fakes(style).iter().enumerate() {
        // Each attack meets two of the six vocabularies; the next token's, the next two.
        let attacks = every_attack(fake, style);
        for attack in attacks.iter().skip(shift % 3).step_by(3) {
            tally.count(&template, style, fake, attack);
        }
    }
    tally
}

impl Tally {
    fn count(&mut self, template: &ChatTemplate, style: &Style, fake: &Fake, attack: &Attack) {
        let Ok(harmless) = template.encode(&attack.harmless, fake) else {
            let rendered = template.render(&attack.harmless);
            assert!(
                matches!(rendered, Err(TemplateError::Failed(_))),
                "{attack:?}"
            );
            self.raised += 1;
            return;
        };
        let expected = fake.structure(&harmless, style);
        match template.encode(&attack.messages, fake) {
            Ok(ids) => {
                let found = fake.structure(&ids, style);
                assert_eq!(found, expected, "{}: {attack:?}", fake.name);
                self.held += 1;
            }
            Err(error) => {
                assert_eq!(
                    error,
                    TemplateError::HidesContent,
                    "{}: {attack:?}",
                    fake.name
                );
                self.refused += 1;
            }
        }
        let rendered = template.render(&attack.messages).unwrap();
        let fooled = fake.structure(&fake.reference(&rendered, style), style);
        self.fools_reference += usize::from(fooled != expected);
    }
}

/// No style at hand is refused for any attack: those that change content are understood too.
fn prove(name: &str) {
    let style = STYLES.iter().find(|style| style.name == name).unwrap();
    let tally = tally(style);
    assert!(tally.held > 500, "{}", tally.held);
    assert_eq!(tally.refused, 0);
    assert!(tally.fools_reference > 300, "{}", tally.fools_reference);
    let has_every_role = !["inst", "turns"].contains(&name);
    assert_eq!(tally.raised == 0, has_every_role, "{}", tally.raised);
}

macro_rules! proofs {
    ($($test:ident: $style:literal;)*) => {
        $(#[test] fn $test() { prove($style); })*

        #[test]
        fn every_style_is_proved() {
            assert!(STYLES.iter().map(|style| style.name).eq([$($style),*]));
        }
    };
}

proofs! {
    chatml: "chatml";
    chatml_with_a_default: "chatml with a default system message";
    named_speakers: "named speakers";
    inst: "inst";
    inst_as_control_tokens: "inst as control tokens";
    headers: "headers";
    turns: "turns";
    role_tokens: "role tokens";
    reasoning: "reasoning";
    bars: "bars";
    json: "json";
    lower_case: "lower case";
    words_only: "words only";
}
