//! What is kept of ended requests, each tenant's apart.
//!
//! A prefix is a saved sequence: its tokens, and what the key-value cache held of them. Which one a
//! prompt may go on from is decided by the tenant first, a keyed hash that the host made, and by the
//! tokens second; nobody's prefix is looked at for another's prompt, and what one tenant keeps never
//! decides what another loses.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use strongroom_protocol::{MAX_PUBLIC_PREFIXES, PrefixCache, Tenant};

use crate::Token;

/// Shorter prefixes are read anew: keeping them costs more.
pub const SHORTEST: usize = 16;

/// Sequences that were taken out of the cache to be gone on from.
#[derive(Debug)]
pub struct Prefixes {
    options: PrefixCache,
    tenants: HashMap<Tenant, Kept>,
    /// The operator's, which every tenant may begin with.
    public: Vec<Prefix>,
}

/// What is kept of one tenant.
#[derive(Debug)]
struct Kept {
    /// The least recently used one first.
    prefixes: Vec<Prefix>,
    bytes: u64,
    used: Instant,
}

/// A saved sequence. Its memory is overwritten when it is freed, as all of a worker's is.
pub struct Prefix {
    tokens: Vec<Token>,
    state: Vec<u8>,
}

impl std::fmt::Debug for Prefix {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "<{} tokens, {} bytes>", self.tokens.len(), self.size())
    }
}

impl Prefix {
    /// `state` is what [`crate::Context::save`] returned for `tokens`.
    pub const fn new(tokens: Vec<Token>, state: Vec<u8>) -> Self {
        Self { tokens, state }
    }

    /// Its tokens.
    pub fn tokens(&self) -> &[Token] {
        &self.tokens
    }

    /// What [`crate::Context::restore`] takes.
    pub fn state(&self) -> &[u8] {
        &self.state
    }

    fn size(&self) -> u64 {
        (self.state.len() + size_of_val(self.tokens.as_slice())) as u64
    }

    /// How many tokens it and `prompt` begin with alike.
    fn common(&self, prompt: &[Token]) -> usize {
        self.tokens
            .iter()
            .zip(prompt)
            .take_while(|(kept, wanted)| kept == wanted)
            .count()
    }
}

impl Prefixes {
    /// Keeps as much as `options` allow.
    pub fn new(options: PrefixCache) -> Self {
        Self {
            options,
            tenants: HashMap::new(),
            public: Vec::new(),
        }
    }

    /// Whether something of a tenant's is kept at all.
    pub fn is_on(&self) -> bool {
        self.options.quota > 0 && self.options.tenants > 0
    }

    /// Of what `tenant` has, and of what is public, the prefix that shares the most tokens with
    /// `prompt`, and how many: at least [`SHORTEST`], and at least one fewer than the prompt has, whose
    /// last token has to be read for its logits.
    pub fn find(
        &mut self,
        tenant: Option<&Tenant>,
        prompt: &[Token],
        now: Instant,
    ) -> Option<(&Prefix, usize)> {
        let most = prompt.len().saturating_sub(1);
        let best = |prefixes: &[Prefix]| {
            prefixes
                .iter()
                .enumerate()
                .map(|(index, prefix)| (prefix.common(&prompt[..most]), index))
                .filter(|&(common, _)| common >= SHORTEST)
                .max_by_key(|&(common, index)| (common, std::cmp::Reverse(index)))
        };
        let public = best(&self.public);
        let kept = tenant.and_then(|tenant| self.tenants.get_mut(tenant));
        if let Some(kept) = kept {
            kept.used = now;
            if let Some((common, index)) = best(&kept.prefixes)
                && public.is_none_or(|(public, _)| common > public)
            {
                // The most recently used one comes last.
                kept.prefixes[index..].rotate_left(1);
                return kept.prefixes.last().map(|prefix| (prefix, common));
            }
        }
        public.map(|(common, index)| (&self.public[index], common))
    }

    /// Whether keeping `tokens` of `tenant` would add something, `bytes` large: they are long enough,
    /// fit the quota, and aren't the beginning of what is kept or public.
    pub fn wants(&self, tenant: &Tenant, tokens: &[Token], bytes: usize) -> bool {
        let covers = |prefix: &Prefix| prefix.common(tokens) == tokens.len();
        let kept = self.tenants.get(tenant);
        self.is_on()
            && tokens.len() >= SHORTEST
            && bytes as u64 <= self.options.quota
            && (kept.is_some() || self.tenants.len() < self.options.tenants as usize)
            && !kept.is_some_and(|kept| kept.prefixes.iter().any(covers))
            && !self.public.iter().any(covers)
    }

    /// Keeps a prefix of `tenant`, in the place of what it goes on from, and gives up the tenant's own
    /// least recently used ones where the quota asks for it. Without a place for the tenant, nothing
    /// is kept.
    pub fn keep(&mut self, tenant: Tenant, prefix: Prefix, now: Instant) {
        let Some(allowed) = self.options.quota.checked_sub(prefix.size()) else {
            return;
        };
        if !self.tenants.contains_key(&tenant)
            && self.tenants.len() >= self.options.tenants as usize
        {
            return;
        }
        let kept = self.tenants.entry(tenant).or_insert_with(|| Kept {
            prefixes: Vec::new(),
            bytes: 0,
            used: now,
        });
        kept.used = now;
        kept.prefixes
            .retain(|old| old.common(&prefix.tokens) < old.tokens.len());
        kept.bytes = kept.prefixes.iter().map(Prefix::size).sum();
        while kept.bytes > allowed {
            let oldest = kept.prefixes.remove(0);
            kept.bytes -= oldest.size();
        }
        kept.bytes += prefix.size();
        kept.prefixes.push(prefix);
    }

    /// Keeps a prefix for everyone; false where there is no room.
    pub fn publish(&mut self, prefix: Prefix) -> bool {
        let same = |public: &Prefix| public.tokens == prefix.tokens;
        if self.public.iter().any(same) {
            return true;
        }
        let bytes: u64 = self.public.iter().map(Prefix::size).sum();
        if self.public.len() >= MAX_PUBLIC_PREFIXES
            || bytes.saturating_add(prefix.size()) > self.options.quota
        {
            return false;
        }
        self.public.push(prefix);
        true
    }

    /// Gives up what belongs to tenants that have been idle for long.
    pub fn expire(&mut self, now: Instant) {
        let idle = Duration::from_secs(self.options.idle_seconds.into());
        self.tenants
            .retain(|_, kept| now.saturating_duration_since(kept.used) < idle);
    }

    /// When [`Self::expire`] has something to do next.
    pub fn next_expiry(&self) -> Option<Instant> {
        let idle = Duration::from_secs(self.options.idle_seconds.into());
        self.tenants
            .values()
            .filter_map(|kept| kept.used.checked_add(idle))
            .min()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const A: Tenant = Tenant([1; 32]);
    const B: Tenant = Tenant([2; 32]);

    fn prefixes(quota: u64, tenants: u32) -> Prefixes {
        Prefixes::new(PrefixCache {
            quota,
            tenants,
            idle_seconds: 60,
        })
    }

    fn tokens(from: u32, count: u32) -> Vec<Token> {
        (from..from + count).collect()
    }

    /// 100 bytes of state and four for each token.
    fn prefix(from: u32, count: u32) -> Prefix {
        Prefix::new(tokens(from, count), vec![7; 100])
    }

    fn found(of: &mut Prefixes, tenant: Option<&Tenant>, prompt: &[Token]) -> usize {
        of.find(tenant, prompt, Instant::now())
            .map_or(0, |(_, common)| common)
    }

    #[test]
    fn nobody_finds_what_is_another_tenants() {
        let mut all = prefixes(10_000, 4);
        all.keep(A, prefix(0, 64), Instant::now());
        let prompt = tokens(0, 80);
        assert_eq!(found(&mut all, Some(&A), &prompt), 64);
        assert_eq!(found(&mut all, Some(&B), &prompt), 0);
        assert_eq!(found(&mut all, None, &prompt), 0);
    }

    #[test]
    fn what_is_public_everyone_finds_and_nothing_gives_it_up() {
        let mut all = prefixes(1000, 4);
        assert!(all.publish(prefix(0, 32)));
        assert!(all.publish(prefix(0, 32)), "again is nothing");
        for round in 1..20 {
            all.keep(A, prefix(round * 1000, 64), Instant::now());
        }
        for tenant in [Some(&A), Some(&B), None] {
            assert_eq!(found(&mut all, tenant, &tokens(0, 80)), 32);
        }
        assert!(!all.publish(Prefix::new(tokens(5, 50), vec![0; 900])));
    }

    #[test]
    fn the_last_token_of_a_prompt_is_always_read() {
        let mut all = prefixes(10_000, 4);
        all.keep(A, prefix(0, 64), Instant::now());
        assert_eq!(found(&mut all, Some(&A), &tokens(0, 64)), 63);
        assert_eq!(
            found(&mut all, Some(&A), &tokens(0, 16)),
            0,
            "15 are too few"
        );
        assert_eq!(found(&mut all, Some(&A), &[]), 0);
    }

    #[test]
    fn a_quota_is_a_tenants_own_and_the_least_recently_used_goes_first() {
        let one = prefix(0, 25).size();
        let mut all = prefixes(3 * one, 4);
        for start in [0, 1000, 2000] {
            all.keep(A, prefix(start, 25), Instant::now());
        }
        all.keep(B, prefix(0, 25), Instant::now());
        assert_eq!(
            found(&mut all, Some(&A), &tokens(0, 30)),
            25,
            "used just now"
        );
        all.keep(A, prefix(3000, 25), Instant::now());
        assert_eq!(found(&mut all, Some(&A), &tokens(1000, 30)), 0);
        for start in [0, 2000, 3000] {
            assert_eq!(found(&mut all, Some(&A), &tokens(start, 30)), 25);
        }
        assert_eq!(found(&mut all, Some(&B), &tokens(0, 30)), 25);
        assert!(!all.wants(&A, &tokens(9000, 25), usize::try_from(3 * one).unwrap() + 1));
    }

    #[test]
    fn what_goes_on_from_a_prefix_takes_its_place() {
        let mut all = prefixes(10_000, 4);
        all.keep(A, prefix(0, 25), Instant::now());
        assert!(!all.wants(&A, &tokens(0, 20), 10), "it is kept already");
        assert!(all.wants(&A, &tokens(0, 40), 10));
        all.keep(A, prefix(0, 40), Instant::now());
        assert_eq!(all.tenants[&A].prefixes.len(), 1);
        assert_eq!(all.tenants[&A].bytes, prefix(0, 40).size());
    }

    #[test]
    fn a_tenant_without_a_place_takes_nobodys_and_a_place_is_free_after_idling() {
        let mut all = prefixes(10_000, 1);
        let start = Instant::now();
        all.keep(A, prefix(0, 25), start);
        all.keep(B, prefix(0, 25), start);
        assert!(!all.wants(&B, &tokens(0, 25), 10));
        assert_eq!(found(&mut all, Some(&B), &tokens(0, 30)), 0);
        all.expire(start + Duration::from_secs(59));
        assert_eq!(all.tenants.len(), 1);
        assert!(all.next_expiry().unwrap() >= start + Duration::from_secs(60));
        all.expire(Instant::now() + Duration::from_secs(60));
        assert_eq!(all.tenants.len(), 0);
        all.keep(B, prefix(0, 25), start);
        assert_eq!(found(&mut all, Some(&B), &tokens(0, 30)), 25);
    }
}
