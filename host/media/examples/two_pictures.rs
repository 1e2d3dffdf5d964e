//! A film out of two pictures, through the public face: each picture is held, and the two are cross-faded.
//!
//! ```text
//! two_pictures OUT.mp4 SHEET.png WIDTHxHEIGHT PICTURE PICTURE
//! ```

use std::path::PathBuf;
use std::process::ExitCode;
use travel::crossfade::{Blend, Copy, Join, Mixing, Plan, Request, Step};
use travel::fit::Fit;
use travel::guide::{self, Layer, Show};
use travel::{Dims, MediumId, MediumInfo, MediumKind, Rate, Span, Weight};
use travel_media::{Encode, MediaSet, Source, Stitch, Unwatched, contact_sheet, render_guide};

const RATE: Rate = Rate { num: 16, den: 1 };
const FRAMES: u32 = 32;
const OVERLAP: u32 = 16;

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
    let mut next = |what: &str| args.next().ok_or_else(|| format!("{what} is missing: OUT SHEET SIZE PICTURE PICTURE"));
    let (out, sheet) = (PathBuf::from(next("OUT")?), PathBuf::from(next("SHEET")?));
    let canvas: Dims = next("SIZE")?.parse()?;
    let pictures = [(MediumId(0), Fit::Cover, next("PICTURE")?), (MediumId(1), Fit::Blur, next("PICTURE")?)];
    let mut clips = MediaSet::new();
    for (id, fit, picture) in &pictures {
        let stills = [(*id, Source::Still(picture.into()))].into_iter().collect();
        let at = Span::new(0, FRAMES);
        let show = Show { at, medium: *id, first: 0, fit: *fit, opacity: Weight::ONE, tone: None };
        let plan = guide::Plan { layers: vec![Layer::Show(show)], keep: Vec::new(), extras: Vec::new() };
        let clip = out.with_extension(format!("{}.mkv", id.0));
        render_guide(&plan, FRAMES, canvas, RATE, &stills, &clip, None, &Unwatched)?;
        clips.insert(*id, Source::Clip(clip));
    }
    let info = |(id, _, _): &(MediumId, Fit, String)| MediumInfo {
        id: *id,
        kind: MediumKind::Clip,
        dims: canvas,
        frames: FRAMES,
        rate: RATE,
    };
    let join = Join { overlap: OVERLAP, left: Vec::new(), right: Vec::new(), likeness: Vec::new() };
    let request =
        Request { clips: pictures.iter().map(info).collect(), joins: vec![join], rate: RATE, params: "{}".to_owned() };
    let held = FRAMES - OVERLAP;
    let steps = vec![
        Step::Copy(Copy { clip: MediumId(0), at: Span::new(0, held), tone: None }),
        Step::Blend(Blend {
            left: MediumId(0),
            left_start: held,
            left_tone: None,
            right: MediumId(1),
            right_start: 0,
            right_tone: None,
            count: OVERLAP,
            w: Weight::Linear(1.0 / 17.0, 16.0 / 17.0),
            mixing: Mixing::Coded,
            sharpen: Weight::Table((1..=OVERLAP).map(|i| (i * (17 - i)) as f32 / 72.25 * 0.3).collect()),
        }),
        Step::Copy(Copy { clip: MediumId(1), at: Span::new(OVERLAP, held), tone: None }),
    ];
    let plan = Plan { steps, extras: Vec::new() };
    let film = Stitch {
        plan: &plan,
        request: &request,
        clips: &clips,
        canvas,
        rate: RATE,
        film_rate: RATE,
        encode: &Encode::default(),
        between: None,
    }
    .film(&out, &Unwatched)?;
    contact_sheet(&out, 4, 3, 320, &sheet, &Unwatched)?;
    println!("{} frames of {}", film.frames, film.dims);
    Ok(())
}
