//! The layers of a guide plan, painted frame by frame.

use crate::error::MediaError;
use crate::frame::RgbFrame;
use crate::medium::{MediaSet, Source};
use crate::pixels::resize::{self, Fitted};
use crate::pixels::tone::Affine;
use crate::reader::RgbReader;
use crate::still::load_still;
use rayon::prelude::*;
use std::sync::{Arc, Weak};
use travel::fit::Fit;
use travel::guide::{Fill, Layer, Plan, Show};
use travel::{Dims, MediumId, Rate, Span};

/// A plan being painted; frames are asked for in rising order.
pub(super) struct Scene<'a> {
    plan: &'a Plan,
    canvas: Dims,
    rate: Rate,
    media: &'a MediaSet,
    /// One for each layer, loaded when it is first seen and dropped when its span ends.
    loaded: Vec<Loaded>,
    /// Stills that some layer holds, so that layers share them.
    stills: Vec<(MediumId, Fit, Weak<Fitted>)>,
}

enum Loaded {
    Nothing,
    Still(Arc<Fitted>),
    Clip(Box<RgbReader>),
}

impl<'a> Scene<'a> {
    pub(super) fn new(plan: &'a Plan, canvas: Dims, rate: Rate, media: &'a MediaSet) -> Self {
        let loaded = plan.layers.iter().map(|_| Loaded::Nothing).collect();
        Self { plan, canvas, rate, media, loaded, stills: Vec::new() }
    }

    /// The guide at a frame.
    pub(super) fn paint(&mut self, frame: u32) -> Result<RgbFrame, MediaError> {
        let plan = self.plan;
        let mut picture = resize::canvas(self.canvas);
        // What an opaque layer hides is neither decoded nor painted.
        let from = plan.layers.iter().rposition(|layer| hides(layer, frame)).unwrap_or(0);
        for (i, layer) in plan.layers.iter().enumerate().skip(from) {
            match layer {
                Layer::Fill(fill) if shows(fill.at, frame) => self.fill(fill, &mut picture),
                Layer::Show(show) if shows(show.at, frame) => self.show(i, show, frame, &mut picture)?,
                _ => {}
            }
        }
        for (layer, loaded) in plan.layers.iter().zip(&mut self.loaded) {
            if span(layer).end().is_none_or(|end| end <= frame.saturating_add(1)) {
                *loaded = Loaded::Nothing;
            }
        }
        self.stills.retain(|(_, _, still)| still.strong_count() > 0);
        Ok(picture)
    }

    fn fill(&self, fill: &Fill, picture: &mut RgbFrame) {
        *picture = RgbFrame::filled(self.canvas, fill.rgb);
    }

    fn show(&mut self, i: usize, show: &Show, frame: u32, picture: &mut RgbFrame) -> Result<(), MediaError> {
        let at = frame.saturating_sub(show.at.start);
        let opacity = show.opacity.at(at, show.at.count);
        if opacity.is_nan() || opacity <= 0.0 {
            return Ok(());
        }
        let tone = show.tone.as_ref().map(|tone| {
            let (gain, offset) = tone.at(at, show.at.count);
            Affine { gain, offset }
        });
        match self.load(i, show)? {
            Loaded::Nothing => Ok(()),
            Loaded::Still(still) => {
                let still = Arc::clone(still);
                match tone.filter(|tone| !tone.is_identity()) {
                    None => lay(&still, opacity, self.canvas, picture),
                    Some(tone) => {
                        let mut changed = Fitted::clone(&still);
                        tone.apply(&mut changed.picture);
                        lay(&changed, opacity, self.canvas, picture);
                    }
                }
                Ok(())
            }
            Loaded::Clip(reader) => {
                let wanted = show.first.saturating_add(at);
                reader.seek_to_frame(wanted)?;
                let decoded = reader.next().unwrap_or_else(|| {
                    let path = self.media.get(show.medium)?.path().to_owned();
                    Err(MediaError::PastTheEnd { path, frame: wanted, frames: wanted })
                })?;
                let path = self.media.get(show.medium)?.path();
                let mut fitted = resize::fit(decoded, self.canvas, show.fit, path)?;
                if let Some(tone) = tone {
                    tone.apply(&mut fitted.picture);
                }
                if opacity >= 1.0 && fitted.covers(self.canvas) {
                    *picture = fitted.picture;
                } else {
                    lay(&fitted, opacity, self.canvas, picture);
                }
                Ok(())
            }
        }
    }

    /// What a layer shows, read when it is first needed.
    fn load(&mut self, i: usize, show: &Show) -> Result<&mut Loaded, MediaError> {
        let needed = matches!(self.loaded.get(i), Some(Loaded::Nothing) | None);
        let fresh = match (needed, self.media.get(show.medium)?) {
            (false, _) => None,
            (true, Source::Still(_)) => Some(Loaded::Still(self.still(show)?)),
            (true, Source::Clip(path)) => Some(Loaded::Clip(Box::new(RgbReader::open_at(path, self.rate)?))),
        };
        let known = self.plan.layers.len();
        let Some(slot) = self.loaded.get_mut(i) else {
            return Err(MediaError::Mismatch(format!("layer {i} is not one of the plan's {known}")));
        };
        if let Some(fresh) = fresh {
            *slot = fresh;
        }
        Ok(slot)
    }

    fn still(&mut self, show: &Show) -> Result<Arc<Fitted>, MediaError> {
        let held = self.stills.iter().find(|(id, fit, _)| *id == show.medium && *fit == show.fit);
        if let Some(still) = held.and_then(|(_, _, still)| still.upgrade()) {
            return Ok(still);
        }
        let path = self.media.get(show.medium)?.path();
        let still = Arc::new(resize::fit(load_still(path)?, self.canvas, show.fit, path)?);
        self.stills.push((show.medium, show.fit, Arc::downgrade(&still)));
        Ok(still)
    }
}

fn span(layer: &Layer) -> Span {
    match layer {
        Layer::Fill(fill) => fill.at,
        Layer::Show(show) => show.at,
    }
}

fn shows(at: Span, frame: u32) -> bool {
    at.frames().contains(&frame)
}

/// Whether nothing below the layer is seen at a frame.
fn hides(layer: &Layer, frame: u32) -> bool {
    shows(span(layer), frame)
        && match layer {
            Layer::Fill(_) => true,
            Layer::Show(show) => {
                show.fit != Fit::Contain && show.opacity.at(frame.saturating_sub(show.at.start), show.at.count) >= 1.0
            }
        }
}

/// Lays a picture over the canvas with an opacity, rounded to the nearest level.
fn lay(top: &Fitted, opacity: f32, canvas: Dims, picture: &mut RgbFrame) {
    if opacity >= 1.0 {
        return top.paste_on(picture);
    }
    const ONE: u32 = 1 << 16;
    let weight = (opacity.clamp(0.0, 1.0) * ONE as f32).round() as u32;
    let (stride, left, bytes) = (canvas.width as usize * 3, top.x as usize * 3, top.picture.stride());
    let (upper, rows) = (top.y as usize, top.picture.dims.height as usize);
    let below = picture.data.par_chunks_mut(stride.max(1)).skip(upper).take(rows);
    below.zip(top.picture.data.par_chunks(bytes.max(1))).for_each(|(below, row)| {
        if let Some(below) = below.get_mut(left..left + row.len()) {
            for (b, t) in below.iter_mut().zip(row) {
                *b = ((u32::from(*b) * (ONE - weight) + u32::from(*t) * weight + ONE / 2) >> 16) as u8;
            }
        }
    });
}
