//! Files named by their BLAKE3 hash, below one folder.
//!
//! A stored file never changes: it is written aside, synced, and renamed to its hash, so that a name that exists is
//! a file that is whole. Whoever commits a row about a file stores the file first; a crash between the two leaves a
//! file without a row, never a row without a file.
//!
//! All names are opened below the folder through `cap-std`, so that nothing stored can point outside. The clips
//! themselves are read and written by ffmpeg, which wants a path: [`Artifacts::path`] and [`Scratch::path`] give one.
//!
//! | module | holds |
//! |---|---|
//! | [`hash`] | the name of a file |
//! | [`store`] | the folder: put, find, import |
//! | [`scratch`] | a place for work in progress, gone when dropped |
//! | [`error`] | what can go wrong |

pub mod error;
pub mod hash;
pub mod scratch;
pub mod store;

pub use error::ArtifactError;
pub use hash::Hash;
pub use scratch::Scratch;
pub use store::{Artifacts, Stored};
