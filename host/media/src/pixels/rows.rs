//! Planes of FFmpeg's frames as rows without their padding.

use crate::error::MediaError;
use ffmpeg_next::format::Pixel;
use ffmpeg_next::frame::Video;
use std::path::Path;
use travel::Dims;

/// Whether every plane runs downwards; a flipped picture has a negative stride, which only swscale may read.
pub(crate) fn runs_downwards(frame: &Video) -> bool {
    (0..frame.planes()).all(|i| i32::try_from(frame.stride(i)).is_ok())
}

/// The rows of a plane, `bytes` long each, without the padding. Only for frames that [run downwards](runs_downwards).
pub(crate) fn rows(frame: &Video, plane: usize, bytes: usize) -> impl Iterator<Item = &[u8]> {
    let stride = frame.stride(plane).max(1);
    frame.data(plane).chunks(stride).filter_map(move |row| row.get(..bytes))
}

/// The rows of a plane, to be written; the same conditions.
pub(crate) fn rows_mut(frame: &mut Video, plane: usize, bytes: usize) -> impl Iterator<Item = &mut [u8]> {
    let stride = frame.stride(plane).max(1);
    frame.data_mut(plane).chunks_mut(stride).filter_map(move |row| row.get_mut(..bytes))
}

/// A new frame with its planes allocated; `path` is what it is for.
pub(crate) fn new_frame(format: Pixel, dims: Dims, path: &Path) -> Result<Video, MediaError> {
    let frame = Video::new(format, dims.width, dims.height);
    if frame.planes() == 0 {
        return Err(MediaError::conversion(path, format!("there is no memory for a frame of {dims}")));
    }
    Ok(frame)
}

/// Width and height of a plane of 4:2:0, odd sizes rounded up.
pub(crate) fn plane_dims_420(dims: Dims, plane: usize) -> (usize, usize) {
    let (w, h) = (dims.width as usize, dims.height as usize);
    if plane == 0 { (w, h) } else { (w.div_ceil(2), h.div_ceil(2)) }
}
