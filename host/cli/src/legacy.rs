//! The Python original's database, served as it is: its queued rows become runs here, and what becomes of them is written back
//! where its tools look for it. Nothing else of the old file is altered.
//!
//! | module | what it knows |
//! |---|---|
//! | [`payload`] | what a row asks for, in whichever era's words, as arguments of `travel` |
//! | [`database`] | the old file: its two layouts, claiming a row, answering it |
//! | [`bridge`] | from rows to runs, and back |

pub mod bridge;
pub mod database;
pub mod payload;
