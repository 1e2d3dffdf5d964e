//! Render farms, against the one of the examples, with whatever can go wrong between it and the host.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may fail where it stands")]

mod clips;
mod stand_ins;

use clips::{Watcher, job, read_clip, texture};
use serde_json::{Value, json};
use stand_ins::{FarmServer, farm};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tempfile::{TempDir, tempdir};
use travel::Dims;
use travel_generators::process::Verdict;
use travel_generators::{Generator as _, GeneratorError, Job, Progress, RenderFarm};
use travel_media::Encode;

const DIMS: Dims = Dims { width: 64, height: 48 };

fn a_job(folder: &TempDir) -> Job {
    job(folder.path(), &[Some(texture(DIMS, 0.0)), None, None, Some(texture(DIMS, 3.0))])
}

/// Gives up as soon as a stage of this name begins.
struct GivesUp {
    at: &'static str,
    now: AtomicBool,
}

impl GivesUp {
    fn at(at: &'static str) -> Self {
        Self { at, now: AtomicBool::new(false) }
    }
}

impl Progress for GivesUp {
    fn report(&self, _: u32, _: u32) {}
    fn stage(&self, name: &str) {
        self.now.fetch_or(name == self.at, Ordering::Relaxed);
    }
    fn cancelled(&self) -> bool {
        self.now.load(Ordering::Relaxed)
    }
    fn on_cancel(&self, _: Box<dyn Fn() + Send + Sync>) {}
}

#[test]
fn a_farm_renders_what_its_program_renders_and_is_sent_each_file_once() {
    let folder = tempdir().unwrap();
    let farm = FarmServer::start(folder.path(), "nothing");
    let generator = farm.generator();
    let able = generator.describe().unwrap();
    assert_eq!((able.pool.as_str(), able.wants_guide, able.renders), ("farm", true, true));
    let job = a_job(&folder);
    for round in 1..=2 {
        let on = Watcher::of_steps();
        let made = generator.generate(&job, &on).unwrap();
        assert_eq!((made.frames, read_clip(&made.clip) == read_clip(&job.guide)), (4, true));
        assert_eq!((farm.jobs(), farm.programs()), (round, 1), "whose clip was fetched, a job is rendered anew");
    }
    let files = std::fs::read_dir(folder.path().join("farm/files")).unwrap().count();
    assert_eq!(files, 2, "guide and mask; the clip is the guide");
    assert_eq!(std::fs::read_dir(folder.path().join("farm/jobs")).unwrap().count(), 0);
    assert_eq!(std::fs::read_dir(folder.path().join("farm/work")).unwrap().count(), 0);
}

#[test]
fn a_farm_makes_films_larger_too() {
    let folder = tempdir().unwrap();
    let farm = FarmServer::start(folder.path(), "returns-a-small-film");
    let generator = farm.generator();
    assert_eq!((generator.describe().unwrap().upscales, generator.describe().unwrap().renders), (Some(2.0), false));
    let job = a_job(&folder);
    let film = travel_generators::Upscale {
        video: job.guide.clone(),
        frames: 4,
        dims: DIMS,
        rate: job.rate,
        encode: Encode::default(),
        prompt: String::new(),
        seed: 0,
        settings: Value::Null,
        out: job.out.clone(),
        work_dir: job.work_dir.clone(),
        device: None,
    };
    let made = generator.upscale(&film, &Watcher::of_steps()).unwrap();
    assert_eq!((read_clip(&made.clip).len(), made.encoded), (4, false));
    assert_eq!(generator.generate(&job, &Watcher::of_steps()).unwrap_err().code(), "generator_only_an_upscaler");
}

#[test]
fn the_check_lets_a_good_farm_pass() {
    let folder = tempdir().unwrap();
    let farm = FarmServer::start(folder.path(), "nothing");
    let tried = tempdir().unwrap();
    let steps = farm.generator().check(&Value::Null, tried.path(), &mut |_| ()).unwrap();
    assert!(steps.len() == 6 && steps.iter().all(|step| step.verdict == Verdict::Holds), "{steps:?}");
    let nobody =
        Nobody::start(|_, stream| drop(stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")));
    let steps = farm_of(&nobody).check(&Value::Null, tried.path(), &mut |_| ()).unwrap();
    assert!(
        matches!(&steps[..], [step] if matches!(&step.verdict, Verdict::Broken(why) if why.contains("404"))),
        "{steps:?}"
    );
}

#[test]
fn a_farm_asks_for_its_token() {
    let folder = tempdir().unwrap();
    let farm_with_token = FarmServer::at(folder.path(), "nothing", 0, Some("secret"));
    let error = farm_with_token.generator().describe().unwrap_err();
    assert!(
        error.code() == "generator_refused" && error.to_string().ends_with("in: the token is wrong or missing"),
        "{error}"
    );
    let unset = json!({ "authorization-env": "TRAVEL_FARM_UNSET" });
    let error = farm(&farm_with_token.url(), &unset).describe().unwrap_err();
    assert!(error.to_string().contains("TRAVEL_FARM_UNSET"), "{error}");
}

#[test]
fn what_the_program_says_of_its_failure_arrives() {
    for (fault, code, retryable) in [
        ("invalid", "generator_refused", false),
        ("out-of-memory", "generator_out_of_memory", true),
        ("transient", "generator_transient", true),
        ("fatal", "generator_fatal", false),
        ("dies-generate", "generator_transient", true),
        ("prints", "generator_transient", true),
        ("writes-nothing", "generator_transient", true),
        ("writes-a-link", "generator_transient", true),
    ] {
        let folder = tempdir().unwrap();
        let farm = FarmServer::start(folder.path(), fault);
        let job = a_job(&folder);
        let error = farm.generator().generate(&job, &Watcher::of_steps()).unwrap_err();
        assert_eq!((error.code(), error.is_retryable()), (code, retryable), "{fault}: {error}");
        assert!(!job.out.exists(), "{fault}");
        // A failed job that is handed in again is rendered anew.
        let error = farm.generator().generate(&job, &Watcher::of_steps()).unwrap_err();
        assert_eq!(
            (error.code(), farm.jobs() + 2 * usize::from(fault == "dies-generate")),
            (code, 2),
            "{fault}: {error}"
        );
    }
}

#[test]
fn a_job_outlives_its_farm() {
    let folder = tempdir().unwrap();
    let mut first = FarmServer::start(folder.path(), "takes-its-time");
    let (port, job) = (first.port, a_job(&folder));
    let generator = first.generator();
    std::thread::scope(|scope| {
        let rendering = scope.spawn(|| generator.generate(&job, &Watcher::of_steps()));
        while first.jobs() == 0 {
            std::thread::sleep(Duration::from_millis(20));
        }
        first.child.kill().unwrap();
        first.child.wait().unwrap();
        let second = FarmServer::at(folder.path(), "takes-its-time", port, None);
        assert_eq!(rendering.join().unwrap().unwrap().frames, 4);
        assert_eq!(second.jobs(), 2, "what it was rendering, the farm renders again");
    });
}

#[test]
fn a_job_that_is_handed_in_twice_is_rendered_once() {
    let folder = tempdir().unwrap();
    let farm = FarmServer::start(folder.path(), "takes-its-time");
    let job = a_job(&folder);
    let others = tempdir().unwrap();
    let other = Job { out: others.path().join("clip.mkv"), work_dir: others.path().to_owned(), ..job.clone() };
    let hosts = [(farm.generator(), job), (farm.generator(), other)];
    let made: Vec<_> = std::thread::scope(|scope| {
        let rendering =
            hosts.each_ref().map(|(generator, job)| scope.spawn(|| generator.generate(job, &Watcher::of_steps())));
        rendering.into_iter().map(|rendering| rendering.join().unwrap()).collect()
    });
    assert_eq!(farm.jobs(), 1);
    // Who comes second may find the job forgotten; another attempt gets it then.
    assert!(made.iter().any(Result::is_ok), "{made:?}");
    assert!(made.iter().all(|made| made.as_ref().err().is_none_or(GeneratorError::is_retryable)), "{made:?}");
}

#[test]
fn a_cancelled_job_is_stopped_on_the_farm() {
    let folder = tempdir().unwrap();
    let farm = FarmServer::start(folder.path(), "takes-its-time");
    let job = a_job(&folder);
    let begun = Instant::now();
    let error = farm.generator().generate(&job, &GivesUp::at("work")).unwrap_err();
    assert!(matches!(error, GeneratorError::Cancelled { .. }), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    assert_eq!(std::fs::read_dir(folder.path().join("farm/jobs")).unwrap().count(), 0);
    // The program stopped in the middle, and is the one that renders the next job.
    farm.generator().generate(&job, &Watcher::of_steps()).unwrap();
    assert_eq!((farm.jobs(), farm.programs()), (2, 1));
}

#[test]
fn a_silent_program_is_given_up() {
    let folder = tempdir().unwrap();
    let farm = FarmServer::start(folder.path(), "ignores-cancel");
    let error = farm.generator().generate(&a_job(&folder), &Watcher::of_steps()).unwrap_err();
    assert_eq!(error.code(), "generator_silent", "{error}");
}

/// A server that answers as it is told, by the number of the call; it ends with this value.
struct Nobody {
    port: u16,
    is_over: Arc<AtomicBool>,
    answering: Option<std::thread::JoinHandle<()>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Nobody {
    fn start(answer: impl Fn(&str, &mut TcpStream) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (port, is_over) = (listener.local_addr().unwrap().port(), Arc::new(AtomicBool::new(false)));
        let (over, asked) = (is_over.clone(), Arc::<Mutex<Vec<String>>>::default());
        let calls = asked.clone();
        let answering = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if over.load(Ordering::Relaxed) {
                    return;
                }
                let mut stream = stream.unwrap();
                let call = read_call(&mut stream);
                calls.lock().unwrap().push(call.clone());
                answer(&call, &mut stream);
            }
        });
        Self { port, is_over, answering: Some(answering), asked }
    }
}

impl Drop for Nobody {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        drop(TcpStream::connect(("127.0.0.1", self.port)));
        self.answering.take().unwrap().join().unwrap();
    }
}

fn farm_of(nobody: &Nobody) -> RenderFarm {
    farm(&format!("http://127.0.0.1:{}", nobody.port), &json!({}))
}

/// The head of a call; its body is read and left.
fn read_call(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    let mut piece = [0; 65536];
    loop {
        if let Some(end) = text.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&text[..end]).into_owned();
            let length =
                head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
            if text.len() >= end + 4 + length.unwrap_or(0) {
                return head;
            }
        }
        match stream.read(&mut piece) {
            Ok(0) | Err(_) => return String::from_utf8_lossy(&text).into_owned(),
            Ok(n) => text.extend(&piece[..n]),
        }
    }
}

fn say(stream: &mut TcpStream, status: &str, more: &str, body: &[u8]) {
    let head = format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n{more}\r\n", body.len());
    drop(stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body)));
}

/// A farm that has every clip ready, of which `files` tells how it hands them out; `sha256` and `bytes` are what it says of it.
fn ready(sha256: &str, bytes: usize, files: impl Fn(&str, &mut TcpStream) + Send + 'static) -> Nobody {
    let done = json!({ "version": 1, "state": "done", "clip": { "sha256": sha256, "bytes": bytes } }).to_string();
    Nobody::start(move |call, stream| match call {
        hello if hello.starts_with("GET /hello") => {
            let hello = json!({ "protocol": "travel-farm/1", "name": "n", "grid": {}, "inputs": ["guide"] });
            say(stream, "200 OK", "", hello.to_string().as_bytes());
        }
        file if file.starts_with("GET /files") => files(file, stream),
        _ => say(stream, "200 OK", "", done.as_bytes()),
    })
}

/// `printf '%s' 0123456789 | sha256sum`
const DIGITS: &str = "84d89877f0d4041efb6bf91a16f0248f2fd573e6af05c19f96bedb9f882f7882";

#[test]
fn a_download_that_was_cut_off_goes_on_where_it_was() {
    let folder = tempdir().unwrap();
    let calls = AtomicU32::new(0);
    let nobody = ready(DIGITS, 10, move |_, stream| match calls.fetch_add(1, Ordering::Relaxed) {
        0 => drop(stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123")),
        1 => say(stream, "503 Service Unavailable", "", b"a moment"),
        _ => say(stream, "206 Partial Content", "Content-Range: bytes 4-9/10\r\n", b"456789"),
    });
    let job = a_job(&folder);
    let made = farm_of(&nobody).generate(&job, &Watcher::of_steps()).unwrap();
    assert_eq!(std::fs::read(made.clip).unwrap(), b"0123456789");
    let asked = nobody.asked.lock().unwrap().clone();
    let ranges: Vec<bool> = asked
        .iter()
        .filter(|call| call.starts_with("GET /files"))
        .map(|call| call.to_lowercase().contains("range: bytes=4-"))
        .collect();
    assert_eq!(ranges, [false, true, true]);
    assert!(asked.last().unwrap().starts_with("DELETE /jobs/"), "the farm may forget it: {asked:?}");
}

#[test]
fn a_clip_that_is_not_what_the_farm_named_is_not_accepted() {
    let folder = tempdir().unwrap();
    for (bytes, body) in [(10, &b"0123456780"[..]), (9, b"0123456789"), (0, b"")] {
        let body = body.to_vec();
        let nobody = ready(DIGITS, bytes, move |_, stream| say(stream, "200 OK", "", &body));
        let job = a_job(&folder);
        let error = farm_of(&nobody).generate(&job, &Watcher::of_steps()).unwrap_err();
        let code = if bytes == 0 { "generator_no_clip" } else { "generator_transient" };
        assert_eq!((error.code(), error.is_retryable(), job.out.exists()), (code, true, false), "{bytes}: {error}");
        let asked = nobody.asked.lock().unwrap().clone();
        assert!(asked.last().unwrap().starts_with("DELETE /jobs/"), "another attempt is to render it anew: {asked:?}");
    }
}

#[test]
fn a_farm_that_stays_away_is_a_transient_failure() {
    let folder = tempdir().unwrap();
    let nobody = ready(DIGITS, 10, |_, stream| say(stream, "502 Bad Gateway", "", b"nobody is at home"));
    let error = farm_of(&nobody).generate(&a_job(&folder), &Watcher::of_steps()).unwrap_err();
    assert!(error.code() == "generator_transient" && error.to_string().contains("nobody is at home"), "{error}");
}
