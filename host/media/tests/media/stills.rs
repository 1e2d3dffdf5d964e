//! Pictures of many kinds, as they are meant to be seen.

use crate::pattern::{drift, ffmpeg, natural};
use image::{DynamicImage, ImageBuffer, Luma, Rgb, Rgba};
use std::path::Path;
use travel::Dims;
use travel_media::{MediaError, load_still, save_png};

const DIMS: Dims = Dims { width: 64, height: 48 };

#[test]
fn lossless_formats_come_back_exactly_and_lossy_ones_nearly() {
    let dir = tempfile::tempdir().unwrap();
    let original = natural(DIMS);
    let png = dir.path().join("a.png");
    save_png(&original, &png).unwrap();
    assert!(load_still(&png).unwrap() == original);
    let picture = image::RgbImage::from_raw(64, 48, original.data.clone()).unwrap();
    for name in ["a.bmp", "a.tiff", "a.webp"] {
        let path = dir.path().join(name);
        picture.save(&path).unwrap();
        assert!(load_still(&path).unwrap() == original, "{name}");
    }
    let by_ffmpeg = [
        ("a.jpg", "-i {} -q:v 1 -pix_fmt yuvj444p {}", 36.0),
        ("lossless.jp2", "-i {} -c:v libopenjpeg -pix_fmt rgb24 {}", 100.0),
        (
            "a.avif",
            "-i {} -vf scale=out_color_matrix=bt709:flags=accurate_rnd+full_chroma_int,format=yuv444p -c:v libaom-av1 -still-picture 1 -crf 5 -cpu-used 8 -colorspace bt709 -color_range tv {}",
            36.0,
        ),
        ("a.ppm", "-i {} {}", 100.0),
    ];
    for (name, line, least) in by_ffmpeg {
        let path = dir.path().join(name);
        ffmpeg(line, &[&png, &path]);
        let (_, psnr) = drift(&original, &load_still(&path).unwrap_or_else(|e| panic!("{name}: {e}")));
        assert!(psnr >= least, "{name}: {psnr}");
    }
}

#[test]
fn formats_are_known_by_content_and_never_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let original = natural(DIMS);
    let png = dir.path().join("a.png");
    save_png(&original, &png).unwrap();
    let picture = image::RgbImage::from_raw(64, 48, original.data.clone()).unwrap();
    let [targa, ico, farbfeld, nameless] = ["a.tga", "a.ico", "a.ff", "nameless"].map(|name| dir.path().join(name));
    ffmpeg("-i {} {}", &[&png, &targa]);
    DynamicImage::from(picture.clone()).into_rgba8().save(&ico).unwrap();
    DynamicImage::from(picture).into_rgba16().save(&farbfeld).unwrap();
    for path in [&png, &targa, &ico, &farbfeld] {
        std::fs::copy(path, &nameless).unwrap();
        for path in [path, &nameless] {
            assert!(load_still(path).unwrap_or_else(|e| panic!("{e}")) == original, "{}", path.display());
        }
    }
}

#[test]
fn a_targa_without_its_footer_and_a_text_of_that_name_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let [png, targa, text] = ["a.png", "a.tga", "text.tga"].map(|name| dir.path().join(name));
    save_png(&natural(DIMS), &png).unwrap();
    ffmpeg("-i {} {}", &[&png, &targa]);
    let mut bytes = std::fs::read(&targa).unwrap();
    assert!(bytes.ends_with(b"TRUEVISION-XFILE.\0"), "ffmpeg writes the footer of TGA 2.0");
    // The footer has 26 bytes; what remains is a Targa of the first version, which nothing tells from noise.
    bytes.truncate(bytes.len() - 26);
    std::fs::write(&targa, bytes).unwrap();
    std::fs::write(&text, "a line of text under the name of a picture\n").unwrap();
    for path in [targa, text] {
        let error = load_still(&path).err().unwrap_or_else(|| panic!("{} was taken", path.display()));
        assert!(matches!(error, MediaError::Unreadable { .. }), "{error:?}");
    }
}

#[test]
fn the_first_picture_of_an_animation_is_taken() {
    let dir = tempfile::tempdir().unwrap();
    let gif = dir.path().join("a.gif");
    ffmpeg(
        "-f lavfi -i color=red:s=32x32:r=5:d=1 -f lavfi -i color=blue:s=32x32:r=5:d=1 -filter_complex [0][1]concat {}",
        &[&gif],
    );
    let [r, _, b] = load_still(&gif).unwrap().pixel(5, 5).unwrap();
    assert!(r > 240 && b < 15);
}

#[test]
fn sixteen_bits_grey_and_alpha_are_reduced() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.png");
    let save = |picture: DynamicImage| {
        picture.save(&path).unwrap();
        load_still(&path).unwrap()
    };
    let deep = ImageBuffer::from_pixel(4, 4, Rgb([0u16, 32896, 65535]));
    assert_eq!(save(deep.into()).pixel(1, 1), Some([0, 128, 255]));
    let grey = ImageBuffer::from_pixel(4, 4, Luma([32639u16]));
    assert_eq!(save(grey.into()).pixel(1, 1), Some([127; 3]));
    let clear = ImageBuffer::from_pixel(4, 4, Rgba([255u8, 0, 90, 0]));
    assert_eq!(save(clear.into()).pixel(1, 1), Some([127; 3]));
    let half = ImageBuffer::from_pixel(4, 4, Rgba([255u8, 0, 127, 128]));
    assert_eq!(save(half.into()).pixel(1, 1), Some([191, 63, 127]));
}

#[test]
fn exif_orientation_6_is_a_quarter_turn_clockwise() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.jpg");
    // The left half black, the right half white: turned clockwise, black is above.
    let picture = image::RgbImage::from_fn(64, 32, |x, _| Rgb([if x < 32 { 0 } else { 255 }; 3]));
    picture.save(&path).unwrap();
    with_orientation(&path, 6);
    let turned = load_still(&path).unwrap();
    assert_eq!(turned.dims, Dims { width: 32, height: 64 });
    assert!(turned.pixel(16, 10).unwrap()[0] < 10 && turned.pixel(16, 54).unwrap()[0] > 245);
}

#[test]
fn mirrored_exif_orientations_are_unmirrored() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.jpg");
    // Four quarters, so that a mirror image and a turn differ: 0 and 80 above, 160 and 240 below.
    let grey = |x: u32, y: u32| (x / 32 * 80 + y / 16 * 160) as u8;
    let picture = image::RgbImage::from_fn(64, 32, |x, y| Rgb([grey(x, y); 3]));
    // 2 is mirrored left to right; 5 has rows and columns exchanged (Exif 2.32, tag 274).
    for (orientation, dims, wanted) in [
        (2, Dims { width: 64, height: 32 }, [80u8, 0, 240, 160]),
        (5, Dims { width: 32, height: 64 }, [0, 160, 80, 240]),
    ] {
        picture.save(&path).unwrap();
        with_orientation(&path, orientation);
        let shown = load_still(&path).unwrap();
        assert_eq!(shown.dims, dims, "{orientation}");
        let (w, h) = (dims.width, dims.height);
        let quarters = [(1, 1), (3, 1), (1, 3), (3, 3)].map(|(x, y)| shown.pixel(w * x / 4, h * y / 4).unwrap()[0]);
        let apart = quarters.iter().zip(&wanted).map(|(a, b)| a.abs_diff(*b)).max();
        assert!(apart < Some(8), "{orientation}: {quarters:?} instead of {wanted:?}");
    }
}

/// Puts an EXIF segment with nothing but an orientation behind the start marker.
fn with_orientation(path: &Path, orientation: u8) {
    let jpeg = std::fs::read(path).unwrap();
    let mut exif = b"Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
    exif.extend([orientation, 0, 0, 0, 0, 0, 0]);
    let mut out = jpeg[..2].to_vec();
    out.extend([0xff, 0xe1]);
    out.extend((exif.len() as u16 + 2).to_be_bytes());
    out.extend(exif);
    out.extend(&jpeg[2..]);
    std::fs::write(path, out).unwrap();
}

#[test]
fn cmyk_becomes_rgb() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.tiff");
    std::fs::write(&path, cmyk_tiff(8, 8, [255, 0, 0, 0])).unwrap();
    let [r, g, b] = load_still(&path).unwrap().pixel(3, 3).unwrap();
    assert!(r < 60 && g > 120 && b > 180, "cyan came as {r},{g},{b}");

    // Adobe writes the inverse: 255 is no ink. Much cyan, little magenta, no yellow, no black.
    let path = dir.path().join("a.jpg");
    std::fs::write(&path, cmyk_jpeg([15, 175, 255, 255])).unwrap();
    let still = load_still(&path).unwrap();
    assert_eq!(still.dims, Dims { width: 8, height: 8 });
    let [r, g, b] = still.pixel(3, 3).unwrap();
    assert!(r < 60 && (120..=200).contains(&g) && b > 220, "azure came as {r},{g},{b}");
}

/// A baseline JPEG of 8×8 pixels of one colour in four components, with Adobe's marker (ITU-T T.81 §B.2, Adobe TN 5116):
/// each component is one block of which only the mean is coded.
fn cmyk_jpeg(samples: [u8; 4]) -> Vec<u8> {
    let segment = |marker: u8, body: &[u8]| {
        let length = (body.len() as u16 + 2).to_be_bytes();
        [&[0xff, marker], length.as_slice(), body].concat()
    };
    let quantisers = [vec![0], vec![8; 64]].concat();
    let components: Vec<u8> = (1..=4).flat_map(|id| [id, 0x11, 0]).collect();
    let frame = [&[8, 0, 8, 0, 8, 4], components.as_slice()].concat();
    // Nine categories of differences, all of 4 bits, and one code of 1 bit for "no more coefficients".
    let means = [vec![0x00, 0, 0, 0, 9], vec![0; 12], (0..9).collect()].concat();
    let others = [vec![0x10, 1], vec![0; 15], vec![0]].concat();
    let scan: Vec<u8> = [vec![4], (1..=4).flat_map(|id| [id, 0]).collect(), vec![0, 63, 0]].concat();
    // A quantiser of 8 makes the coded number the mean itself, less 128 (§A.3.3).
    let code = |sample: u8| {
        let mean = i32::from(sample) - 128;
        let bits = (32 - mean.unsigned_abs().leading_zeros()) as usize;
        let value = if mean < 0 { mean + (1 << bits) - 1 } else { mean };
        let value: String = (0..bits).rev().map(|b| if value >> b & 1 == 1 { '1' } else { '0' }).collect();
        format!("{bits:04b}{value}0")
    };
    let mut bits: String = samples.into_iter().map(code).collect();
    while !bits.len().is_multiple_of(8) {
        bits.push('1');
    }
    let mut data = Vec::new();
    for byte in bits.as_bytes().chunks(8) {
        let byte = byte.iter().fold(0, |byte, bit| byte << 1 | (bit - b'0'));
        data.push(byte);
        if byte == 0xff {
            data.push(0);
        }
    }
    [
        vec![0xff, 0xd8],
        segment(0xee, b"Adobe\0\x64\0\0\0\0\0"),
        segment(0xdb, &quantisers),
        segment(0xc0, &frame),
        segment(0xc4, &means),
        segment(0xc4, &others),
        segment(0xda, &scan),
        data,
        vec![0xff, 0xd9],
    ]
    .concat()
}

/// An uncompressed TIFF of one colour: ten tags, one strip (TIFF 6.0, section 16).
fn cmyk_tiff(width: u16, height: u16, ink: [u8; 4]) -> Vec<u8> {
    let (entries, bits_at) = (10u16, 8 + 2 + 10 * 12 + 4);
    let data_at = bits_at + 8;
    let bytes = u32::from(width) * u32::from(height) * 4;
    let mut out = b"II\x2a\0\x08\0\0\0".to_vec();
    out.extend(entries.to_le_bytes());
    let mut tag = |id: u16, kind: u16, count: u32, value: u32| {
        out.extend(id.to_le_bytes());
        out.extend(kind.to_le_bytes());
        out.extend(count.to_le_bytes());
        out.extend(value.to_le_bytes());
    };
    tag(256, 3, 1, width.into());
    tag(257, 3, 1, height.into());
    tag(258, 3, 4, bits_at);
    tag(259, 3, 1, 1);
    tag(262, 3, 1, 5);
    tag(273, 4, 1, data_at);
    tag(277, 3, 1, 4);
    tag(278, 3, 1, height.into());
    tag(279, 4, 1, bytes);
    tag(284, 3, 1, 1);
    out.extend([0; 4]);
    out.extend([8, 0, 8, 0, 8, 0, 8, 0]);
    out.extend(ink.repeat(bytes as usize / 4));
    out
}
