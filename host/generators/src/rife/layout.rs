//! The small size at which motion is found, and the way between it and the full size.

use crate::settings::Quality;
use travel::Dims;

/// The network halves its input six times.
const CELL: u32 = 64;

/// A small picture: the content in the upper left corner, keeping its proportions, and the rest replicating its edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    /// Of the film.
    pub(super) full: Dims,
    /// Of the content within the small picture.
    pub(super) content: Dims,
    /// Of the small picture; multiples of [`CELL`].
    pub(super) padded: Dims,
}

impl Layout {
    /// Both sides are rounded to whole cells and the content is fitted inside, so that little is spent on padding: at
    /// 416, pictures of 832×480 become 444×256 in 448×256. Nothing is enlarged.
    pub(super) fn new(full: Dims, quality: Quality) -> Self {
        let longest = match quality {
            Quality::Fast => 320,
            Quality::Balanced => 416,
            Quality::High => 832,
        };
        let long_side = f64::from(full.width.max(full.height).max(1));
        let wanted = f64::from(longest) / long_side;
        let cells = |side: u32| {
            let rounded = (f64::from(side) * wanted / f64::from(CELL)).round() as u32;
            rounded.clamp(1, side.div_ceil(CELL).max(1)) * CELL
        };
        let padded = Dims { width: cells(full.width), height: cells(full.height) };
        let scale = (f64::from(padded.width) / f64::from(full.width.max(1)))
            .min(f64::from(padded.height) / f64::from(full.height.max(1)))
            .min(1.0);
        let fit = |side: u32, room: u32| ((f64::from(side) * scale).round() as u32).clamp(1, room);
        let content = Dims { width: fit(full.width, padded.width), height: fit(full.height, padded.height) };
        Self { full, content, padded }
    }

    /// Full pixels to one small pixel, across and down.
    pub(super) fn enlargement(&self) -> (f32, f32) {
        (
            self.full.width as f32 / self.content.width.max(1) as f32,
            self.full.height as f32 / self.content.height.max(1) as f32,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sides_are_whole_cells_and_the_content_keeps_its_proportions() {
        for (width, height) in [(832, 480), (480, 832), (1280, 720), (720, 720), (64, 48), (128, 64), (4096, 512)] {
            for quality in [Quality::Fast, Quality::Balanced, Quality::High] {
                let layout = Layout::new(Dims { width, height }, quality);
                let Layout { content, padded, .. } = layout;
                assert!(padded.width % CELL == 0 && padded.height % CELL == 0 && padded.pixels() > 0);
                assert!(content.width <= padded.width && content.height <= padded.height);
                assert!(content.width <= width && content.height <= height, "{layout:?} is enlarged");
                let (x, y) = layout.enlargement();
                assert!((x / y - 1.0).abs() < 0.02, "{layout:?}");
            }
        }
        let usual = Layout::new(Dims { width: 832, height: 480 }, Quality::Balanced);
        assert_eq!(usual.padded, Dims { width: 448, height: 256 });
    }
}
