//! What became of a model's workers, and whether there is to be another.

use std::time::Duration;

use crate::{HostError, session::Ending};

/// Deaths in a row, without an answer in between, after which no worker is started any more.
const MAX_DEATHS: usize = 3;

/// Before a worker is started again after a second death in a row: what killed both may pass.
const PAUSE: Duration = Duration::from_millis(50);

/// The longest wait for what the host itself lacks.
const MAX_SHORTAGE: Duration = Duration::from_millis(500);

/// What became of a model's workers since the last answer.
#[derive(Debug, Default)]
pub(crate) struct Record {
    was_ever_ready: bool,
    deaths: Vec<HostError>,
    /// Workers in a row that this process had nothing left to start with.
    shortages: u32,
}

/// What follows the end of a worker.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Another one, after a pause in which what waits for too long ends with `late`.
    Worker { pause: Duration, late: HostError },
    /// None until the operator releases the model.
    Quarantine(HostError),
    /// None at all.
    Over(HostError),
}

impl Record {
    /// Takes in how a worker ended.
    ///
    /// Every death counts, whoever brought it about: a kill by hand can't be told from the kernel's
    /// for memory, nor a crash by the file from one by a prompt.
    pub(crate) fn add(&mut self, ending: Ending) -> Next {
        let Ending::Died {
            error,
            was_ready,
            answered,
        } = ending
        else {
            return Next::Over(HostError::Unloaded);
        };
        self.was_ever_ready |= was_ready;
        if !self.was_ever_ready {
            return Next::Over(error);
        }
        if answered {
            self.deaths.clear();
        }
        // No fault of the model's: it waits until there is enough again, and its requests with it,
        // each until its deadline.
        if matches!(error, HostError::Exhausted { .. }) {
            self.shortages = self.shortages.saturating_add(1);
            let pause = PAUSE.saturating_mul(1 << self.shortages.min(8));
            return Next::Worker {
                pause: pause.min(MAX_SHORTAGE),
                late: error,
            };
        }
        self.shortages = 0;
        self.deaths.push(error);
        if self.deaths.len() >= MAX_DEATHS {
            // What comes after a release begins anew.
            let deaths = std::mem::take(&mut self.deaths);
            return Next::Quarantine(HostError::quarantined(&deaths));
        }
        let pause = match self.deaths.len() {
            1 => Duration::ZERO,
            _ => PAUSE,
        };
        Next::Worker {
            pause,
            late: HostError::Deadline,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Death, Stage};

    fn death(death: Death, answered: bool) -> Ending {
        Ending::Died {
            error: HostError::Worker {
                death,
                stage: Stage::Serving,
            },
            was_ready: true,
            answered,
        }
    }

    fn crash(answered: bool) -> Ending {
        death(Death::Crashed("SIGSEGV"), answered)
    }

    fn worker(pause: Duration) -> Next {
        Next::Worker {
            pause,
            late: HostError::Deadline,
        }
    }

    fn is_quarantine(next: &Next) -> bool {
        matches!(next, Next::Quarantine(_))
    }

    #[test]
    fn three_deaths_in_a_row_are_the_end_whatever_they_were() {
        let mut record = Record::default();
        assert_eq!(record.add(crash(true)), worker(Duration::ZERO));
        assert_eq!(
            record.add(death(Death::Killed("SIGKILL"), false)),
            worker(PAUSE)
        );
        let Next::Quarantine(error) = record.add(death(Death::OverTime("late"), false)) else {
            panic!("it goes on");
        };
        assert_eq!(error.code(), "worker.quarantined");
        let text = error.to_string();
        for named in ["SIGSEGV", "SIGKILL", "over time (late)"] {
            assert!(text.contains(named), "{text}");
        }
        assert!(error.next_step().contains("router.release(name)"));
        // Released, it has as many again.
        assert_eq!(record.add(crash(false)), worker(Duration::ZERO));
    }

    #[test]
    fn an_answer_in_between_ends_the_count() {
        let mut record = Record::default();
        for _ in 0..10 {
            assert_eq!(record.add(crash(true)), worker(Duration::ZERO));
            assert_eq!(record.add(crash(false)), worker(PAUSE));
        }
    }

    #[test]
    fn a_replacement_that_never_gets_ready_counts() {
        let mut record = Record::default();
        let late = || Ending::Died {
            error: HostError::LoadTimeout {
                timeout: Duration::from_secs(1),
            },
            was_ready: false,
            answered: false,
        };
        record.add(crash(true));
        record.add(late());
        assert!(is_quarantine(&record.add(late())));
    }

    #[test]
    fn a_model_that_never_loaded_is_over() {
        let error = HostError::LoadCancelled;
        let ending = Ending::Died {
            error: error.clone(),
            was_ready: false,
            answered: false,
        };
        assert_eq!(Record::default().add(ending), Next::Over(error));
        let unloaded = Next::Over(HostError::Unloaded);
        assert_eq!(Record::default().add(Ending::Closed), unloaded);
    }

    #[test]
    fn what_the_host_lacks_is_waited_for_and_is_no_death() {
        let mut record = Record::default();
        record.add(crash(false));
        let shortage = HostError::Exhausted {
            reason: "no descriptors".to_owned(),
        };
        let mut last = Duration::ZERO;
        for _ in 0..20 {
            let next = record.add(Ending::Died {
                error: shortage.clone(),
                was_ready: false,
                answered: false,
            });
            let Next::Worker { pause, late } = next else {
                panic!("it is no death");
            };
            assert!(pause >= last && pause <= MAX_SHORTAGE);
            assert_eq!(late, shortage);
            last = pause;
        }
        assert_eq!(last, MAX_SHORTAGE);
        assert_eq!(record.add(crash(false)), worker(PAUSE));
        assert!(is_quarantine(&record.add(crash(false))));
    }
}
