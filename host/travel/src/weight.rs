//! Shares over frames, and tone changes.

use crate::invalid::InvalidPlan;
use serde::{Deserialize, Serialize};

/// A share in 0…1 over the frames of a span.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Weight {
    /// The same at every frame.
    Constant(f32),
    /// From the first number at the first frame to the second at the last.
    Linear(f32, f32),
    /// One entry a frame.
    Table(Vec<f32>),
}

impl Weight {
    /// All of it, at every frame.
    pub const ONE: Self = Self::Constant(1.0);
    /// None of it.
    pub const ZERO: Self = Self::Constant(0.0);

    /// The share at frame `i` of a span of `count` frames; 0 beyond a table.
    #[must_use]
    pub fn at(&self, i: u32, count: u32) -> f32 {
        match self {
            Self::Constant(w) => *w,
            Self::Linear(from, to) if count <= 1 => (from + to) / 2.0,
            Self::Linear(from, to) => from + (to - from) * (i as f32 / (count - 1) as f32),
            Self::Table(table) => table.get(i as usize).copied().unwrap_or(0.0),
        }
    }

    /// Its share over `n` frames from frame `from` on, of a span of `count`.
    #[must_use]
    pub fn part(&self, from: u32, n: u32, count: u32) -> Self {
        match self {
            _ if from == 0 && n == count => self.clone(),
            Self::Constant(w) => Self::Constant(*w),
            Self::Linear(..) => {
                let last = from.saturating_add(n.saturating_sub(1));
                Self::Linear(self.at(from, count), self.at(last, count))
            }
            Self::Table(table) => Self::Table(table.iter().skip(from as usize).take(n as usize).copied().collect()),
        }
    }

    /// Whether it is 0 at every frame.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        match self {
            Self::Constant(w) => *w == 0.0,
            Self::Linear(a, b) => *a == 0.0 && *b == 0.0,
            Self::Table(table) => table.iter().all(|w| *w == 0.0),
        }
    }

    /// Entries that it makes the host hold.
    #[must_use]
    pub fn entries(&self) -> usize {
        if let Self::Table(table) = self { table.len() } else { 1 }
    }

    /// Checks it against the span that it stands in.
    ///
    /// # Errors
    /// A share that is not finite or outside 0…1, or a table of another length than `count`.
    pub fn check(&self, count: u32, path: &str) -> Result<(), InvalidPlan> {
        let share = |w: f32, at: String| {
            if w.is_finite() && (0.0..=1.0).contains(&w) {
                Ok(())
            } else {
                Err(InvalidPlan::new(at, format!("a share of {w} is outside 0…1")))
            }
        };
        match self {
            Self::Constant(w) => share(*w, path.to_owned()),
            Self::Linear(a, b) => share(*a, path.to_owned()).and_then(|()| share(*b, path.to_owned())),
            Self::Table(table) if table.len() != count as usize => Err(InvalidPlan::new(
                path,
                format!("the table has {} entries for a span of {count} frames", table.len()),
            )),
            Self::Table(table) => table.iter().enumerate().try_for_each(|(i, w)| share(*w, format!("{path}[{i}]"))),
        }
    }
}

/// Affine change of the normalised Y′, Cb, Cr planes: `gain * plane + offset`, clipped.
///
/// Y′ runs from 0 (black) to 1 (white), Cb and Cr from 0 to 1 with 0.5 neutral, BT.709.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tone {
    /// For Y′, Cb, Cr; in 0…4.
    pub gain: [f32; 3],
    /// For Y′, Cb, Cr; in −1…1.
    pub offset: [f32; 3],
    /// How much of the change applies, frame by frame of the span that it stands in.
    pub amount: Weight,
}

impl Tone {
    /// Over `n` frames from frame `from` on, of a span of `count`.
    #[must_use]
    pub fn part(&self, from: u32, n: u32, count: u32) -> Self {
        Self { amount: self.amount.part(from, n, count), ..self.clone() }
    }

    /// Gain and offset at frame `i` of `count`, with the amount applied.
    #[must_use]
    pub fn at(&self, i: u32, count: u32) -> ([f32; 3], [f32; 3]) {
        let amount = self.amount.at(i, count);
        (self.gain.map(|g| 1.0 + amount * (g - 1.0)), self.offset.map(|o| amount * o))
    }

    /// Checks ranges and the amount's table.
    ///
    /// # Errors
    /// A gain outside 0…4, an offset outside −1…1, a bad amount.
    pub fn check(&self, count: u32, path: &str) -> Result<(), InvalidPlan> {
        for (name, values, range) in [("gain", &self.gain, 0.0..=4.0), ("offset", &self.offset, -1.0..=1.0)] {
            for (plane, v) in ["y", "cb", "cr"].iter().zip(values) {
                if !(v.is_finite() && range.contains(v)) {
                    return Err(InvalidPlan::new(
                        format!("{path}.{name}.{plane}"),
                        format!("{v} is outside {}…{}", range.start(), range.end()),
                    ));
                }
            }
        }
        self.amount.check(count, &format!("{path}.amount"))
    }
}
