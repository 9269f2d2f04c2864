//! How the tokens of a step are shared between tenants.

use std::collections::{BTreeMap, BTreeSet};

use strongroom_protocol::Tenant;

/// Who shares: a tenant, or all requests without one together.
pub(crate) type Sharer = Option<Tenant>;

/// Tokens of prompts that a step takes at least while answers are being decoded.
pub(crate) const LEAST: usize = 8;

/// What a tenant that comes is ahead of the one who was served least, in tokens: a short prompt is
/// read at once beside a long one.
const AHEAD: u64 = 64;

/// Where counting begins, so that one can be ahead of it.
const START: u64 = 1 << 20;

/// How many times its own prompt a sequence that could be answered waits for others to be read, at most.
const PATIENCE: usize = 4;

/// The same for one that has had its first token.
const PATIENCE_AFTER_FIRST: usize = 16;

/// Sharers without requests of which it is known how much they had, at most.
const MOST_ABSENT: usize = 1024;

/// What was done for each sharer that has requests, in tokens of prompts or bytes of text; and for those that
/// had more than who comes now begins with, so that nobody has more by coming anew each time.
#[derive(Debug, Default)]
pub(crate) struct Shares {
    served: BTreeMap<Sharer, u64>,
    /// Those of them for whom nothing was done since they came. Who comes after them is not ahead of them.
    fresh: BTreeSet<Sharer>,
}

/// A prompt that has yet to be read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Demand {
    pub(crate) sharer: Sharer,
    /// Tokens that are unread.
    pub(crate) pending: usize,
    /// Tokens of the whole prompt that nobody kept.
    pub(crate) fresh: usize,
}

impl Shares {
    /// A sharer has requests from now on.
    pub(crate) fn enter(&mut self, sharer: Sharer) {
        if self.served.contains_key(&sharer) {
            return;
        }
        let of_fresh = (self.fresh.iter())
            .filter_map(|fresh| self.served.get(fresh))
            .max();
        let of_others = (self.served.iter())
            .filter_map(|(other, served)| (!self.fresh.contains(other)).then_some(*served))
            .min();
        let begins = match (of_others, of_fresh) {
            (Some(least), fresh) => least.saturating_sub(AHEAD).max(fresh.copied().unwrap_or(0)),
            (None, Some(fresh)) => *fresh,
            (None, None) => START,
        };
        self.served.insert(sharer, begins);
        self.fresh.insert(sharer);
    }

    /// Only these have requests.
    pub(crate) fn retain(&mut self, has_requests: impl Fn(&Sharer) -> bool) {
        let present = self
            .served
            .iter()
            .filter(|(sharer, _)| has_requests(sharer));
        let Some(least) = present.map(|(_, &served)| served).min() else {
            self.served.clear();
            self.fresh.clear();
            return;
        };
        let absent = self.served.keys().filter(|sharer| !has_requests(sharer));
        let forgotten = absent.count() > MOST_ABSENT;
        self.served.retain(|sharer, served| {
            has_requests(sharer) || (!forgotten && *served > least.saturating_sub(AHEAD))
        });
        self.fresh.retain(|sharer| self.served.contains_key(sharer));
    }

    /// What was done for `sharer`.
    pub(crate) fn served(&self, sharer: Sharer) -> u64 {
        self.served.get(&sharer).copied().unwrap_or(START)
    }

    /// So much more was done for `sharer`.
    pub(crate) fn serve(&mut self, sharer: Sharer, amount: usize) {
        if let Some(served) = self.served.get_mut(&sharer) {
            *served = served.saturating_add(amount as u64);
            if amount > 0 {
                self.fresh.remove(&sharer);
            }
        }
    }

    /// Says how many tokens of each demand the next step takes, at most `budget` together. Half of the
    /// budget is shared equally, so that nobody starves; the other half goes to whoever was served least.
    /// The demands of one sharer are met alike, or in their order where there are more than tokens: parts
    /// of one length are computed together, others one after the other.
    ///
    /// A step that reads short prompts to their end takes few tokens of long ones: the short ones are answered
    /// when it ends.
    pub(crate) fn plan(&mut self, demands: &[Demand], budget: usize) -> Vec<usize> {
        let Some(is_long) = self.long_beside_short(demands, budget) else {
            return self.share_out(demands, budget);
        };
        let short: usize = (demands.iter().zip(&is_long))
            .filter(|&(_, &is_long)| !is_long)
            .map(|(demand, _)| {
                self.serve(demand.sharer, demand.pending);
                demand.pending
            })
            .sum();
        let long: Vec<Demand> = (demands.iter().zip(&is_long))
            .filter_map(|(demand, &is_long)| is_long.then_some(*demand))
            .collect();
        let mut rest = self.share_out(&long, LEAST.min(budget - short)).into_iter();
        (demands.iter().zip(is_long))
            .map(|(demand, is_long)| {
                if is_long {
                    rest.next().unwrap_or(0)
                } else {
                    demand.pending
                }
            })
            .collect()
    }

    /// Which demands are so long that the shortest prompt doesn't wait for them, where the others can be met
    /// whole with half of the budget, and nobody who would have that was served more than the rest.
    fn long_beside_short(&self, demands: &[Demand], budget: usize) -> Option<Vec<bool>> {
        let shortest = demands.iter().map(|demand| demand.fresh).min()?;
        let is_long: Vec<bool> = demands
            .iter()
            .map(|demand| !waits_for_others(shortest, demand.pending))
            .collect();
        let (long, short): (Vec<_>, Vec<_>) =
            (demands.iter().zip(&is_long)).partition(|&(_, &is_long)| is_long);
        let fits = short
            .iter()
            .map(|(demand, _)| demand.pending)
            .sum::<usize>()
            <= budget / 2;
        let is_due = short.iter().all(|(demand, _)| {
            long.iter().all(|(long, _)| {
                long.sharer == demand.sharer
                    || self.served(demand.sharer) <= self.served(long.sharer)
            })
        });
        (!short.is_empty() && !long.is_empty() && fits && is_due).then_some(is_long)
    }

    fn share_out(&mut self, demands: &[Demand], budget: usize) -> Vec<usize> {
        let mut granted: BTreeMap<Sharer, usize> = BTreeMap::new();
        let mut wanted: BTreeMap<Sharer, usize> = BTreeMap::new();
        for demand in demands {
            *wanted.entry(demand.sharer).or_default() += demand.pending;
        }
        let mut left = budget;
        let equal = (budget / 2 / wanted.len().max(1)).max(1);
        let mut order: Vec<Sharer> = wanted.keys().copied().collect();
        order.sort_by_key(|sharer| self.served(*sharer));
        for sharer in &order {
            let share = equal.min(wanted[sharer]).min(left);
            granted.insert(*sharer, share);
            left -= share;
        }
        for sharer in &order {
            let granted = granted.entry(*sharer).or_default();
            let more = (wanted[sharer] - *granted).min(left);
            *granted += more;
            left -= more;
        }
        for (&sharer, &tokens) in &granted {
            self.serve(sharer, tokens);
        }
        let mut counts: BTreeMap<Sharer, usize> = BTreeMap::new();
        for demand in demands {
            *counts.entry(demand.sharer).or_default() += 1;
        }
        demands
            .iter()
            .map(|demand| {
                let left = granted.entry(demand.sharer).or_default();
                let count = counts.entry(demand.sharer).or_insert(1);
                let tokens = demand.pending.min((*left / *count).max(1)).min(*left);
                *left -= tokens;
                *count = (*count - 1).max(1);
                tokens
            })
            .collect()
    }
}

/// Whether a sequence whose prompt of `fresh` tokens is read but for the last one waits for the others, of
/// whose prompts `pending` tokens are unread. Where nobody is being answered yet, answering those who
/// came together from one step on costs each little and all together less.
pub(crate) fn waits_for_others(fresh: usize, pending: usize) -> bool {
    pending > 0 && pending <= fresh.saturating_mul(PATIENCE)
}

/// The same for a sequence that came a little before the others, and has had its first token: it waits once,
/// where none is further on. Going on, it would have their prompts read in small parts, which costs all.
pub(crate) fn waits_after_first(fresh: usize, pending: usize) -> bool {
    pending > 0 && pending <= fresh.saturating_mul(PATIENCE_AFTER_FIRST)
}

/// Tokens of prompts that a step takes at most, beside `decoding` answers: few enough that the answers
/// go on nearly as fast as without.
pub(crate) fn budget(decoding: usize, batch_tokens: usize) -> usize {
    let left = batch_tokens.saturating_sub(decoding);
    if decoding == 0 {
        left
    } else {
        left.min(LEAST.max(decoding / 2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Sharer = Some(Tenant([1; 32]));
    const B: Sharer = Some(Tenant([2; 32]));

    fn demand(sharer: Sharer, pending: usize) -> Demand {
        Demand {
            sharer,
            pending,
            fresh: pending + 1,
        }
    }

    #[test]
    fn one_alone_has_it_all_and_its_prompts_are_read_alike() {
        let mut shares = Shares::default();
        shares.enter(A);
        let planned = shares.plan(&[demand(A, 30), demand(A, 50), demand(A, 9)], 64);
        assert_eq!(planned, [21, 21, 9]);
        let planned = shares.plan(&[demand(A, 30), demand(A, 50), demand(A, 9)], 2);
        assert_eq!(planned, [1, 1, 0]);
        let planned = shares.plan(&[demand(A, 36); 16], 64);
        assert_eq!(planned, [4; 16]);
    }

    #[test]
    fn who_comes_to_a_long_prompt_is_served_first_and_the_long_one_goes_on() {
        let mut shares = Shares::default();
        shares.enter(A);
        shares.plan(&[demand(A, 4000)], 64);
        shares.enter(B);
        let planned = shares.plan(&[demand(A, 3936), demand(B, 40)], 64);
        assert_eq!(planned, [24, 40]);
    }

    #[test]
    fn the_step_that_ends_a_short_prompt_takes_few_tokens_of_a_long_one() {
        let mut shares = Shares::default();
        shares.enter(A);
        // Of one sharer, and of another that was not served more.
        let planned = shares.plan(&[demand(A, 4000), demand(A, 24)], 64);
        assert_eq!(planned, [LEAST, 24]);
        shares.enter(B);
        let planned = shares.plan(&[demand(A, 4000), demand(B, 24), demand(A, 6)], 64);
        assert_eq!(planned, [LEAST, 24, 6]);
        // Those that come together are met alike, and nobody's turn is lost.
        let planned = shares.plan(&[demand(A, 24), demand(A, 30)], 64);
        assert_eq!(planned, [24, 30]);
        let planned = shares.plan(&[demand(A, 4000), demand(A, 24), demand(A, 24)], 64);
        assert_eq!(planned, [21, 21, 22]);
    }

    #[test]
    fn short_prompts_have_no_more_than_their_share_for_long() {
        let mut shares = Shares::default();
        shares.enter(A);
        shares.enter(B);
        let mut sums = [0, 0];
        for _ in 0..100 {
            let planned = shares.plan(&[demand(A, 4000), demand(B, 24)], 64);
            sums[0] += planned[0];
            sums[1] += planned[1];
        }
        assert!(sums[0].abs_diff(sums[1]) <= 64, "{sums:?}");
    }

    #[test]
    fn a_long_prompt_of_ones_own_gives_short_ones_no_right_over_another_s() {
        let mut shares = Shares::default();
        shares.enter(A);
        shares.enter(B);
        let mut sums = [0, 0];
        for _ in 0..100 {
            let demands = [demand(A, 4000), demand(B, 4000), demand(B, 24)];
            let planned = shares.plan(&demands, 64);
            sums[0] += planned[0];
            sums[1] += planned[1] + planned[2];
        }
        assert!(sums[0].abs_diff(sums[1]) <= 64, "{sums:?}");
    }

    #[test]
    fn who_leaves_and_comes_back_each_time_has_no_more_than_who_stays() {
        let mut shares = Shares::default();
        shares.enter(A);
        let mut sums = [0, 0];
        for _ in 0..100 {
            shares.retain(|sharer| *sharer == A);
            shares.enter(B);
            let planned = shares.plan(&[demand(A, 4000), demand(B, 24)], 64);
            sums[0] += planned[0];
            sums[1] += planned[1];
        }
        assert!(sums[0] + 64 >= sums[1], "{sums:?}");
        // Nobody is left: what comes begins anew.
        shares.retain(|_| false);
        assert!(shares.served.is_empty());
    }

    #[test]
    fn who_comes_while_others_wait_is_not_ahead_of_them() {
        let mut shares = Shares::default();
        let all: Vec<Sharer> = (0..5).map(|number| Some(Tenant([number; 32]))).collect();
        shares.enter(all[0]);
        shares.serve(all[0], 100_000);
        for &late in &all[1..4] {
            shares.enter(late);
        }
        assert!(shares.served(all[1]) < shares.served(all[0]));
        assert_eq!(shares.served(all[1]), shares.served(all[2]));
        assert_eq!(shares.served(all[1]), shares.served(all[3]));
        // One of them had its turn; who comes then is behind those that still wait, or beside them.
        shares.serve(all[1], 5000);
        shares.enter(all[4]);
        assert!(shares.served(all[4]) >= shares.served(all[2]));
        assert!(shares.served(all[4]) < shares.served(all[0]));
    }

    #[test]
    fn a_crowd_that_went_is_forgotten() {
        let mut shares = Shares::default();
        shares.enter(A);
        for number in 0..=MOST_ABSENT {
            let mut tenant = [7; 32];
            tenant[..8].copy_from_slice(&(number as u64).to_le_bytes());
            shares.enter(Some(Tenant(tenant)));
            shares.serve(Some(Tenant(tenant)), 1000);
        }
        shares.retain(|sharer| *sharer == A);
        assert_eq!(shares.served.len(), 1);
    }

    #[test]
    fn over_time_two_long_prompts_share_equally() {
        let mut shares = Shares::default();
        shares.enter(A);
        shares.enter(B);
        let mut sums = [0, 0];
        for _ in 0..100 {
            let planned = shares.plan(&[demand(A, 4000), demand(B, 4000)], 64);
            assert_eq!(planned.iter().sum::<usize>(), 64);
            assert!(planned.iter().all(|&tokens| tokens >= 16));
            sums[0] += planned[0];
            sums[1] += planned[1];
        }
        assert!(sums[0].abs_diff(sums[1]) <= 64, "{sums:?}");
    }

    #[test]
    fn short_ones_one_after_another_never_starve_a_long_one() {
        let mut shares = Shares::default();
        shares.enter(A);
        for _ in 0..50 {
            shares.retain(|sharer| *sharer == A);
            shares.enter(B);
            let planned = shares.plan(&[demand(A, 4000), demand(B, 64)], 64);
            assert!(planned[0] >= 16, "{planned:?}");
        }
    }

    #[test]
    fn many_sharers_and_a_small_budget_exceed_nothing() {
        let mut shares = Shares::default();
        let demands: Vec<Demand> = (0..40)
            .map(|number| demand(Some(Tenant([number; 32])), 10))
            .collect();
        let planned = shares.plan(&demands, 8);
        assert_eq!(planned.iter().sum::<usize>(), 8);
        assert_eq!(shares.plan(&[], 8), [0; 0]);
    }

    #[test]
    fn who_came_together_is_answered_together_but_nobody_waits_for_a_long_prompt() {
        assert!(waits_for_others(36, 100));
        assert!(!waits_for_others(36, 4000));
        assert!(waits_after_first(36, 500));
        assert!(!waits_after_first(36, 4000));
        assert!(!waits_for_others(36, 0), "there is nobody to wait for");
        assert!(
            !waits_for_others(1, 5),
            "what is cached is answered at once"
        );
    }

    #[test]
    fn answers_are_not_held_up_by_prompts() {
        assert_eq!(budget(0, 64), 64);
        assert_eq!(budget(1, 64), 8);
        assert_eq!(budget(16, 64), 8);
        assert_eq!(budget(32, 64), 16);
        assert_eq!(budget(60, 64), 4);
        assert_eq!(budget(64, 64), 0);
    }
}
