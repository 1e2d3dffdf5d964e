//! The speed at which an overlap arrives, so that the gap behind it goes on without a jump.

use super::knot::sampled;
use super::network::Motion;
use super::trust::DOUBT;

/// Small pixels a frame below which the arriving frames stand still, as a mean over the picture.
const STILL: f64 = 0.02;

/// The slope that a gap of `frames` must start with: the arriving motion, in units of the gap's mean motion.
///
/// `arriving` is the motion half-way between the frame before and the shared one, `leaving` half-way between the shared
/// frame and the end, both of a plane of `size`. What leaves is followed back to the shared frame, where the two meet. The
/// slope is the least-squares factor between the two fields, so that a motion that turns back counts as none; what is in
/// doubt and so dissolves does that evenly. `None` where nothing moves.
pub(super) fn start_slope(arriving: &[Motion], leaving: &[Motion], size: (usize, usize), frames: u32) -> Option<f64> {
    let (mut cross, mut path, mut speed, mut trust) = (0.0, 0.0, 0.0, 0.0);
    for (i, leave) in leaving.iter().enumerate() {
        let (x, y) = ((i % size.0.max(1)) as f32, (i / size.0.max(1)) as f32);
        let arrive = sampled(arriving, size, (x + leave[0], y + leave[1]));
        let ((vx, vy), (px, py)) = (way(&arrive), way(leave));
        let trusted = 1.0 - f64::from(leave[DOUBT]);
        cross += trusted * (vx * px + vy * py);
        path += trusted * (px * px + py * py);
        trust += trusted;
        speed += vx.hypot(vy);
    }
    let pixels = leaving.len().max(1) as f64;
    let moves = speed / pixels >= STILL && path / pixels >= STILL * STILL;
    let trust = trust / pixels;
    moves.then(|| 1.0 - trust + trust * cross / path * (f64::from(frames) + 1.0))
}

/// The whole way of a pixel, from the first picture to the second.
fn way([ax, ay, bx, by, ..]: &Motion) -> (f64, f64) {
    (f64::from(bx - ax), f64::from(by - ay))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shift(way: f32) -> Vec<Motion> {
        vec![[-way / 2.0, 0.0, way / 2.0, 0.0, 0.5, 0.0, 0.0, 0.0]; 16 * 16]
    }

    #[test]
    fn the_slope_is_the_share_of_the_even_step_and_nothing_for_what_stands() {
        let slope = |arriving, leaving| start_slope(&shift(arriving), &shift(leaving), (16, 16), 9);
        assert!((slope(1.0, 20.0).unwrap() - 0.5).abs() < 1e-6);
        assert!(slope(-1.0, 20.0).unwrap() < 0.0);
        assert_eq!(slope(0.0, 20.0), None);
        assert_eq!(slope(1.0, 0.0), None);
    }
}
