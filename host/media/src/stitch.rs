//! An edit list → the film: one stream, one encode.
//!
//! Memory does not grow with the number or the length of clips. A clip's decoder is opened when the list reaches it and
//! closed after its last step; two are open during a join. Composing runs ahead of the encoder by a few frames on a thread
//! of its own.

mod composer;

use crate::error::MediaError;
use crate::film::depth::Depth;
use crate::frame::RgbFrame;
use crate::medium::{MediaSet, Source};
use crate::output::{Output, Recipe};
use crate::probe::ClipInfo;
use crate::settings::{Codec, Encode};
use crate::watch::{Watch, step};
use composer::compose;
use std::path::Path;
use std::sync::mpsc::sync_channel;
use travel::crossfade::{Copy, Plan, Request, Step};
use travel::{Dims, MediumId, MediumInfo, MediumKind, Rate, Retiming, Span};

/// Frames that composing may run ahead of the encoder: enough to bridge a join, when two decoders open and two clips are
/// decoded for one frame of film.
const AHEAD: usize = 4;

/// What lies between two frames, by motion.
pub trait InBetween: Sync {
    /// The frame at `t` of 0…1 on the way from one to the other, which are of one size; `on` is asked before long work.
    ///
    /// # Errors
    /// Why there is none, in words; cancellation as [`Watch::cancelled`] tells it.
    fn between(&self, from: &RgbFrame, to: &RgbFrame, t: f64, on: &dyn Watch) -> Result<RgbFrame, String>;
}

/// A film to be made of clips.
#[derive(Clone, Copy)]
pub struct Stitch<'a> {
    /// The edit list.
    pub plan: &'a Plan,
    /// What it answers.
    pub request: &'a Request,
    /// The clips that it names.
    pub clips: &'a MediaSet,
    /// Size of the film, pixels.
    pub canvas: Dims,
    /// Of the clips and of the edit list.
    pub rate: Rate,
    /// Of the film: each of its frames shows what stands nearest to its time in the edit list.
    pub film_rate: Rate,
    /// Its one encode.
    pub encode: &'a Encode,
    /// Who finds what lies between two frames; a list that asks for it is refused when there is nobody.
    pub between: Option<&'a dyn InBetween>,
}

impl Stitch<'_> {
    /// Makes the film: 4:2:0, BT.709 limited and tagged so, MP4 with the index in front, constant rate, closed GOPs. The same
    /// inputs, plan and settings give the same bytes.
    ///
    /// Frames of clips that already are 8-bit 4:2:0, BT.709 limited, of the canvas's size and rate, go to the encoder
    /// without any conversion; others are converted once. The plan is checked against the request first. The caller renames
    /// `out` into place; on any error it is removed.
    ///
    /// # Errors
    /// [`MediaError::Plan`], [`MediaError::UnusableSize`], [`MediaError::UnknownMedium`], [`MediaError::NotAClip`]; those of
    /// reading a clip; [`MediaError::NoInBetween`]; [`MediaError::EncoderRefused`], [`MediaError::DiskFull`],
    /// [`MediaError::Unwritable`]; [`MediaError::Cancelled`].
    pub fn film(&self, out: &Path, on: &dyn Watch) -> Result<ClipInfo, MediaError> {
        self.plan.check(self.request)?;
        self.write(&self.plan.steps, self.request.film_frames(), Use::Alone, out, on)
    }

    /// Makes a part of the film, as [`Plan::part`] tells it: `frames` of these steps, to be put together with others of the
    /// same settings by [`join_chunks()`](crate::join_chunks).
    ///
    /// # Errors
    /// Those of [`Stitch::film`], but for the plan's.
    pub fn chunk(&self, steps: &[Step], frames: u64, out: &Path, on: &dyn Watch) -> Result<ClipInfo, MediaError> {
        self.write(steps, frames, Use::AsPart, out, on)
    }

    fn write(
        &self,
        steps: &[Step],
        total: u64,
        for_use: Use,
        out: &Path,
        on: &dyn Watch,
    ) -> Result<ClipInfo, MediaError> {
        let Self { canvas, rate, film_rate, encode, .. } = *self;
        let retiming = Retiming { from: rate, to: film_rate };
        let (listed, total) = (total, retiming.frames(total));
        canvas.check_encodable().map_err(|reason| MediaError::UnusableSize { path: out.to_owned(), reason })?;
        let depth = if encode.ten_bit { Depth::Ten } else { Depth::Eight };
        let mut film = Output::create(out, &recipe(encode, depth, canvas, film_rate, for_use))?;
        let (ready, frames) = sync_channel(AHEAD);
        std::thread::scope(|threads| {
            threads.spawn(move || {
                let (mut at, mut made) = (0u64, 0u64);
                let mut put = |frame: ffmpeg_next::frame::Video| {
                    while made < total && retiming.source(made, listed) == at {
                        made += 1;
                        // The usual case, one for one, copies nothing.
                        let is_last = made >= total || retiming.source(made, listed) != at;
                        if is_last {
                            at += 1;
                            return ready.send(Ok(frame)).is_ok();
                        }
                        if ready.send(Ok(frame.clone())).is_err() {
                            return false;
                        }
                    }
                    at += 1;
                    true
                };
                let composed = compose(self, steps, depth, out, on, &mut put);
                if let Err(error) = composed {
                    // The encoding side may be gone already, and then has an error of its own.
                    let _gone = ready.send(Err(error));
                }
            });
            // Moved in, so that an error here lets the composing thread see that nobody listens.
            for frame in frames {
                film.write(frame?)?;
                step(on, film.frames().into(), total)?;
            }
            Ok::<(), MediaError>(())
        })?;
        let frames = film.frames();
        if u64::from(frames) != total {
            let wanted = u32::try_from(total).unwrap_or(u32::MAX);
            return Err(MediaError::WrongCount { path: out.to_owned(), found: frames, wanted });
        }
        let frames = film.finish()?;
        Ok(ClipInfo { dims: canvas, frames, rate: film_rate.reduced(), constant_rate: true, lossless_rgb: false })
    }
}

/// What becomes of an encoded stream.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    /// It is a film.
    Alone,
    /// Others are put before and after it, so its headers must not depend on what it shows.
    AsPart,
}

/// One clip as a film, of another size if need be (`cover`, Lanczos): what [`Stitch::film`] does with a single clip.
///
/// # Errors
/// Those of [`Stitch::film`].
pub fn encode_film(
    clip: &Path,
    frames: u32,
    canvas: Dims,
    rate: Rate,
    encode: &Encode,
    out: &Path,
    on: &dyn Watch,
) -> Result<ClipInfo, MediaError> {
    let id = MediumId(0);
    let info = MediumInfo { id, kind: MediumKind::Clip, dims: canvas, frames, rate };
    let request = Request { clips: vec![info], joins: Vec::new(), rate, params: "{}".to_owned() };
    let whole = Copy { clip: id, at: Span::new(0, frames), tone: None };
    let plan = Plan { steps: vec![Step::Copy(whole)], extras: Vec::new() };
    let media = MediaSet::from_iter([(id, Source::Clip(clip.to_owned()))]);
    Stitch { plan: &plan, request: &request, clips: &media, canvas, rate, film_rate: rate, encode, between: None }
        .film(out, on)
}

/// On AVX-512 x264's macroblock tree (build 164, `mbtree_propagate_list`) reads beyond the end of its rows unless a
/// picture's width is a multiple of 128, and what lies there gets into the film's bytes. Its AVX2 form does not, and takes
/// about 5 % longer.
fn reads_stray_memory(width: u32) -> bool {
    #[cfg(target_arch = "x86_64")]
    return !width.is_multiple_of(128)
        && std::arch::is_x86_feature_detected!("avx512f")
        && std::arch::is_x86_feature_detected!("avx2");
    #[cfg(not(target_arch = "x86_64"))]
    return width == 0;
}

fn recipe(encode: &Encode, depth: Depth, dims: Dims, rate: Rate, for_use: Use) -> Recipe {
    // At 10 bits x264's crf 0 is not lossless; its qp 0 always is.
    let quality = if encode.codec == Codec::H264 && encode.crf == 0 { "qp" } else { "crf" };
    let mut options = vec![("preset", encode.preset.name().to_owned()), (quality, encode.crf.to_string())];
    if encode.codec == Codec::H264 {
        let safe = reads_stray_memory(dims.width).then_some("asm=AVX2");
        let part = (for_use == Use::AsPart).then_some("stitchable=1");
        let params: Vec<&str> = safe.into_iter().chain(part).collect();
        if !params.is_empty() {
            options.push(("x264-params", params.join(":")));
        }
    }
    if encode.codec == Codec::Hevc {
        // x265 opens GOPs by default, and sizes its pool by the machine.
        let threads = encode.threads.clamp(1, 16);
        options.push(("x265-params", format!("open-gop=0:pools={threads}:frame-threads={threads}:log-level=none")));
    }
    Recipe {
        encoder: encode.codec.encoder(),
        options,
        container: "mp4",
        muxer: if for_use == Use::Alone { vec![("movflags", "+faststart".to_owned())] } else { Vec::new() },
        tag: (encode.codec == Codec::Hevc).then_some(*b"hvc1"),
        pixel: depth.pixel(),
        dims,
        rate,
        threads: encode.threads,
        gop: None,
    }
}
