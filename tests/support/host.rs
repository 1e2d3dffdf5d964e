//! A host that runs beside a test.

use crate::support::Desk;
use serde_json::Value;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdout, Stdio};

/// A host whose events are read one by one.
pub(crate) struct Host {
    child: Child,
    events: std::io::Lines<BufReader<ChildStdout>>,
}

impl Host {
    pub(crate) fn start(desk: &Desk, args: &[&str]) -> Self {
        let mut child = desk.command(args).arg("--json").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let events = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, events }
    }

    /// Reads events until one that fits; false when the host ends before.
    pub(crate) fn wait_for(&mut self, fits: impl Fn(&Value) -> bool) -> bool {
        self.events.by_ref().any(|line| fits(&serde_json::from_str(&line.unwrap()).unwrap()))
    }

    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(std::process::Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }

    pub(crate) fn end(mut self) -> Option<i32> {
        while self.events.next().is_some() {}
        self.child.wait().unwrap().code()
    }

    #[allow(dead_code, reason = "not every test file kills its host")]
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}
