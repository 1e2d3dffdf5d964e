//! What the cross-fade policy decides by: colour and likeness of the frames that two clips share.

use crate::error::MediaError;
use crate::film::footage::Footage;
use crate::film::{likeness, statistics};
use crate::frame::encode_png;
use crate::pixels::resize::stretch;
use crate::pixels::to_rgb::to_rgb;
use crate::watch::{Watch, step};
use rayon::prelude::*;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use travel::crossfade::Join;
use travel::{Dims, Rate};

/// A clip in film order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClipSource {
    /// The file.
    pub path: PathBuf,
    /// Its decoded frames at the film's rate.
    pub frames: u32,
}

/// A join as it was measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Seam {
    /// What the cross-fade policy is told of it.
    pub join: Join,
    /// Peak signal-to-noise ratio of Y′ of each pair of frames, dB, with a peak of 255; equal ones have 100.
    pub psnr: Vec<f64>,
}

impl From<(Join, Vec<f64>)> for Seam {
    fn from((join, psnr): (Join, Vec<f64>)) -> Self {
        Self { join, psnr }
    }
}

/// The two frames in the middle of a join, as PNG of that width; of a cut, the last and the first.
///
/// # Errors
/// Those of reading.
pub fn seam_pictures(
    [left, right]: [&ClipSource; 2],
    overlap: u32,
    canvas: Dims,
    rate: Rate,
    width: u32,
) -> Result<[Vec<u8>; 2], MediaError> {
    let frames = overlap.max(1);
    let middle = frames / 2;
    let height = u64::from(width) * u64::from(canvas.height) / u64::from(canvas.width.max(1));
    let small = Dims { width, height: u32::try_from(height).unwrap_or(u32::MAX).max(1) };
    let picture = |clip: &ClipSource, at: u32| {
        let frame = Footage::open(&clip.path, canvas, rate)?.frame(at)?;
        encode_png(&stretch(&to_rgb(&frame, &clip.path)?, small, &clip.path)?)
    };
    Ok([picture(left, left.frames.saturating_sub(frames).saturating_add(middle))?, picture(right, middle)?])
}

/// Measures the join between every clip and the next: the last `overlap` frames of the one against the first of the other,
/// in the film's planes (converted, and fitted `cover` to `canvas`, where a clip is not made of them). A join without an
/// overlap is measured at the very last and the very first frame, likeness included. Only these frames are decoded, from the
/// key-frame before them; two are held at a time, and joins are measured in parallel.
///
/// # Errors
/// [`MediaError::Mismatch`] unless there is one overlap fewer than clips, none longer than a clip at its side; those of
/// reading; [`MediaError::Cancelled`].
pub fn measure_joins(
    clips: &[ClipSource],
    overlaps: &[u32],
    canvas: Dims,
    rate: Rate,
    on: &dyn Watch,
) -> Result<Vec<Seam>, MediaError> {
    if overlaps.len() != clips.len().saturating_sub(1) {
        let (clips, overlaps) = (clips.len(), overlaps.len());
        return Err(MediaError::Mismatch(format!(
            "{clips} clips have {} joins, not {overlaps}",
            clips.saturating_sub(1)
        )));
    }
    let total = overlaps.iter().map(|o| u64::from((*o).max(1))).sum();
    let progress = Progress { on, done: AtomicU64::new(0), total };
    let pairs: Vec<_> = clips.iter().zip(clips.iter().skip(1)).zip(overlaps).collect();
    pairs.into_par_iter().map(|((left, right), overlap)| join(left, right, *overlap, canvas, rate, &progress)).collect()
}

struct Progress<'a> {
    on: &'a dyn Watch,
    done: AtomicU64,
    total: u64,
}

fn join(
    left: &ClipSource,
    right: &ClipSource,
    overlap: u32,
    canvas: Dims,
    rate: Rate,
    progress: &Progress<'_>,
) -> Result<Seam, MediaError> {
    let frames = overlap.max(1);
    for clip in [left, right] {
        if clip.frames < frames {
            let (path, held) = (clip.path.display(), clip.frames);
            return Err(MediaError::Mismatch(format!("{path} has {held} frames, fewer than the {frames} of its join")));
        }
    }
    let mut out = Join { overlap, left: Vec::new(), right: Vec::new(), likeness: Vec::with_capacity(frames as usize) };
    let mut psnr = Vec::with_capacity(frames as usize);
    let mut before = Footage::open(&left.path, canvas, rate)?;
    let mut after = Footage::open(&right.path, canvas, rate)?;
    for i in 0..frames {
        let a = before.frame(left.frames - frames + i)?;
        let b = after.frame(i)?;
        out.left.push(statistics::colour(&a));
        out.right.push(statistics::colour(&b));
        out.likeness.push(likeness::ssim(&a, &b));
        psnr.push(likeness::psnr(&a, &b));
        let done = progress.done.fetch_add(1, Ordering::Relaxed) + 1;
        step(progress.on, done, progress.total)?;
    }
    Ok(Seam { join: out, psnr })
}
