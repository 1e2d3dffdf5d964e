//! Stitches clips with a plain cosine cross-fade and tells wall time, peak memory and frames, for comparison with peers.
//!
//! ```text
//! stitch_bench OUT.mp4 OVERLAP THREADS CLIP CLIP…
//! ```

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;
use travel::crossfade::{Blend, Copy, Join, Mixing, Plan, Request, Step};
use travel::{MediumId, MediumInfo, MediumKind, Span, Weight};
use travel_media::{Encode, MediaSet, Source, Stitch, Unwatched, probe};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let mut next = |what: &str| args.next().ok_or_else(|| format!("{what} is missing: OUT OVERLAP THREADS CLIP CLIP…"));
    let out = PathBuf::from(next("OUT")?);
    let overlap: u32 = next("OVERLAP")?.parse()?;
    let threads: u8 = next("THREADS")?.parse()?;
    let paths: Vec<PathBuf> = args.map(PathBuf::from).collect();
    // The first clip stands for all: counting each would be measured too, and no peer does that.
    let info = probe(paths.first().ok_or("a CLIP is missing")?, &Unwatched)?;
    let ids = || (0u32..).map(MediumId).zip(&paths);
    let clips: Vec<MediumInfo> = ids()
        .map(|(id, _)| MediumInfo { id, kind: MediumKind::Clip, dims: info.dims, frames: info.frames, rate: info.rate })
        .collect();
    let join = || Join { overlap, left: Vec::new(), right: Vec::new(), likeness: Vec::new() };
    let joins = clips.iter().skip(1).map(|_| join()).collect();
    let request = Request { clips, joins, rate: info.rate, params: "{}".to_owned() };
    let plan = plan(&request, overlap);
    let media: MediaSet = ids().map(|(id, path)| (id, Source::Clip(path.clone()))).collect();
    let encode = Encode { threads, ..Encode::default() };
    let begun = Instant::now();
    let film = Stitch {
        plan: &plan,
        request: &request,
        clips: &media,
        canvas: info.dims,
        rate: info.rate,
        film_rate: info.rate,
        encode: &encode,
        between: None,
    }
    .film(&out, &Unwatched)?;
    println!(
        "wall {:.2} s, peak {} MiB, {} frames, {} bytes",
        begun.elapsed().as_secs_f64(),
        peak_mib().unwrap_or(0),
        film.frames,
        std::fs::metadata(&out)?.len()
    );
    Ok(())
}

/// Copies and cosine-eased blends, `w = (1 − cos π (i + 1) / (n + 1)) / 2`.
fn plan(request: &Request, overlap: u32) -> Plan {
    let ease = |i: u32| (1.0 - (std::f32::consts::PI * (i + 1) as f32 / (overlap + 1) as f32).cos()) / 2.0;
    let mut steps = Vec::new();
    for (i, clip) in request.clips.iter().enumerate() {
        let start = if i == 0 { 0 } else { overlap };
        let end = if i + 1 == request.clips.len() { clip.frames } else { clip.frames.saturating_sub(overlap) };
        if end > start {
            steps.push(Step::Copy(Copy { clip: clip.id, at: Span::new(start, end - start), tone: None }));
        }
        if let Some(next) = request.clips.get(i + 1).filter(|_| overlap > 0) {
            steps.push(Step::Blend(Blend {
                left: clip.id,
                left_start: end,
                left_tone: None,
                right: next.id,
                right_start: 0,
                right_tone: None,
                count: overlap,
                w: Weight::Table((0..overlap).map(ease).collect()),
                mixing: Mixing::Coded,
                sharpen: Weight::ZERO,
            }));
        }
    }
    Plan { steps, extras: Vec::new() }
}

fn peak_mib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib / 1024)
}
