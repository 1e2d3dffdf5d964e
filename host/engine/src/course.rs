//! The course of a segment, or of a film that is made larger, through failures: the same again, the next rung of its generator's
//! out-of-memory ladder, or the next generator of the chain.
//!
//! What was decided is written down with the task, so that a host that starts anew goes on with it; how long a ladder or a
//! chain is bounds how often a task can change.

use crate::error::EngineError;
use crate::spec::{Renderers, RunSpec};
use crate::task::{SEGMENT, SegmentInput, UPSCALE, parse};
use crate::workshop::Workshop;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::time::Duration;
use travel::Segment;
use travel_generators::{Capabilities, GeneratorError, LAST_SAID, Rung};
use travel_queue::{Change, Claimed, NewEvent, Retry};

/// How it is rendered, where that is not as its run says; carried from attempt to attempt.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Course {
    /// Who renders it instead of whom the run names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generator: Option<String>,
    /// Rungs of that generator's out-of-memory ladder that were taken.
    pub rungs: usize,
    /// Why it came to this, in a sentence.
    pub because: String,
}

impl Course {
    /// Of a claimed task.
    ///
    /// # Errors
    /// A record of another shape.
    pub(crate) fn of(claimed: &Claimed) -> Result<Self, EngineError> {
        let carry = claimed.carry.as_ref();
        carry.map_or_else(|| Ok(Self::default()), |carry| parse("course", carry).map_err(EngineError::Stored))
    }

    /// Tells of it.
    pub(crate) fn event(&self) -> Result<NewEvent, EngineError> {
        let data = serde_json::to_value(self).map_err(|e| EngineError::Stored(e.to_string()))?;
        Ok(NewEvent { label: "rendered_otherwise".to_owned(), data })
    }

    /// Who renders, where the run names `usual`.
    pub(crate) fn generator<'a>(&'a self, usual: &'a str) -> &'a str {
        self.generator.as_deref().unwrap_or(usual)
    }

    /// The settings that hold: the run's, which mean nothing to another generator than the one that it names, and over them
    /// those of the rungs.
    pub(crate) fn settings(&self, run: Value, ladder: &[Rung]) -> Value {
        let run = if self.generator.is_some() { Value::Null } else { run };
        on_rungs(run, ladder.iter().take(self.rungs))
    }
}

/// Settings with those of rungs over them.
pub(crate) fn on_rungs<'a>(settings: Value, rungs: impl Iterator<Item = &'a Rung>) -> Value {
    rungs.filter(|rung| !rung.settings.is_empty()).fold(settings, |settings, rung| {
        let mut all = match settings {
            Value::Object(all) => all,
            _ => Map::new(),
        };
        all.extend(rung.settings.clone());
        Value::Object(all)
    })
}

/// Who renders a claimed segment, or makes a film larger; nobody for other tasks, and for those that cannot be read.
pub(crate) fn generator_of(claimed: &Claimed) -> Option<String> {
    let of_run = || serde_json::from_str::<Renderers>(&claimed.spec).ok();
    match claimed.kind.as_str() {
        SEGMENT => Course::of(claimed).ok()?.generator.or_else(|| Some(of_run()?.generator)),
        UPSCALE => Course::of(claimed).ok()?.generator.or_else(|| Some(of_run()?.upscale?.generator)),
        _ => None,
    }
}

/// How a task that failed with this error is tried again in another way; nothing when it is not.
pub(crate) fn change(claimed: &Claimed, error: &EngineError, shop: &Workshop) -> Option<Retry> {
    if ![SEGMENT, UPSCALE].contains(&claimed.kind.as_str()) {
        return None;
    }
    // What cannot be read is none of these, and its error says so already.
    let spec = RunSpec::parse(&claimed.spec).ok()?;
    let course = Course::of(claimed).ok()?;
    let (usual, needs) = match &spec.upscale {
        Some(wish) if claimed.kind == UPSCALE => (wish.generator.as_str(), Needs::Film(wish.factor)),
        _ => {
            let input: SegmentInput = parse("segment", &claimed.input).ok()?;
            (spec.generator.as_str(), Needs::Segment(Box::new(input.segment)))
        }
    };
    next_rung(&course, usual, error, shop)
        .or_else(|| next_generator(&course, usual, &spec, &needs, claimed, error, shop))
        // The way is another one, so nothing speaks for waiting.
        .map(|change| Retry::Changed(Duration::ZERO, change))
}

/// What whoever stands in has to be able to do.
enum Needs {
    /// Render this segment.
    Segment(Box<Segment>),
    /// Make a film so many times as wide and high.
    Film(f64),
}

fn next_rung(course: &Course, usual: &str, error: &EngineError, shop: &Workshop) -> Option<Change> {
    let EngineError::Generator(GeneratorError::OutOfMemory { .. }) = error else { return None };
    let ladder = shop.generators.policy(course.generator(usual)).out_of_memory;
    let rung = ladder.get(course.rungs)?;
    let rungs = course.rungs.saturating_add(1);
    let because = format!("rung {rungs} of {} of its out-of-memory ladder: {}", ladder.len(), brief(error));
    let carry = serde_json::to_value(Course { rungs, because, ..course.clone() }).ok()?;
    Some(Change { pool: rung.pool.clone(), affinity: None, carry })
}

fn next_generator(
    course: &Course,
    usual: &str,
    spec: &RunSpec,
    needs: &Needs,
    claimed: &Claimed,
    error: &EngineError,
    shop: &Workshop,
) -> Option<Change> {
    let now = course.generator(usual);
    let may_do_it_yet = error.is_retryable() && claimed.attempt < claimed.max_attempts && !shop.circuits.is_open(now);
    if !error.is_the_generators() || may_do_it_yet {
        return None;
    }
    let chain = shop.generators.policy(usual).fallback;
    let after = chain.iter().position(|name| name == now).map_or(0, |at| at.saturating_add(1));
    for name in chain.iter().skip(after) {
        let able =
            shop.generators.by_name(name).and_then(|generator| Ok((generator.describe()?, generator.affinity(None))));
        let (able, affinity) = match able {
            Ok(able) => able,
            Err(error) => {
                tracing::warn!(task = claimed.name, generator = name, %error, "it cannot stand in");
                continue;
            }
        };
        if let Some(reason) = obstacle(&able, spec, needs) {
            tracing::warn!(task = claimed.name, generator = name, reason, "it cannot stand in");
            continue;
        }
        let because = format!("instead of {now}: {}", brief(error));
        let carry = Course { generator: Some(name.clone()), rungs: 0, because };
        let carry = serde_json::to_value(carry).ok()?;
        return Some(Change { pool: Some(able.pool), affinity: Some(affinity), carry });
    }
    None
}

/// An error without a program's last words, which its task's log has.
fn brief(error: &EngineError) -> String {
    let text = error.to_string();
    text.split_once(LAST_SAID).map_or(text.as_str(), |(text, _)| text).to_owned()
}

/// Why a generator cannot do what was planned for another one.
fn obstacle(able: &Capabilities, spec: &RunSpec, needs: &Needs) -> Option<String> {
    let segment = match needs {
        Needs::Segment(segment) => segment,
        Needs::Film(factor) => {
            return able
                .upscales
                .is_none_or(|most| most < *factor)
                .then(|| format!("it makes no films {factor} times as large"));
        }
    };
    let (total, canvas) = (segment.place.total, spec.canvas);
    if !able.renders {
        return Some("it only makes films larger".to_owned());
    }
    if !able.grid.holds(total) {
        return Some(format!("{total} frames are not on its grid"));
    }
    if canvas.floored_to(able.grid.dims_multiple) != canvas {
        return Some(format!("the sides of {canvas} are no multiples of {}", able.grid.dims_multiple));
    }
    let renders = |rates: &Vec<travel::Rate>| rates.iter().any(|rate| rate.reduced() == spec.rate.reduced());
    if !able.rates.as_ref().is_none_or(renders) {
        return Some(format!("it does not render {} frames a second", spec.rate));
    }
    let at_an_end = |at: u32| at == 0 || at.saturating_add(1) == total;
    if !able.wants_guide && (segment.place.overlap > 1 || !segment.key_frames.iter().all(|key| at_an_end(key.at))) {
        return Some("it reads no guide, and the segment keeps frames between its ends".to_owned());
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rung(settings: Value) -> Rung {
        let Value::Object(settings) = settings else { panic!("no settings") };
        Rung { settings, pool: None }
    }

    #[test]
    fn rungs_lie_over_the_runs_settings_and_later_ones_over_earlier() {
        let ladder = [rung(json!({"tiles": 2, "steps": 20})), rung(json!({})), rung(json!({"tiles": 4}))];
        let settings = |generator: Option<&str>, rungs| {
            let course = Course { generator: generator.map(str::to_owned), rungs, ..Course::default() };
            course.settings(json!({"steps": 30, "lora": "a"}), &ladder)
        };
        assert_eq!(settings(None, 0), json!({"steps": 30, "lora": "a"}));
        assert_eq!(settings(None, 2), json!({"steps": 20, "lora": "a", "tiles": 2}));
        assert_eq!(settings(None, 9), json!({"steps": 20, "lora": "a", "tiles": 4}));
        assert_eq!(settings(Some("flow"), 0), Value::Null, "another generator's settings mean nothing to it");
        assert_eq!(settings(Some("flow"), 1), json!({"tiles": 2, "steps": 20}));
    }
}
