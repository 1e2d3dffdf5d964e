//! Frames that carry their number: ten blocks of 16×16, dark for 0 and bright for 1, over a grey ramp.

use std::path::Path;
use std::process::Command;
use travel::crossfade::{Blend, Copy, Join, Mixing, Plan, Request, Step};
use travel::{Dims, MediumId, MediumInfo, MediumKind, Rate, Span, Weight};
use travel_media::{Encode, Intermediate, MediaSet, Preset, RgbFrame, RgbReader, RgbWriter, Source, Stitch, Unwatched};

pub(crate) const DIMS: Dims = Dims { width: 80, height: 48 };
pub(crate) const RATE: Rate = Rate { num: 16, den: 1 };

/// All channels are equal, so that a film's 4:2:0 shows it to within a level.
pub(crate) fn numbered(n: u32) -> RgbFrame {
    let mut frame = RgbFrame::filled(DIMS, [0; 3]);
    for y in 0..DIMS.height {
        for x in 0..DIMS.width {
            let grey = match y / 16 {
                row @ 0..2 if n >> (row * 5 + x / 16) & 1 == 1 => 192,
                0..2 => 64,
                _ => (40 + x * 2) as u8,
            };
            let at = ((y * DIMS.width + x) * 3) as usize;
            frame.data[at..at + 3].fill(grey);
        }
    }
    frame
}

pub(crate) fn number(frame: &RgbFrame) -> u32 {
    let bit = |i: u32| u32::from(frame.pixel(i % 5 * 16 + 8, i / 5 * 16 + 8).unwrap()[1] > 128) << i;
    (0..10).map(bit).sum()
}

pub(crate) fn write(path: &Path, rate: Rate, frames: impl IntoIterator<Item = RgbFrame>) {
    let mut writer: Option<RgbWriter> = None;
    for frame in frames {
        let writer =
            writer.get_or_insert_with(|| RgbWriter::create(path, frame.dims, rate, Intermediate::X264Rgb).unwrap());
        writer.write(&frame).unwrap();
    }
    writer.unwrap().finish().unwrap();
}

pub(crate) fn numbered_clip(path: &Path, numbers: std::ops::Range<u32>) {
    write(path, RATE, numbers.map(numbered));
}

pub(crate) fn read(path: &Path) -> Vec<RgbFrame> {
    RgbReader::open(path).unwrap().map(Result::unwrap).collect()
}

/// Lossless at 8 bits, quick.
pub(crate) fn lossless() -> Encode {
    Encode { crf: 0, preset: Preset::Ultrafast, ..Encode::default() }
}

/// At the rate of all tests, with nobody who finds motion.
pub(crate) fn stitch<'a>(
    plan: &'a Plan,
    request: &'a Request,
    clips: &'a MediaSet,
    canvas: Dims,
    encode: &'a Encode,
) -> Stitch<'a> {
    Stitch { plan, request, clips, canvas, rate: RATE, film_rate: RATE, encode, between: None }
}

/// A film of one clip.
pub(crate) fn film_of(clip: &Path, frames: u32, dims: Dims, encode: &Encode, out: &Path) {
    let (request, media) = request(&[(clip, frames)], &[], dims);
    let plan = plan(&request, |_| Weight::ZERO);
    stitch(&plan, &request, &media, dims, encode).film(out, &Unwatched).unwrap();
}

pub(crate) fn request(clips: &[(&Path, u32)], overlaps: &[u32], dims: Dims) -> (Request, MediaSet) {
    let ids = || (0u32..).map(MediumId).zip(clips);
    let info = |(id, (_, frames)): (MediumId, &(&Path, u32))| MediumInfo {
        id,
        kind: MediumKind::Clip,
        dims,
        frames: *frames,
        rate: RATE,
    };
    let join = |o: &u32| Join { overlap: *o, left: vec![], right: vec![], likeness: vec![] };
    let request = Request {
        clips: ids().map(info).collect(),
        joins: overlaps.iter().map(join).collect(),
        rate: RATE,
        params: "{}".into(),
    };
    (request, ids().map(|(id, (path, _))| (id, Source::Clip(path.to_path_buf()))).collect())
}

/// Copies, and one blend a join.
pub(crate) fn plan(request: &Request, weight: impl Fn(u32) -> Weight) -> Plan {
    let mut steps = Vec::new();
    for (i, clip) in request.clips.iter().enumerate() {
        let before = if i == 0 { 0 } else { request.joins[i - 1].overlap };
        let after = request.joins.get(i).map_or(0, |j| j.overlap);
        let count = clip.frames - before - after;
        if count > 0 {
            steps.push(Step::Copy(Copy { clip: clip.id, at: Span::new(before, count), tone: None }));
        }
        if after > 0 {
            steps.push(Step::Blend(Blend {
                left: clip.id,
                left_start: clip.frames - after,
                left_tone: None,
                right: request.clips[i + 1].id,
                right_start: 0,
                right_tone: None,
                count: after,
                w: weight(after),
                mixing: Mixing::Coded,
                sharpen: Weight::ZERO,
            }));
        }
    }
    Plan { steps, extras: vec![] }
}

pub(crate) fn cosine(n: u32) -> Weight {
    let ease = |i: u32| (1.0 - (std::f32::consts::PI * (i + 1) as f32 / (n + 1) as f32).cos()) / 2.0;
    Weight::Table((0..n).map(ease).collect())
}

/// The FFmpeg command; arguments at blanks, `{}` for the paths in order.
pub(crate) fn ffmpeg(line: &str, paths: &[&Path]) {
    let mut paths = paths.iter();
    let args = line.split(' ').map(|arg| match arg {
        "{}" => paths.next().unwrap().to_str().unwrap().to_owned(),
        arg => arg.to_owned(),
    });
    let status = Command::new("ffmpeg").args(["-v", "error", "-y"]).args(args).status().unwrap();
    assert!(status.success(), "ffmpeg {line}");
}

/// Smooth colours; texture and grain in brightness, as photographs have after demosaicing.
pub(crate) fn natural(dims: Dims) -> RgbFrame {
    let mut seed = 1u32;
    let mut data = Vec::new();
    for y in 0..dims.height {
        for x in 0..dims.width {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let grain = ((seed >> 24) as f32 - 128.0) * 0.02;
            let (fx, fy) = (x as f32 / dims.width as f32, y as f32 / dims.height as f32);
            let texture = (x as f32 * 0.35).sin() * (y as f32 * 0.23).cos() * 10.0 + grain;
            data.extend(
                [60.0 + 150.0 * fx + texture, 70.0 + 110.0 * fy + texture, 200.0 - 120.0 * fx * fy + texture]
                    .map(|v| v as u8),
            );
        }
    }
    RgbFrame::new(dims, data).unwrap()
}

/// Mean difference a channel, and PSNR in dB.
pub(crate) fn drift(a: &RgbFrame, b: &RgbFrame) -> ([f64; 3], f64) {
    assert_eq!(a.dims, b.dims);
    let (mut sums, mut squares) = ([0.0; 3], 0.0);
    for (i, (a, b)) in a.data.iter().zip(&b.data).enumerate() {
        let d = f64::from(*b) - f64::from(*a);
        sums[i % 3] += d;
        squares += d * d;
    }
    let pixels = a.dims.pixels() as f64;
    (sums.map(|s| s / pixels), 10.0 * (255.0 * 255.0 * 3.0 * pixels / squares).log10())
}
