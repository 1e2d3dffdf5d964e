//! One task from claim to settlement: handled, then finished, failed or handed back, exactly once.

use crate::circuit::{self, Outcome};
use crate::control::{Control, Stop};
use crate::course;
use crate::error::EngineError;
use crate::handle::{Done, handle};
use crate::limits::QUEUE_RETRY;
use crate::observer::{HostEvent, Observer};
use crate::workshop::Workshop;
use std::hash::{BuildHasher as _, RandomState};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;
use travel_artifacts::Hash;
use travel_generators::GeneratorError;
use travel_queue::{ArtifactHash, Claimed, Failure, Finish, QueueError, Retry, Store, TaskState, backoff};

/// Runs a task and settles it. An error means that the queue could not be told: the task is still this worker's, and
/// the next start takes it up again.
pub(crate) fn run(
    claimed: &Claimed,
    store: &dyn Store,
    shop: &Workshop,
    control: &Arc<Control>,
    observer: &dyn Observer,
) -> Result<(), QueueError> {
    let (run, task, name) = (claimed.run, claimed.task, claimed.name.clone());
    observer.tell(&HostEvent::TaskStarted { run, task, name, kind: claimed.kind.clone(), attempt: claimed.attempt });
    let handled = catch_unwind(AssertUnwindSafe(|| handle(claimed, store, shop, control)))
        .unwrap_or_else(|panic| Err(EngineError::Crashed(words(panic.as_ref()))));
    note(claimed, &handled, shop, observer);
    let settled = match (handled, control.stopped()) {
        (Ok(done), _) => match succeed(claimed, done, store, shop, control, observer) {
            // A result that the queue cannot take is this task's failure, and nobody else's.
            Err(e) if !e.is_retryable() && !e.is_stale() && e.is_refusal() => {
                fail(claimed, &EngineError::Queue(e), store, shop, control, observer)
            }
            settled => settled,
        },
        (Err(_), Some(Stop::Lost)) => Ok(()),
        (Err(e), Some(Stop::Deadline)) if e.is_cancelled() => {
            let e = EngineError::Deadline { after: claimed.deadline.unwrap_or_default() };
            fail(claimed, &e, store, shop, control, observer)
        }
        (Err(e), Some(Stop::Release)) if e.is_cancelled() => release(claimed, store, control, observer),
        (Err(e), _) => fail(claimed, &e, store, shop, control, observer),
    };
    match settled {
        Err(e) if e.is_stale() => {
            tracing::warn!(task = %task, error = %e, "somebody else has the task; this result is dropped");
            Ok(())
        }
        settled => settled,
    }
}

/// Takes note of how an attempt ended that its generator was asked for.
fn note(claimed: &Claimed, handled: &Result<Done, EngineError>, shop: &Workshop, observer: &dyn Observer) {
    let Some(generator) = course::generator_of(claimed) else { return };
    let outcome = match handled {
        // What was rendered before says nothing of now.
        Ok(done) if done.output.get("reused").is_some_and(|by| !by.is_null()) => Outcome::Unknown,
        Ok(_) => Outcome::Worked,
        // A device whose memory does not suffice says nothing of the next task.
        Err(EngineError::Generator(GeneratorError::OutOfMemory { .. }) | EngineError::CircuitOpen { .. }) => {
            Outcome::Unknown
        }
        Err(e) if e.is_the_generators() && e.is_retryable() => Outcome::Failed,
        Err(_) => Outcome::Unknown,
    };
    let rules = shop.generators.policy(&generator).circuit;
    if let Some(state) = shop.circuits.ended(&generator, &rules, claimed.task, outcome, Instant::now()) {
        circuit::tell(observer, generator, state, handled.as_ref().err().map(EngineError::with_causes));
    }
}

fn succeed(
    claimed: &Claimed,
    done: Done,
    store: &dyn Store,
    shop: &Workshop,
    control: &Control,
    observer: &dyn Observer,
) -> Result<(), QueueError> {
    let mut artifacts = done.made;
    artifacts.extend(control.kept());
    let finish = Finish {
        artifacts,
        emitted: done.emitted,
        events: done.events,
        run_output: done.run_output,
        memo: done.memo.map(|memo| ArtifactHash(*memo.as_bytes())),
        ..Finish::new(claimed.task, claimed.token, done.output)
    };
    let finished = patiently(control, || {
        // A queue that cannot be told for an hour is no reason to take its files for forgotten.
        for file in &finish.artifacts {
            if let Err(error) = shop.artifacts.keep_young(Hash::from_bytes(file.hash.0)) {
                tracing::debug!(%error, "a file that is not written down yet cannot be kept young");
            }
        }
        store.succeed(finish.clone())
    })?;
    if finished.state == TaskState::Cancelled {
        tell_cancelled(claimed, observer);
        return Ok(());
    }
    let emitted = finished.emitted.into_iter().map(|e| e.name).collect();
    let (run, task, name) = (claimed.run, claimed.task, claimed.name.clone());
    observer.tell(&HostEvent::TaskSucceeded { run, task, name, emitted });
    Ok(())
}

fn release(claimed: &Claimed, store: &dyn Store, control: &Control, observer: &dyn Observer) -> Result<(), QueueError> {
    if patiently(control, || store.release(claimed.task, claimed.token))? == TaskState::Cancelled {
        tell_cancelled(claimed, observer);
        return Ok(());
    }
    let (run, task, name) = (claimed.run, claimed.task, claimed.name.clone());
    observer.tell(&HostEvent::TaskReleased { run, task, name });
    Ok(())
}

fn fail(
    claimed: &Claimed,
    error: &EngineError,
    store: &dyn Store,
    shop: &Workshop,
    control: &Control,
    observer: &dyn Observer,
) -> Result<(), QueueError> {
    let text = error.with_causes_and_hint();
    let retry = course::change(claimed, error, shop).unwrap_or_else(|| match error {
        EngineError::CircuitOpen { wait, .. } => Retry::Held(*wait),
        e if e.is_retryable() => Retry::After(backoff(claimed.attempt, chance())),
        _ => Retry::Never,
    });
    let failure = Failure {
        task: claimed.task,
        token: claimed.token,
        code: error.code().to_owned(),
        error: text.clone(),
        retry,
        artifacts: control.kept(),
    };
    let failed = patiently(control, || store.fail(failure.clone()))?;
    if failed.state == TaskState::Cancelled {
        tell_cancelled(claimed, observer);
        return Ok(());
    }
    observer.tell(&HostEvent::TaskFailed {
        run: claimed.run,
        task: claimed.task,
        name: claimed.name.clone(),
        code: error.code().to_owned(),
        error: text,
        retrying: !failed.state.is_final(),
    });
    Ok(())
}

fn tell_cancelled(claimed: &Claimed, observer: &dyn Observer) {
    let (run, task, name) = (claimed.run, claimed.task, claimed.name.clone());
    observer.tell(&HostEvent::TaskCancelled { run, task, name });
}

/// Tells the queue, again and again while it is only busy or its disk is full, however long: minutes of work depend on it.
/// Heartbeats go on meanwhile.
fn patiently<T>(control: &Control, tell: impl Fn() -> Result<T, QueueError>) -> Result<T, QueueError> {
    let mut tries = 0u32;
    loop {
        match tell() {
            Err(e) if e.is_retryable() => {
                tries = tries.saturating_add(1);
                if tries.is_power_of_two() {
                    tracing::warn!(error = %e, tries, "the queue cannot be told yet");
                }
                if control.is_hopeless_within(QUEUE_RETRY) {
                    return tell();
                }
            }
            told => return told,
        }
    }
}

/// A number in 0…1, different every time.
fn chance() -> f64 {
    let bits = RandomState::new().hash_one(0u8) >> 11;
    bits as f64 / (1u64 << 53) as f64
}

fn words(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::{Begins, PlaceWatch};
    use std::cell::Cell;
    use travel_queue::{RunId, TaskId};

    struct Nobody;

    impl Observer for Nobody {
        fn tell(&self, _: &HostEvent) {}
    }

    impl PlaceWatch for Nobody {
        fn waits(&self) {}
        fn has_place(&self) {}
        fn left_place(&self, _: crate::control::DeviceTime) {}
    }

    fn control() -> Arc<Control> {
        let (observer, places) = (Arc::new(Nobody), Box::new(Nobody));
        Arc::new(Control::new(RunId(1), TaskId(1), String::new(), None, Begins::AtOnce, observer, places))
    }

    /// A disk that is full until so many have asked.
    fn full_until(tries: u32, asked: &Cell<u32>) -> Result<(), QueueError> {
        asked.set(asked.get() + 1);
        if asked.get() < tries { Err(QueueError::DiskFull("queue.db".into())) } else { Ok(()) }
    }

    #[test]
    fn a_result_waits_for_a_queue_that_cannot_be_told_until_the_claim_is_lost_or_the_host_ends() {
        let asked = Cell::new(0);
        patiently(&control(), || full_until(2, &asked)).unwrap();
        assert_eq!(asked.take(), 2);

        let ends: [fn(&Control); 2] = [Control::be_impatient, |control| control.stop(Stop::Lost)];
        for end in ends {
            let control = control();
            let told = patiently(&control, || {
                // It ends while it waits, and is told once more.
                (asked.get() == 1).then(|| end(&control));
                full_until(u32::MAX, &asked)
            });
            assert_eq!((told.unwrap_err().code(), asked.take()), ("queue_disk_full", 3));
        }
        let refused = patiently(&control(), || Err::<(), _>(QueueError::Closed)).unwrap_err();
        assert_eq!(refused.code(), "queue_closed", "what will not pass is not waited for");
    }
}
