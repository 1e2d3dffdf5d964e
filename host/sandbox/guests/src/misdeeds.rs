//! What the hostile plugin does.

use std::hint::black_box;
use travel_plugin::travel::fit::Fit;
use travel_plugin::travel::guide::{Layer, Show};
use travel_plugin::travel::{MediumId, Span, Weight};

/// Never returns, and never asks.
pub(crate) fn spin() {
    let mut n = 0u64;
    loop {
        n = black_box(n.wrapping_add(1));
    }
}

/// Takes memory until there is none.
pub(crate) fn allocate() {
    let mut hoard: Vec<Vec<u8>> = Vec::new();
    loop {
        hoard.push(black_box(vec![1; 1 << 20]));
    }
}

/// Reads beyond an array's end.
#[inline(never)]
pub(crate) fn trap() {
    let numbers = [1u8, 2, 3];
    let at = black_box(17usize);
    #[expect(clippy::indexing_slicing, reason = "it is meant to crash")]
    black_box(numbers[at]);
}

/// Calls itself until the stack is used up.
#[expect(unconditional_recursion, reason = "it is meant to")]
pub(crate) fn recurse(depth: u32) -> u32 {
    let frame = black_box([depth; 64]);
    recurse(black_box(depth.wrapping_sub(1))).wrapping_add(frame.iter().sum())
}

/// Says more than anyone wants to hear, with what a terminal would obey.
pub(crate) fn flood() {
    for i in 0..10_000 {
        travel_plugin::log::write(travel_plugin::log::Level::Warn, "\u{1b}[2Jnoise\r", &[("line", &i.to_string())]);
    }
}

/// Speaks on its output and error streams.
pub(crate) fn print() {
    println!("to the output");
    eprintln!("to the error stream\u{7}");
}

/// What a hash table is seeded with: from the host's random numbers.
pub(crate) fn random() -> String {
    use std::hash::{BuildHasher, RandomState};
    format!("{:x}", RandomState::new().hash_one("travel"))
}

pub(crate) fn show(at: Span, medium: MediumId, opacity: Weight) -> Layer {
    Layer::Show(Show { at, medium, first: 0, fit: Fit::Cover, opacity, tone: None })
}
