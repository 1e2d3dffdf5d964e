//! Guide and mask clips from plans.

use crate::pattern::{DIMS, RATE, natural, numbered, numbered_clip, read};
use std::path::Path;
use travel::fit::Fit;
use travel::guide::{Fill, Layer, Plan, Show};
use travel::{Dims, MediumId, Span, Tone, Weight};
use travel_media::{MediaError, MediaSet, RgbFrame, Source, Unwatched, render_guide, save_png};

const CLIP: MediumId = MediumId(1);
const STILL: MediumId = MediumId(2);

fn show(medium: MediumId, at: Span, first: u32, fit: Fit) -> Show {
    Show { at, medium, first, fit, opacity: Weight::ONE, tone: None }
}

fn media(dir: &Path, still: &RgbFrame) -> MediaSet {
    let (clip, png) = (dir.join("clip.mkv"), dir.join("still.png"));
    numbered_clip(&clip, 0..81);
    save_png(still, &png).unwrap();
    [(CLIP, Source::Clip(clip)), (STILL, Source::Still(png))].into_iter().collect()
}

fn render(dir: &Path, media: &MediaSet, layers: Vec<Layer>, keep: Vec<Span>) -> (Vec<RgbFrame>, Vec<RgbFrame>) {
    let plan = Plan { layers, keep, extras: vec![] };
    let (guide, mask) = (dir.join("guide.mkv"), dir.join("mask.mkv"));
    render_guide(&plan, 20, DIMS, RATE, media, &guide, Some(&mask), &Unwatched).unwrap();
    (read(&guide), read(&mask))
}

#[test]
fn the_overlap_is_the_predecessors_last_frames_byte_for_byte_and_the_mask_keeps_it() {
    let dir = tempfile::tempdir().unwrap();
    let still = natural(DIMS);
    let media = media(dir.path(), &still);
    let layers = vec![
        Layer::Show(show(CLIP, Span::new(0, 12), 69, Fit::Cover)),
        Layer::Show(show(STILL, Span::new(19, 1), 0, Fit::Blur)),
    ];
    let (guide, mask) = render(dir.path(), &media, layers, vec![Span::new(0, 12), Span::new(19, 1)]);
    assert_eq!((guide.len(), mask.len()), (20, 20));
    for (i, (guide, mask)) in guide.iter().zip(&mask).enumerate() {
        let kept = i < 12 || i == 19;
        assert!(*mask == RgbFrame::filled(DIMS, [if kept { 0 } else { 255 }; 3]), "mask {i}");
        let expected = match i {
            0..12 => numbered(69 + i as u32),
            19 => still.clone(),
            _ => RgbFrame::filled(DIMS, [127; 3]),
        };
        assert!(*guide == expected, "guide {i}");
    }
}

#[test]
fn painters_order_opacity_tables_and_tones_are_obeyed() {
    let dir = tempfile::tempdir().unwrap();
    let media = media(dir.path(), &RgbFrame::filled(DIMS, [227, 27, 127]));
    let all = Span::new(0, 20);
    let mut fading = show(STILL, Span::new(5, 3), 0, Fit::Cover);
    fading.opacity = Weight::Table(vec![0.0, 0.5, 1.0]);
    let mut grey = show(STILL, Span::new(10, 2), 0, Fit::Cover);
    grey.tone = Some(Tone { gain: [1.0, 0.0, 0.0], offset: [0.0, 0.5, 0.5], amount: Weight::Linear(0.0, 1.0) });
    let layers = vec![
        Layer::Fill(Fill { at: all, rgb: [10, 20, 30] }),
        Layer::Fill(Fill { at: Span::new(0, 15), rgb: [127; 3] }),
        Layer::Show(fading),
        Layer::Show(grey),
    ];
    let (guide, _) = render(dir.path(), &media, layers, vec![]);
    let at = |i: usize| guide[i].pixel(40, 20).unwrap();
    assert_eq!(
        [at(4), at(5), at(6), at(7), at(15)],
        [[127; 3], [127; 3], [177, 77, 127], [227, 27, 127], [10, 20, 30]]
    );
    assert_eq!(at(10), [227, 27, 127]);
    assert_eq!(at(11), [77; 3]);
}

#[test]
fn every_fit_puts_the_picture_where_it_belongs() {
    let dir = tempfile::tempdir().unwrap();
    // A square with a white left half on a canvas of 5:3.
    let mut still = RgbFrame::filled(Dims { width: 60, height: 60 }, [0; 3]);
    for row in still.data.chunks_mut(180) {
        row[..90].fill(255);
    }
    let media = media(dir.path(), &still);
    let fits = [Fit::Cover, Fit::Contain, Fit::Stretch, Fit::Blur];
    let layers = (0u32..).zip(fits).map(|(i, fit)| Layer::Show(show(STILL, Span::new(i, 1), 0, fit))).collect();
    let (guide, _) = render(dir.path(), &media, layers, vec![]);
    let at = |i: usize, x: u32| guide[i].pixel(x, 24).unwrap()[0];
    for (i, fit) in fits.iter().enumerate() {
        assert!(at(i, 30) > 250 && at(i, 50) < 5, "{fit:?}");
    }
    assert_eq!((at(1, 5), at(1, 75)), (127, 127));
    assert_eq!((at(2, 5), at(2, 75)), (255, 0));
    assert!(at(3, 5) > 180 && at(3, 75) < 75, "{} {}", at(3, 5), at(3, 75));
}

#[test]
fn a_plan_that_wants_more_than_there_is_leaves_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let media = media(dir.path(), &natural(DIMS));
    let [guide, mask] = ["guide.mkv", "mask.mkv"].map(|name| dir.path().join(name));
    let run = |layer| {
        let plan = Plan { layers: vec![layer], keep: vec![], extras: vec![] };
        render_guide(&plan, 20, DIMS, RATE, &media, &guide, Some(&mask), &Unwatched).unwrap_err()
    };
    let error = run(Layer::Show(show(CLIP, Span::new(0, 12), 75, Fit::Cover)));
    assert!(matches!(error, MediaError::PastTheEnd { frame: 81, .. }), "{error:?}");
    let error = run(Layer::Show(show(MediumId(9), Span::new(0, 12), 0, Fit::Cover)));
    assert!(matches!(error, MediaError::UnknownMedium { known: 2, .. }), "{error:?}");
    assert!(!guide.exists() && !mask.exists());
}
