//! Servers and programs that stand in for those of studios; each ends with its value.
#![allow(dead_code, reason = "each test file uses its part")]

use serde_json::{Value, json};
use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use travel_generators::process::{Process, Recipe, Wan2gp, Wan2gpMode, Warm};
use travel_generators::{ComfyuiServers, RenderFarm};

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The Python of `make python`.
pub(crate) fn python() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    let python = target.join("python/bin/python");
    let able = Command::new(&python).args(["-c", "import aiohttp, cv2, comfykit, comfy_api_simplified"]).output();
    assert!(
        able.is_ok_and(|able| able.status.success()),
        "{} lacks what the ComfyUI server of these tests needs: run `make python`, and read what it says",
        python.display()
    );
    python
}

/// A ComfyUI server of one era, with one fault.
pub(crate) struct ComfyuiServer {
    pub(crate) child: Child,
    pub(crate) port: u16,
}

impl ComfyuiServer {
    pub(crate) fn start(words: &[&str]) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/comfyui/server.py");
        let mut child = Command::new(python())
            .arg(script)
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port = line.trim().parse().unwrap_or_else(|_| panic!("the server did not start: {line}"));
        Self { child, port }
    }

    pub(crate) fn of(era: &str, fault: &str) -> Self {
        Self::start(&["--era", era, "--fault", fault])
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What it has seen.
    pub(crate) fn seen(&self) -> Value {
        ureq::get(format!("{}/test/seen", self.url())).call().unwrap().body_mut().read_json().unwrap()
    }
}

impl Drop for ComfyuiServer {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        drop(self.child.wait());
    }
}

pub(crate) fn comfyui(servers: &[&ComfyuiServer], more: &Value) -> ComfyuiServers {
    let urls: Vec<String> = servers.iter().map(|server| server.url()).collect();
    let mut comfyui = json!({
        "servers": urls,
        "workflow": root().join("examples/generators/comfyui/wan-vace.json"),
    });
    comfyui.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
    let mut recipe: Recipe =
        serde_json::from_value(json!({ "settings": { "steps": 5 }, "silence": "8s", "comfyui": comfyui })).unwrap();
    assert_eq!(recipe.prepare(Path::new("/")), None);
    recipe.servers("comfy").unwrap()
}

/// A farm, by default of a program that does one thing wrong.
pub(crate) struct FarmServer {
    pub(crate) child: Child,
    pub(crate) port: u16,
    pub(crate) folder: PathBuf,
}

impl FarmServer {
    pub(crate) fn start(folder: &Path, fault: &str) -> Self {
        Self::at(folder, fault, 0, None)
    }

    pub(crate) fn at(folder: &Path, fault: &str, port: u16, token: Option<&str>) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/faulty.py");
        Self::of(folder, &["python3".as_ref(), script.as_ref(), fault.as_ref()], port, token)
    }

    /// A farm of programs that this command starts.
    pub(crate) fn of(folder: &Path, program: &[&OsStr], port: u16, token: Option<&str>) -> Self {
        let mut command = Command::new("python3");
        command
            .arg(root().join("examples/generators/farm/farm.py"))
            .args(["--port", &port.to_string(), "--folder"])
            .arg(folder.join("farm"))
            .arg("--")
            .args(program)
            .current_dir(folder)
            .stdout(Stdio::piped());
        if let Some(token) = token {
            command.env("FARM_TOKEN", token);
        }
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port = line.trim().rsplit(':').next().and_then(|port| port.parse().ok());
        let port = port.unwrap_or_else(|| panic!("the farm did not start: {line}"));
        Self { child, port, folder: folder.to_owned() }
    }

    /// How many programs it has started.
    pub(crate) fn programs(&self) -> usize {
        std::fs::read_to_string(self.folder.join("pids")).unwrap().lines().count()
    }

    /// How many segments its programs have begun.
    pub(crate) fn jobs(&self) -> usize {
        std::fs::read_to_string(self.folder.join("jobs-begun")).map_or(0, |text| text.lines().count())
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) fn generator(&self) -> RenderFarm {
        farm(&self.url(), &json!({}))
    }
}

impl Drop for FarmServer {
    fn drop(&mut self) {
        if self.child.try_wait().unwrap().is_none() {
            let pid = rustix::process::Pid::from_child(&self.child);
            rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        }
        drop(self.child.wait());
    }
}

pub(crate) fn farm(url: &str, more: &Value) -> RenderFarm {
    let mut farm = json!({ "url": url });
    farm.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
    let mut recipe: Recipe = serde_json::from_value(json!({ "silence": "5s", "farm": farm })).unwrap();
    assert_eq!(recipe.prepare(Path::new("/")), None);
    recipe.render_farm("farm").unwrap()
}

pub(crate) fn wan2gp(mode: Wan2gpMode, lie: &str) -> Process {
    let mut recipe = Recipe::of(Vec::new());
    recipe.model = Some("vace_14B".to_owned());
    recipe.grace = Duration::from_secs(4);
    recipe.silence = Duration::from_secs(30);
    let args = ["--lie", lie].map(str::to_owned).to_vec();
    recipe.wan2gp = Some(Wan2gp { root: "tests/wan2gp".into(), mode: Some(mode), python: None, args, config: None });
    assert_eq!(recipe.prepare(Path::new(env!("CARGO_MANIFEST_DIR"))), None);
    Process::new("wan", recipe, Warm::default())
}
