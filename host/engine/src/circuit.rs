//! A circuit breaker for every generator: one whose program or server fails task after task is left alone for a while.
//!
//! ```text
//! closed ──so many tasks failed, none succeeded between──▶ open ──it has cooled──▶ half-open: one probe
//!    ▲                                                      ▲ twice as long, up to a bound │ fails
//!    └──────────────────────── the probe succeeds ──────────┴──────────────────────────────┘
//! ```
//!
//! It counts tasks, not attempts: a segment that no generator could render opens nothing. It lives as long as its host, which
//! learns anew after a start. Time is handed in.

use crate::observer::{CircuitState, HostEvent, Observer};
use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use travel_generators::Circuit as Rules;
use travel_queue::TaskId;

/// The circuits of a host's generators, by name.
#[derive(Default)]
pub(crate) struct Circuits {
    by_name: Mutex<HashMap<String, Circuit>>,
}

/// How an attempt ended, as far as a circuit cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The generator works.
    Worked,
    /// It failed in a way that may pass.
    Failed,
    /// Nothing is known of it: the attempt was stopped, or the job was at fault.
    Unknown,
}

impl Circuits {
    /// Whether a task may be given to a generator now; how long it should wait when not. The change, if asking was one.
    pub(crate) fn admit(
        &self,
        name: &str,
        rules: &Rules,
        task: TaskId,
        now: Instant,
    ) -> (Result<(), Duration>, Option<CircuitState>) {
        self.lock().entry(name.to_owned()).or_default().admit(rules, task, now)
    }

    /// Takes note of how an attempt of a task that was admitted ended; the change, if it was one.
    pub(crate) fn ended(
        &self,
        name: &str,
        rules: &Rules,
        task: TaskId,
        outcome: Outcome,
        now: Instant,
    ) -> Option<CircuitState> {
        self.lock().entry(name.to_owned()).or_default().ended(rules, task, outcome, now)
    }

    /// Whether nobody but a probe is given to the generator.
    pub(crate) fn is_open(&self, name: &str) -> bool {
        self.lock().get(name).is_some_and(|circuit| !matches!(circuit, Circuit::Closed { .. }))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Circuit>> {
        self.by_name.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells of a change.
pub(crate) fn tell(observer: &dyn Observer, generator: String, state: CircuitState, error: Option<String>) {
    tracing::warn!(generator, ?state, error, "a generator's circuit has changed");
    observer.tell(&HostEvent::Circuit { generator, state, error });
}

enum Circuit {
    Closed { failed: BTreeSet<TaskId> },
    Open { until: Instant, cooling: Duration },
    HalfOpen { probe: TaskId, cooling: Duration },
}

impl Default for Circuit {
    fn default() -> Self {
        Self::Closed { failed: BTreeSet::new() }
    }
}

impl Circuit {
    fn admit(&mut self, rules: &Rules, task: TaskId, now: Instant) -> (Result<(), Duration>, Option<CircuitState>) {
        match *self {
            Self::Closed { .. } => (Ok(()), None),
            Self::Open { until, .. } if until > now => (Err(until - now), None),
            Self::Open { cooling, .. } => {
                *self = Self::HalfOpen { probe: task, cooling };
                (Ok(()), Some(CircuitState::HalfOpen))
            }
            // The probe may have been handed back or lost, and come again.
            Self::HalfOpen { probe, .. } if probe == task => (Ok(()), None),
            Self::HalfOpen { .. } => (Err(rules.cooling), None),
        }
    }

    fn ended(&mut self, rules: &Rules, task: TaskId, outcome: Outcome, now: Instant) -> Option<CircuitState> {
        let open = |cooling: Duration| Self::Open { until: now + cooling, cooling };
        match (&mut *self, outcome) {
            (Self::Closed { failed }, Outcome::Worked) => {
                failed.clear();
                None
            }
            (Self::Closed { failed }, Outcome::Failed) => {
                failed.insert(task);
                if failed.len() < rules.failures as usize {
                    return None;
                }
                *self = open(rules.cooling);
                Some(CircuitState::Open)
            }
            // Whoever began before it opened and gets through tells as much as a probe.
            (Self::Open { .. } | Self::HalfOpen { .. }, Outcome::Worked) => {
                *self = Self::default();
                Some(CircuitState::Closed)
            }
            (Self::HalfOpen { probe, cooling }, Outcome::Failed) if *probe == task => {
                *self = open(cooling.saturating_mul(2).min(rules.most));
                Some(CircuitState::Open)
            }
            // A probe that told nothing: the next task is one at once.
            (Self::HalfOpen { probe, cooling }, Outcome::Unknown) if *probe == task => {
                *self = Self::Open { until: now, cooling: *cooling };
                Some(CircuitState::Open)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Outcome::{Failed, Unknown, Worked};

    const RULES: Rules = Rules { failures: 3, cooling: Duration::from_secs(30), most: Duration::from_secs(100) };

    struct Bench {
        circuit: Circuit,
        now: Instant,
    }

    impl Bench {
        fn new() -> Self {
            Self { circuit: Circuit::default(), now: Instant::now() }
        }

        fn end(&mut self, task: i64, outcome: Outcome) -> Option<CircuitState> {
            self.circuit.ended(&RULES, TaskId(task), outcome, self.now)
        }

        fn ask(&mut self, task: i64) -> (Result<(), u64>, Option<CircuitState>) {
            let (answer, change) = self.circuit.admit(&RULES, TaskId(task), self.now);
            (answer.map_err(|wait| wait.as_secs()), change)
        }

        fn pass(&mut self, seconds: u64) {
            self.now += Duration::from_secs(seconds);
        }
    }

    #[test]
    fn it_opens_when_so_many_different_tasks_have_failed_in_a_row() {
        let mut bench = Bench::new();
        for _ in 0..5 {
            assert_eq!(bench.end(1, Failed), None, "one task alone, however often");
        }
        assert_eq!((bench.end(2, Failed), bench.end(9, Worked)), (None, None));
        assert_eq!((bench.end(1, Failed), bench.end(2, Failed), bench.end(2, Unknown)), (None, None, None));
        assert_eq!(bench.ask(3), (Ok(()), None));
        assert_eq!(bench.end(3, Failed), Some(CircuitState::Open));
        bench.pass(10);
        assert_eq!(bench.ask(4), (Err(20), None));
        assert_eq!(bench.end(5, Failed), None, "who had begun before");
    }

    #[test]
    fn one_probe_is_let_through_and_each_that_fails_doubles_the_wait_up_to_a_bound() {
        let mut bench = Bench::new();
        let opened: Vec<_> = (1..=3).filter_map(|task| bench.end(task, Failed)).collect();
        assert_eq!(opened, [CircuitState::Open]);
        for cooling in [30, 60, 100, 100] {
            assert_eq!(bench.ask(1), (Err(cooling), None));
            bench.pass(cooling);
            assert_eq!(bench.ask(1), (Ok(()), Some(CircuitState::HalfOpen)));
            assert_eq!(bench.ask(2), (Err(30), None), "one probe at a time");
            assert_eq!(bench.ask(1), (Ok(()), None), "which may come again");
            assert_eq!(bench.end(1, Failed), Some(CircuitState::Open));
        }
        bench.pass(100);
        assert_eq!(bench.ask(1), (Ok(()), Some(CircuitState::HalfOpen)));
        assert_eq!(bench.end(1, Unknown), Some(CircuitState::Open));
        assert_eq!(bench.ask(2), (Ok(()), Some(CircuitState::HalfOpen)), "a probe that told nothing is made up for");
        assert_eq!(bench.end(2, Worked), Some(CircuitState::Closed));
        assert_eq!(bench.ask(3), (Ok(()), None));
    }
}
