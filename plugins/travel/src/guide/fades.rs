//! Stills that fade: out after the start, in before the end.
//!
//! Faded frames are hints: the generator sees them and does not keep them.

use super::{Params, Stills};
use travel::guide::{Layer, Show};
use travel::{KeyFrame, Span, Weight};

/// The start still fades out over the first frames after it: with `steps` of the free frames, the k-th has
/// `low + (high − low) · ease(1 − (k + 1) / steps)`.
pub(super) fn start(stills: &Stills<'_>, total: u32, params: &Params) -> Option<Layer> {
    let (key, at) = stills.start?;
    let from = at.end()?;
    let steps = params.fade_out.steps(stills.end_from.min(total).saturating_sub(from));
    let opacity = |k: u32| params.fade_out.at(1.0 - f64::from(k + 1) / f64::from(steps));
    layer(key, Span::new(from, steps), params, opacity)
}

/// The end still fades in over the last frames before it, painted over whatever is there: the k-th of `steps` has
/// `low + (high − low) · ease((k + 1) / steps)`.
pub(super) fn end(stills: &Stills<'_>, repeated: u32, params: &Params) -> Option<Layer> {
    let (key, _) = stills.end?;
    let free_from = stills.start.and_then(|(_, at)| at.end()).unwrap_or(0).max(repeated);
    let steps = params.fade_in.steps(stills.end_from.saturating_sub(free_from));
    let opacity = |k: u32| params.fade_in.at(f64::from(k + 1) / f64::from(steps));
    layer(key, Span::new(stills.end_from.saturating_sub(steps), steps), params, opacity)
}

/// A factor so small that no frame is left for it is no fade.
fn layer(key: &KeyFrame, at: Span, params: &Params, opacity: impl Fn(u32) -> f64) -> Option<Layer> {
    if at.count == 0 {
        return None;
    }
    let strength = f64::from(key.strength);
    let table = (0..at.count).map(|k| (opacity(k) * strength).clamp(0.0, 1.0) as f32).collect();
    Some(Layer::Show(Show {
        at,
        medium: key.still,
        first: 0,
        fit: params.fit,
        opacity: Weight::Table(table),
        tone: None,
    }))
}
