//! Where in an overlap the fade is: over all of it, or over so many frames where the two sides are most alike.

use travel::Span;
use travel::crossfade::Join;

/// The frames of the overlap that are faded; before them the earlier clip stands alone, after them the later one. With none, the
/// later clip begins at the frame that is most like the earlier one's. Of equal places the one nearest to the middle.
pub(super) fn of(join: &Join, frames: Option<u32>) -> Span {
    let Some(count) = frames.filter(|frames| *frames < join.overlap) else { return Span::new(0, join.overlap) };
    // A cut is as good as the first frame after it.
    let looked_at = count.max(1) as usize;
    let middle = f64::from(join.overlap) / 2.0;
    let mut best = (f64::NEG_INFINITY, f64::INFINITY, 0);
    for (start, window) in (0u32..).zip(join.likeness.windows(looked_at)).take(join.overlap as usize) {
        let sum: f64 =
            window.iter().map(|likeness| f64::from(if likeness.is_finite() { *likeness } else { -1.0 })).sum();
        let off = (f64::from(start) + f64::from(count) / 2.0 - middle).abs();
        if sum > best.0 + 1e-6 || (sum > best.0 - 1e-6 && off < best.1) {
            best = (sum, off, start);
        }
    }
    Span::new(best.2, count)
}
