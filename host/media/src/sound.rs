//! Sound under a finished film: the picture's packets are copied, sounds are mixed and encoded beside them.
//!
//! Every sound becomes 48 kHz stereo and begins with the film. Where two are heard at once their sum is bent at its peaks
//! instead of cut; one alone is left as it is. The result is AAC (the encoder of FFmpeg, low complexity), which every player of
//! H.264 in MP4 reads, and ends with the film to the sample.

use crate::clip::container;
use crate::clip::decoder::{file_url, quiet};
use crate::error::MediaError;
use crate::output::Created;
use crate::watch::Watch;
use ff::ChannelLayout;
use ff::format::Sample;
use ff::format::sample::Type::Planar;
use ff::frame::Audio;
use ffmpeg_next as ff;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};

/// Samples a second of a film's sound.
const RATE: u32 = 48_000;
/// Of the encoder, bits a second; transparent for stereo AAC.
const BITS: usize = 192_000;
/// A sum of sounds is bent from here on, so that it stays below the other: what the encoder adds to a peak is left room.
const KNEE: f32 = 0.8;
const CEILING: f32 = 0.95;

/// Demuxers that sound is read by, by content, and that read nothing but the file.
const DEMUXERS: &str =
    "wav,w64,aiff,caf,flac,mp3,aac,ogg,mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,flv,mpegts,mpeg,mxf,asf,nut";

/// One sound under a film, from the film's beginning.
#[derive(Debug, Clone, PartialEq)]
pub struct Sound {
    /// An audio file, or a video with sound.
    pub file: PathBuf,
    /// When it is silent, in seconds of the film; it may end earlier by itself.
    pub until: f64,
    /// How long before that it begins to fade, seconds; along half a cosine.
    pub fade: f64,
}

impl Sound {
    /// How loud it is at a time of the film, 0 to 1.
    fn gain(&self, seconds: f64) -> f32 {
        if seconds >= self.until {
            return 0.0;
        }
        let into = (seconds - (self.until - self.fade)) / self.fade;
        if self.fade > 0.0 && into > 0.0 { ((1.0 + (std::f64::consts::PI * into).cos()) / 2.0) as f32 } else { 1.0 }
    }
}

/// How long a file sounds, seconds; nothing when it has no sound.
///
/// # Errors
/// Those of reading a clip.
pub fn sounds_for(file: &Path) -> Result<Option<f64>, MediaError> {
    let Some(mut reader) = Reader::open(file)? else { return Ok(None) };
    let mut samples = 0u64;
    while reader.more()? {
        samples += reader.ready.len() as u64;
        reader.ready.clear();
    }
    Ok((samples > 0).then(|| samples as f64 / f64::from(RATE)))
}

/// Copies a film of `seconds` to `out` with these sounds under it. On any error `out` is removed.
///
/// # Errors
/// Those of reading a clip, [`MediaError::NoSound`] for a file without any; those of writing one; [`MediaError::Cancelled`].
pub fn lay_sound(film: &Path, sounds: &[Sound], seconds: f64, out: &Path, on: &dyn Watch) -> Result<(), MediaError> {
    quiet();
    let reading = |e| MediaError::reading(film, "a film", e);
    let writing = |e| MediaError::writing(out, e);
    let mut input = ff::format::input(&file_url(film)?).map_err(reading)?;
    let video = input.streams().best(ff::media::Type::Video);
    let video = video.ok_or_else(|| MediaError::NoVideo { path: film.to_owned() })?;
    let (index, from_base, rate) = (video.index(), video.time_base(), video.avg_frame_rate());
    let parameters = video.parameters();

    let mut muxer = ff::format::output_as(&file_url(out)?, "mp4").map_err(writing)?;
    let mut created = Created { path: out, keep: false };
    let mut stream = muxer.add_stream(ff::encoder::find(ff::codec::Id::None)).map_err(writing)?;
    stream.set_parameters(parameters);
    stream.set_time_base(from_base);
    stream.set_rate(rate);
    stream.set_avg_frame_rate(rate);
    let encoder = encoder(out)?;
    let mut stream = muxer.add_stream_with(&encoder).map_err(writing)?;
    stream.set_time_base((1, RATE as i32));
    let options = ff::Dictionary::from_iter([("fflags", "+bitexact"), ("movflags", "+faststart")]);
    muxer.write_header_with(options).map_err(writing)?;
    let base = |i| muxer.stream(i).map_or(from_base, |stream| stream.time_base());
    let (video_base, audio_base) = (base(0), base(1));

    let mut mix = Mix::open(sounds, seconds)?;
    let mut audio = Encoder { encoder, base: audio_base, out };
    let mut packet = ff::Packet::empty();
    loop {
        match packet.read(&mut input) {
            Ok(()) if packet.stream() != index => continue,
            Ok(()) => {}
            Err(ff::Error::Eof) => break,
            Err(e) => return Err(reading(e)),
        }
        // Neither runs ahead of the other, so that the muxer holds little.
        let at = packet.dts().map_or(0.0, |dts| dts as f64 * f64::from(from_base));
        while mix.seconds() < at && audio.next(&mut mix, &mut muxer)? {}
        packet.set_stream(0);
        packet.rescale_ts(from_base, video_base);
        packet.set_position(-1);
        packet.write_interleaved(&mut muxer).map_err(writing)?;
        if on.cancelled() {
            return Err(MediaError::Cancelled { done: mix.at, total: mix.total });
        }
    }
    while audio.next(&mut mix, &mut muxer)? {}
    audio.encoder.send_eof().map_err(writing)?;
    audio.drain(&mut muxer)?;
    muxer.write_trailer().map_err(writing)?;
    created.keep = true;
    Ok(())
}

fn encoder(out: &Path) -> Result<ff::encoder::audio::Encoder, MediaError> {
    let refused =
        |e: ff::Error| MediaError::EncoderRefused { encoder: "aac", path: out.to_owned(), reason: e.to_string() };
    let codec = ff::encoder::find_by_name("aac").ok_or_else(|| refused(ff::Error::EncoderNotFound))?;
    let mut context = ff::codec::Context::new_with_codec(codec);
    context.set_flags(ff::codec::Flags::GLOBAL_HEADER | ff::codec::Flags::BITEXACT);
    let mut audio = context.encoder().audio().map_err(refused)?;
    audio.set_rate(RATE as i32);
    audio.set_format(Sample::F32(Planar));
    audio.set_channel_layout(ChannelLayout::STEREO);
    audio.set_time_base((1, RATE as i32));
    audio.set_bit_rate(BITS);
    audio.open().map_err(refused)
}

struct Encoder<'a> {
    encoder: ff::encoder::audio::Encoder,
    base: ff::Rational,
    out: &'a Path,
}

impl Encoder<'_> {
    /// Encodes the next block; whether there was one.
    fn next(&mut self, mix: &mut Mix<'_>, muxer: &mut ff::format::context::Output) -> Result<bool, MediaError> {
        let begins = mix.at;
        let Some(block) = mix.block(self.encoder.frame_size().max(1))? else { return Ok(false) };
        let mut frame = Audio::new(Sample::F32(Planar), block.len(), ChannelLayout::STEREO);
        frame.set_rate(RATE);
        frame.set_pts(i64::try_from(begins).ok());
        for channel in 0..2 {
            for (to, pair) in frame.plane_mut::<f32>(channel).iter_mut().zip(&block) {
                *to = pair.get(channel).copied().unwrap_or_default();
            }
        }
        self.encoder.send_frame(&frame).map_err(|e| MediaError::writing(self.out, e))?;
        self.drain(muxer)?;
        Ok(true)
    }

    fn drain(&mut self, muxer: &mut ff::format::context::Output) -> Result<(), MediaError> {
        let mut packet = ff::Packet::empty();
        loop {
            match self.encoder.receive_packet(&mut packet) {
                Ok(()) => {}
                Err(ff::Error::Eof | ff::Error::Other { errno: ff::error::EAGAIN }) => return Ok(()),
                Err(e) => return Err(MediaError::writing(self.out, e)),
            }
            packet.set_stream(1);
            packet.rescale_ts((1, RATE as i32), self.base);
            packet.write_interleaved(muxer).map_err(|e| MediaError::writing(self.out, e))?;
        }
    }
}

/// All sounds together, block by block.
struct Mix<'a> {
    layers: Vec<(&'a Sound, Reader)>,
    at: u64,
    total: u64,
}

impl<'a> Mix<'a> {
    fn open(sounds: &'a [Sound], seconds: f64) -> Result<Self, MediaError> {
        let open = |sound: &'a Sound| {
            let reader = Reader::open(&sound.file)?.ok_or_else(|| MediaError::NoSound { path: sound.file.clone() })?;
            Ok((sound, reader))
        };
        let total = (seconds * f64::from(RATE)).round().max(0.0) as u64;
        Ok(Self { layers: sounds.iter().map(open).collect::<Result<_, MediaError>>()?, at: 0, total })
    }

    fn seconds(&self) -> f64 {
        self.at as f64 / f64::from(RATE)
    }

    /// The next samples, fewer at the end; nothing after it.
    fn block(&mut self, samples: u32) -> Result<Option<Vec<[f32; 2]>>, MediaError> {
        let count = u64::from(samples).min(self.total.saturating_sub(self.at));
        if count == 0 {
            return Ok(None);
        }
        let mut sum = vec![[0.0f32; 2]; count as usize];
        let mut heard = 0;
        for (sound, reader) in &mut self.layers {
            while reader.ready.len() < sum.len() && reader.more()? {}
            let mut is_heard = false;
            for (to, at) in sum.iter_mut().zip(self.at..) {
                let Some(pair) = reader.ready.pop_front() else { break };
                let gain = sound.gain(at as f64 / f64::from(RATE));
                is_heard |= gain > 0.0;
                for (to, from) in to.iter_mut().zip(pair) {
                    *to += gain * from;
                }
            }
            heard += u32::from(is_heard);
        }
        for value in sum.as_flattened_mut() {
            let size = value.abs();
            if heard > 1 && size > KNEE {
                *value = (KNEE + (CEILING - KNEE) * ((size - KNEE) / (CEILING - KNEE)).tanh()).copysign(*value);
            }
            *value = value.clamp(-1.0, 1.0);
        }
        self.at += count;
        Ok(Some(sum))
    }
}

/// One file as 48 kHz stereo.
struct Reader {
    path: PathBuf,
    input: ff::format::context::Input,
    decoder: ff::decoder::Audio,
    resampler: Option<ff::software::resampling::Context>,
    stream: usize,
    begun: bool,
    /// Samples still to come from before the picture begins.
    unheard: usize,
    /// Where the file's own time begins and its audio's unit, seconds.
    start: (f64, f64),
    /// Nothing more to read; nothing more to come.
    drained: bool,
    over: bool,
    ready: VecDeque<[f32; 2]>,
}

impl Reader {
    /// Opens a file's best sound; nothing when it has none.
    fn open(path: &Path) -> Result<Option<Self>, MediaError> {
        quiet();
        container::check(path)?;
        let failed = |e| MediaError::reading(path, "a sound", e);
        let options = [("protocol_whitelist", "file"), ("format_whitelist", DEMUXERS), ("pattern_type", "none")];
        let input = ff::format::input_with_dictionary(&file_url(path)?, options.iter().collect()).map_err(failed)?;
        let Some(stream) = input.streams().best(ff::media::Type::Audio) else { return Ok(None) };
        let (index, unit) = (stream.index(), f64::from(stream.time_base()));
        let context = ff::codec::Context::from_parameters(stream.parameters()).map_err(failed)?;
        let mut decoder = context.decoder();
        decoder.set_packet_time_base(stream.time_base());
        let decoder = decoder.audio().map_err(failed)?;
        let video = input.streams().best(ff::media::Type::Video);
        // Without a picture it begins where it begins.
        let clock = video.as_ref().unwrap_or(&stream);
        let start = match clock.start_time() {
            ff::ffi::AV_NOPTS_VALUE => 0.0,
            start => start as f64 * f64::from(clock.time_base()),
        };
        Ok(Some(Self {
            path: path.to_owned(),
            input,
            decoder,
            resampler: None,
            stream: index,
            begun: false,
            unheard: 0,
            start: (start, unit),
            drained: false,
            over: false,
            ready: VecDeque::new(),
        }))
    }

    /// Reads some more into `ready`; whether there may be more still.
    fn more(&mut self) -> Result<bool, MediaError> {
        if self.over {
            return Ok(false);
        }
        let mut frame = Audio::empty();
        match self.decoder.receive_frame(&mut frame) {
            Ok(()) => self.take(frame)?,
            Err(ff::Error::Eof) => {
                self.flush()?;
                self.over = true;
            }
            Err(ff::Error::Other { errno: ff::error::EAGAIN }) if !self.drained => self.feed()?,
            Err(e) => return Err(self.failed(e)),
        }
        Ok(true)
    }

    fn feed(&mut self) -> Result<(), MediaError> {
        loop {
            let mut packet = ff::Packet::empty();
            match packet.read(&mut self.input) {
                Ok(()) if packet.stream() != self.stream => {}
                // A sound with a damaged packet is heard without it, as every player does.
                Ok(()) => match self.decoder.send_packet(&packet) {
                    Err(ff::Error::InvalidData) => {}
                    sent => return sent.map_err(|e| self.failed(e)),
                },
                Err(ff::Error::Eof) => {
                    self.drained = true;
                    return self.decoder.send_eof().map_err(|e| self.failed(e));
                }
                Err(e) => return Err(self.failed(e)),
            }
        }
    }

    fn take(&mut self, mut frame: Audio) -> Result<(), MediaError> {
        let layout = match frame.channel_layout() {
            unknown if unknown.is_empty() => ChannelLayout::default(i32::from(frame.channels())),
            known => known,
        };
        frame.set_channel_layout(layout);
        if !self.begun {
            self.begun = true;
            let (start, unit) = self.start;
            let late = frame.pts().map_or(0.0, |pts| pts as f64 * unit - start);
            // What begins after its picture is silent until then, and what begins before it is not heard; a day of either is no
            // delay but nonsense.
            let samples = |seconds: f64| (seconds.clamp(0.0, 86_400.0) * f64::from(RATE)) as usize;
            self.ready.extend(std::iter::repeat_n([0.0; 2], samples(late)));
            self.unheard = samples(-late);
        }
        let is_new = |r: &ff::software::resampling::Context| {
            let now = r.input();
            (now.format, now.channel_layout, now.rate) != (frame.format(), layout, frame.rate())
        };
        if self.resampler.as_ref().is_none_or(is_new) {
            self.flush()?;
            let made = ff::software::resampling::Context::get(
                frame.format(),
                layout,
                frame.rate(),
                Sample::F32(Planar),
                ChannelLayout::STEREO,
                RATE,
            );
            self.resampler = Some(made.map_err(|e| self.failed(e))?);
        }
        let Some(resampler) = &mut self.resampler else { return Ok(()) };
        let mut out = roomy(frame.samples(), frame.rate());
        let ran = resampler.run(&frame, &mut out).map(drop);
        ran.map_err(|e| self.failed(e))?;
        self.keep(&out);
        Ok(())
    }

    /// What the resampler still holds.
    fn flush(&mut self) -> Result<(), MediaError> {
        let Some(mut resampler) = self.resampler.take() else { return Ok(()) };
        loop {
            let mut out = roomy(RATE as usize / 10, RATE);
            let left = resampler.flush(&mut out).map_err(|e| self.failed(e))?;
            self.keep(&out);
            if left.is_none() || out.samples() == 0 {
                return Ok(());
            }
        }
    }

    fn keep(&mut self, out: &Audio) {
        if out.samples() == 0 {
            return;
        }
        let (left, right) = (out.plane::<f32>(0), out.plane::<f32>(1));
        let skipped = self.unheard.min(left.len());
        self.unheard -= skipped;
        self.ready.extend(
            left.iter().zip(right).skip(skipped).map(|(l, r)| [*l, *r].map(|v| if v.is_finite() { v } else { 0.0 })),
        );
    }

    fn failed(&self, error: ff::Error) -> MediaError {
        MediaError::reading(&self.path, "a sound", error)
    }
}

/// An empty frame with room for what comes of so many samples.
fn roomy(samples: usize, rate: u32) -> Audio {
    let room = samples.saturating_mul(RATE as usize) / rate.max(1) as usize + 256;
    Audio::new(Sample::F32(Planar), room, ChannelLayout::STEREO)
}
