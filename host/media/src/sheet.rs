//! Contact sheets: a film at a glance.

use crate::error::MediaError;
use crate::frame::{RgbFrame, save_png};
use crate::pixels::resize::{Fitted, stretch};
use crate::probe::probe;
use crate::reader::RgbReader;
use crate::watch::{Watch, step};
use std::path::Path;
use travel::Dims;

/// Between tiles and around them, in pixels.
const MARGIN: u32 = 4;

/// Of the margins: dark, so that bright and dark pictures both stand out.
const MARGIN_RGB: [u8; 3] = [24, 24, 24];

/// The longest side of a sheet, in pixels.
const MAX_SIDE: u64 = 16384;

/// Writes a PNG of `columns × rows` evenly spaced frames, the first and the last among them, row by row, each `tile_width`
/// pixels wide. Places beyond a short film's frames stay empty. The film is decoded twice: once to count it.
///
/// # Errors
/// [`MediaError::UnusableSize`] for a sheet without tiles or larger than 16384 pixels a side; those of reading the film and
/// of [`save_png`]; [`MediaError::Cancelled`].
pub fn contact_sheet(
    film: &Path,
    columns: u32,
    rows: u32,
    tile_width: u32,
    out_png: &Path,
    on: &dyn Watch,
) -> Result<(), MediaError> {
    let info = probe(film, on)?;
    let tile = tile(info.dims, tile_width);
    let sheet = sheet(columns, rows, tile, out_png)?;
    let places = u64::from(columns) * u64::from(rows);
    let count = places.min(info.frames.into());
    let last = u64::from(info.frames.saturating_sub(1));
    let mut reader = RgbReader::open(film)?;
    let mut picture = RgbFrame::filled(sheet, MARGIN_RGB);
    for i in 0..count {
        let frame = (i * last + (count - 1) / 2).checked_div(count - 1).unwrap_or(0) as u32;
        while reader.position() < frame && reader.skip_frame()? {}
        let Some(frame) = reader.next() else { break };
        let small = stretch(&frame?, tile, film)?;
        let (column, row) = ((i % u64::from(columns)) as u32, (i / u64::from(columns)) as u32);
        let place = |n: u32, side: u32| MARGIN + n * (side + MARGIN);
        Fitted { picture: small, x: place(column, tile.width), y: place(row, tile.height) }.paste_on(&mut picture);
        step(on, i + 1, count)?;
    }
    save_png(&picture, out_png)
}

fn tile(film: Dims, width: u32) -> Dims {
    let height = (u64::from(width) * u64::from(film.height)).div_ceil(u64::from(film.width.max(1)));
    Dims { width, height: u32::try_from(height).unwrap_or(u32::MAX) }
}

fn sheet(columns: u32, rows: u32, tile: Dims, path: &Path) -> Result<Dims, MediaError> {
    let side = |n: u32, side: u32| u64::from(n) * (u64::from(side) + u64::from(MARGIN)) + u64::from(MARGIN);
    let (width, height) = (side(columns, tile.width), side(rows, tile.height));
    if columns == 0 || rows == 0 || tile.width == 0 || width > MAX_SIDE || height > MAX_SIDE {
        let reason = format!(
            "{columns} × {rows} tiles of {tile} make a sheet of {width}x{height}; 1 to {MAX_SIDE} a side are possible"
        );
        return Err(MediaError::UnusableSize { path: path.to_owned(), reason });
    }
    Ok(Dims { width: width as u32, height: height as u32 })
}
