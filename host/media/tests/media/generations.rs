//! What ten generations cost.

use crate::pattern::{RATE, drift, film_of, natural, read, write};
use travel::Dims;
use travel_media::{Encode, RgbFrame};

const DIMS: Dims = Dims { width: 320, height: 192 };

#[test]
fn ten_lossless_generations_cost_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("clip.mkv");
    let original = natural(DIMS);
    let mut picture = original.clone();
    for _ in 0..10 {
        write(&path, RATE, [picture]);
        picture = read(&path).remove(0);
    }
    assert!(picture == original);
}

#[test]
fn ten_lossy_generations_keep_the_colours_and_the_picture() {
    let dir = tempfile::tempdir().unwrap();
    let [clip, film] = ["clip.mkv", "film.mp4"].map(|name| dir.path().join(name));
    let original = natural(DIMS);
    let mut picture = original.clone();
    let encode = Encode { crf: 10, ..Encode::default() };
    for _ in 0..10 {
        write(&clip, RATE, [picture]);
        film_of(&clip, 1, DIMS, &encode, &film);
        picture = read(&film).remove(0);
    }
    let (means, psnr) = drift(&original, &picture);
    println!("ten lossy generations: {means:.3?}, {psnr:.1} dB");
    assert!(means.iter().all(|m| m.abs() <= 0.2) && psnr >= 41.0, "{means:?} {psnr}");
}

#[test]
fn greys_stay_grey_through_a_film() {
    let dir = tempfile::tempdir().unwrap();
    let [clip, film] = ["clip.mkv", "film.mp4"].map(|name| dir.path().join(name));
    let greys = [0u8, 16, 127, 128, 200, 255];
    write(&clip, RATE, greys.map(|v| RgbFrame::filled(DIMS, [v; 3])));
    for ten_bit in [false, true] {
        film_of(&clip, 6, DIMS, &Encode { ten_bit, ..Encode::default() }, &film);
        for (frame, grey) in read(&film).iter().zip(greys) {
            let [r, g, b] = frame.pixel(150, 90).unwrap();
            assert!(r == g && g == b && r.abs_diff(grey) <= 1, "{grey} came back as {r},{g},{b}");
        }
    }
}
