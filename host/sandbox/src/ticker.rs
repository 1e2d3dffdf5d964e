//! The engine's clock tick.
//!
//! One thread an engine advances its epoch while calls run; a running guest notices at its next loop or call and asks the
//! call's own deadline. Without calls the thread sleeps: a host that waits for its devices for hours must cost nothing. It ends
//! when the engine's owner is dropped.

use crate::limits::TICK;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use wasmtime::Engine;

pub(crate) struct Ticker {
    clock: Arc<Clock>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Clock {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    calls: usize,
    sleeps: bool,
    ended: bool,
}

/// A call that runs: the engine ticks until it is dropped.
pub(crate) struct Ticking<'a>(&'a Clock);

impl Ticker {
    pub(crate) fn start(engine: &Engine) -> std::io::Result<Self> {
        let clock = Arc::new(Clock::default());
        let (shared, engine) = (Arc::clone(&clock), engine.clone());
        let thread = std::thread::Builder::new().name("plugin-tick".into()).spawn(move || shared.tick(&engine))?;
        Ok(Self { clock, thread: Some(thread) })
    }

    pub(crate) fn while_running(&self) -> Ticking<'_> {
        let mut state = self.clock.lock();
        state.calls += 1;
        if state.sleeps {
            self.clock.changed.notify_one();
        }
        Ticking(&self.clock)
    }
}

impl Clock {
    /// Nothing can panic while it holds the lock.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tick(&self, engine: &Engine) {
        let mut state = self.lock();
        loop {
            while state.calls == 0 && !state.ended {
                state.sleeps = true;
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            state.sleeps = false;
            let waited = self.changed.wait_timeout_while(state, TICK, |state| !state.ended);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            if state.ended {
                return;
            }
            engine.increment_epoch();
        }
    }
}

impl Drop for Ticking<'_> {
    fn drop(&mut self) {
        self.0.lock().calls -= 1;
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.clock.lock().ended = true;
        self.clock.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
