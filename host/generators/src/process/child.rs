//! A running program: its pipes, its process group, its end.
//!
//! Three threads serve its pipes, so that no side of a conversation can block the other: one writes requests, one reads
//! replies into a bounded queue, one keeps what it says on standard error. The group is the program and whatever it
//! starts, and ends as one.

use super::line::{Broken, next_line};
use super::protocol::{Hello, PROTOCOL, Reply, Request};
use super::recipe::{PASSED, Recipe};
use crate::error::GeneratorError;
use crate::generator::{Device, Progress};
use crate::limits::{KILL_TAKES, LAST_WORDS, LINES_AHEAD, LOG_BYTES, LOG_TAKES, TAIL_BYTES};
use rustix::process::{
    Pid, Resource, Rlimit, Signal, WaitId, WaitIdOptions, kill_process_group, prlimit, test_kill_process_group, waitid,
};
use std::cell::Cell;
use std::fs::File;
use std::io::{BufReader, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What a conversation waits for.
enum Event {
    Said(Reply),
    /// A line that is no reply; the line's beginning and why.
    Garbage(String, String),
    /// The pipe was closed; perhaps within a line.
    Closed,
    /// Somebody may have cancelled the job.
    Woken,
    /// The program has ended; somebody else may hold its pipes open.
    Exited,
}

/// Why no reply came.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// It broke the protocol.
    Garbage { said: String, reason: String },
    /// It ended.
    Died,
    /// Nothing was heard for so long.
    Silent(Duration),
    /// The job is not wanted any more.
    Cancelled,
}

/// A running program.
pub(crate) struct Child {
    name: String,
    process: std::process::Child,
    group: Option<Pid>,
    requests: Option<Sender<String>>,
    events: Receiver<Event>,
    wake: SyncSender<Event>,
    log: Arc<Mutex<Log>>,
    /// The pipe that its standard error comes through.
    stderr: Option<OwnedFd>,
    /// Disconnected when all of its standard error is in the log.
    all_said: Receiver<()>,
    grace: Duration,
    /// Disconnected when the program has ended; its number is still its own.
    exited: Receiver<()>,
    /// Ends its group if this host dies before it.
    guard: Option<std::process::Child>,
    /// When a conversation learnt of its end.
    gone: Cell<Option<Instant>>,
    hello: Option<Hello>,
    /// The model that it has loaded.
    pub(crate) model: Option<String>,
}

/// What it says on standard error.
#[derive(Default)]
struct Log {
    tail: Vec<u8>,
    file: Option<(File, u64)>,
}

impl Log {
    /// With nothing in it yet, and a file for what comes.
    fn to(path: &Path) -> Self {
        let file = File::create(path).inspect_err(|error| {
            tracing::warn!(log = %path.display(), %error, "standard error of a generator is not kept");
        });
        Self { tail: Vec::new(), file: file.ok().map(|file| (file, LOG_BYTES)) }
    }
}

impl Child {
    /// Starts the program and hears its hello. Standard error goes to the file `log`, if one is named, from the first word on.
    pub(crate) fn start(
        name: &str,
        recipe: &Recipe,
        device: Option<&Device>,
        log: Option<&Path>,
        on: &dyn Progress,
    ) -> Result<Self, GeneratorError> {
        let mut child = Self::spawn(name, recipe, device, log.map(Log::to).unwrap_or_default())?;
        on.on_cancel(child.waker());
        child.ask(&Request::Hello { protocol: PROTOCOL })?;
        match child.reply(recipe.start, on) {
            Ok(Reply::Hello(hello)) => match hello.fault(PROTOCOL) {
                None => child.hello = Some(*hello),
                Some(reason) => return Err(child.garbage("hello", reason)),
            },
            Ok(Reply::Error { message, .. }) => {
                return Err(GeneratorError::Refused { generator: name.to_owned(), message });
            }
            Ok(other) => return Err(child.garbage(&format!("{other:?}"), "a hello was awaited".to_owned())),
            Err(trouble) => return Err(child.failed(trouble, "start")),
        }
        Ok(child)
    }

    fn spawn(name: &str, recipe: &Recipe, device: Option<&Device>, log: Log) -> Result<Self, GeneratorError> {
        let cannot =
            |source| GeneratorError::NotStarted { generator: name.to_owned(), command: recipe.shown(), source };
        let Some((program, args)) = recipe.command.split_first() else {
            return Err(cannot(std::io::Error::other("the command is empty")));
        };
        let mut command = Command::new(program);
        command.args(args).env_clear().process_group(0);
        let passed = PASSED.iter().copied().chain(recipe.pass_env.iter().map(String::as_str));
        command.envs(passed.filter_map(|name| Some((name, std::env::var_os(name)?))));
        if let Some(device) = device {
            command.env("CUDA_VISIBLE_DEVICES", &device.index).env("CUDA_DEVICE_ORDER", "PCI_BUS_ID");
        }
        // Python would hold replies back in a buffer otherwise.
        command.env("PYTHONUNBUFFERED", "1").envs(&recipe.env);
        if let Some(folder) = &recipe.working_dir {
            command.current_dir(folder);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().map_err(cannot)?;
        let group = i32::try_from(process.id()).ok().and_then(Pid::from_raw);
        let (wake, events) = mpsc::sync_channel(LINES_AHEAD);
        let (requests, to_write) = mpsc::channel::<String>();
        let log = Arc::new(Mutex::new(log));
        let (ends, exited) = mpsc::channel::<()>();
        let (said, all_said) = mpsc::channel::<()>();
        let (stdin, stdout, stderr) = (process.stdin.take(), process.stdout.take(), process.stderr.take());
        let child = Self {
            name: name.to_owned(),
            process,
            group,
            requests: Some(requests),
            events,
            wake,
            log,
            stderr: stderr.as_ref().and_then(|stderr| stderr.as_fd().try_clone_to_owned().ok()),
            all_said,
            grace: recipe.grace,
            exited,
            guard: group.and_then(|group| guard(name, group)),
            gone: Cell::new(None),
            hello: None,
            model: None,
        };
        child.limit(recipe);
        let tell = child.wake.clone();
        child.serve("exit", move || {
            // Without reaping: only the owner may do that, after the group was ended.
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            while let Some(group) = group
                && waitid(WaitId::Pid(group), options).is_err_and(|e| e == rustix::io::Errno::INTR)
            {}
            drop(ends);
            drop(tell.send(Event::Exited));
        })?;
        if let Some(mut stdin) = stdin {
            child.serve("writes", move || {
                for line in to_write {
                    if stdin.write_all(line.as_bytes()).and_then(|()| stdin.flush()).is_err() {
                        return;
                    }
                }
            })?;
        }
        if let Some(stdout) = stdout {
            let say = child.wake.clone();
            child.serve("replies", move || listen(stdout, &say))?;
        }
        if let Some(stderr) = stderr {
            let log = Arc::clone(&child.log);
            child.serve("stderr", move || {
                keep(stderr, &log);
                drop(said);
            })?;
        }
        Ok(child)
    }

    fn serve(&self, what: &str, work: impl FnOnce() + Send + 'static) -> Result<(), GeneratorError> {
        let thread = std::thread::Builder::new().name(what.to_owned()).spawn(work);
        // Nobody joins it: a grandchild outside the group may hold a pipe open for ever.
        thread.map(drop).map_err(|source| GeneratorError::NotStarted {
            generator: self.name.clone(),
            command: "a thread for its pipes".to_owned(),
            source,
        })
    }

    /// The kernel's limits; a program without them would only be less bounded, so that is said and no more.
    fn limit(&self, recipe: &Recipe) {
        let mb = |mb: Option<u64>| mb.map(|mb| mb << 20);
        let limits = recipe.limits;
        for (resource, value) in [
            (Resource::As, mb(limits.address_space_mb)),
            (Resource::Fsize, mb(limits.file_mb)),
            (Resource::Nofile, limits.open_files),
            (Resource::Core, Some(0)),
        ] {
            let Some(value) = value else { continue };
            let limit = Rlimit { current: Some(value), maximum: Some(value) };
            if let Err(error) = prlimit(self.group, resource, limit) {
                tracing::warn!(generator = self.name, ?resource, %error, "a limit cannot be set");
            }
        }
    }

    /// Between the request to stop and the end of its group.
    pub(crate) fn grace(&self) -> Duration {
        self.grace
    }

    /// How it described itself.
    pub(crate) fn hello(&self) -> Option<&Hello> {
        self.hello.as_ref()
    }

    /// Standard error goes to this file from now on; what was said before is no news to whoever asks for its end.
    pub(crate) fn log_to(&self, path: &Path) {
        *lock(&self.log) = Log::to(path);
    }

    /// Ends the log of a job, once what the program had said before its last reply is in it.
    pub(crate) fn log_no_more(&self) {
        self.hear_out();
        lock(&self.log).file = None;
    }

    /// Waits until what the program has said on standard error so far is in the log.
    fn hear_out(&self) {
        let begun = Instant::now();
        let (_never, nothing) = mpsc::channel::<()>();
        while let Some(stderr) = &self.stderr
            && begun.elapsed() < LOG_TAKES
        {
            let is_empty = rustix::io::ioctl_fionread(stderr).map_or(true, |bytes| bytes == 0);
            // Also when the pipe is empty: who has read it may not have written it yet.
            let _ = nothing.recv_timeout(Duration::from_millis(2));
            if is_empty {
                break;
            }
        }
    }

    /// Says something; a program that no longer listens is found out by its reply.
    pub(crate) fn ask(&self, request: &Request<'_>) -> Result<(), GeneratorError> {
        let mut line = serde_json::to_string(request).map_err(|e| GeneratorError::Protocol {
            generator: self.name.clone(),
            said: String::new(),
            stderr: String::new(),
            reason: format!("the request cannot be written as JSON: {e}"),
        })?;
        line.push('\n');
        if let Some(requests) = &self.requests {
            // The writer ends with the program.
            drop(requests.send(line));
        }
        Ok(())
    }

    /// Wakes a conversation that waits; for the job's cancellation.
    pub(crate) fn waker(&self) -> Box<dyn Fn() + Send + Sync> {
        let wake = self.wake.clone();
        // Where the queue of events is full, whoever reads it looks for itself.
        Box::new(move || drop(wake.try_send(Event::Woken)))
    }

    /// The next reply, within `patience` of the call.
    pub(crate) fn reply(&self, patience: Duration, on: &dyn Progress) -> Result<Reply, Trouble> {
        let begun = Instant::now();
        loop {
            if on.cancelled() {
                return Err(Trouble::Cancelled);
            }
            // Whoever has ended says nothing more; what it had said may be on its way.
            let gone = self.gone.get().map(|gone| LAST_WORDS.saturating_sub(gone.elapsed()));
            let patience_left = patience.saturating_sub(begun.elapsed());
            match self.events.recv_timeout(gone.unwrap_or(patience_left).min(patience_left)) {
                Ok(Event::Said(reply)) => return Ok(reply),
                Ok(Event::Garbage(said, reason)) => return Err(Trouble::Garbage { said, reason }),
                Ok(Event::Closed) | Err(RecvTimeoutError::Disconnected) => return Err(Trouble::Died),
                Ok(Event::Woken) => {}
                Ok(Event::Exited) => self.gone.set(Some(Instant::now())),
                Err(RecvTimeoutError::Timeout) if gone.is_some() => return Err(Trouble::Died),
                Err(RecvTimeoutError::Timeout) => return Err(Trouble::Silent(patience)),
            }
        }
    }

    /// Ends the program, and says what happened.
    pub(crate) fn failed(mut self, trouble: Trouble, during: &'static str) -> GeneratorError {
        let generator = self.name.clone();
        match trouble {
            Trouble::Garbage { said, reason } => self.garbage(&said, reason),
            Trouble::Cancelled => {
                self.end();
                GeneratorError::Cancelled { done: 0, total: 0 }
            }
            Trouble::Silent(after) => {
                self.end();
                GeneratorError::Silent { generator, during, after, stderr: self.tail() }
            }
            Trouble::Died => {
                let status = self.end();
                GeneratorError::Died { generator, during, status: told(status), stderr: self.tail() }
            }
        }
    }

    /// Ends the program because it broke the protocol.
    pub(crate) fn garbage(mut self, said: &str, reason: String) -> GeneratorError {
        // Before it finds that nobody listens any more, and complains.
        let stderr = self.tail();
        self.end();
        GeneratorError::Protocol { generator: self.name.clone(), said: shown(said), reason, stderr }
    }

    /// What it last said on standard error.
    pub(crate) fn tail(&self) -> String {
        self.hear_out();
        String::from_utf8_lossy(&lock(&self.log).tail).trim().to_owned()
    }

    /// The program, unless it has ended by itself.
    pub(crate) fn living(self) -> Option<Self> {
        (!self.exits_within(Duration::ZERO)).then_some(self)
    }

    /// Asks it to end, waits, ends its whole group. Its own exit status, where there was one.
    pub(crate) fn end(&mut self) -> Option<ExitStatus> {
        drop(self.ask(&Request::Bye));
        // Its standard input ends after the last request.
        self.requests = None;
        let half = self.grace / 2;
        if !self.exits_within(half) {
            self.signal(Signal::TERM);
            self.exits_within(half);
        }
        self.kill()
    }

    /// Ends its whole group at once.
    pub(crate) fn kill(&mut self) -> Option<ExitStatus> {
        self.requests = None;
        // What it started and left behind ends with it. Its number is its own until it is waited for.
        self.signal(Signal::KILL);
        // Its guard goes first: a number that is given back may become another's.
        if let Some(mut guard) = self.guard.take() {
            drop(guard.kill());
            drop(guard.wait());
        }
        let status = if self.exits_within(KILL_TAKES) { self.process.wait().ok() } else { None };
        self.await_group();
        // The pipe ends with its last writer, so its last words are known now; who left the group may hold it open.
        let _ = self.all_said.recv_timeout(LAST_WORDS);
        status
    }

    /// Waits until the kernel has ended whoever else was in the group. It tells nobody of the end of another's child, so it
    /// is asked again and again; this takes a millisecond or two.
    fn await_group(&self) {
        let begun = Instant::now();
        let (_never, nothing) = mpsc::channel::<()>();
        while let Some(group) = self.group
            && test_kill_process_group(group).is_ok()
            && begun.elapsed() < KILL_TAKES
        {
            let _ = nothing.recv_timeout(Duration::from_millis(1));
        }
    }

    fn exits_within(&self, time: Duration) -> bool {
        self.exited.recv_timeout(time) != Err(RecvTimeoutError::Timeout)
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.group {
            // Nobody is left to be told when it fails.
            let _ = kill_process_group(group, signal);
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.requests.is_some() {
            self.end();
        }
    }
}

/// A process that waits for this host's end, which closes its standard input, and then ends the group: a program that hangs
/// would keep its device for ever, and nobody would be left to end it.
fn guard(name: &str, group: Pid) -> Option<std::process::Child> {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "read -r _ || kill -s KILL -- \"-$0\"", &group.as_raw_nonzero().to_string()]);
    command.env_clear().process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let started = command.spawn();
    started.inspect_err(|error| tracing::warn!(generator = name, %error, "it would outlive a host that is killed")).ok()
}

/// Reads replies until the pipe ends.
fn listen(stdout: impl std::io::Read, say: &SyncSender<Event>) {
    let mut lines = BufReader::new(stdout);
    loop {
        let event = match next_line(&mut lines) {
            Ok(Some(line)) if line.trim().is_empty() => continue,
            Ok(Some(line)) => match serde_json::from_str(&line) {
                Ok(reply) => Event::Said(reply),
                Err(e) => Event::Garbage(line, e.to_string()),
            },
            Ok(None) | Err(Broken::Half(_)) => Event::Closed,
            Err(Broken::TooLong) => {
                Event::Garbage(String::new(), format!("a line is longer than {} bytes", crate::limits::MAX_LINE))
            }
            Err(Broken::Unreadable(reason)) => Event::Garbage(String::new(), reason),
        };
        let last = !matches!(event, Event::Said(_));
        if say.send(event).is_err() || last {
            return;
        }
    }
}

/// Keeps the end of standard error, and writes it all to the job's log.
fn keep(mut stderr: impl std::io::Read, log: &Mutex<Log>) {
    let mut buffer = [0; 8192];
    while let Ok(read @ 1..) = stderr.read(&mut buffer) {
        let said = buffer.get(..read).unwrap_or_default();
        let mut log = lock(log);
        log.tail.extend_from_slice(said);
        let surplus = log.tail.len().saturating_sub(TAIL_BYTES);
        log.tail.drain(..surplus);
        if let Some((file, left)) = &mut log.file {
            let fits = said.get(..usize::try_from(*left).unwrap_or(usize::MAX).min(read)).unwrap_or_default();
            *left = left.saturating_sub(fits.len() as u64);
            if let Err(error) = file.write_all(fits) {
                tracing::warn!(%error, "the rest of a generator's log is lost");
                log.file = None;
            }
        }
    }
}

fn lock(log: &Mutex<Log>) -> MutexGuard<'_, Log> {
    log.lock().unwrap_or_else(PoisonError::into_inner)
}

fn told(status: Option<ExitStatus>) -> String {
    status.map_or_else(|| "its end was not seen".to_owned(), |status| status.to_string())
}

/// The beginning of a line, for people.
pub(crate) fn shown(line: &str) -> String {
    const MOST: usize = 120;
    let short: String = line.chars().take(MOST).map(|c| if c.is_control() { '·' } else { c }).collect();
    if short.len() < line.len() { format!("{short}…") } else { short }
}
