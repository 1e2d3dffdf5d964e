//! What the end-to-end tests share: the built program, a folder of its own for each test, pictures to travel between.

#![allow(dead_code, reason = "every test file uses its own part")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests may fail")]

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;
use travel::Dims;
use travel_engine::media::{RgbFrame, RgbReader, Unwatched, probe, save_png};

/// A folder of its own, and the program in it.
pub(crate) struct Desk {
    pub(crate) dir: TempDir,
}

impl Desk {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// `n` pictures that differ in colour and pattern, 96×64.
    pub(crate) fn pictures(&self, n: usize) -> Vec<String> {
        (0..n)
            .map(|i| {
                let name = format!("p{i}.png");
                save_png(&picture(i, Dims { width: 96, height: 64 }), &self.path(&name)).unwrap();
                name
            })
            .collect()
    }

    /// The program, not yet started.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_travel-host"));
        command.current_dir(self.dir.path()).args(args).env_remove("TRAVEL_HOST_DB").env_remove("RUST_LOG");
        command.stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// What a command prints that must succeed.
    pub(crate) fn ok(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// The last line of JSON that a command prints that must succeed.
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let all: Vec<&str> = args.iter().copied().chain(["--json"]).collect();
        let text = self.ok(&all);
        serde_json::from_str(text.lines().last().expect("a line of JSON")).unwrap()
    }

    /// Standard error of a command that must fail with this exit code and this error code.
    pub(crate) fn refused(&self, args: &[&str], exit: i32, code: &str) -> String {
        let output = self.run(args);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(exit), "{args:?}: {text}");
        assert!(text.contains(&format!("error[{code}]")), "{args:?} should say {code}: {text}");
        text
    }

    /// Names in the folder, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(self.dir.path())
            .unwrap()
            .map(|e| e.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }
}

/// A quick film: small, dissolved, a few frames a leg.
pub(crate) const QUICK: [&str; 8] =
    ["--generator", "dissolve", "--resolution", "96x64", "--segment-frames", "9", "--frame-overlap", "3"];

/// `command pictures… QUICK more…`; a flag of `more` takes the place of the same one in `QUICK`.
pub(crate) fn quick<'a>(command: &'a str, pictures: &'a [String], more: &[&'a str]) -> Vec<&'a str> {
    let mut args = vec![command];
    args.extend(pictures.iter().map(String::as_str));
    args.extend(QUICK.chunks(2).filter(|pair| !more.contains(&pair[0])).flatten());
    args.extend(more);
    args
}

pub(crate) fn picture(i: usize, dims: Dims) -> RgbFrame {
    let colours = [[210u32, 60, 50], [40, 160, 80], [50, 70, 200], [220, 190, 60], [150, 60, 170]];
    let base = colours[i % colours.len()];
    let (w, h) = (dims.width, dims.height);
    let mut data = Vec::with_capacity((w * h * 3) as usize);
    for y in 0..h {
        for x in 0..w {
            let light =
                60 + 40 * x / w + 30 * y / h + if (x / 16 + y / 16 + i as u32).is_multiple_of(2) { 30 } else { 0 };
            data.extend(base.map(|c| (c * light / 160).min(255) as u8));
        }
    }
    RgbFrame { dims, data }
}

/// Decoded frames of a film.
pub(crate) fn frames(path: &Path) -> Vec<RgbFrame> {
    RgbReader::open(path).unwrap().map(|f| f.unwrap()).collect()
}

/// Frames of a film, counted by decoding.
pub(crate) fn count(path: &Path) -> u32 {
    probe(path, &Unwatched).unwrap().frames
}

/// Mean absolute difference in code values.
pub(crate) fn difference(a: &RgbFrame, b: &RgbFrame) -> f64 {
    assert_eq!(a.dims, b.dims);
    let sum: u64 = a.data.iter().zip(&b.data).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    sum as f64 / a.data.len() as f64
}

/// The folder of the workspace.
pub(crate) fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}
