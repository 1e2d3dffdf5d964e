//! Files that are not what they seem are refused, with the reason.

use crate::pattern::{DIMS, film_of, numbered_clip};
use std::path::Path;
use travel_media::{Encode, MediaError, Unwatched, Watch, load_still, probe};

fn cut(from: &Path, to: &Path, share: f64) {
    let bytes = std::fs::read(from).unwrap();
    std::fs::write(to, &bytes[..(bytes.len() as f64 * share) as usize]).unwrap();
}

#[test]
fn missing_empty_and_foreign_files_are_refused_each_in_its_way() {
    let dir = tempfile::tempdir().unwrap();
    let [empty, text] = ["empty.mp4", "text.mp4"].map(|name| dir.path().join(name));
    std::fs::write(&empty, "").unwrap();
    std::fs::write(&text, "ffconcat version 1.0\nfile /etc/passwd\n").unwrap();
    let missing = dir.path().join("missing.mp4");
    for read in [|p: &Path| probe(p, &Unwatched).err().unwrap(), |p: &Path| load_still(p).err().unwrap()] {
        assert!(matches!(read(&missing), MediaError::Missing { .. }));
        assert!(matches!(read(&empty), MediaError::Empty { .. }));
        assert!(matches!(read(&text), MediaError::Unreadable { .. }), "{:?}", read(&text));
        assert!(matches!(read(dir.path()), MediaError::Io { .. }));
    }
}

#[test]
fn a_clip_that_was_cut_off_is_refused_with_both_sizes() {
    let dir = tempfile::tempdir().unwrap();
    let [clip, film, short] = ["clip.mkv", "film.mp4", "short"].map(|name| dir.path().join(name));
    numbered_clip(&clip, 0..40);
    film_of(&clip, 40, DIMS, &Encode::default(), &film);
    for whole in [&clip, &film] {
        for share in [0.6, 0.99] {
            cut(whole, &short, share);
            let error = probe(&short, &Unwatched).unwrap_err();
            assert!(matches!(error, MediaError::Truncated { held, declared, .. } if held < declared), "{error:?}");
        }
    }
}

#[test]
fn a_hole_in_the_middle_is_damage() {
    let dir = tempfile::tempdir().unwrap();
    let [clip, film] = ["clip.mkv", "film.mp4"].map(|name| dir.path().join(name));
    numbered_clip(&clip, 0..200);
    film_of(&clip, 200, DIMS, &Encode::default(), &film);
    let mut bytes = std::fs::read(&film).unwrap();
    let at = bytes.len() * 3 / 4;
    bytes[at..at + 400].fill(0xaa);
    std::fs::write(&film, bytes).unwrap();
    let error = probe(&film, &Unwatched).unwrap_err();
    assert!(matches!(error, MediaError::Damaged { .. }), "{error:?}");
}

#[test]
fn pictures_that_were_cut_off_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let short = dir.path().join("short");
    let picture = crate::pattern::natural(travel::Dims { width: 200, height: 150 });
    let picture = image::RgbImage::from_raw(200, 150, picture.data).unwrap();
    for name in ["a.png", "a.jpg", "a.webp", "a.tiff", "a.bmp"] {
        let whole = dir.path().join(name);
        picture.save(&whole).unwrap();
        load_still(&whole).unwrap();
        cut(&whole, &short, 0.6);
        let error = load_still(&short).err().unwrap_or_else(|| panic!("{name} was taken"));
        assert!(matches!(error, MediaError::Unreadable { .. } | MediaError::Truncated { .. }), "{name}: {error:?}");
    }
}

#[test]
fn a_watcher_that_cancels_is_obeyed() {
    struct Third;
    impl Watch for Third {
        fn frame(&self, done: u64, _total: u64) {
            assert!(done <= 3);
        }
        fn cancelled(&self) -> bool {
            true
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let clip = dir.path().join("clip.mkv");
    numbered_clip(&clip, 0..10);
    assert!(matches!(probe(&clip, &Third), Err(MediaError::Cancelled { done: 1, .. })));
}
