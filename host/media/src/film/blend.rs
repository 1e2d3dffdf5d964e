//! Two frames mixed into one, and one frame toned, in the film's planes: exact in fixed point, rounded once.

use super::depth::{Depth, FRACTION};
use super::levels::{self, Levels};
use super::unsharp;
use crate::error::MediaError;
use crate::pixels::rows::{new_frame, plane_dims_420, rows, rows_mut};
use ffmpeg_next::frame::Video;
use std::path::Path;
use travel::Dims;

/// Fraction bits of a share; with those of a table they make the fraction bits of a sample.
const SHARE: u32 = FRACTION - levels::FRACTION;

/// One side of a mix.
pub(crate) struct Side<'a> {
    /// 8-bit 4:2:0.
    pub(crate) frame: &'a Video,
    /// Change of its tones, applied first.
    pub(crate) levels: Option<Levels>,
}

/// A frame with its tones changed, at the film's depth. A frame that nothing changes is handed back untouched.
pub(crate) fn toned(frame: Video, levels: Option<&Levels>, depth: Depth, path: &Path) -> Result<Video, MediaError> {
    if levels.is_none() && depth == Depth::Eight {
        return Ok(frame);
    }
    let dims = Dims { width: frame.width(), height: frame.height() };
    let mut out = new_frame(depth.pixel(), dims, path)?;
    for plane in 0..3 {
        let (width, _) = plane_dims_420(dims, plane);
        let table = levels.and_then(|l| l.plane(plane));
        for (to, from) in rows_mut(&mut out, plane, depth.row_bytes(width)).zip(rows(&frame, plane, width)) {
            depth.store(to, from.iter().map(|code| sample(*code, table) << SHARE));
        }
    }
    Ok(out)
}

/// `(1 − w) · left + w · right`, then sharpened by `sharpen` on Y′.
pub(crate) fn mixed(
    left: &Side<'_>,
    right: &Side<'_>,
    w: f32,
    sharpen: f32,
    depth: Depth,
    path: &Path,
) -> Result<Video, MediaError> {
    let dims = Dims { width: left.frame.width(), height: left.frame.height() };
    let mut out = new_frame(depth.pixel(), dims, path)?;
    let share = share(w);
    for plane in 0..3 {
        let (width, height) = plane_dims_420(dims, plane);
        let (l, r) = (table(left, plane), table(right, plane));
        let pairs = rows(left.frame, plane, width).zip(rows(right.frame, plane, width));
        if plane == 0 && sharpen > 0.0 {
            let mut luma = Vec::with_capacity(width * height);
            for (left, right) in pairs {
                luma.extend(mix(left, l, right, r, share).map(|s| s as f32 / (1u32 << FRACTION) as f32));
            }
            let sharp = unsharp::sharpened(&luma, width, sharpen);
            for (to, from) in rows_mut(&mut out, 0, depth.row_bytes(width)).zip(sharp.chunks_exact(width)) {
                depth.store(to, from.iter().map(|s| (s * (1u32 << FRACTION) as f32) as u32));
            }
            continue;
        }
        for (to, (left, right)) in rows_mut(&mut out, plane, depth.row_bytes(width)).zip(pairs) {
            depth.store(to, mix(left, l, right, r, share));
        }
    }
    Ok(out)
}

/// A share of 0…1 in fixed point; one that is no number is none.
fn share(w: f32) -> u32 {
    (w.clamp(0.0, 1.0) * (1 << SHARE) as f32).round() as u32
}

fn table<'a>(side: &'a Side<'_>, plane: usize) -> Option<&'a [u16; 256]> {
    side.levels.as_ref().and_then(|levels| levels.plane(plane))
}

/// A code value in 1/128 levels.
#[expect(clippy::indexing_slicing, reason = "a table has an entry for each of the 256 values of a byte")]
fn sample(code: u8, table: Option<&[u16; 256]>) -> u32 {
    match table {
        Some(table) => table[usize::from(code)].into(),
        None => u32::from(code) << levels::FRACTION,
    }
}

fn mix<'a>(
    left: &'a [u8],
    left_table: Option<&'a [u16; 256]>,
    right: &'a [u8],
    right_table: Option<&'a [u16; 256]>,
    share: u32,
) -> impl Iterator<Item = u32> + 'a {
    let rest = (1 << SHARE) - share;
    left.iter().zip(right).map(move |(l, r)| sample(*l, left_table) * rest + sample(*r, right_table) * share)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ffmpeg_next::format::Pixel;
    use proptest::prelude::*;
    use travel::{Tone, Weight};

    const DIMS: Dims = Dims { width: 16, height: 16 };

    fn flat(codes: [u8; 3]) -> Video {
        let mut frame = Video::new(Pixel::YUV420P, DIMS.width, DIMS.height);
        for (plane, code) in codes.into_iter().enumerate() {
            frame.data_mut(plane).fill(code);
        }
        frame
    }

    fn toned_float(code: u8, plane: usize, tone: &Tone) -> f64 {
        let (low, range) = if plane == 0 { (16.0, 219.0) } else { (16.0, 224.0) };
        let (gain, offset) = (f64::from(tone.gain[plane]), f64::from(tone.offset[plane]));
        (gain * (f64::from(code) - low) / range + offset).clamp(0.0, 1.0) * range + low
    }

    proptest! {
        #[test]
        fn a_mix_is_within_one_level_of_the_same_in_floating_point(
            l in any::<[u8; 3]>(), r in any::<[u8; 3]>(), w in 0.0f32..=1.0,
            gain in prop::array::uniform3(0.5f32..2.0), offset in prop::array::uniform3(-0.2f32..0.2),
        ) {
            let tone = Tone { gain, offset, amount: Weight::ONE };
            let (left, right) = (flat(l), flat(r));
            for depth in [Depth::Eight, Depth::Ten] {
                let sides = [
                    Side { frame: &left, levels: None },
                    Side { frame: &right, levels: Levels::of(Some(&tone), 0, 1) },
                ];
                let out = mixed(&sides[0], &sides[1], w, 0.0, depth, Path::new("test")).unwrap();
                for plane in 0..3 {
                    let want = f64::from(l[plane]) * (1.0 - f64::from(w)) + toned_float(r[plane], plane, &tone) * f64::from(w);
                    let got = match depth {
                        Depth::Eight => f64::from(out.data(plane)[0]),
                        Depth::Ten => f64::from(u16::from_le_bytes([out.data(plane)[0], out.data(plane)[1]])) / 4.0,
                    };
                    prop_assert!((got - want).abs() <= if depth == Depth::Eight { 0.51 } else { 0.14 }, "{got} {want}");
                }
            }
        }
    }

    #[test]
    fn sharpening_a_flat_frame_changes_nothing() {
        let (left, right) = (flat([100, 128, 128]), flat([200, 90, 128]));
        let side = |frame| Side { frame, levels: None };
        let out = mixed(&side(&left), &side(&right), 0.5, 0.8, Depth::Eight, Path::new("test")).unwrap();
        assert!(out.data(0)[..16].iter().all(|y| *y == 150));
        assert_eq!(out.data(1)[0], 109);
    }
}
