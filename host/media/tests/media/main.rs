//! Pictures and clips through the public face: real files, real FFmpeg.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod damage;
mod films;
mod generations;
mod guides;
mod lossless;
mod pastes;
mod pattern;
mod posts;
mod stills;
mod surveys;
mod timing;
