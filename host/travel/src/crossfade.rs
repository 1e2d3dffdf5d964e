//! The role `crossfade`: all clips → the film's edit list.

use crate::invalid::{InvalidPlan, check_extras};
use crate::weight::{Tone, Weight};
use crate::{Extras, MediumId, MediumInfo, Rate, Span};
use serde::{Deserialize, Serialize};

/// Statistics of one frame's normalised Y′, Cb, Cr planes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Colour {
    /// Mean of each plane.
    pub mean: [f32; 3],
    /// Standard deviation of each plane.
    pub deviation: [f32; 3],
}

/// What the host measured between clip i and clip i + 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Join {
    /// Frames that the two clips share.
    pub overlap: u32,
    /// The last frames of clip i, one by one; the very last when the overlap is 0.
    pub left: Vec<Colour>,
    /// The first frames of clip i + 1, one by one; the very first when the overlap is 0.
    pub right: Vec<Colour>,
    /// SSIM of Y′ of the two sides, frame by frame; −1…1.
    pub likeness: Vec<f32>,
}

/// What the policy decides by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// In film order.
    pub clips: Vec<MediumInfo>,
    /// One fewer than clips.
    pub joins: Vec<Join>,
    /// Of the film.
    pub rate: Rate,
    /// The role's parameters; a JSON object.
    pub params: String,
}

/// Frames of one clip.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Copy {
    /// Which clip.
    pub clip: MediumId,
    /// Its frames.
    pub at: Span,
    /// Change of their colours.
    pub tone: Option<Tone>,
}

/// How two frames become one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mixing {
    /// `(1 − w) · left + w · right` of code values.
    #[default]
    Coded,
    /// The same of light.
    LinearLight,
    /// What lies between the two at `w`, by motion.
    Aligned,
}

/// Frame i is mixed of two, tones applied first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Blend {
    /// The clip that ends.
    pub left: MediumId,
    /// Its first blended frame.
    pub left_start: u32,
    /// Change of its colours.
    pub left_tone: Option<Tone>,
    /// The clip that begins.
    pub right: MediumId,
    /// Its first blended frame.
    pub right_start: u32,
    /// Change of its colours.
    pub right_tone: Option<Tone>,
    /// Frames.
    pub count: u32,
    /// Share of the right clip.
    pub w: Weight,
    /// How they are mixed.
    pub mixing: Mixing,
    /// Unsharp amount on Y′ (Gaussian of σ = 3 pixels); 0 for none.
    pub sharpen: Weight,
}

/// One step of the edit list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// Frames of one clip.
    Copy(Copy),
    /// Frames of two clips, mixed.
    Blend(Blend),
}

/// The film, step by step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// In film order.
    pub steps: Vec<Step>,
    /// Additions.
    pub extras: Extras,
}

impl Request {
    /// `Σ frames − Σ overlaps`.
    #[must_use]
    pub fn film_frames(&self) -> u64 {
        let frames: u64 = self.clips.iter().map(|c| u64::from(c.frames)).sum();
        frames.saturating_sub(self.joins.iter().map(|j| u64::from(j.overlap)).sum())
    }

    /// The film frame at which each clip begins.
    #[must_use]
    pub fn starts(&self) -> Vec<u64> {
        let overlaps = std::iter::once(0).chain(self.joins.iter().map(|j| j.overlap));
        let mut end = 0u64;
        self.clips
            .iter()
            .zip(overlaps)
            .map(|(clip, overlap)| {
                let start = end.saturating_sub(u64::from(overlap));
                end = start.saturating_add(u64::from(clip.frames));
                start
            })
            .collect()
    }

    fn clip(&self, id: MediumId) -> Option<(usize, &MediumInfo)> {
        self.clips.iter().enumerate().find(|(_, c)| c.id == id)
    }
}

impl Step {
    /// Frames of the film.
    #[must_use]
    pub fn frames(&self) -> u32 {
        match self {
            Self::Copy(copy) => copy.at.count,
            Self::Blend(blend) => blend.count,
        }
    }

    /// `n` of them from `from` on.
    fn part(&self, from: u32, n: u32) -> Self {
        let of = |tone: &Option<Tone>, count| tone.as_ref().map(|tone| tone.part(from, n, count));
        match self {
            Self::Copy(copy) => {
                let at = Span::new(copy.at.start.saturating_add(from), n);
                Self::Copy(Copy { clip: copy.clip, at, tone: of(&copy.tone, copy.at.count) })
            }
            Self::Blend(blend) => Self::Blend(Blend {
                left: blend.left,
                left_start: blend.left_start.saturating_add(from),
                left_tone: of(&blend.left_tone, blend.count),
                right: blend.right,
                right_start: blend.right_start.saturating_add(from),
                right_tone: of(&blend.right_tone, blend.count),
                count: n,
                w: blend.w.part(from, n, blend.count),
                mixing: blend.mixing,
                sharpen: blend.sharpen.part(from, n, blend.count),
            }),
        }
    }
}

impl Plan {
    /// The film's frames `from .. to`, as steps of their own.
    #[must_use]
    pub fn part(&self, from: u64, to: u64) -> Vec<Step> {
        let (mut steps, mut now) = (Vec::new(), 0u64);
        for step in &self.steps {
            let end = now.saturating_add(step.frames().into());
            let (first, last) = (from.max(now), to.min(end));
            if first < last {
                let count = |frames: u64| u32::try_from(frames).unwrap_or(u32::MAX);
                steps.push(step.part(count(first - now), count(last - first)));
            }
            now = end;
        }
        steps
    }

    /// Checks the edit list: each step goes on where the last one ended, and every frame stands at its own time, which
    /// is its clip's beginning in the film plus its place in the clip. So outside a join each frame appears once, and
    /// inside one it comes from the left side, the right side, or both.
    ///
    /// # Errors
    /// The first rule that is broken, with the place in the plan.
    pub fn check(&self, request: &Request) -> Result<(), InvalidPlan> {
        let starts = request.starts();
        let mut now = 0u64;
        let mut entries = 0usize;
        for (i, step) in self.steps.iter().enumerate() {
            let path = format!("steps[{i}]");
            let stands = |id: MediumId, span: Span, field: &str| {
                let path = format!("{path}.{field}");
                let Some((k, clip)) = request.clip(id) else {
                    return Err(InvalidPlan::new(path, format!("medium {} is not a clip of this call", id.0)));
                };
                if !span.is_within(clip.frames) {
                    return Err(InvalidPlan::new(
                        path,
                        format!("frames {} + {} are empty or leave the clip's {}", span.start, span.count, clip.frames),
                    ));
                }
                let stands = starts.get(k).copied().unwrap_or_default() + u64::from(span.start);
                if stands != now {
                    return Err(InvalidPlan::new(
                        path,
                        format!(
                            "frame {} of clip {k} stands at film frame {stands}, but the film is at {now}",
                            span.start
                        ),
                    ));
                }
                Ok(k)
            };
            let tone_entries = |t: &Option<Tone>| t.as_ref().map_or(0, |t| t.amount.entries());
            let count = match step {
                Step::Copy(copy) => {
                    stands(copy.clip, copy.at, "at")?;
                    check_tone(copy.tone.as_ref(), copy.at.count, &format!("{path}.tone"))?;
                    entries += tone_entries(&copy.tone);
                    copy.at.count
                }
                Step::Blend(blend) => {
                    let left = stands(blend.left, Span::new(blend.left_start, blend.count), "left")?;
                    let right = stands(blend.right, Span::new(blend.right_start, blend.count), "right")?;
                    if left + 1 != right {
                        return Err(InvalidPlan::new(path, format!("clip {right} does not follow clip {left}")));
                    }
                    check_tone(blend.left_tone.as_ref(), blend.count, &format!("{path}.left-tone"))?;
                    check_tone(blend.right_tone.as_ref(), blend.count, &format!("{path}.right-tone"))?;
                    blend.w.check(blend.count, &format!("{path}.w"))?;
                    blend.sharpen.check(blend.count, &format!("{path}.sharpen"))?;
                    entries += tone_entries(&blend.left_tone) + tone_entries(&blend.right_tone);
                    entries += blend.w.entries() + blend.sharpen.entries();
                    blend.count
                }
            };
            now += u64::from(count);
        }
        let film = request.film_frames();
        if now != film {
            return Err(InvalidPlan::new("steps", format!("the film has {now} frames instead of {film}")));
        }
        let allowed = film as usize * 4 + self.steps.len() * 4;
        if entries > allowed {
            return Err(InvalidPlan::new("steps", format!("{entries} weight entries; {allowed} are allowed")));
        }
        check_extras(&self.extras, "extras")
    }
}

fn check_tone(tone: Option<&Tone>, count: u32, path: &str) -> Result<(), InvalidPlan> {
    tone.map_or(Ok(()), |tone| tone.check(count, path))
}
