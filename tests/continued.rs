//! Films that go on from a video: of every kind that cameras write, from a file and from an address.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests may fail")]

mod support;

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use support::{Desk, count, difference, frames, picture, quick};
use travel::Dims;

const SIZE: Dims = Dims { width: 96, height: 64 };

fn ffmpeg(desk: &Desk, args: &[&str]) {
    let made =
        Command::new("ffmpeg").args(["-v", "error", "-y"]).args(args).current_dir(desk.path("")).output().unwrap();
    assert!(made.status.success(), "{args:?}: {}", String::from_utf8_lossy(&made.stderr));
}

#[test]
fn whatever_a_camera_writes_is_gone_on_from_at_the_films_rate() {
    let desk = Desk::new();
    let pictures = desk.pictures(2);
    // A second of the first picture at 24 frames a second, then changed in one way each.
    let still = ["-loop", "1", "-framerate", "24", "-t", "1", "-i", "p0.png"];
    let with = |more: &[&str], name: &str| ffmpeg(&desk, &[&still[..], more, &[name]].concat());
    let x264 = ["-c:v", "libx264", "-qp", "4"];
    with(&[&x264[..], &["-pix_fmt", "yuv420p"]].concat(), "plain.mp4");
    with(&[&x264[..], &["-pix_fmt", "yuv420p10le"]].concat(), "deep.mp4");
    with(&[&x264[..], &["-pix_fmt", "yuv444p", "-vf", "scale=97:65"]].concat(), "odd.mp4");
    // Of 24 frames every third is left out: the gaps are in the time stamps.
    with(
        &[&x264[..], &["-pix_fmt", "yuv420p", "-vf", "select='not(eq(mod(n,3),1))'", "-vsync", "vfr"]].concat(),
        "gaps.mp4",
    );
    ffmpeg(
        &desk,
        &["-i", "plain.mp4", "-f", "lavfi", "-t", "1", "-i", "sine=440", "-c:v", "copy", "-c:a", "aac", "sound.mp4"],
    );
    let lies = [
        &["-loop", "1", "-framerate", "24", "-t", "1", "-i", "p0.png", "-vf", "transpose=clock"],
        &x264[..],
        &["-pix_fmt", "yuv420p", "side.mp4"],
    ];
    ffmpeg(&desk, &lies.concat());
    ffmpeg(&desk, &["-i", "side.mp4", "-c", "copy", "-metadata:s:v:0", "rotate=90", "turned.mp4"]);
    for name in ["plain.mp4", "deep.mp4", "odd.mp4", "gaps.mp4", "sound.mp4", "turned.mp4"] {
        let out = format!("film-{name}");
        let made = desk.json(&quick("render", &pictures[1..], &["-o", &out, "--continue-from-video", name]));
        // A second of it at the film's 16 frames a second, and one leg.
        assert_eq!(made["output"]["frames"], 16 + 9, "{name}: {made}");
        let film = frames(&desk.path(&out));
        assert_eq!((film.len(), film[0].dims), (25, SIZE), "{name}");
        for at in [0, 8, 12] {
            let off = difference(&film[at], &picture(0, SIZE));
            assert!(off < 8.0, "{name}: frame {at} is off by {off}");
        }
        assert!(difference(&film[24], &picture(1, SIZE)) < 8.0, "{name}");
    }
}

/// A server that answers each call as it is told; it ends with this value.
struct Server {
    port: u16,
    is_over: Arc<AtomicBool>,
    asked: Arc<Mutex<Vec<String>>>,
    answering: Option<std::thread::JoinHandle<()>>,
}

impl Server {
    fn start(answer: impl Fn(usize, &str, &mut TcpStream) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (port, is_over) = (listener.local_addr().unwrap().port(), Arc::new(AtomicBool::new(false)));
        let (over, asked) = (Arc::clone(&is_over), Arc::<Mutex<Vec<String>>>::default());
        let calls = Arc::clone(&asked);
        let answering = std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                if over.load(Ordering::Acquire) {
                    return;
                }
                let mut head = Vec::new();
                let mut piece = [0; 4096];
                while !head.ends_with(b"\r\n\r\n") {
                    match stream.read(&mut piece) {
                        Ok(0) | Err(_) => break,
                        Ok(n) => head.extend(&piece[..n]),
                    }
                }
                let head = String::from_utf8_lossy(&head).to_lowercase();
                let call = {
                    let mut calls = calls.lock().unwrap();
                    calls.push(head.clone());
                    calls.len() - 1
                };
                answer(call, &head, &mut stream);
            }
        });
        Self { port, is_over, asked, answering: Some(answering) }
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Release);
        drop(TcpStream::connect(("127.0.0.1", self.port)));
        self.answering.take().unwrap().join().unwrap();
    }
}

fn say(stream: &mut TcpStream, head: &str, length: usize, body: &[u8]) {
    let head = format!("HTTP/1.1 {head}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
    drop(stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body)));
}

/// A video of nine frames, as a file's bytes.
fn video(desk: &Desk, pictures: &[String]) -> Vec<u8> {
    desk.ok(&quick("render", &pictures[..2], &["-o", "first.mp4"]));
    std::fs::read(desk.path("first.mp4")).unwrap()
}

const ALLOWED: &str = "--allow-private-addresses";

#[test]
fn a_video_is_fetched_gone_on_with_where_it_was_cut_off_and_kept_only_in_the_store() {
    let desk = Desk::new();
    let pictures = desk.pictures(3);
    let video = video(&desk, &pictures);
    let (half, whole) = (video.len() / 2, video.len());
    let served = video.clone();
    let server = Server::start(move |call, head, stream| match call {
        0 => say(stream, "302 Found\r\nLocation: /shots/first.mp4?x=1", 0, b""),
        1 => say(stream, "200 OK\r\nContent-Type: video/mp4\r\nETag: \"v1\"", whole, &served[..half]),
        2 => say(stream, "302 Found\r\nLocation: /shots/first.mp4?x=1", 0, b""),
        3 => say(stream, "503 Service Unavailable", 0, b""),
        4 => say(stream, "302 Found\r\nLocation: /shots/first.mp4?x=1", 0, b""),
        _ => {
            assert!(head.contains(&format!("range: bytes={half}-")) && head.contains("if-range: \"v1\""), "{head}");
            let range = format!("206 Partial Content\r\nContent-Range: bytes {half}-{}/{whole}", whole - 1);
            say(stream, &range, whole - half, &served[half..]);
        }
    });
    let url = server.url("/latest");
    let film = ["-o", "both.mp4", "--continue-from-video", &url, ALLOWED];
    let made = desk.json(&quick("render", &pictures[2..], &film));
    assert_eq!((&made["output"]["frames"], count(&desk.path("both.mp4"))), (&18.into(), 18), "{made}");
    assert_eq!(server.asked().len(), 6, "{:?}", server.asked());
    let downloads = walk(&desk.path("")).into_iter().filter(|path| path.contains("downloads")).collect::<Vec<_>>();
    assert_eq!(downloads, Vec::<String>::new(), "what is stored is not kept twice");
}

/// Files below a folder.
fn walk(folder: &Path) -> Vec<String> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            files.extend(walk(&entry.path()));
        } else {
            files.push(entry.path().display().to_string());
        }
    }
    files
}

#[test]
fn a_plan_fetches_once_and_the_run_after_it_not_again() {
    let desk = Desk::new();
    let pictures = desk.pictures(3);
    let video = video(&desk, &pictures);
    let server = Server::start(move |_, head, stream| {
        if head.contains("if-none-match: \"v1\"") {
            say(stream, "304 Not Modified", 0, b"");
        } else {
            say(stream, "200 OK\r\nContent-Type: video/mp4\r\nETag: \"v1\"", video.len(), &video);
        }
    });
    let url = server.url("/first.mp4");
    let more = ["--continue-from-video", &url, ALLOWED];
    assert_eq!(desk.json(&quick("plan", &pictures[2..], &more))["timeline"]["continued"], 9);
    desk.json(&quick("travel", &pictures[2..], &more));
    let asked = server.asked();
    assert!(asked.len() == 2 && asked[1].contains("if-none-match"), "{asked:?}");
}

#[test]
fn what_is_no_video_too_large_or_private_is_not_fetched() {
    let desk = Desk::new();
    let pictures = desk.pictures(2);
    let server = Server::start(|_, head, stream| {
        if head.starts_with("get /page") {
            say(stream, "200 OK\r\nContent-Type: text/html; charset=utf-8", 5, b"hello");
        } else if head.starts_with("get /large") {
            say(stream, "200 OK\r\nContent-Type: video/mp4", 5 << 20, b"");
        } else if head.starts_with("get /endless") {
            drop(stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"));
            let piece = [0; 65536];
            while stream.write_all(&piece).is_ok() {}
        } else if head.starts_with("get /round") {
            say(stream, "302 Found\r\nLocation: /round", 0, b"");
        } else if head.starts_with("get /text") {
            say(stream, "200 OK\r\nContent-Type: video/mp4", 5, b"hello");
        } else {
            say(stream, "404 Not Found", 0, b"");
        }
    });
    std::fs::write(desk.path("travel-host.toml"), "[download]\nmax-mb = 1\ntime = \"20s\"\n").unwrap();
    let refused = |path: &str, exit: i32, code: &str| {
        let url = server.url(path);
        let before = desk.names();
        let text =
            desk.refused(&quick("travel", &pictures[1..], &["--continue-from-video", &url, ALLOWED]), exit, code);
        assert!(desk.names().iter().all(|name| before.contains(name) || name.ends_with(".data")), "{:?}", desk.names());
        text
    };
    assert!(refused("/page", 2, "download_kind").contains("text/html"));
    assert!(refused("/large", 2, "download_too_large").contains("5242880"));
    refused("/endless", 2, "download_too_large");
    assert!(refused("/gone", 2, "download_status").contains("404"));
    refused("/round", 1, "download_broken");
    refused("/text", 2, "media_unreadable");

    let asked = server.asked().len();
    let url = server.url("/first.mp4");
    let named = url.replace("127.0.0.1", "localhost");
    for url in [&url, &named] {
        let text =
            desk.refused(&quick("travel", &pictures[1..], &["--continue-from-video", url]), 2, "download_private");
        assert!(text.contains("--allow-private-addresses"), "{text}");
    }
    assert_eq!(server.asked().len(), asked, "nobody is asked who may not be");
    for address in ["ftp://example.org/a.mp4", "file:///etc/passwd", "http://user:word@example.org/a.mp4"] {
        desk.refused(&quick("travel", &pictures[1..], &["--continue-from-video", address]), 2, "download_address");
    }
}
