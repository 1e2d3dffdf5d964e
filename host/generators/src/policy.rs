//! What the engine does with a generator's clips and failures, as the configuration wishes it.

use crate::limits;
use crate::process::duration;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::time::Duration;

/// How a generator's work is judged, and what becomes of its failures; nothing special by default.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Policy {
    /// Whether a clip in which nothing moves is let pass, though its anchors differ.
    pub allow_still: bool,
    /// Whether the frames that the guide gave are put back over those that it returns.
    pub paste_known: bool,
    /// What is changed when memory does not suffice, one rung for each time that it does not.
    pub out_of_memory: Vec<Rung>,
    /// Who renders instead, in this order, when the generator cannot.
    pub fallback: Vec<String>,
    /// When it is left alone for a while.
    pub circuit: Circuit,
}

/// When a generator that fails task after task is left alone, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Circuit {
    /// Different tasks that fail in a row, in a way that may pass.
    pub failures: u32,
    /// How long the first time; twice as long after each probe that fails.
    #[serde(deserialize_with = "duration")]
    pub cooling: Duration,
    /// Longest.
    #[serde(deserialize_with = "duration")]
    pub most: Duration,
}

impl Default for Circuit {
    fn default() -> Self {
        Self { failures: limits::CIRCUIT_FAILURES, cooling: limits::CIRCUIT_COOLING, most: limits::CIRCUIT_MOST }
    }
}

/// One rung of an out-of-memory ladder.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rung {
    /// Settings that hold from here on, over those of the run.
    pub settings: Map<String, Value>,
    /// The pool to which the task moves.
    pub pool: Option<String>,
}

impl Policy {
    /// What is wrong with the policy of the generator `name`, in a sentence. `pools` are those that somebody serves, `known`
    /// tells whether there is a generator of a name.
    #[must_use]
    pub fn fault(&self, name: &str, pools: &[&str], known: impl Fn(&str) -> bool) -> Option<String> {
        for (i, rung) in (1..).zip(&self.out_of_memory) {
            if rung.settings.is_empty() && rung.pool.is_none() {
                return Some(format!("rung {i} of out-of-memory changes nothing; it has settings, a pool, or both"));
            }
            if let Some(pool) = rung.pool.as_deref().filter(|pool| !pools.contains(pool)) {
                let served = pools.join(", ");
                return Some(format!(
                    "no slot or device serves pool {pool} of rung {i} of out-of-memory; served are {served}"
                ));
            }
        }
        let Circuit { failures, cooling, most } = self.circuit;
        if failures == 0 || cooling.is_zero() || most < cooling {
            return Some(
                "its circuit needs 1 failure or more, and a cooling of more than 0 and at most `most`".to_owned(),
            );
        }
        let mut before = BTreeSet::from([name]);
        for next in &self.fallback {
            if !known(next) {
                return Some(format!("its fallback names `{next}`, which is no generator"));
            }
            if !before.insert(next) {
                return Some(format!("its fallback goes in a circle: `{next}` would stand in for itself"));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rungs_that_change_nothing_unknown_pools_and_circles_are_named() {
        let fault =
            |policy: &Policy| policy.fault("wan", &["cpu", "gpu"], |name| ["wan", "flow", "rife"].contains(&name));
        let ladder = |rung: Rung| Policy { out_of_memory: vec![rung], ..Policy::default() };
        let to = |pool: &str| Rung { pool: Some(pool.to_owned()), ..Rung::default() };
        let chain = |names: &[&str]| Policy {
            fallback: names.iter().map(|name| (*name).to_owned()).collect(),
            ..Policy::default()
        };
        assert_eq!(fault(&ladder(to("cpu"))), None);
        assert_eq!(fault(&chain(&["flow", "rife"])), None);
        let circuit = |failures, cooling, most| {
            let [cooling, most] = [cooling, most].map(Duration::from_secs);
            Policy { circuit: Circuit { failures, cooling, most }, ..Policy::default() }
        };
        assert_eq!(fault(&circuit(1, 5, 5)), None);
        for (policy, says) in [
            (circuit(0, 5, 5), "1 failure or more"),
            (circuit(1, 0, 5), "a cooling of more than 0"),
            (circuit(1, 6, 5), "at most `most`"),
            (ladder(Rung::default()), "rung 1 of out-of-memory changes nothing"),
            (ladder(to("tpu")), "serves pool tpu of rung 1"),
            (chain(&["wan"]), "`wan` would stand in for itself"),
            (chain(&["flow", "rife", "flow"]), "`flow` would stand in for itself"),
            (chain(&["flow", "ltx"]), "`ltx`, which is no generator"),
        ] {
            let told = fault(&policy).unwrap_or_default();
            assert!(told.contains(says), "{policy:?}: {told}");
        }
    }
}
