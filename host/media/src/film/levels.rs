//! A tone change as tables: one entry for each of the 256 code values of each plane.

use travel::Tone;

/// Fraction bits of a table's entries.
pub(super) const FRACTION: u32 = 7;

/// Where each plane's normalised 0 and 1 lie among the code values (ITU-R BT.709-6 §6.10): luma 16…235; chroma 16…240, so
/// that 0.5 is 128.
const RANGES: [(f32, f32); 3] = [(16.0, 235.0), (16.0, 240.0), (16.0, 240.0)];

/// What becomes of every code value, in 1/128 levels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Levels {
    tables: [Box<[u16; 256]>; 3],
}

impl Levels {
    /// The tone at frame `i` of `count`; `None` when it changes nothing, so that frames can be taken as they are.
    pub(crate) fn of(tone: Option<&Tone>, i: u32, count: u32) -> Option<Self> {
        let (gain, offset) = tone?.at(i, count);
        if gain == [1.0; 3] && offset == [0.0; 3] {
            return None;
        }
        let [y, cb, cr] = RANGES;
        let [gy, gb, gr] = gain;
        let [oy, ob, or] = offset;
        Some(Self { tables: [table(y, gy, oy), table(cb, gb, ob), table(cr, gr, or)] })
    }

    pub(super) fn plane(&self, plane: usize) -> Option<&[u16; 256]> {
        self.tables.get(plane).map(|table| &**table)
    }
}

fn table((low, high): (f32, f32), gain: f32, offset: f32) -> Box<[u16; 256]> {
    let range = high - low;
    Box::new(std::array::from_fn(|code| {
        let normalised = (code as f32 - low) / range;
        let changed = (gain * normalised + offset).clamp(0.0, 1.0);
        ((changed * range + low) * (1 << FRACTION) as f32).round() as u16
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use travel::Weight;

    #[test]
    fn neutral_chroma_stays_neutral_under_a_gain_around_it_and_nothing_leaves_the_range() {
        let tone = Tone { gain: [2.0, 0.5, 0.5], offset: [0.0, 0.25, 0.25], amount: Weight::ONE };
        let levels = Levels::of(Some(&tone), 0, 1).unwrap();
        assert_eq!(levels.plane(1).unwrap()[128], 128 << FRACTION);
        assert_eq!(levels.plane(0).unwrap()[255], 235 << FRACTION);
        assert_eq!(levels.plane(0).unwrap()[0], 16 << FRACTION);
    }

    #[test]
    fn no_amount_is_no_change() {
        let tone = Tone { gain: [2.0; 3], offset: [0.1; 3], amount: Weight::Linear(0.0, 1.0) };
        assert_eq!(Levels::of(Some(&tone), 0, 10), None);
        assert!(Levels::of(Some(&tone), 9, 10).is_some());
        assert_eq!(Levels::of(None, 0, 1), None);
    }
}
