//! Parts of a film, encoded apart, put together without being decoded.
//!
//! Every part begins with an IDR picture and refers to nothing outside itself; x264 writes the same headers for all of them when
//! it is told to (`stitchable`), which is looked at byte by byte. Packets are copied as they are; only their times are new: each
//! frame stands at its own multiple of `1 / rate`, and decoding times count on evenly through the film.

use crate::clip::decoder::{file_url, quiet};
use crate::error::MediaError;
use crate::output::Created;
use crate::watch::{Watch, step};
use ffmpeg_next as ff;
use std::path::{Path, PathBuf};
use travel::Rate;

/// Puts parts together to a film; its frames. On any error `out` is removed.
///
/// # Errors
/// [`MediaError::ChunksDiffer`] when they were not encoded alike; those of reading and writing; [`MediaError::Cancelled`].
pub fn join_chunks(chunks: &[PathBuf], rate: Rate, out: &Path, on: &dyn Watch) -> Result<u32, MediaError> {
    quiet();
    let writing = |e| MediaError::writing(out, e);
    let unusable = || MediaError::UnusableRate { path: out.to_owned(), rate };
    let side = |n: u32| i32::try_from(n).ok().filter(|n| *n > 0).ok_or_else(unusable);
    let base = ff::Rational(side(rate.reduced().den)?, side(rate.reduced().num)?);

    // A decoder shows frames later than it reads them: by as many as any part wants.
    let (mut total, mut delay) = (0i64, 0i64);
    let mut first: Option<Chunk> = None;
    for path in chunks {
        let mut chunk = Chunk::open(path, base)?;
        if let Some(first) = &first {
            chunk.refuse_unlike(first)?;
        }
        let (mut frames, mut times) = (0i64, Vec::new());
        while let Some(packet) = chunk.next()? {
            let shown = chunk.shown(&packet)?;
            if frames == 0 && (shown != 0 || !packet.is_key()) {
                return Err(chunk.unlike("it does not begin with a key-frame"));
            }
            times.push(shown);
            delay = delay.max(frames - shown);
            frames += 1;
        }
        times.sort_unstable();
        if times.iter().zip(0..).any(|(shown, at)| *shown != at) {
            return Err(chunk.unlike("its frames do not stand at even times of the film's rate"));
        }
        total += frames;
        first.get_or_insert(chunk);
    }
    let first = first.ok_or_else(|| MediaError::Mismatch("a film of no parts has no frames".to_owned()))?;

    let mut muxer = ff::format::output_as(&file_url(out)?, "mp4").map_err(writing)?;
    let mut created = Created { path: out, keep: false };
    let mut stream = muxer.add_stream(ff::encoder::find(ff::codec::Id::None)).map_err(writing)?;
    stream.set_parameters(first.parameters());
    stream.set_time_base(base);
    stream.set_rate(base.invert());
    stream.set_avg_frame_rate(base.invert());
    let options = ff::Dictionary::from_iter([("fflags", "+bitexact"), ("movflags", "+faststart")]);
    muxer.write_header_with(options).map_err(writing)?;
    let stream_base = muxer.stream(0).map_or(base, |stream| stream.time_base());

    let (mut decoded, mut begins) = (0i64, 0i64);
    for path in chunks {
        let mut chunk = Chunk::open(path, base)?;
        let before = decoded;
        while let Some(mut packet) = chunk.next()? {
            packet.set_pts(Some(begins + chunk.shown(&packet)?));
            packet.set_dts(Some(decoded - delay));
            packet.set_duration(1);
            packet.set_stream(0);
            packet.set_position(-1);
            packet.rescale_ts(base, stream_base);
            packet.write_interleaved(&mut muxer).map_err(writing)?;
            decoded += 1;
            step(on, decoded.unsigned_abs(), total.unsigned_abs())?;
        }
        begins += decoded - before;
    }
    muxer.write_trailer().map_err(writing)?;
    created.keep = true;
    u32::try_from(decoded).map_err(|_| unusable())
}

/// One part.
struct Chunk {
    path: PathBuf,
    input: ff::format::context::Input,
    stream: usize,
    base: ff::Rational,
}

impl Chunk {
    fn open(path: &Path, base: ff::Rational) -> Result<Self, MediaError> {
        let input =
            ff::format::input(&file_url(path)?).map_err(|e| MediaError::reading(path, "a part of a film", e))?;
        let stream = input.streams().best(ff::media::Type::Video).map(|stream| stream.index());
        let stream = stream.ok_or_else(|| MediaError::NoVideo { path: path.to_owned() })?;
        Ok(Self { path: path.to_owned(), input, stream, base })
    }

    fn parameters(&self) -> ff::codec::Parameters {
        self.input.stream(self.stream).map_or_else(ff::codec::Parameters::new, |stream| stream.parameters())
    }

    /// The next packet in the order of decoding, its times in frames.
    fn next(&mut self) -> Result<Option<ff::Packet>, MediaError> {
        loop {
            let mut packet = ff::Packet::empty();
            match packet.read(&mut self.input) {
                Ok(()) if packet.stream() != self.stream => {}
                Ok(()) => {
                    let own = self.input.stream(self.stream).map_or(self.base, |stream| stream.time_base());
                    packet.rescale_ts(own, self.base);
                    return Ok(Some(packet));
                }
                Err(ff::Error::Eof) => return Ok(None),
                Err(e) => return Err(MediaError::reading(&self.path, "a part of a film", e)),
            }
        }
    }

    fn shown(&self, packet: &ff::Packet) -> Result<i64, MediaError> {
        packet.pts().ok_or_else(|| self.unlike("a packet of it has no time"))
    }

    fn refuse_unlike(&self, first: &Self) -> Result<(), MediaError> {
        let clock = |chunk: &Self| chunk.input.stream(chunk.stream).map(|s| (s.time_base(), s.avg_frame_rate()));
        if clock(self) != clock(first) {
            return Err(self.unlike(&format!("its rate or time base is not that of {}", first.path.display())));
        }
        let (own, others) = (Headers::of(&self.parameters()), Headers::of(&first.parameters()));
        match own.unlike(&others) {
            Some(what) => Err(self.unlike(&format!("its {what} is not that of {}", first.path.display()))),
            None => Ok(()),
        }
    }

    fn unlike(&self, reason: &str) -> MediaError {
        MediaError::ChunksDiffer { path: self.path.clone(), reason: reason.to_owned() }
    }
}

/// What has to be the same in all parts.
struct Headers {
    codec: ff::codec::Id,
    size: (i32, i32),
    format: i32,
    /// The encoder's own: sequence and picture parameter sets.
    sets: Vec<u8>,
}

impl Headers {
    #[expect(unsafe_code, reason = "ffmpeg-next has no getters for a stream's parameters")]
    fn of(parameters: &ff::codec::Parameters) -> Self {
        let codec = parameters.id();
        // SAFETY: the parameters are owned and live; FFmpeg keeps `extradata_size` bytes at `extradata`, which may be null
        // only when there are none.
        unsafe {
            let raw = &*parameters.as_ptr();
            let length = usize::try_from(raw.extradata_size).unwrap_or(0);
            let sets = match raw.extradata.is_null() {
                true => Vec::new(),
                false => std::slice::from_raw_parts(raw.extradata, length).to_vec(),
            };
            Self { codec, size: (raw.width, raw.height), format: raw.format, sets }
        }
    }

    fn unlike(&self, other: &Self) -> Option<&'static str> {
        if self.codec != other.codec {
            Some("codec")
        } else if self.size != other.size {
            Some("size")
        } else if self.format != other.format {
            Some("pixel format")
        } else if self.sets != other.sets {
            Some("encoder's header")
        } else {
            None
        }
    }
}
