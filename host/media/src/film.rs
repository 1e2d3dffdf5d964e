//! The film's planes: Y′CbCr 4:2:0, BT.709, limited range; where its clips come from and how its frames are mixed.

pub(crate) mod blend;
pub(crate) mod depth;
pub(crate) mod footage;
pub(crate) mod levels;
pub(crate) mod light;
pub(crate) mod likeness;
pub(crate) mod statistics;
pub(crate) mod unsharp;
