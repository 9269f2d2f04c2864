//! Which processors a worker gets, when several models share the machine.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Workers of this process on each processor.
static LOAD: Mutex<BTreeMap<u32, u32>> = Mutex::new(BTreeMap::new());

/// The processors of one model, for as long as it is loaded.
#[derive(Debug)]
pub(crate) struct Cores(Vec<u32>);

impl Cores {
    /// At most `wanted` of `granted`, those that fewest other models were given.
    pub(crate) fn choose(granted: &[u32], wanted: usize) -> Self {
        let mut load = load();
        let mut chosen = granted.to_vec();
        // Stable: among equals the lowest number.
        chosen.sort_by_key(|core| load.get(core).copied().unwrap_or_default());
        chosen.truncate(wanted);
        chosen.sort_unstable();
        for &core in &chosen {
            *load.entry(core).or_default() += 1;
        }
        Self(chosen)
    }

    pub(crate) fn numbers(&self) -> &[u32] {
        &self.0
    }
}

impl Drop for Cores {
    fn drop(&mut self) {
        let mut load = load();
        for core in &self.0 {
            if let Some(count) = load.get_mut(core) {
                *count -= 1;
                if *count == 0 {
                    load.remove(core);
                }
            }
        }
    }
}

fn load() -> MutexGuard<'static, BTreeMap<u32, u32>> {
    LOAD.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_spread_over_the_processors_and_give_them_back() {
        // Numbers that no machine has, so that other tests don't interfere.
        let granted = [9001, 9002, 9003];
        let first = Cores::choose(&granted, 2);
        assert_eq!(first.numbers(), [9001, 9002]);
        let second = Cores::choose(&granted, 2);
        assert_eq!(second.numbers(), [9001, 9003]);
        let third = Cores::choose(&granted, 1);
        assert_eq!(third.numbers(), [9002]);
        drop((first, second, third));
        assert_eq!(Cores::choose(&granted, 1).numbers(), [9001]);
        assert!(load().range(9001..=9003).next().is_none());
    }

    #[test]
    fn more_than_there_are_means_all() {
        let granted = [9011, 9012];
        assert_eq!(Cores::choose(&granted, usize::MAX).numbers(), granted);
    }
}
