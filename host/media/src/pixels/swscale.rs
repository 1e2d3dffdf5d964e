//! swscale for the formats that nothing else reads, with correct rounding, full chroma and the matrix that is meant.

use super::colour::Reading;
use super::rows;
use crate::error::MediaError;
use ffmpeg_next::ffi;
use ffmpeg_next::format::Pixel;
use ffmpeg_next::frame::Video;
use ffmpeg_next::software::scaling::{Context, Flags};
use std::path::Path;
use travel::Dims;
use yuv::{YuvRange, YuvStandardMatrix};

/// Any format as RGBA of the same size.
pub(crate) fn to_rgba(frame: &Video, reading: Reading, path: &Path) -> Result<Video, MediaError> {
    let dims = Dims { width: frame.width(), height: frame.height() };
    let flags = Flags::BICUBIC | Flags::ACCURATE_RND | Flags::FULL_CHR_H_INT | Flags::FULL_CHR_H_INP | Flags::BITEXACT;
    let failed = |e| MediaError::conversion(path, e);
    let (w, h) = (dims.width, dims.height);
    let mut context = Context::get(frame.format(), w, h, Pixel::RGBA, w, h, flags).map_err(failed)?;
    set_reading(&mut context, reading);
    let mut out = rows::new_frame(Pixel::RGBA, dims, path)?;
    context.run(frame, &mut out).map_err(failed)?;
    Ok(out)
}

/// Without this swscale reads everything by BT.601 limited, whatever the frame says.
#[expect(unsafe_code, reason = "ffmpeg-next has no wrapper for sws_setColorspaceDetails")]
fn set_reading(context: &mut Context, reading: Reading) {
    let space = match reading.matrix {
        YuvStandardMatrix::Bt709 => ffi::SWS_CS_ITU709,
        YuvStandardMatrix::Bt2020 => ffi::SWS_CS_BT2020,
        YuvStandardMatrix::Smpte240 => ffi::SWS_CS_SMPTE240M,
        YuvStandardMatrix::Fcc => ffi::SWS_CS_FCC,
        _ => ffi::SWS_CS_ITU601,
    };
    let full = i32::from(matches!(reading.range, YuvRange::Full));
    const ONE: i32 = 1 << 16;
    // SAFETY: the context is live and exclusively borrowed; `sws_getCoefficients` returns a static table of four numbers for
    // every argument, which is all that `sws_setColorspaceDetails` reads. It fails only for formats without a matrix, and
    // then there is nothing to set.
    unsafe {
        let table = ffi::sws_getCoefficients(space as _);
        ffi::sws_setColorspaceDetails(context.as_mut_ptr(), table, full, table, 1, 0, ONE, ONE);
    }
}
