//! The frames that a segment repeats from what precedes it.

use super::Params;
use travel::guide::{Layer, Show};
use travel::{MediumId, Span, Tone, Weight};

/// The repeated frames with their strength and tone. `repeated` is a clip, its first repeated frame, and how many.
pub(super) fn layer(repeated: Option<(MediumId, u32, u32)>, params: &Params) -> Option<Layer> {
    let (medium, first, count) = repeated.filter(|(_, _, count)| *count > 0)?;
    Some(Layer::Show(Show {
        at: Span::new(0, count),
        medium,
        first,
        fit: params.fit,
        opacity: strength(count, params),
        tone: tone(params),
    }))
}

/// With a fade-out, its share of the frames fades from high to low and the rest stays whole; without one, all have
/// `high_point`. The adjustment is added to what is not whole.
fn strength(count: u32, params: &Params) -> Weight {
    let adjustment = params.subsequent_starting_strength_adjustment.get();
    let adjusted = |opacity: f64| (opacity + adjustment).clamp(0.0, 1.0) as f32;
    let fade = &params.fade_out;
    match fade.steps(count) {
        0 => Weight::Constant(adjusted(fade.high_point.get())),
        steps => Weight::Table(
            (0..count)
                .map(|k| if k < steps { adjusted(fade.at(1.0 - f64::from(k + 1) / f64::from(steps))) } else { 1.0 })
                .collect(),
        ),
    }
}

/// First less colour, then less light: in RGB `(1 − b) · mix(frame, its grey, d)`, which in Y′CbCr scales Y′ by `1 − b`
/// and the distance of Cb and Cr from neutral by `(1 − b) (1 − d)`.
fn tone(params: &Params) -> Option<Tone> {
    let light = 1.0 - params.adjust_brightness_subsequent_starting_frames.get();
    let chroma = light * (1.0 - params.desaturate_subsequent_starting_frames.get());
    if light == 1.0 && chroma == 1.0 {
        return None;
    }
    let centre = (0.5 * (1.0 - chroma)) as f32;
    Some(Tone {
        gain: [light as f32, chroma as f32, chroma as f32],
        offset: [0.0, centre, centre],
        amount: Weight::ONE,
    })
}
