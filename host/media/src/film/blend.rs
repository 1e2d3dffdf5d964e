//! Two frames mixed into one, and one frame toned, in the film's planes: code values exact in fixed point, all rounded once.

use super::depth::{Depth, FRACTION};
use super::levels::{self, Levels};
use super::{light, unsharp};
use crate::error::MediaError;
use crate::pixels::rows::{new_frame, plane_dims_420, rows, rows_mut};
use crate::pixels::to_rgb::to_rgb;
use crate::pixels::to_yuv::to_yuv420;
use crate::stitch::InBetween;
use crate::watch::Watch;
use ffmpeg_next::color::{Range, Space};
use ffmpeg_next::frame::Video;
use std::path::Path;
use travel::Dims;
use travel::crossfade::Mixing;

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

/// Who mixes the frames of a film.
pub(crate) struct Mixer<'a> {
    pub(crate) depth: Depth,
    /// The film, in errors.
    pub(crate) out: &'a Path,
    pub(crate) between: Option<&'a dyn InBetween>,
    pub(crate) on: &'a dyn Watch,
}

impl Mixer<'_> {
    /// Two frames mixed, then sharpened by `sharpen` on Y′.
    pub(crate) fn mixed(
        &self,
        left: &Side<'_>,
        right: &Side<'_>,
        mixing: Mixing,
        w: f32,
        sharpen: f32,
    ) -> Result<Video, MediaError> {
        let dims = Dims { width: left.frame.width(), height: left.frame.height() };
        match mixing {
            Mixing::Coded => self.coded(left, right, w, sharpen, dims),
            Mixing::LinearLight => self.stored(light::mixed(left, right, w, dims), sharpen),
            Mixing::Aligned => self.stored(Planes::read(&self.aligned(left, right, w)?, dims), sharpen),
        }
    }

    /// `(1 − w) · left + w · right` of code values.
    fn coded(&self, left: &Side<'_>, right: &Side<'_>, w: f32, sharpen: f32, dims: Dims) -> Result<Video, MediaError> {
        let depth = self.depth;
        let mut out = new_frame(depth.pixel(), dims, self.out)?;
        let share = share(w);
        for plane in 0..3 {
            let (width, height) = plane_dims_420(dims, plane);
            let (l, r) = (table(left, plane), table(right, plane));
            let pairs = rows(left.frame, plane, width).zip(rows(right.frame, plane, width));
            if plane == 0 && sharpen > 0.0 {
                let mut luma = Vec::with_capacity(width * height);
                for (left, right) in pairs {
                    luma.extend(mix(left, l, right, r, share).map(|s| s as f32 / ONE));
                }
                store(&mut out, 0, &unsharp::sharpened(&luma, width, sharpen), width, depth);
                continue;
            }
            for (to, (left, right)) in rows_mut(&mut out, plane, depth.row_bytes(width)).zip(pairs) {
                depth.store(to, mix(left, l, right, r, share));
            }
        }
        Ok(out)
    }

    /// What lies between the two sides at `w`, by motion.
    fn aligned(&self, left: &Side<'_>, right: &Side<'_>, w: f32) -> Result<Video, MediaError> {
        let refuse = |reason: String| MediaError::NoInBetween { path: self.out.to_owned(), reason };
        let between = self.between.ok_or_else(|| refuse("nobody here finds motion".to_owned()))?;
        let rgb = |side: &Side<'_>| {
            let mut frame = toned(side.frame.clone(), side.levels.as_ref(), Depth::Eight, self.out)?;
            // These are the film's planes, whatever a converted frame says of itself.
            frame.set_color_space(Space::BT709);
            frame.set_color_range(Range::MPEG);
            to_rgb(&frame, self.out)
        };
        let (from, to) = (rgb(left)?, rgb(right)?);
        let made = between.between(&from, &to, f64::from(w.clamp(0.0, 1.0)), self.on);
        if self.on.cancelled() {
            return Err(MediaError::Cancelled { done: 0, total: 1 });
        }
        to_yuv420(&made.map_err(refuse)?, self.out)
    }

    fn stored(&self, mut planes: Planes, sharpen: f32) -> Result<Video, MediaError> {
        let mut out = new_frame(self.depth.pixel(), planes.dims, self.out)?;
        let (width, _) = plane_dims_420(planes.dims, 0);
        if sharpen > 0.0 {
            let [luma, ..] = &mut planes.planes;
            *luma = unsharp::sharpened(luma, width, sharpen);
        }
        for (plane, codes) in planes.planes.iter().enumerate() {
            store(&mut out, plane, codes, plane_dims_420(planes.dims, plane).0, self.depth);
        }
        Ok(out)
    }
}

/// Planes of 4:2:0 as 8-bit code values, not rounded.
pub(super) struct Planes {
    pub(super) planes: [Vec<f32>; 3],
    dims: Dims,
}

impl Planes {
    pub(super) fn new(dims: Dims) -> Self {
        let plane = |plane| {
            let (width, height) = plane_dims_420(dims, plane);
            vec![0.0; width * height]
        };
        Self { planes: [plane(0), plane(1), plane(2)], dims }
    }

    fn read(frame: &Video, dims: Dims) -> Self {
        let plane = |plane| {
            let (width, _) = plane_dims_420(dims, plane);
            rows(frame, plane, width).flatten().map(|code| f32::from(*code)).collect()
        };
        Self { planes: [plane(0), plane(1), plane(2)], dims }
    }
}

/// One of a sample in fixed point.
const ONE: f32 = (1u32 << FRACTION) as f32;

fn store(out: &mut Video, plane: usize, codes: &[f32], width: usize, depth: Depth) {
    for (to, codes) in rows_mut(out, plane, depth.row_bytes(width)).zip(codes.chunks_exact(width.max(1))) {
        depth.store(to, codes.iter().map(|code| (code * ONE) as u32));
    }
}

/// A code value with a side's tones.
pub(super) fn code(code: u8, side: &Side<'_>, plane: usize) -> f32 {
    sample(code, table(side, plane)) as f32 / (1u32 << levels::FRACTION) as f32
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
    use crate::frame::RgbFrame;
    use crate::watch::Unwatched;
    use ffmpeg_next::format::Pixel;
    use proptest::prelude::*;
    use travel::{Tone, Weight};

    const DIMS: Dims = Dims { width: 16, height: 16 };

    fn mixer(depth: Depth) -> Mixer<'static> {
        Mixer { depth, out: Path::new("test"), between: None, on: &Unwatched }
    }

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
                let out = mixer(depth).mixed(&sides[0], &sides[1], Mixing::Coded, w, 0.0).unwrap();
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

    /// Every pixel another one.
    fn textured(seed: u32) -> Video {
        let mut frame = flat([0; 3]);
        for plane in 0..3 {
            for (i, code) in (0u32..).zip(frame.data_mut(plane)) {
                *code = 16 + (i.wrapping_mul(2_654_435_761).wrapping_add(seed) >> 24) as u8 % 220;
            }
        }
        frame
    }

    proptest! {
        #[test]
        fn light_of_a_frame_and_itself_is_the_frame_and_that_of_two_lies_between_them(
            seed in any::<u32>(), other in any::<u32>(), w in 0.0f32..=1.0,
        ) {
            let left = textured(seed);
            let side = |frame| Side { frame, levels: None };
            let same = mixer(Depth::Eight).mixed(&side(&left), &side(&left), Mixing::LinearLight, w, 0.0).unwrap();
            for plane in 0..3 {
                prop_assert!(rows(&same, plane, 8).eq(rows(&left, plane, 8)), "plane {}", plane);
            }
            // Greys: as bright as the mean of their light, and so at least as bright as the mean of their codes.
            let (dark, bright) = (40 + (seed % 60) as u8, 140 + (other % 90) as u8);
            let (left, right) = (flat([dark, 128, 128]), flat([bright, 128, 128]));
            let made = mixer(Depth::Eight).mixed(&side(&left), &side(&right), Mixing::LinearLight, w, 0.0).unwrap();
            let light = |code: f64| ((code - 16.0) / 219.0).powf(2.4);
            let mean = light(dark.into()) * (1.0 - f64::from(w)) + light(bright.into()) * f64::from(w);
            let want = 219.0 * mean.powf(1.0 / 2.4) + 16.0;
            let got = f64::from(made.data(0)[0]);
            prop_assert!((got - want).abs() <= 0.51, "{} {}", got, want);
            prop_assert!(got + 0.51 >= f64::from(dark) * (1.0 - f64::from(w)) + f64::from(bright) * f64::from(w));
            prop_assert_eq!(made.data(1)[0], 128);
        }
    }

    /// Finds the first of two frames between them.
    struct First;

    impl InBetween for First {
        fn between(&self, from: &RgbFrame, _: &RgbFrame, _: f64, _: &dyn Watch) -> Result<RgbFrame, String> {
            Ok(from.clone())
        }
    }

    proptest! {
        #[test]
        fn what_is_found_between_two_frames_keeps_its_colours(y in 90u8..160, cb in 112u8..145, cr in 112u8..145) {
            let frame = flat([y, cb, cr]);
            let (side, mixer) = (Side { frame: &frame, levels: None }, Mixer { between: Some(&First), ..mixer(Depth::Eight) });
            let made = mixer.mixed(&side, &side, Mixing::Aligned, 0.5, 0.0).unwrap();
            for (plane, code) in [y, cb, cr].into_iter().enumerate() {
                prop_assert!(made.data(plane)[0].abs_diff(code) <= 1, "plane {}: {} of {}", plane, made.data(plane)[0], code);
            }
        }
    }

    #[test]
    fn without_anybody_who_finds_motion_an_aligned_mix_is_refused() {
        let frame = flat([100, 128, 128]);
        let side = Side { frame: &frame, levels: None };
        let refused = mixer(Depth::Eight).mixed(&side, &side, Mixing::Aligned, 0.5, 0.0).err().unwrap();
        assert_eq!(refused.code(), "media_no_in_between");
    }

    #[test]
    fn sharpening_a_flat_frame_changes_nothing() {
        let (left, right) = (flat([100, 128, 128]), flat([200, 90, 128]));
        let side = |frame| Side { frame, levels: None };
        let out = mixer(Depth::Eight).mixed(&side(&left), &side(&right), Mixing::Coded, 0.5, 0.8).unwrap();
        assert!(out.data(0)[..16].iter().all(|y| *y == 150));
        assert_eq!(out.data(1)[0], 109);
    }
}
