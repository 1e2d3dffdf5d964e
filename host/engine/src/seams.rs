//! How well segments meet: what was measured between the two sides of each join, and a page to look at it.

use crate::error::EngineError;
use crate::limits::{SEAM_COLOUR, SEAM_PICTURE_WIDTH, SEAM_PICTURES, SEAM_SSIM};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;
use travel::crossfade::{Colour, Mixing, Plan, Step};
use travel::{Dims, Rate};
use travel_media::{ClipSource, Seam};

/// One join of a film. What is measured compares the two sides as they were rendered, before the cross-fade.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SeamMade {
    /// The two that meet: tasks, or the continued video.
    pub between: [String; 2],
    /// The film frame at which the second one begins.
    pub film_frame: u64,
    /// Frames that they share.
    pub overlap: u32,
    /// What the policy has chosen.
    pub transition: String,
    /// Mean SSIM of Y′ of the frames that they share; −1 to 1.
    pub ssim: f64,
    /// Of the pair that is least alike.
    pub ssim_least: f64,
    /// Mean PSNR of Y′, dB; 100 for equal frames.
    pub psnr: f64,
    /// Largest distance of the mean colours of a pair (Y′, Cb, Cr), in code values.
    pub colour: f64,
    /// Whether it may show: the mean SSIM is below [`SEAM_SSIM`], or the colours are further apart than [`SEAM_COLOUR`].
    pub may_show: bool,
}

/// What is told of every join; `names` and `starts` are the clips' in film order.
pub(crate) fn report(seams: &[Seam], plan: &Plan, names: &[String], starts: &[u64]) -> Vec<SeamMade> {
    let name = |i: usize| names.get(i).cloned().unwrap_or_default();
    let of = |(i, seam): (usize, &Seam)| {
        let join = &seam.join;
        let mean = |values: &mut dyn Iterator<Item = f64>| {
            let (sum, n) = values.fold((0.0, 0u32), |(sum, n), value| (sum + value, n + 1));
            sum / f64::from(n.max(1))
        };
        let ssim = mean(&mut join.likeness.iter().map(|v| f64::from(*v)));
        let colour = join.left.iter().zip(&join.right).map(|(a, b)| apart(a, b)).fold(0.0, f64::max);
        SeamMade {
            between: [name(i), name(i.saturating_add(1))],
            film_frame: starts.get(i.saturating_add(1)).copied().unwrap_or_default(),
            overlap: join.overlap,
            transition: transition(plan, i),
            ssim,
            ssim_least: join.likeness.iter().map(|v| f64::from(*v)).fold(1.0, f64::min),
            psnr: mean(&mut seam.psnr.iter().copied()),
            colour,
            may_show: ssim < SEAM_SSIM || colour > SEAM_COLOUR,
        }
    };
    seams.iter().enumerate().map(of).collect()
}

/// Distance of two mean colours, code values.
fn apart(a: &Colour, b: &Colour) -> f64 {
    let ranges = [219.0, 224.0, 224.0];
    let squares = a.mean.iter().zip(b.mean).zip(ranges).map(|((a, b), range)| {
        let difference = f64::from(a - b) * range;
        difference * difference
    });
    squares.sum::<f64>().sqrt()
}

/// What an edit list does between clip `i` and the next.
fn transition(plan: &Plan, i: usize) -> String {
    let is = |clip: travel::MediumId, at: usize| usize::try_from(clip.0).is_ok_and(|clip| clip == at);
    let (mut frames, mut how) = (0u32, "");
    for step in &plan.steps {
        if let Step::Blend(blend) = step
            && is(blend.left, i)
            && is(blend.right, i.saturating_add(1))
        {
            frames = frames.saturating_add(blend.count);
            how = match blend.mixing {
                Mixing::Coded => how,
                Mixing::LinearLight => " in linear light",
                Mixing::Aligned => ", aligned by motion",
            };
        }
    }
    if frames == 0 { "cut".to_owned() } else { format!("cross-fade of {frames} frames{how}") }
}

/// A page with all joins, and the frames in the middle of those that are most likely to show, side by side.
pub(crate) fn page(
    title: &str,
    seams: &[SeamMade],
    clips: &[ClipSource],
    canvas: Dims,
    rate: Rate,
) -> Result<String, EngineError> {
    let mut worst: Vec<usize> = (0..seams.len()).collect();
    let ssim = |i: &usize| seams.get(*i).map_or(1.0, |seam| seam.ssim);
    worst.sort_by(|a, b| ssim(a).total_cmp(&ssim(b)));
    worst.truncate(SEAM_PICTURES);
    let shown = seams.iter().filter(|seam| seam.may_show).count();
    let mut html = format!(
        "<!doctype html><meta charset=\"utf-8\"><title>Seams of {title}</title><style>body{{font:15px system-ui,sans-serif;\
         margin:2em;max-width:60em}}table{{border-collapse:collapse;width:100%}}td,th{{padding:.3em .6em;text-align:right;\
         border-bottom:1px solid #ccc}}td:first-child,th:first-child{{text-align:left}}.shows{{background:#fde8d8}}img{{width:49%}}\
         </style><h1>Seams of {title}</h1><p>{shown} of {} may show: a mean SSIM below {SEAM_SSIM}, or mean colours more than \
         {SEAM_COLOUR} code values apart, between the two sides as they were rendered.</p><table><tr><th>between<th>film \
         frame<th>transition<th>SSIM<th>least<th>PSNR, dB<th>colour</tr>",
        seams.len(),
        title = escaped(title),
    );
    for (i, seam) in seams.iter().enumerate() {
        let [a, b] = seam.between.each_ref().map(|name| escaped(name));
        let class = if seam.may_show { " class=\"shows\"" } else { "" };
        let _ = write!(
            html,
            "<tr{class}><td>{a} and {b}<td>{}<td>{}<td>{:.3}<td>{:.3}<td>{:.1}<td>{:.1}</tr>",
            seam.film_frame, seam.transition, seam.ssim, seam.ssim_least, seam.psnr, seam.colour
        );
        if let (true, Some(left), Some(right)) = (worst.contains(&i), clips.get(i), clips.get(i.saturating_add(1))) {
            let pictures = travel_media::seam_pictures([left, right], seam.overlap, canvas, rate, SEAM_PICTURE_WIDTH)?;
            html.push_str("<tr><td colspan=\"7\">");
            for picture in pictures {
                let _ = write!(html, "<img src=\"data:image/png;base64,{}\"> ", STANDARD.encode(picture));
            }
            html.push_str("</tr>");
        }
    }
    html.push_str("</table>\n");
    Ok(html)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use travel::crossfade::Join;

    #[test]
    fn a_seam_may_show_when_its_sides_differ_in_structure_or_in_colour() {
        let colour = |y: f32| Colour { mean: [y, 0.5, 0.5], deviation: [0.1; 3] };
        let seam = |likeness: f32, lift: f32| Seam {
            join: Join {
                overlap: 2,
                left: vec![colour(0.5); 2],
                right: vec![colour(0.5 + lift); 2],
                likeness: vec![likeness; 2],
            },
            psnr: vec![30.0; 2],
        };
        let plan = Plan { steps: Vec::new(), extras: Default::default() };
        let seams = [seam(0.95, 0.01), seam(0.5, 0.0), seam(0.99, 0.1)];
        let names = ["a", "b", "c", "d"].map(str::to_owned);
        let told = report(&seams, &plan, &names, &[0, 10, 20, 30]);
        assert_eq!(told.iter().map(|seam| seam.may_show).collect::<Vec<_>>(), [false, true, true]);
        assert_eq!((told[1].between.clone(), told[1].film_frame), (["b".to_owned(), "c".to_owned()], 20));
        assert!((told[2].colour - 21.9).abs() < 0.01, "{}", told[2].colour);
        assert_eq!(told[0].transition, "cut");
    }
}
