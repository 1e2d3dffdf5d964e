//! Numbers of the parameters, with their ranges.

use serde::{Deserialize, Serialize};

/// A share in 0…1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Share(f64);

impl Share {
    /// 0
    pub const ZERO: Self = Self(0.0);
    /// 1
    pub const ONE: Self = Self(1.0);

    /// As a number.
    #[must_use]
    pub fn get(self) -> f64 {
        self.0
    }
}

impl TryFrom<f64> for Share {
    type Error = String;

    fn try_from(number: f64) -> Result<Self, String> {
        if (0.0..=1.0).contains(&number) { Ok(Self(number)) } else { Err(format!("{number} is outside 0…1")) }
    }
}

impl From<Share> for f64 {
    fn from(share: Share) -> Self {
        share.0
    }
}

/// A change in −1…1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Change(f64);

impl Change {
    /// As a number.
    #[must_use]
    pub fn get(self) -> f64 {
        self.0
    }
}

impl TryFrom<f64> for Change {
    type Error = String;

    fn try_from(number: f64) -> Result<Self, String> {
        if (-1.0..=1.0).contains(&number) { Ok(Self(number)) } else { Err(format!("{number} is outside -1…1")) }
    }
}

impl From<Change> for f64 {
    fn from(change: Change) -> Self {
        change.0
    }
}
