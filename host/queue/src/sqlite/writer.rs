//! The one thread that writes, and group commit.
//!
//! While one commit waits for the disk, operations gather in the channel; the next transaction
//! takes all of them, so one `fsync` serves many callers and no timer is needed. Each operation
//! runs in a savepoint: one that fails takes back its own changes and nobody else's.
//!
//! The same thread looks for commits of other processes while it is idle. It can tell them from
//! its own, because `PRAGMA data_version` moves only for other connections.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender, TryRecvError};
use std::thread::JoinHandle;
use std::time::Instant;

use rusqlite::Connection;
use tokio::sync::watch;

use super::fault::{Outcome, translate};
use crate::clock::Clock;
use crate::error::{QueueError, Result};
use crate::ids::TimestampMs;
use crate::limits::{BATCH_OPS, BATCH_TIME, WATCH_INTERVAL, WRITER_QUEUE};

/// What an operation may change, hence how durable its commit must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// A state: on disk before the caller hears of it.
    State,
    /// Leases and progress: safe against a killed process; the next change of a state takes it to
    /// the disk as well, since both share one log.
    SignOfLife,
}

/// What an operation works with.
pub(super) struct Tx<'a> {
    pub(super) sql: &'a Connection,
    pub(super) now: TimestampMs,
    pub(super) epoch: i64,
}

enum Message {
    Op(Box<dyn Op>),
    /// Look for other processes' commits; answered after the first look.
    Watch(SyncSender<()>),
}

trait Op: Send {
    fn effect(&self) -> Effect;
    /// Does the work; an error takes it back.
    fn run(&mut self, tx: &Tx<'_>) -> Result<()>;
    /// Tells the caller how it went; `commit` is the fate of the whole transaction.
    fn answer(self: Box<Self>, commit: Result<()>);
}

struct Call<T, F> {
    effect: Effect,
    work: Option<F>,
    result: Option<Result<T>>,
    reply: SyncSender<Result<T>>,
    path: Arc<PathBuf>,
}

impl<T, F> Op for Call<T, F>
where
    T: Send,
    F: FnOnce(&Tx<'_>) -> Outcome<T> + Send,
{
    fn effect(&self) -> Effect {
        self.effect
    }

    fn run(&mut self, tx: &Tx<'_>) -> Result<()> {
        let work = self.work.take().ok_or(QueueError::Closed)?;
        let result = work(tx).map_err(|fault| fault.at(&self.path));
        let error = result.as_ref().err().cloned();
        self.result = Some(result);
        error.map_or(Ok(()), Err)
    }

    fn answer(self: Box<Self>, commit: Result<()>) {
        let result = match (self.result, commit) {
            (Some(Ok(value)), Ok(())) => Ok(value),
            (Some(Err(own)), _) => Err(own),
            (_, Err(error)) => Err(error),
            (None, Ok(())) => Err(QueueError::Closed),
        };
        // A caller that is gone has no use for the answer; the change stands.
        let _ = self.reply.send(result);
    }
}

/// The handle on the writing thread; ends it when dropped.
pub(super) struct Writer {
    sender: Option<SyncSender<Message>>,
    thread: Option<JoinHandle<()>>,
    path: Arc<PathBuf>,
    ticks: watch::Receiver<u64>,
    commits: Arc<AtomicU64>,
}

impl Writer {
    /// Starts the thread on `connection`. `epoch` is the upper half of the tokens that it gives.
    pub(super) fn start(connection: Connection, path: Arc<PathBuf>, clock: Arc<dyn Clock>, epoch: i64) -> Result<Self> {
        let (sender, receiver) = mpsc::sync_channel(WRITER_QUEUE);
        let (tick, ticks) = watch::channel(0);
        let commits = Arc::new(AtomicU64::new(0));
        let mut state = Thread {
            connection,
            path: Arc::clone(&path),
            clock,
            epoch,
            tick,
            commits: Arc::clone(&commits),
            seen: None,
            pending: VecDeque::new(),
            durability: None,
        };
        let thread = std::thread::Builder::new()
            .name("queue-writer".to_owned())
            .spawn(move || state.serve(&receiver))
            .map_err(|cause| QueueError::Io { path: path.as_ref().clone(), cause: Arc::new(cause) })?;
        Ok(Self { sender: Some(sender), thread: Some(thread), path, ticks, commits })
    }

    /// Runs `work` in the next transaction and waits until it is committed.
    pub(super) fn call<T, F>(&self, effect: Effect, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Tx<'_>) -> Outcome<T> + Send + 'static,
    {
        let (reply, answer) = mpsc::sync_channel(1);
        self.send(Message::Op(Box::new(Call {
            effect,
            work: Some(work),
            result: None,
            reply,
            path: Arc::clone(&self.path),
        })))?;
        answer.recv().unwrap_or(Err(QueueError::Closed))
    }

    /// Looks for other processes' commits from now on. Returns after the first look: a commit that
    /// comes later is told, so a caller that reads after this call misses nothing.
    pub(super) fn watch(&self) -> watch::Receiver<u64> {
        let mut ticks = self.ticks.clone();
        ticks.mark_unchanged();
        let (reply, looked) = mpsc::sync_channel(1);
        // An error means that the writer has died; the receiver then tells so by being closed.
        if self.send(Message::Watch(reply)).is_ok() {
            let _ = looked.recv();
        }
        ticks
    }

    pub(super) fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    fn send(&self, message: Message) -> Result<()> {
        let sender = self.sender.as_ref().ok_or(QueueError::Closed)?;
        sender.send(message).map_err(|_| QueueError::Closed)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.sender = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the queue's writer died");
        }
    }
}

/// What the last look at the file found, and when the next is due.
struct Seen {
    version: i64,
    next: Instant,
}

struct Thread {
    connection: Connection,
    path: Arc<PathBuf>,
    clock: Arc<dyn Clock>,
    epoch: i64,
    tick: watch::Sender<u64>,
    commits: Arc<AtomicU64>,
    seen: Option<Seen>,
    /// Taken from the channel, not yet run.
    pending: VecDeque<Box<dyn Op>>,
    /// What `PRAGMA synchronous` is set to now.
    durability: Option<Effect>,
}

impl Thread {
    fn serve(&mut self, receiver: &Receiver<Message>) {
        while self.receive(receiver) {
            if !self.pending.is_empty() {
                self.batch();
            }
            let due = |seen: &Seen| seen.next <= Instant::now();
            if self.seen.as_ref().is_some_and(due) {
                self.look();
            }
        }
    }

    /// Waits for something to do, then takes all that waits; false when nobody can call any more
    /// and nothing is left.
    fn receive(&mut self, receiver: &Receiver<Message>) -> bool {
        if self.pending.is_empty() {
            let message = match &self.seen {
                None => receiver.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(seen) => receiver.recv_timeout(seen.next.saturating_duration_since(Instant::now())),
            };
            match message {
                Ok(message) => self.accept(message),
                Err(RecvTimeoutError::Timeout) => return true,
                Err(RecvTimeoutError::Disconnected) => return false,
            }
        }
        while self.pending.len() < BATCH_OPS {
            match receiver.try_recv() {
                Ok(message) => self.accept(message),
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => break,
            }
        }
        true
    }

    fn accept(&mut self, message: Message) {
        match message {
            Message::Op(op) => self.pending.push_back(op),
            Message::Watch(reply) => {
                if self.seen.is_none() {
                    self.look();
                }
                let _ = reply.send(());
            }
        }
    }

    /// Asks whether another connection has committed since the last look.
    fn look(&mut self) {
        let version = self.connection.query_row("PRAGMA data_version", [], |row| row.get(0));
        let next = Instant::now() + WATCH_INTERVAL;
        match version {
            Ok(version) => {
                let known = self.seen.replace(Seen { version, next });
                if known.is_some_and(|seen| seen.version != version) {
                    self.tick.send_modify(|count| *count += 1);
                }
            }
            Err(error) => {
                tracing::warn!(%error, "cannot look for other processes' changes");
                if let Some(seen) = &mut self.seen {
                    seen.next = next;
                }
            }
        }
    }

    /// Runs what is pending in one transaction, commits, and answers all.
    fn batch(&mut self) {
        let effect =
            if self.pending.iter().any(|op| op.effect() == Effect::State) { Effect::State } else { Effect::SignOfLife };
        let before = self.connection.total_changes();
        let mut done = Vec::with_capacity(self.pending.len());
        let fate = self.begin(effect).and_then(|()| {
            let ran = self.run_pending(&mut done);
            self.end(ran)
        });
        if done.is_empty() {
            // The transaction could not even begin: all who wait hear why.
            done.extend(self.pending.drain(..));
        }
        let changed = fate.is_ok() && self.connection.total_changes() != before;
        if changed {
            self.commits.fetch_add(1, Ordering::Relaxed);
        }
        // Before the answers: a caller that subscribes after its own change is not told of it.
        if changed && effect == Effect::State {
            self.tick.send_modify(|count| *count += 1);
        }
        for op in done {
            op.answer(fate.clone());
        }
    }

    /// The pragma has no effect inside a transaction, so it is set before.
    fn begin(&mut self, effect: Effect) -> Result<()> {
        if self.durability != Some(effect) {
            self.execute(match effect {
                Effect::State => "PRAGMA synchronous = FULL",
                Effect::SignOfLife => "PRAGMA synchronous = NORMAL",
            })?;
            self.durability = Some(effect);
        }
        self.cached("BEGIN IMMEDIATE")
    }

    /// Runs operations until none is pending or the batch has taken its time. An error means that
    /// the whole transaction is lost, not that one operation failed.
    fn run_pending(&mut self, done: &mut Vec<Box<dyn Op>>) -> Result<()> {
        let began = Instant::now();
        while let Some(mut op) = self.pending.pop_front() {
            let ran = self.run_in_savepoint(op.as_mut());
            done.push(op);
            ran?;
            if began.elapsed() >= BATCH_TIME {
                break;
            }
        }
        Ok(())
    }

    fn run_in_savepoint(&self, op: &mut dyn Op) -> Result<()> {
        self.cached("SAVEPOINT op")?;
        let tx = Tx { sql: &self.connection, now: self.clock.now(), epoch: self.epoch };
        match op.run(&tx) {
            Ok(()) => self.cached("RELEASE op"),
            // After a full disk or a failed read, SQLite has rolled everything back by itself.
            Err(error) if self.connection.is_autocommit() => Err(error),
            Err(_) => self.execute("ROLLBACK TO op; RELEASE op"),
        }
    }

    fn end(&self, ran: Result<()>) -> Result<()> {
        let fate = ran.and_then(|()| self.cached("COMMIT"));
        if fate.is_err() && !self.connection.is_autocommit() {
            // A COMMIT that failed leaves its transaction open.
            self.execute("ROLLBACK")?;
        }
        fate
    }

    /// A statement of every batch or operation, prepared once.
    fn cached(&self, sql: &str) -> Result<()> {
        let ran = self.connection.prepare_cached(sql).and_then(|mut statement| statement.execute([]));
        ran.map(drop).map_err(|error| translate(error, &self.path))
    }

    fn execute(&self, sql: &str) -> Result<()> {
        self.connection.execute_batch(sql).map_err(|error| translate(error, &self.path))
    }
}
