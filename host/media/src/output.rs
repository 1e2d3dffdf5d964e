//! One encoder into one file: exact timestamps, fixed threads, nothing in the bytes that depends on the day.

use crate::clip::decoder::{file_url, quiet};
use crate::error::MediaError;
use ffmpeg_next as ff;
use ffmpeg_next::format::Pixel;
use ffmpeg_next::frame::Video;
use std::path::{Path, PathBuf};
use travel::{Dims, Rate};

/// Everything that the bytes of the file depend on, but the frames.
pub(crate) struct Recipe {
    /// FFmpeg's name of the encoder.
    pub(crate) encoder: &'static str,
    /// Its private options.
    pub(crate) options: Vec<(&'static str, String)>,
    /// FFmpeg's name of the container.
    pub(crate) container: &'static str,
    /// The container's private options.
    pub(crate) muxer: Vec<(&'static str, String)>,
    /// A four-character code in place of the container's own choice.
    pub(crate) tag: Option<[u8; 4]>,
    pub(crate) pixel: Pixel,
    pub(crate) dims: Dims,
    pub(crate) rate: Rate,
    pub(crate) threads: u8,
    /// Frames between key-frames; `None` for the encoder's default.
    pub(crate) gop: Option<u32>,
}

/// A file being written; removed unless [finished](Output::finish).
pub(crate) struct Output {
    path: PathBuf,
    encoder_name: &'static str,
    muxer: ff::format::context::Output,
    encoder: ff::encoder::video::Encoder,
    encoder_base: ff::Rational,
    stream_base: ff::Rational,
    dims: Dims,
    frames: u32,
    finished: bool,
}

impl Output {
    /// Opens the encoder, then creates the file.
    pub(crate) fn create(path: &Path, recipe: &Recipe) -> Result<Self, MediaError> {
        quiet();
        let base = time_base(path, recipe.rate)?;
        let url = file_url(path)?;
        let encoder = open_encoder(path, recipe, base)?;
        let mut muxer = ff::format::output_as(&url, recipe.container).map_err(|e| MediaError::writing(path, e))?;
        let mut created = Created { path, keep: false };
        let refused = |e| refused(recipe.encoder, path, e);
        let mut stream = muxer.add_stream_with(&encoder).map_err(refused)?;
        stream.set_time_base(base);
        stream.set_rate(base.invert());
        stream.set_avg_frame_rate(base.invert());
        if let Some(tag) = recipe.tag {
            set_tag(&mut stream, tag);
        }
        let mut options = ff::Dictionary::new();
        options.set("fflags", "+bitexact");
        for (key, value) in &recipe.muxer {
            options.set(key, value);
        }
        muxer.write_header_with(options).map_err(|e| MediaError::writing(path, e))?;
        let stream_base = muxer.stream(0).map_or(base, |s| s.time_base());
        created.keep = true;
        Ok(Self {
            path: path.to_owned(),
            encoder_name: recipe.encoder,
            muxer,
            encoder,
            encoder_base: base,
            stream_base,
            dims: recipe.dims,
            frames: 0,
            finished: false,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Frames taken so far.
    pub(crate) fn frames(&self) -> u32 {
        self.frames
    }

    /// Takes the next frame; it stands at its own multiple of `1 / rate`.
    pub(crate) fn write(&mut self, mut frame: Video) -> Result<(), MediaError> {
        let found = Dims { width: frame.width(), height: frame.height() };
        if found != self.dims {
            return Err(MediaError::FrameSize {
                path: self.path.clone(),
                frame: self.frames,
                found,
                wanted: self.dims,
            });
        }
        frame.set_pts(Some(self.frames.into()));
        // A decoded frame remembers that it was I, P or B, and libx264 would obey.
        frame.set_kind(ff::picture::Type::None);
        self.encoder.send_frame(&frame).map_err(|e| refused(self.encoder_name, &self.path, e))?;
        self.frames = self.frames.saturating_add(1);
        self.drain()
    }

    /// Drains the encoder, completes the container, closes the file; returns the frames in it.
    pub(crate) fn finish(mut self) -> Result<u32, MediaError> {
        self.encoder.send_eof().map_err(|e| refused(self.encoder_name, &self.path, e))?;
        self.drain()?;
        self.muxer.write_trailer().map_err(|e| MediaError::writing(&self.path, e))?;
        self.finished = true;
        Ok(self.frames)
    }

    fn drain(&mut self) -> Result<(), MediaError> {
        let mut packet = ff::Packet::empty();
        loop {
            match self.encoder.receive_packet(&mut packet) {
                Ok(()) => {}
                Err(ff::Error::Eof | ff::Error::Other { errno: ff::error::EAGAIN }) => return Ok(()),
                Err(e) => return Err(refused(self.encoder_name, &self.path, e)),
            }
            packet.set_stream(0);
            packet.set_duration(1);
            packet.rescale_ts(self.encoder_base, self.stream_base);
            packet.write_interleaved(&mut self.muxer).map_err(|e| MediaError::writing(&self.path, e))?;
        }
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if !self.finished {
            remove(&self.path);
        }
    }
}

/// Removes a file that is not to be kept, as one whose header cannot be written.
pub(crate) struct Created<'a> {
    pub(crate) path: &'a Path,
    pub(crate) keep: bool,
}

impl Drop for Created<'_> {
    fn drop(&mut self) {
        if !self.keep {
            remove(self.path);
        }
    }
}

/// Takes a half-written file away; devices and pipes stay.
pub(crate) fn remove(path: &Path) {
    if std::fs::metadata(path).is_ok_and(|m| m.is_file())
        && let Err(error) = std::fs::remove_file(path)
    {
        tracing::warn!(path = %path.display(), %error, "a half-written file could not be removed");
    }
}

fn time_base(path: &Path, rate: Rate) -> Result<ff::Rational, MediaError> {
    let unusable = || MediaError::UnusableRate { path: path.to_owned(), rate };
    let reduced = rate.reduced();
    let (num, den) = (i32::try_from(reduced.num).ok(), i32::try_from(reduced.den).ok());
    match (num, den) {
        (Some(num), Some(den)) if num > 0 && den > 0 => Ok(ff::Rational(den, num)),
        _ => Err(unusable()),
    }
}

fn open_encoder(path: &Path, recipe: &Recipe, base: ff::Rational) -> Result<ff::encoder::video::Encoder, MediaError> {
    let refused = |e| refused(recipe.encoder, path, e);
    let codec = ff::encoder::find_by_name(recipe.encoder).ok_or_else(|| refused(ff::Error::EncoderNotFound))?;
    let mut context = ff::codec::Context::new_with_codec(codec);
    context.set_threading(ff::threading::Config {
        kind: ff::threading::Type::Frame,
        count: recipe.threads.clamp(1, 64).into(),
        ..Default::default()
    });
    context.set_flags(ff::codec::Flags::GLOBAL_HEADER | ff::codec::Flags::CLOSED_GOP);
    let mut video = context.encoder().video().map_err(refused)?;
    video.set_width(recipe.dims.width);
    video.set_height(recipe.dims.height);
    video.set_format(recipe.pixel);
    video.set_time_base(base);
    video.set_frame_rate(Some(base.invert()));
    video.set_aspect_ratio(ff::Rational(1, 1));
    if let Some(gop) = recipe.gop {
        video.set_gop(gop);
    }
    if crate::pixels::is_rgb(recipe.pixel) {
        video.set_colorspace(ff::color::Space::RGB);
        video.set_color_range(ff::color::Range::JPEG);
    } else {
        video.set_colorspace(ff::color::Space::BT709);
        video.set_color_range(ff::color::Range::MPEG);
    }
    video.set_color_primaries(ff::color::Primaries::BT709);
    video.set_color_transfer_characteristic(ff::color::TransferCharacteristic::BT709);
    let mut options = ff::Dictionary::new();
    for (key, value) in &recipe.options {
        options.set(key, value);
    }
    video.open_with(options).map_err(refused)
}

fn refused(encoder: &'static str, path: &Path, error: ff::Error) -> MediaError {
    MediaError::EncoderRefused { encoder, path: path.to_owned(), reason: error.to_string() }
}

#[expect(unsafe_code, reason = "ffmpeg-next has no setter for a stream's four-character code")]
fn set_tag(stream: &mut ff::StreamMut<'_>, tag: [u8; 4]) {
    // SAFETY: the stream belongs to a live context that is borrowed exclusively, and FFmpeg allocates `codecpar` with it.
    unsafe { (*(*stream.as_mut_ptr()).codecpar).codec_tag = u32::from_le_bytes(tag) }
}
