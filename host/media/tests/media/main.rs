//! Pictures and clips through the public face: real files, real FFmpeg.

mod damage;
mod films;
mod generations;
mod guides;
mod lossless;
mod pattern;
mod posts;
mod stills;
mod timing;
