//! A host that runs beside a test.

#![allow(dead_code, reason = "every test file uses its own part")]

use crate::support::Desk;
use serde_json::Value;
use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// Far longer than anything takes that a test waits for, also on a busy machine: who waits longer waits for ever.
const PATIENCE: Duration = Duration::from_secs(300);

/// A host whose events are read one by one; killed when its test fails.
pub(crate) struct Host {
    child: Child,
    events: Receiver<String>,
    /// The last that were read, for the message.
    read: VecDeque<String>,
}

impl Host {
    pub(crate) fn start(desk: &Desk, args: &[&str]) -> Self {
        let mut child = desk.command(args).arg("--json").stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (told, events) = channel();
        std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| told.send(line)));
        Self { child, events, read: VecDeque::new() }
    }

    /// Reads events until one that fits; false when the host ends before. The caller's line, which a failure names, says
    /// what was waited for.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, fits: impl Fn(&Value) -> bool) -> bool {
        let patience = Instant::now() + PATIENCE;
        while let Some(line) = self.next(patience) {
            if fits(&serde_json::from_str(&line).unwrap()) {
                return true;
            }
        }
        false
    }

    /// The next line; none when the host has ended.
    #[track_caller]
    fn next(&mut self, patience: Instant) -> Option<String> {
        match self.events.recv_timeout(patience.saturating_duration_since(Instant::now())) {
            Ok(line) => {
                self.read.truncate(9);
                self.read.push_front(line.clone());
                Some(line)
            }
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("waited {PATIENCE:?} in vain; the last events: {:#?}", self.read),
        }
    }

    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(std::process::Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }

    /// Waits until the host ends; its exit code.
    #[track_caller]
    pub(crate) fn end(mut self) -> Option<i32> {
        let patience = Instant::now() + PATIENCE;
        while self.next(patience).is_some() {}
        self.child.wait().unwrap().code()
    }

    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // Whoever has ended already cannot be killed, and need not be.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
