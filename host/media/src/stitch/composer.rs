//! The edit list, step by step, as frames of film.

use crate::error::MediaError;
use crate::film::blend::{Mixer, Side, toned};
use crate::film::depth::Depth;
use crate::film::footage::Footage;
use crate::film::levels::Levels;
use crate::medium::MediaSet;
use crate::stitch::Stitch;
use crate::watch::Watch;
use std::collections::BTreeMap;
use std::path::Path;
use travel::crossfade::{Blend, Copy, Step};
use travel::{Dims, MediumId, Rate};

/// Hands every frame of these steps to `put`, in order, until it answers that nobody wants more. `out` names the film in
/// errors.
pub(super) fn compose(
    film: &Stitch<'_>,
    steps: &[Step],
    depth: Depth,
    out: &Path,
    on: &dyn Watch,
    put: &mut dyn FnMut(ffmpeg_next::frame::Video) -> bool,
) -> Result<(), MediaError> {
    let last_use = last_use(steps);
    let mut reel = Reel { clips: film.clips, canvas: film.canvas, rate: film.rate, open: BTreeMap::new() };
    let mixer = Mixer { depth, out, between: film.between, on };
    for (i, step) in steps.iter().enumerate() {
        let wanted = match step {
            Step::Copy(copy) => copy_step(copy, &mut reel, depth, out, put)?,
            Step::Blend(blend) => blend_step(blend, &mut reel, &mixer, put)?,
        };
        if !wanted {
            return Ok(());
        }
        reel.open.retain(|id, _| last_use.get(id).is_some_and(|last| *last > i));
    }
    Ok(())
}

fn copy_step(
    copy: &Copy,
    reel: &mut Reel<'_>,
    depth: Depth,
    out: &Path,
    put: &mut dyn FnMut(ffmpeg_next::frame::Video) -> bool,
) -> Result<bool, MediaError> {
    for (i, n) in (0u32..).zip(copy.at.frames()) {
        let frame = reel.frame(copy.clip, n)?;
        let levels = Levels::of(copy.tone.as_ref(), i, copy.at.count);
        if !put(toned(frame, levels.as_ref(), depth, out)?) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn blend_step(
    blend: &Blend,
    reel: &mut Reel<'_>,
    mixer: &Mixer<'_>,
    put: &mut dyn FnMut(ffmpeg_next::frame::Video) -> bool,
) -> Result<bool, MediaError> {
    let count = blend.count;
    for i in 0..count {
        let left = reel.frame(blend.left, blend.left_start.saturating_add(i))?;
        let right = reel.frame(blend.right, blend.right_start.saturating_add(i))?;
        let left = Side { frame: &left, levels: Levels::of(blend.left_tone.as_ref(), i, count) };
        let right = Side { frame: &right, levels: Levels::of(blend.right_tone.as_ref(), i, count) };
        let mixed = mixer.mixed(&left, &right, blend.mixing, blend.w.at(i, count), blend.sharpen.at(i, count))?;
        if !put(mixed) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The clips that are open.
struct Reel<'a> {
    clips: &'a MediaSet,
    canvas: Dims,
    rate: Rate,
    open: BTreeMap<MediumId, Footage>,
}

impl Reel<'_> {
    fn frame(&mut self, id: MediumId, n: u32) -> Result<ffmpeg_next::frame::Video, MediaError> {
        use std::collections::btree_map::Entry;
        let footage = match self.open.entry(id) {
            Entry::Occupied(open) => open.into_mut(),
            Entry::Vacant(free) => free.insert(Footage::open(self.clips.clip(id)?, self.canvas, self.rate)?),
        };
        footage.frame(n)
    }
}

/// The step after which a clip is no longer needed.
fn last_use(steps: &[Step]) -> BTreeMap<MediumId, usize> {
    let mut last = BTreeMap::new();
    for (i, step) in steps.iter().enumerate() {
        match step {
            Step::Copy(copy) => {
                last.insert(copy.clip, i);
            }
            Step::Blend(blend) => {
                last.insert(blend.left, i);
                last.insert(blend.right, i);
            }
        }
    }
    last
}
