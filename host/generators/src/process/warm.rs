//! Programs that are kept between jobs, so that a model is loaded once and not at every segment.
//!
//! All programs of a host share one [`Warm`], for they share devices: before another program begins on a device, what is
//! kept there gives its memory back.

use super::child::Child;
use super::protocol::{Reply, Request};
use crate::error::GeneratorError;
use crate::generator::Progress;
use crate::limits::{RESTART_FIRST, RESTART_MOST};
use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, Instant};

/// Whose program, and whose memory it takes: a card's, or that of a pool whose cards have no names.
type Post = (String, Option<String>);

/// Programs without work, and when programs may start again. They end with its last clone.
#[derive(Clone, Default)]
pub struct Warm(Arc<Owner>);

#[derive(Default)]
struct Owner(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    parked: Vec<Parked>,
    troubles: HashMap<Post, Trouble>,
    has_reaper: bool,
    is_over: bool,
}

struct Parked {
    post: Post,
    child: Child,
    until: Instant,
}

/// Deaths in a row, and when the next start may be.
struct Trouble {
    deaths: u32,
    not_before: Instant,
}

impl Warm {
    /// The program kept for this post; another program on the device gives its memory back first.
    pub(super) fn take(&self, generator: &str, seat: Option<&str>, on: &dyn Progress) -> Option<Child> {
        let post = post(generator, seat);
        let mut state = self.0.0.lock();
        let own = state.parked.iter().position(|parked| parked.post == post);
        // One that has died meanwhile is no reason for a job to fail.
        let own = own.map(|at| state.parked.swap_remove(at).child).and_then(Child::living);
        let on_device = |parked: &mut Parked| parked.post.1.is_some() && parked.post.1 == post.1;
        let others: Vec<Parked> = state.parked.extract_if(.., on_device).collect();
        drop(state);
        for mut other in others {
            // Another slot of the device may keep the same program.
            if other.post == post || other.child.unload(on) {
                self.put_back(other);
            }
        }
        own
    }

    /// Keeps a program that may be asked again, and is so for certain: it has just answered.
    pub(super) fn park(&self, generator: &str, seat: Option<&str>, child: Child, idle: Duration) {
        self.0.0.lock().troubles.remove(&post(generator, seat));
        self.put_back(Parked { post: post(generator, seat), child, until: Instant::now() + idle });
    }

    fn put_back(&self, parked: Parked) {
        let mut state = self.0.0.lock();
        state.parked.push(parked);
        if !state.has_reaper {
            let shared = Arc::clone(&self.0.0);
            let reaper = std::thread::Builder::new().name("idle generators".to_owned());
            state.has_reaper = reaper.spawn(move || reap(&shared)).is_ok();
        }
        drop(state);
        self.0.0.changed.notify_all();
    }

    /// A program of this post has died; the next start waits.
    pub(super) fn has_died(&self, generator: &str, seat: Option<&str>) {
        let mut state = self.0.0.lock();
        let trouble =
            state.troubles.entry(post(generator, seat)).or_insert(Trouble { deaths: 0, not_before: Instant::now() });
        let pause = RESTART_FIRST.saturating_mul(1 << trouble.deaths.min(10)).min(RESTART_MOST);
        *trouble = Trouble { deaths: trouble.deaths.saturating_add(1), not_before: Instant::now() + pause };
    }

    /// Waits until a program of this post may start, or the job is cancelled.
    pub(super) fn await_start(
        &self,
        generator: &str,
        seat: Option<&str>,
        on: &dyn Progress,
    ) -> Result<(), GeneratorError> {
        let Some(not_before) = self.0.0.lock().troubles.get(&post(generator, seat)).map(|t| t.not_before) else {
            return Ok(());
        };
        let (wake, woken) = mpsc::channel::<()>();
        on.on_cancel(Box::new(move || {
            // Nobody waits any more.
            let _ = wake.send(());
        }));
        while !on.cancelled() {
            let left = not_before.saturating_duration_since(Instant::now());
            if left.is_zero() || woken.recv_timeout(left) == Err(mpsc::RecvTimeoutError::Timeout) {
                return Ok(());
            }
        }
        Err(GeneratorError::Cancelled { done: 0, total: 0 })
    }
}

impl Child {
    /// Asks for the device's memory back; whether the program may be kept.
    fn unload(&mut self, on: &dyn Progress) -> bool {
        let patience = self.grace();
        if self.ask(&Request::Unload).is_err() {
            return false;
        }
        match self.reply(patience, on) {
            Ok(Reply::Unloaded) => {
                self.model = None;
                true
            }
            other => {
                tracing::info!(?other, "a generator did not give its device back, and is ended");
                false
            }
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.is_over = true;
        let parked = std::mem::take(&mut state.parked);
        drop(state);
        self.0.changed.notify_all();
        std::thread::scope(|scope| {
            for mut parked in parked {
                scope.spawn(move || parked.child.end());
            }
        });
    }
}

/// Ends programs that have had no work for so long.
fn reap(shared: &Shared) {
    let mut state = shared.lock();
    while !state.is_over {
        let now = Instant::now();
        let tired: Vec<Parked> = state.parked.extract_if(.., |parked| parked.until <= now).collect();
        if !tired.is_empty() {
            drop(state);
            drop(tired);
            state = shared.lock();
            continue;
        }
        let Some(next) = state.parked.iter().map(|parked| parked.until).min() else {
            state.has_reaper = false;
            return;
        };
        let waited = shared.changed.wait_timeout(state, next.saturating_duration_since(now));
        (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
    }
}

fn post(generator: &str, seat: Option<&str>) -> Post {
    (generator.to_owned(), seat.map(str::to_owned))
}
