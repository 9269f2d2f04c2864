//! The tokens that a sampler chain looks at.

use llama_cpp_2::token::{LlamaToken, data::LlamaTokenData, data_array::LlamaTokenDataArray};

use crate::Token;

/// Numbers compared at once.
const LANES: usize = 16;

/// Room for the tokens that a sampler chain looks at, used by all requests in turn.
#[derive(Debug)]
pub struct Candidates {
    array: LlamaTokenDataArray,
    /// Logit and token of the likeliest so far.
    likeliest: Vec<(f32, Token)>,
}

impl Default for Candidates {
    fn default() -> Self {
        Self {
            array: LlamaTokenDataArray::new(Vec::new(), false),
            likeliest: Vec::new(),
        }
    }
}

impl Candidates {
    /// All tokens.
    pub(crate) fn all(&mut self, logits: &[f32]) -> &mut LlamaTokenDataArray {
        self.fill((0..).zip(logits).map(|(token, &logit)| (logit, token)))
    }

    /// The `count` likeliest tokens, and those of `besides` that aren't among them. A chain that keeps
    /// at most `count - besides.len()` tokens, and changes the logits of none but `besides`, chooses
    /// among these as it would among all. Of equal logits the lower token is the likelier one.
    pub(crate) fn likeliest(
        &mut self,
        logits: &[f32],
        count: usize,
        besides: &[Token],
    ) -> &mut LlamaTokenDataArray {
        let mut likeliest = std::mem::take(&mut self.likeliest);
        select(logits, count, &mut likeliest);
        for &token in besides {
            if let Some(&logit) = logits.get(token as usize)
                && !likeliest.iter().any(|&(_, known)| known == token)
            {
                likeliest.push((logit, token));
            }
        }
        self.fill(likeliest.iter().copied());
        self.likeliest = likeliest;
        &mut self.array
    }

    fn fill(&mut self, tokens: impl Iterator<Item = (f32, Token)>) -> &mut LlamaTokenDataArray {
        self.array.data.clear();
        self.array.data.extend(tokens.map(|(logit, token)| {
            LlamaTokenData::new(LlamaToken(token.cast_signed()), logit, 0.0)
        }));
        self.array.sorted = false;
        self.array.selected = None;
        &mut self.array
    }

    /// Overwrites what the last request left.
    pub fn erase(&mut self) {
        let nothing = LlamaTokenData::new(LlamaToken(0), 0.0, 0.0);
        self.array.data.fill(nothing);
        self.likeliest.fill((0.0, 0));
        std::hint::black_box(&mut *self);
        self.array.data.clear();
        self.likeliest.clear();
    }
}

/// The `count` largest of `logits`, none of them NaN, with their places, in no order.
fn select(logits: &[f32], count: usize, found: &mut Vec<(f32, Token)>) {
    found.clear();
    let count = count.max(1);
    let likelier = |a: &(f32, Token), b: &(f32, Token)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
    let cut = |found: &mut Vec<(f32, Token)>| {
        if found.len() > count {
            found.select_nth_unstable_by(count - 1, likelier);
            found.truncate(count);
        }
    };
    // What isn't above it can't be among the largest: as many that are were found before.
    let mut floor = None;
    for (first, block) in (0_u32..).step_by(4 * LANES).zip(logits.chunks(4 * LANES)) {
        if floor.is_some_and(|floor| largest(block) <= floor) {
            continue;
        }
        for (token, &logit) in (first..).zip(block) {
            if floor.is_none_or(|floor| logit > floor) {
                found.push((logit, token));
            }
        }
        if found.len() >= 4 * count + LANES {
            cut(found);
            floor = found.iter().map(|&(logit, _)| logit).reduce(f32::min);
        }
    }
    cut(found);
}

/// The largest of some numbers, compared many at a time.
fn largest(block: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let (rows, rest) = block.as_chunks::<LANES>();
    for row in rows {
        for (lane, &number) in lanes.iter_mut().zip(row) {
            *lane = if number > *lane { number } else { *lane };
        }
    }
    lanes
        .iter()
        .chain(rest)
        .copied()
        .fold(f32::NEG_INFINITY, f32::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers that look random, many of them equal.
    fn numbers(count: usize, kinds: u32) -> Vec<f32> {
        let mut state = 12_345_u32;
        (0..count)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                #[allow(clippy::cast_precision_loss)]
                let number = (state >> 8).checked_rem(kinds).unwrap_or(0) as f32;
                number - 5.0
            })
            .collect()
    }

    #[test]
    fn the_likeliest_are_those_that_sorting_finds() {
        for size in [1, 7, 64, 100, 1000, 49_152] {
            for kinds in [1, 3, 100, 1 << 23] {
                let logits = numbers(size, kinds);
                let mut sorted: Vec<(f32, Token)> = logits.iter().copied().zip(0..).collect();
                sorted.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
                for count in [1, 2, 40, 104, 5000] {
                    let mut found = Vec::new();
                    select(&logits, count, &mut found);
                    found.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
                    assert_eq!(found, sorted[..count.min(size)], "{size} {kinds} {count}");
                }
            }
        }
    }

    #[test]
    fn infinite_logits_are_numbers_like_others() {
        let mut logits = vec![f32::NEG_INFINITY; 1000];
        logits[700] = f32::INFINITY;
        logits[900] = 1.0;
        let mut found = Vec::new();
        select(&logits, 2, &mut found);
        found.sort_by_key(|&(_, token)| token);
        assert_eq!(found, [(f32::INFINITY, 700), (1.0, 900)]);
        select(&logits, 10, &mut found);
        assert_eq!(found.len(), 10);
    }

    #[test]
    fn what_is_asked_for_besides_is_there_once() {
        let logits = numbers(1000, 1 << 23);
        let mut candidates = Candidates::default();
        let tokens = |array: &LlamaTokenDataArray| {
            let mut tokens: Vec<i32> = array.data.iter().map(|data| data.id().0).collect();
            tokens.sort_unstable();
            tokens
        };
        let alone = tokens(candidates.likeliest(&logits, 40, &[]));
        let twice: Vec<Token> = [3, 3, 2000]
            .into_iter()
            .chain(alone.iter().map(|token| token.cast_unsigned()))
            .collect();
        let mut expected = alone;
        if !expected.contains(&3) {
            expected.push(3);
            expected.sort_unstable();
        }
        assert_eq!(tokens(candidates.likeliest(&logits, 40, &twice)), expected);
    }
}
