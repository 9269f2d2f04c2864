//! Choosing the next token.

use std::collections::VecDeque;

use llama_cpp_2::{
    sampling::LlamaSampler,
    token::{LlamaToken, logit_bias::LlamaLogitBias},
};
use strongroom_protocol::Sampling;

pub use crate::candidates::Candidates;
use crate::{EngineError, Token};

/// Tokens that the penalties look back on.
pub const PENALTY_WINDOW: usize = 64;

/// Biases that a request may carry.
pub const MAX_BIASES: usize = 1024;

/// llama.cpp's sampler chain for one request, in the order that [`Sampling`] documents.
///
/// The samplers used here throw nothing but `std::bad_alloc`, which [`crate::backend`] turns into
/// an exit before it is thrown: calling them through the bindings is sound.
#[derive(Debug)]
pub struct Sampler {
    chain: LlamaSampler,
    /// Tokens that the chain keeps at most; `None` is all.
    keeps: Option<usize>,
    /// Tokens whose logits it changes: those with a bias, ...
    biased: Vec<Token>,
    /// ... and the last ones, where there are penalties.
    penalized: Option<VecDeque<Token>>,
}

impl Sampler {
    /// A chain for a vocabulary of `size` tokens; `recent` are the prompt's tokens, of which the
    /// penalties see the last [`PENALTY_WINDOW`].
    ///
    /// # Errors
    /// [`EngineError::Option`] naming the option that is out of range.
    pub fn new(sampling: &Sampling, size: u32, recent: &[Token]) -> Result<Self, EngineError> {
        validate(sampling, size)?;
        let size_signed = size.cast_signed();
        let biases: Vec<_> = sampling
            .logit_bias
            .iter()
            .map(|&(token, bias)| LlamaLogitBias::new(LlamaToken(token.cast_signed()), bias))
            .collect();
        let mut samplers = Vec::new();
        if !biases.is_empty() {
            samplers.push(LlamaSampler::logit_bias(size_signed, &biases));
        }
        // Without an effect llama.cpp makes an empty sampler of it.
        samplers.push(LlamaSampler::penalties(
            size_signed,
            64,
            sampling.repeat_penalty,
            sampling.frequency_penalty,
            sampling.presence_penalty,
        ));
        if sampling.temperature > 0.0 {
            if sampling.top_k > 0 {
                samplers.push(LlamaSampler::top_k(sampling.top_k.min(size).cast_signed()));
            }
            samplers.push(LlamaSampler::top_p(sampling.top_p, 1));
            samplers.push(LlamaSampler::min_p(sampling.min_p, 1));
            samplers.push(LlamaSampler::temp(sampling.temperature));
            samplers.push(LlamaSampler::dist(sampling.seed));
        } else {
            samplers.push(LlamaSampler::greedy());
        }
        let keeps = match sampling.top_k {
            _ if sampling.temperature <= 0.0 => Some(1),
            0 => None,
            count => Some(count as usize),
        };
        // Exactly: llama.cpp penalizes at any other value.
        #[allow(clippy::float_cmp)]
        let has_penalties = sampling.repeat_penalty != 1.0
            || sampling.frequency_penalty != 0.0
            || sampling.presence_penalty != 0.0;
        let mut sampler = Self {
            chain: LlamaSampler::chain(samplers, true),
            keeps,
            biased: sampling
                .logit_bias
                .iter()
                .map(|&(token, _)| token)
                .collect(),
            penalized: has_penalties.then(VecDeque::new),
        };
        for &token in &recent[recent.len().saturating_sub(PENALTY_WINDOW)..] {
            sampler.accept(token)?;
        }
        Ok(sampler)
    }

    /// The next token after these logits, one for each token of the vocabulary, none of them NaN.
    /// `candidates` is room that all samplers may share.
    ///
    /// # Errors
    /// [`EngineError::Decode`] if no token is left to choose.
    pub fn sample(
        &mut self,
        logits: &[f32],
        candidates: &mut Candidates,
    ) -> Result<Token, EngineError> {
        let penalized = self.penalized.iter().flatten();
        let changed: Vec<Token> = self.biased.iter().chain(penalized).copied().collect();
        // Choosing among the few that can be chosen costs a fraction of choosing among all.
        let few = self
            .keeps
            .map(|keeps| keeps.saturating_add(changed.len()))
            .filter(|&few| few < logits.len() / 4);
        let array = match few {
            Some(few) => candidates.likeliest(logits, few, &changed),
            None => candidates.all(logits),
        };
        self.chain.apply(array);
        let token = array
            .selected_token()
            .and_then(|token| u32::try_from(token.0).ok())
            .ok_or_else(|| EngineError::Decode {
                detail: "no token is left to choose".to_owned(),
            })?;
        self.accept(token)?;
        Ok(token)
    }

    fn accept(&mut self, token: Token) -> Result<(), EngineError> {
        if let Some(penalized) = &mut self.penalized {
            if penalized.len() == PENALTY_WINDOW {
                penalized.pop_front();
            }
            penalized.push_back(token);
        }
        self.chain
            .try_accept(LlamaToken(token.cast_signed()))
            .map_err(|_| EngineError::Decode {
                detail: "the sampler refused a token".to_owned(),
            })
    }
}

/// Holds `sampling` to the ranges that [`Sampling`] documents.
fn validate(sampling: &Sampling, size: u32) -> Result<(), EngineError> {
    let refuse = |name, range: &str| {
        Err(EngineError::Option {
            name,
            range: range.to_owned(),
        })
    };
    // Comparisons with NaN are false: each check is written so that NaN is refused.
    if !(sampling.temperature >= 0.0 && sampling.temperature <= 5.0) {
        return refuse("temperature", "0 to 5");
    }
    if !(sampling.top_p > 0.0 && sampling.top_p <= 1.0) {
        return refuse("top_p", "above 0, at most 1");
    }
    if !(sampling.min_p >= 0.0 && sampling.min_p <= 1.0) {
        return refuse("min_p", "0 to 1");
    }
    if !(sampling.repeat_penalty > 0.0 && sampling.repeat_penalty <= 2.0) {
        return refuse("repeat_penalty", "above 0, at most 2");
    }
    if !(-2.0..=2.0).contains(&sampling.presence_penalty) {
        return refuse("presence_penalty", "-2 to 2");
    }
    if !(-2.0..=2.0).contains(&sampling.frequency_penalty) {
        return refuse("frequency_penalty", "-2 to 2");
    }
    if sampling.seed == u32::MAX {
        return refuse("seed", "below 4294967295");
    }
    if sampling.logit_bias.len() > MAX_BIASES {
        return refuse("logit_bias", "at most 1024 tokens");
    }
    for &(token, bias) in &sampling.logit_bias {
        if token >= size {
            return refuse(
                "logit_bias",
                &format!("on tokens below {size}, the vocabulary's size"),
            );
        }
        if !(-100.0..=100.0).contains(&bias) {
            return refuse("logit_bias", "-100 to 100");
        }
    }
    Ok(())
}
