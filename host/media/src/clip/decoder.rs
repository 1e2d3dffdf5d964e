//! FFmpeg's decoder, drained to the last frame; damage is an error, never a frame that is quietly missing.

use super::container;
use super::geometry;
use super::timing;
use crate::error::MediaError;
use ffmpeg_next as ff;
use ffmpeg_next::frame::Video;

use std::path::{Path, PathBuf};
use std::sync::Once;
use travel::{Dims, Rate};

/// Demuxers that read one file and nothing that it names: no playlists, no scripts, no image sequences by pattern. Each knows
/// its format by content: a stored file has no name to go by, so one that is taken by its ending would be refused later.
const DEMUXERS: &str = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,ogg,flv,mpegts,mpeg,h264,hevc,ivf,av1,obu,nut,mxf,asf,\
                        rawvideo,yuv4mpegpipe,gif,apng,webp_pipe,jpeg_pipe,png_pipe,tiff_pipe,bmp_pipe,j2k_pipe,jpegls_pipe,\
                        jpegxl_pipe,dpx_pipe,exr_pipe,psd_pipe,sgi_pipe,pam_pipe,ppm_pipe,pgm_pipe,pbm_pipe,pfm_pipe,\
                        pcx_pipe,qdraw_pipe,sunrast_pipe,xbm_pipe,xpm_pipe,gif_pipe,hdr_pipe,qoi_pipe";

/// Decoder threads. Frames do not depend on it; memory does (a frame a thread).
const DECODER_THREADS: usize = 2;

/// An opened video stream.
pub(crate) struct Decoder {
    path: PathBuf,
    input: ff::format::context::Input,
    decoder: ff::decoder::Video,
    stream: usize,
    time_base: ff::Rational,
    rate: Rate,
    quarter_turns: u8,
    draining: bool,
    decoded: u64,
    wanted: &'static str,
}

impl Decoder {
    /// Opens the best video stream of a clip.
    pub(crate) fn open(path: &Path) -> Result<Self, MediaError> {
        Self::open_as(path, "a clip", Dims::MAX_PIXELS)
    }

    /// Opens a picture; photographs may be larger than films.
    pub(crate) fn open_still(path: &Path) -> Result<Self, MediaError> {
        Self::open_as(path, "a picture", 1 << 28)
    }

    fn open_as(path: &Path, wanted: &'static str, max_pixels: u64) -> Result<Self, MediaError> {
        quiet();
        container::check(path)?;
        let url = file_url(path)?;
        let failed = |e| MediaError::reading(path, wanted, e);
        let options = [("protocol_whitelist", "file"), ("format_whitelist", DEMUXERS), ("pattern_type", "none")];
        let input = ff::format::input_with_dictionary(&url, options.iter().collect()).map_err(failed)?;
        let Some(stream) = input.streams().best(ff::media::Type::Video) else {
            return Err(MediaError::NoVideo { path: path.to_owned() });
        };
        let (index, time_base) = (stream.index(), stream.time_base());
        let rate = timing::nominal_rate(stream.avg_frame_rate(), stream.rate());
        let quarter_turns = geometry::quarter_turns(&stream);
        let mut context = ff::codec::Context::from_parameters(stream.parameters()).map_err(failed)?;
        context.set_threading(ff::threading::Config {
            kind: ff::threading::Type::Frame,
            count: DECODER_THREADS,
            ..Default::default()
        });
        let mut decoder = context.decoder();
        decoder.set_packet_time_base(time_base);
        let codec = ff::decoder::find(decoder.id()).ok_or_else(|| failed(ff::Error::DecoderNotFound))?;
        let limits = ff::Dictionary::from_iter([("max_pixels", max_pixels.to_string().as_str())]);
        let decoder =
            decoder.open_as_with(codec, limits).and_then(ff::codec::decoder::Opened::video).map_err(failed)?;
        Ok(Self {
            path: path.to_owned(),
            stream: index,
            input,
            decoder,
            time_base,
            rate,
            quarter_turns,
            draining: false,
            decoded: 0,
            wanted,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn time_base(&self) -> ff::Rational {
        self.time_base
    }

    /// As the container declares it.
    pub(crate) fn rate(&self) -> Rate {
        self.rate
    }

    pub(crate) fn quarter_turns(&self) -> u8 {
        self.quarter_turns
    }

    /// Whether the codec keeps every bit: FFV1 and its like, or H.264 at a quantiser of 0 (High 4:4:4 Predictive).
    pub(crate) fn is_lossless(&self) -> bool {
        use ff::codec::Id;
        match self.decoder.id() {
            Id::FFV1 | Id::UTVIDEO | Id::HUFFYUV | Id::FFVHUFF | Id::MAGICYUV | Id::PNG | Id::RAWVIDEO | Id::QTRLE => {
                true
            }
            Id::H264 => {
                matches!(self.decoder.profile(), ff::codec::Profile::H264(ff::codec::profile::H264::High444Predictive))
            }
            _ => false,
        }
    }

    /// The next frame in the order of showing; `None` once the decoder is drained.
    pub(crate) fn next_frame(&mut self) -> Result<Option<Video>, MediaError> {
        loop {
            let mut frame = Video::empty();
            match self.decoder.receive_frame(&mut frame) {
                Ok(()) => {
                    if frame.is_corrupt() || frame.has_decode_errors() {
                        return Err(self.damaged("the picture is incomplete".to_owned()));
                    }
                    self.decoded += 1;
                    return Ok(Some(frame));
                }
                Err(ff::Error::Eof) => return Ok(None),
                Err(ff::Error::Other { errno: ff::error::EAGAIN }) => self.feed()?,
                Err(e) => return Err(self.failed(e)),
            }
        }
    }

    /// Hands the decoder one more packet, or the end.
    fn feed(&mut self) -> Result<(), MediaError> {
        if self.draining {
            return Err(self.damaged("the decoder wants more than there is".to_owned()));
        }
        loop {
            let mut packet = ff::Packet::empty();
            match packet.read(&mut self.input) {
                Ok(()) if packet.stream() != self.stream => {}
                Ok(()) if packet.is_corrupt() => {
                    return Err(self.damaged("its data are cut off".to_owned()));
                }
                Ok(()) => return self.decoder.send_packet(&packet).map_err(|e| self.failed(e)),
                Err(ff::Error::Eof) => {
                    self.draining = true;
                    return self.decoder.send_eof().map_err(|e| self.failed(e));
                }
                Err(e) => return Err(self.failed(e)),
            }
        }
    }

    /// Goes to a key-frame at or before a time from the beginning of time stamps; whether the container can.
    pub(crate) fn seek(&mut self, microseconds: i64) -> Result<bool, MediaError> {
        if self.input.seek(microseconds, ..microseconds).is_err() {
            return Ok(false);
        }
        self.decoder.flush();
        self.draining = false;
        Ok(true)
    }

    fn damaged(&self, reason: String) -> MediaError {
        MediaError::Damaged { path: self.path.clone(), frame: self.decoded, reason }
    }

    fn failed(&self, error: ff::Error) -> MediaError {
        match error {
            ff::Error::Other { .. } => MediaError::reading(&self.path, self.wanted, error),
            other => self.damaged(other.to_string()),
        }
    }
}

/// FFmpeg's name for a local file: without the prefix `a:b.mp4` would be taken for a protocol.
pub(crate) fn file_url(path: &Path) -> Result<String, MediaError> {
    match path.to_str() {
        Some(text) if !text.contains('\0') => Ok(format!("file:{text}")),
        _ => Err(MediaError::PathNotUtf8 { path: path.to_owned() }),
    }
}

/// FFmpeg prints to the terminal unless told otherwise; what matters comes back as an error.
pub(crate) fn quiet() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| ff::log::set_level(ff::log::Level::Quiet));
}
