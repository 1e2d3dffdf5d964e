//! A guide plan → guide and mask clips, both out of one pass over the plan.

mod scene;

use crate::error::MediaError;
use crate::frame::RgbFrame;
use crate::medium::MediaSet;
use crate::output;
use crate::settings::Intermediate;
use crate::watch::{Watch, step};
use crate::writer::RgbWriter;
use scene::Scene;
use std::path::Path;
use travel::guide::Plan;
use travel::{Dims, Rate};

/// Renders the guide and, if wanted, the mask, without loss: `total` frames of size `canvas` at `rate`.
///
/// Layers are painted in order over neutral grey. A clip that is shown in its own size, opaque and without a tone is copied
/// byte for byte. The mask is black on what the plan keeps and white elsewhere. The plan is taken as checked. Clips are
/// opened when their span begins and read at `rate`; a picture is held only while a layer shows it. On any error both files
/// are removed.
///
/// # Errors
/// [`MediaError::UnknownMedium`]; those of reading the media and of writing the two files; [`MediaError::PastTheEnd`] when a
/// clip is shorter than the plan takes it for; [`MediaError::Cancelled`].
#[expect(clippy::too_many_arguments, reason = "each is a separate agreement of the plan's request")]
pub fn render_guide(
    plan: &Plan,
    total: u32,
    canvas: Dims,
    rate: Rate,
    media: &MediaSet,
    guide_out: &Path,
    mask_out: Option<&Path>,
    on: &dyn Watch,
) -> Result<(), MediaError> {
    let open = |path| RgbWriter::create(path, canvas, rate, Intermediate::default());
    let mut guide = open(guide_out)?;
    let mut mask = mask_out.map(|path| open(path).map(|writer| Mask::new(plan, canvas, writer))).transpose()?;
    let mut scene = Scene::new(plan, canvas, rate, media);
    for frame in 0..total {
        guide.write(&scene.paint(frame)?)?;
        if let Some(mask) = &mut mask {
            mask.write(frame)?;
        }
        step(on, u64::from(frame) + 1, total.into())?;
    }
    if let Some(mask) = mask {
        mask.writer.finish()?;
    }
    guide.finish().map(drop).inspect_err(|_| mask_out.into_iter().for_each(output::remove))
}

/// The mask being written.
struct Mask<'a> {
    plan: &'a Plan,
    keep: RgbFrame,
    generate: RgbFrame,
    writer: RgbWriter,
}

impl<'a> Mask<'a> {
    fn new(plan: &'a Plan, canvas: Dims, writer: RgbWriter) -> Self {
        let filled = |level| RgbFrame::filled(canvas, [level; 3]);
        Self { plan, keep: filled(0), generate: filled(255), writer }
    }

    fn write(&mut self, frame: u32) -> Result<(), MediaError> {
        let kept = self.plan.keep.iter().any(|span| span.frames().contains(&frame));
        self.writer.write(if kept { &self.keep } else { &self.generate })
    }
}
