//! What a film is made from: the flags that `render`, `travel` and `plan` share, and the run that they ask for.

use crate::config::Config;
use crate::diagnostic::Diagnostic;
use crate::refused::Refused;
use clap::Args;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use travel::wishes::{LegWish, Wishes};
use travel::{Dims, Rate, Role};
use travel_engine::generators::process::Recipe;
use travel_engine::generators::{Generators, Lanczos};
use travel_engine::manifest::{Again, Manifest};
use travel_engine::media::{Codec, Encode, Preset};
use travel_engine::spec::Stitching;
use travel_engine::{FlagSettings, Output, Post, References, RunRequest, UpscaleWish};

/// What a film is made from. Every flag of the original tool is known under its old spelling too (`--frame_overlap`).
#[derive(Debug, Clone, Args)]
pub struct TravelArgs {
    /// Still images, in the order of the film; or one project file, travel.toml, which names them
    #[arg(value_name = "IMAGES")]
    pub images: Vec<PathBuf>,
    /// Which of the project file's presets to use
    #[arg(long, value_name = "NAME")]
    pub project_preset: Option<String>,
    /// The same, as the original tool spelled it
    #[arg(long, alias = "input_images", num_args = 1.., value_name = "IMAGES", hide = true)]
    pub input_images: Vec<PathBuf>,
    /// A video that the film begins with: a file, or an address, http:// or https://; its sound is kept up to
    /// where the first leg takes over
    #[arg(long, alias = "continue_from_video", value_name = "FILE|URL")]
    pub continue_from_video: Option<PathBuf>,
    /// Let that address be one of this machine or its network
    #[arg(long)]
    pub allow_private_addresses: bool,
    /// What people call the film [default: after the first and last image]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Where the film goes, as OUTPUT_DIR/NAME.mp4 [default: films]
    #[arg(long, alias = "output_dir", value_name = "DIR")]
    pub output_dir: Option<PathBuf>,
    /// Replace a file that is there already
    #[arg(long, visible_alias = "force")]
    pub overwrite: bool,
    /// Also make a picture of evenly spaced frames, beside the film
    #[arg(long)]
    pub contact_sheet: bool,
    /// Also write a page about how well the segments meet, with the frames side by side [default: beside the film]
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = BESIDE, value_name = "FILE.html")]
    pub seams: Option<PathBuf>,
    /// Keep each segment's guide and mask with the run
    #[arg(long, visible_alias = "skip-cleanup", alias = "skip_cleanup")]
    pub keep_guides: bool,
    /// What is kept of the run when it is cleaned up after: `finals`, or `all` that was made on the way, guides and masks too
    #[arg(long, default_value = "finals", value_parser = ["finals", "all"], value_name = "WHAT")]
    pub keep: String,
    /// As --keep all and -vv
    #[arg(long)]
    pub debug: bool,
    /// End an attempt of a task that takes longer, as `30m` or `2h`, and try it again; three such attempts fail it
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub attempt_deadline: Option<std::time::Duration>,
    /// Whose run it is
    #[arg(long, default_value = "default", value_name = "TENANT")]
    pub tenant: String,

    /// Size of the film, as 832x480 [default: about so many pixels, of the first image's proportions]
    #[arg(long, value_name = "WxH", help_heading = "Film")]
    pub resolution: Option<Dims>,
    /// Frames a second of the film and of guides: 16, 24, 30000/1001
    #[arg(
        long,
        alias = "fps_helpers",
        visible_alias = "fps-helpers",
        default_value = "16",
        value_name = "RATE",
        help_heading = "Film"
    )]
    pub fps: Rate,
    /// Frames a second that legs are rendered at, where that is not the film's rate; lengths are counted at it, and each frame of
    /// the film is the one nearest in time [default: the film's, or the nearest that the generator renders]
    #[arg(long, value_name = "RATE", help_heading = "Film")]
    pub generator_fps: Option<Rate>,
    /// Frames that each leg adds to the film; one value, or one a leg
    #[arg(long, alias = "segment_frames", num_args = 1.., value_delimiter = ',', default_value = "81", value_name = "N", help_heading = "Film")]
    pub segment_frames: Vec<u32>,
    /// Frames that neighbouring legs share and are cross-faded over; one value, or one a join; 0 is a cut
    #[arg(long, alias = "frame_overlap", num_args = 1.., value_delimiter = ',', default_value = "16", value_name = "N", help_heading = "Film")]
    pub frame_overlap: Vec<u32>,
    /// Let the film's end pass into its beginning, for films that are shown round and round: one more leg leads from the last image
    /// to the first, and its end is cross-faded into the film's beginning, over the last value of --frame-overlap
    #[arg(id = "loop", long = "loop", help_heading = "Film")]
    pub goes_round: bool,
    /// A sound under the film, from its beginning: an audio file, or a video with sound; it fades where the film ends
    #[arg(long, value_name = "FILE", help_heading = "Film")]
    pub audio: Option<PathBuf>,
    /// Do not keep the sound of the continued video
    #[arg(long, requires = "continue_from_video", help_heading = "Film")]
    pub mute_video: bool,
    /// What to show, in words; one prompt, or one a leg. The embedded generators read neither prompts nor seed
    #[arg(long, alias = "base_prompts", num_args = 1.., default_value = "", value_name = "TEXT", help_heading = "Film")]
    pub base_prompts: Vec<String>,
    /// What to avoid, in words; one prompt, or one a leg. The embedded generators read neither prompts nor seed
    #[arg(long, alias = "negative_prompts", num_args = 1.., default_value = "", value_name = "TEXT", help_heading = "Film")]
    pub negative_prompts: Vec<String>,

    /// What one segment has instead of what all have, counted from 0: prompt, negative-prompt, seed, or settings of the
    /// generator, as `3.prompt=snow` or `3.settings={"steps": 20}`
    #[arg(long, value_name = "N.KEY=VALUE", value_parser = leg_wish, help_heading = "Film")]
    pub segment: Vec<(u32, LegWish)>,

    /// What renders the legs: rife (neural, on the CPU), dissolve, or one of travel-host.toml [default: rife]
    #[arg(long, value_name = "NAME", help_heading = "Generator")]
    pub generator: Option<String>,
    /// The original's way to say it: wgp or comfyui, the generator of travel-host.toml that is one
    #[arg(
        long,
        alias = "execution_engine",
        value_parser = ["wgp", "comfyui"],
        conflicts_with = "generator",
        value_name = "ENGINE",
        help_heading = "Generator"
    )]
    pub execution_engine: Option<String>,
    /// One of the generator's models [default: its usual one]
    #[arg(long, alias = "model_name", value_name = "NAME", help_heading = "Generator")]
    pub model_name: Option<String>,
    /// Of rife: fast, balanced or high
    #[arg(long, value_name = "QUALITY", help_heading = "Generator")]
    pub quality: Option<String>,
    /// Settings of the generator, a JSON object
    #[arg(long, value_name = "JSON", help_heading = "Generator")]
    pub generator_settings: Option<String>,
    /// Settings of the generator over all others, a JSON object; frames, length, size, output and steps are none of it
    #[arg(long, alias = "params_json_str", value_name = "JSON", help_heading = "Generator")]
    pub params_json_str: Option<String>,
    /// CausVid's LoRA at 0.7, with 9 steps, guidance 1 and flow shift 1, unless --generator-settings says otherwise
    #[arg(long, alias = "use_causvid_lora", help_heading = "Generator")]
    pub use_causvid_lora: bool,
    /// CFG-Star, 0 or 1
    #[arg(long, alias = "cfg_star_switch", value_parser = clap::value_parser!(u8).range(0..=1), value_name = "N", help_heading = "Generator")]
    pub cfg_star_switch: Option<u8>,
    /// CFG-Zero: up to which step; -1 is none
    #[arg(
        long,
        alias = "cfg_zero_step",
        value_parser = clap::value_parser!(i32).range(-1..),
        value_name = "N",
        allow_negative_numbers = true,
        help_heading = "Generator"
    )]
    pub cfg_zero_step: Option<i32>,
    /// How bright the image that a leg begins with is as a reference picture, 0 to 1; 0 is none
    #[arg(long, alias = "initial_image_strength", default_value_t = 0.0, value_name = "X", help_heading = "Generator")]
    pub initial_image_strength: f32,
    /// The same of the image that a leg leads to
    #[arg(long, alias = "final_image_strength", default_value_t = 0.0, value_name = "X", help_heading = "Generator")]
    pub final_image_strength: f32,
    /// For the generator's randomness; leg i uses SEED + i. The embedded generators read neither prompts nor seed
    #[arg(long, default_value_t = 12345, value_name = "SEED", help_heading = "Generator")]
    pub seed: u64,

    /// Which plugin answers a role: orchestrate, guide or crossfade
    #[arg(long, value_name = "ROLE=PLUGIN", value_parser = role_choice, help_heading = "Plugins")]
    pub role: Vec<(Role, String)>,
    /// A parameter of a role's plugin, as `guide.fit=contain` or `crossfade.curve=original`
    #[arg(long, value_name = "ROLE.KEY=VALUE", value_parser = role_param, help_heading = "Plugins")]
    pub param: Vec<(Role, String, Value)>,
    /// How images of other proportions fill the film: cover, contain, stretch, blur
    #[arg(long, value_name = "FIT", help_heading = "Plugins")]
    pub fit: Option<String>,
    /// The end image takes the last N + 1 frames of a leg
    #[arg(long, alias = "last_frame_duplication", value_name = "N", help_heading = "Plugins")]
    pub last_frame_duplication: Option<u32>,
    /// How the end image fades into the guide: JSON of low_point, high_point, curve_type, duration_factor
    #[arg(long, alias = "fade_in_duration", value_name = "JSON", help_heading = "Plugins")]
    pub fade_in_duration: Option<String>,
    /// How the start image, or the overlap, fades out of the guide; the same JSON
    #[arg(long, alias = "fade_out_duration", value_name = "JSON", help_heading = "Plugins")]
    pub fade_out_duration: Option<String>,
    /// Added to the strength of overlap frames in guides; negative is more grey
    #[arg(
        long,
        alias = "subsequent_starting_strength_adjustment",
        value_name = "X",
        allow_negative_numbers = true,
        help_heading = "Plugins"
    )]
    pub subsequent_starting_strength_adjustment: Option<f64>,
    /// Takes colour from overlap frames in guides, 0 to 1
    #[arg(long, alias = "desaturate_subsequent_starting_frames", value_name = "X", help_heading = "Plugins")]
    pub desaturate_subsequent_starting_frames: Option<f64>,
    /// Darkens overlap frames in guides: positive is darker
    #[arg(
        long,
        alias = "adjust_brightness_subsequent_starting_frames",
        value_name = "X",
        allow_negative_numbers = true,
        help_heading = "Plugins"
    )]
    pub adjust_brightness_subsequent_starting_frames: Option<f64>,
    /// Sharpening within cross-fades, 0 to 1
    #[arg(long, alias = "crossfade_sharp_amt", value_name = "X", help_heading = "Plugins")]
    pub crossfade_sharp_amt: Option<f64>,

    /// Match the colours of each segment to the images that it leads from and to, 0 to 1: mean and deviation in CIELAB
    #[arg(long, alias = "color-match", default_value_t = 0.0, value_name = "X", help_heading = "After generation")]
    pub colour_match: f32,
    /// Colour strength of every segment that follows another, 0 to 4; 1 changes nothing. Cross-fades match colours to what
    /// precedes unless `--param crossfade.colour_match=off`
    #[arg(long, alias = "after_first_post_generation_saturation", value_name = "X", help_heading = "After generation")]
    pub after_first_post_generation_saturation: Option<f32>,
    /// Brightness of every segment that follows another, -1 to 1: positive is brighter; likewise
    #[arg(
        long,
        alias = "after_first_post_generation_brightness",
        value_name = "X",
        allow_negative_numbers = true,
        help_heading = "After generation"
    )]
    pub after_first_post_generation_brightness: Option<f32>,
    /// Put the frames that a guide gave back over those that the generator returned, which few models return as they were
    #[arg(long, help_heading = "After generation")]
    pub paste_known: bool,
    /// Render every segment, also those that were rendered before from the same images, words, seed and settings
    #[arg(long, help_heading = "After generation")]
    pub fresh: bool,
    /// How the film is encoded: `full`, in one piece; `auto`, segment by segment while the next one is rendered, where that is
    /// possible, so that it is there when the last one is; `smart`, so or not at all
    #[arg(long, default_value = "full", value_parser = stitching, value_name = "HOW", help_heading = "After generation")]
    pub stitch: Stitching,
    /// Make the film so many times as wide and high, after its clips are joined; 0 or 1 leaves it as it is
    #[arg(
        long,
        alias = "upscale_factor",
        default_value_t = 0.0,
        value_name = "FACTOR",
        allow_negative_numbers = true,
        help_heading = "After generation"
    )]
    pub upscale_factor: f64,
    /// What makes it larger: lanczos, or a generator of travel-host.toml that can [default: lanczos]
    #[arg(
        long,
        alias = "upscale_model_name",
        visible_alias = "upscaler",
        value_name = "NAME",
        help_heading = "After generation"
    )]
    pub upscale_model_name: Option<String>,
    /// Settings of what makes it larger, a JSON object
    #[arg(long, value_name = "JSON", help_heading = "After generation")]
    pub upscale_settings: Option<String>,
    /// Codec of the film: h264 or hevc
    #[arg(long, default_value = "h264", value_parser = codec, value_name = "CODEC", help_heading = "After generation")]
    pub codec: Codec,
    /// Quality of the film: 0 best, 51 worst
    #[arg(long, default_value_t = 17, value_parser = clap::value_parser!(u8).range(0..=51), value_name = "CRF", help_heading = "After generation")]
    pub crf: u8,
    /// Effort of the encoder: ultrafast, veryfast, fast, medium, slow
    #[arg(long, default_value = "medium", value_parser = preset, value_name = "PRESET", help_heading = "After generation")]
    pub preset: Preset,
    /// 10 bits a sample instead of 8
    #[arg(long, help_heading = "After generation")]
    pub ten_bit: bool,

    #[command(flatten)]
    pub refused: Refused,
}

/// Flags of [`TravelArgs`] that say where a film goes, what it is called and whose it is.
pub const PLACE_FLAGS: [&str; 9] =
    ["name", "output_dir", "overwrite", "contact_sheet", "seams", "keep_guides", "keep", "debug", "tenant"];

/// All others, which say what the film is: a manifest says so instead.
pub const CONTENT_FLAGS: [&str; 52] = [
    "images",
    "project_preset",
    "input_images",
    "continue_from_video",
    "allow_private_addresses",
    "attempt_deadline",
    "resolution",
    "fps",
    "generator_fps",
    "segment_frames",
    "frame_overlap",
    "loop",
    "audio",
    "mute_video",
    "base_prompts",
    "negative_prompts",
    "segment",
    "generator",
    "execution_engine",
    "model_name",
    "quality",
    "generator_settings",
    "params_json_str",
    "use_causvid_lora",
    "cfg_star_switch",
    "cfg_zero_step",
    "initial_image_strength",
    "final_image_strength",
    "seed",
    "role",
    "param",
    "fit",
    "last_frame_duplication",
    "fade_in_duration",
    "fade_out_duration",
    "subsequent_starting_strength_adjustment",
    "desaturate_subsequent_starting_frames",
    "adjust_brightness_subsequent_starting_frames",
    "crossfade_sharp_amt",
    "colour_match",
    "after_first_post_generation_saturation",
    "after_first_post_generation_brightness",
    "paste_known",
    "fresh",
    "stitch",
    "upscale_factor",
    "upscale_model_name",
    "upscale_settings",
    "codec",
    "crf",
    "preset",
    "ten_bit",
];

impl TravelArgs {
    /// The run that these flags ask for. `film` is where it goes when that is chosen apart from the name.
    pub fn request(&self, config: &Config, film: Option<&Path>) -> Result<RunRequest, Diagnostic> {
        self.refused.refuse()?;
        let images: Vec<PathBuf> = self.images.iter().chain(&self.input_images).cloned().collect();
        let name = self.name.clone().unwrap_or_else(|| name_after(&images, film));
        check_name(&name)?;
        let film = self.film(&name, film)?;
        let mut roles = config.roles.clone();
        roles.extend(self.role.iter().cloned());
        let flags = self.flags()?;
        let settings = self.settings(config, &flags)?;
        Ok(RunRequest {
            tenant: self.tenant.clone(),
            name,
            idem_key: None,
            images,
            continue_from: self.continue_from_video.clone(),
            size: self.resolution,
            rate: self.fps,
            generator_rate: self.generator_fps,
            wishes: Wishes {
                segment_frames: self.segment_frames.clone(),
                frame_overlap: self.frame_overlap.clone(),
                goes_round: self.goes_round,
                prompts: self.base_prompts.clone(),
                negative_prompts: self.negative_prompts.clone(),
                seed: self.seed,
                settings: settings.to_string(),
                each: self.each(&settings)?,
            },
            generator: self.generator(config)?,
            model: self.model_name.clone(),
            flags,
            references: References { initial: self.initial_image_strength, last: self.final_image_strength },
            roles,
            params: self.params(config)?,
            post: Post {
                colour_match: self.colour_match,
                saturation: self.after_first_post_generation_saturation,
                brightness: self.after_first_post_generation_brightness,
            },
            encode: Encode {
                codec: self.codec,
                crf: self.crf,
                preset: self.preset,
                ten_bit: self.ten_bit,
                ..Encode::default()
            },
            upscale: self.upscale(config)?,
            stitch: self.stitch,
            audio: self.audio.clone(),
            keep_sound: !self.mute_video,
            start_at: None,
            attempt_deadline: self.attempt_deadline,
            paste_known: self.paste_known,
            fresh: self.fresh,
            output: self.output(film)?,
        })
    }

    /// What single legs have instead; settings of one are over those of all.
    fn each(&self, settings: &Value) -> Result<BTreeMap<u32, LegWish>, Diagnostic> {
        let mut each: BTreeMap<u32, LegWish> = BTreeMap::new();
        for (leg, wish) in &self.segment {
            let mut wish = wish.clone();
            if let Some(text) = &wish.settings {
                let mut all = settings.as_object().cloned().unwrap_or_default();
                all.extend(object("--segment N.settings", text)?);
                wish.settings = Some(Value::Object(all).to_string());
            }
            let said = each.remove(leg);
            each.insert(*leg, wish.over(said.as_ref()));
        }
        Ok(each)
    }

    /// Where the film goes. `film` is where when that is chosen apart from the name.
    fn film(&self, name: &str, film: Option<&Path>) -> Result<PathBuf, Diagnostic> {
        if let Some(film) = film {
            return absolute(film);
        }
        let file = PathBuf::from(format!("{name}.mp4"));
        self.output_dir.as_ref().map_or(Ok(file.clone()), |dir| Ok(absolute(dir)?.join(file)))
    }

    fn output(&self, film: PathBuf) -> Result<Output, Diagnostic> {
        let seams = self.seams.as_ref().map(|page| match page.as_os_str() == BESIDE {
            true => Ok(film.with_extension("seams.html")),
            false => absolute(page),
        });
        Ok(Output {
            contact_sheet: self.contact_sheet.then(|| film.with_extension("contact-sheet.png")),
            film,
            overwrite: self.overwrite,
            keep_guides: self.keep_guides || self.debug || self.keep == "all",
            keep_all: self.debug || self.keep == "all",
            seams: seams.transpose()?,
        })
    }

    /// The run that makes the film of a manifest again, which is called as before unless it is said how.
    pub fn again(&self, manifest: &Manifest, film: Option<&Path>) -> Result<Again, Diagnostic> {
        let name = self.name.clone().unwrap_or_else(|| match film {
            Some(_) => name_after(&[], film),
            None => manifest.name.clone(),
        });
        check_name(&name)?;
        let film = self.film(&name, film)?;
        Ok(Again { tenant: self.tenant.clone(), name, output: self.output(film)? })
    }

    fn generator(&self, config: &Config) -> Result<String, Diagnostic> {
        if let Some(engine) = &self.execution_engine {
            return of_engine(engine, config);
        }
        let embedded = Generators::embedded();
        let named = self.generator.as_deref().or(config.generator.name.as_deref());
        Ok(named.or(embedded.names().next()).unwrap_or_default().to_owned())
    }

    /// What flags of their own ask the generator's settings for, those that hold over --generator-settings last.
    fn flags(&self) -> Result<Vec<FlagSettings>, Diagnostic> {
        let mut flags = Vec::new();
        if let Some(quality) = &self.quality {
            let settings = Map::from_iter([("quality".to_owned(), json!(quality))]);
            flags.push(FlagSettings { flag: "--quality", settings });
        }
        if self.use_causvid_lora {
            flags.push(FlagSettings { flag: CAUSVID, settings: causvid() });
        }
        let one =
            |flag, key: &str, value: Value| FlagSettings { flag, settings: Map::from_iter([(key.to_owned(), value)]) };
        if let Some(switch) = self.cfg_star_switch {
            flags.push(one("--cfg-star-switch", "cfg_star_switch", json!(switch)));
        }
        if let Some(step) = self.cfg_zero_step {
            flags.push(one("--cfg-zero-step", "cfg_zero_step", json!(step)));
        }
        if let Some(text) = &self.params_json_str {
            let params = object("--params-json-str", text)?;
            if let Some(key) = params.keys().find(|key| NOT_PARAMS.contains(&key.as_str())) {
                return Err(Diagnostic::refused("bad_params", format!("--params-json-str may not set `{key}`")).hint(
                    "the plan says how long and how large a segment is; steps belong into --generator-settings",
                ));
            }
            flags.push(FlagSettings { flag: "--params-json-str", settings: params });
        }
        Ok(flags)
    }

    /// As the original had it, a factor of 0 or 1 asks for nothing; below 1 a film would become smaller, which is refused.
    fn upscale(&self, config: &Config) -> Result<Option<UpscaleWish>, Diagnostic> {
        let named = self.upscale_model_name.is_some() || self.upscale_settings.is_some();
        if self.upscale_factor == 0.0 || self.upscale_factor == 1.0 {
            return match named {
                false => Ok(None),
                true => Err(Diagnostic::refused(
                    "bad_upscale",
                    "what makes the film larger is named, but not how large it is to be",
                )
                .hint("add --upscale-factor, such as 2")),
            };
        }
        let config = &config.upscaler;
        let settings = match &self.upscale_settings {
            Some(text) => object("--upscale-settings", text)?,
            // Settings of the configuration belong to the generator that it names.
            None if self.upscale_model_name.is_none() => config.settings.clone(),
            None => Map::new(),
        };
        let generator = self.upscale_model_name.as_deref().or(config.name.as_deref()).unwrap_or(Lanczos::NAME);
        Ok(Some(UpscaleWish {
            generator: generator.to_owned(),
            factor: self.upscale_factor,
            settings: Value::Object(settings),
        }))
    }

    fn settings(&self, config: &Config, flags: &[FlagSettings]) -> Result<Value, Diagnostic> {
        let own = match &self.generator_settings {
            Some(text) => object("--generator-settings", text)?,
            // Settings of the configuration belong to the generator that it names.
            None if self.generator.is_none() && self.execution_engine.is_none() => config.generator.settings.clone(),
            None => Map::new(),
        };
        let mut settings = if self.use_causvid_lora { causvid() } else { Map::new() };
        settings.extend(own);
        settings.extend(flags.iter().filter(|asked| asked.flag != CAUSVID).flat_map(|asked| asked.settings.clone()));
        Ok(Value::Object(settings))
    }

    fn params(&self, config: &Config) -> Result<BTreeMap<Role, Value>, Diagnostic> {
        let mut params: BTreeMap<Role, Map<String, Value>> = config.params.clone();
        let mut set = |role: Role, key: &str, value: Option<Value>| {
            if let Some(value) = value {
                params.entry(role).or_default().insert(key.to_owned(), value);
            }
        };
        let fade =
            |flag: &str, text: &Option<String>| text.as_ref().map(|t| object(flag, t).map(Value::Object)).transpose();
        set(Role::Guide, "fit", self.fit.as_ref().map(|v| json!(v)));
        set(Role::Orchestrate, "last_frame_duplication", self.last_frame_duplication.map(|v| json!(v)));
        set(Role::Guide, "fade_in", fade("--fade-in-duration", &self.fade_in_duration)?);
        set(Role::Guide, "fade_out", fade("--fade-out-duration", &self.fade_out_duration)?);
        for (key, value) in [
            ("subsequent_starting_strength_adjustment", self.subsequent_starting_strength_adjustment),
            ("desaturate_subsequent_starting_frames", self.desaturate_subsequent_starting_frames),
            ("adjust_brightness_subsequent_starting_frames", self.adjust_brightness_subsequent_starting_frames),
        ] {
            set(Role::Guide, key, value.map(|v| json!(v)));
        }
        set(Role::Crossfade, "crossfade_sharp_amt", self.crossfade_sharp_amt.map(|v| json!(v)));
        for (role, key, value) in &self.param {
            set(*role, key, Some(value.clone()));
        }
        Ok(params.into_iter().map(|(role, map)| (role, Value::Object(map))).collect())
    }
}

/// Stands for a page beside the film.
const BESIDE: &str = "beside";

const CAUSVID: &str = "--use-causvid-lora";

/// What the original set for it.
fn causvid() -> Map<String, Value> {
    let settings = json!({
        "num_inference_steps": 9, "guidance_scale": 1.0, "flow_shift": 1.0,
        "activated_loras": ["Wan21_CausVid_14B_T2V_lora_rank32.safetensors"], "loras_multipliers": "0.7",
    });
    settings.as_object().cloned().unwrap_or_default()
}

/// What --params-json-str may not set: the plan decides it, or users made films shorter by accident.
const NOT_PARAMS: [&str; 6] = ["frames", "video_length", "resolution", "output_path", "steps", "num_inference_steps"];

/// The generator of the configuration that is Wan2GP, or ComfyUI.
fn of_engine(engine: &str, config: &Config) -> Result<String, Diagnostic> {
    let is = |recipe: &Recipe| if engine == "wgp" { recipe.wan2gp.is_some() } else { recipe.comfyui.is_some() };
    let found: Vec<&str> =
        config.generators.iter().filter(|(_, recipe)| is(recipe)).map(|(name, _)| name.as_str()).collect();
    match found.as_slice() {
        [one] => Ok((*one).to_owned()),
        [] => {
            let kind = if engine == "wgp" { "wan2gp" } else { "comfyui" };
            let words = format!("the configuration has no generator for --execution-engine {engine}");
            Err(Diagnostic::refused("generator_unknown", words).hint(format!("add one as [generators.NAME.{kind}]")))
        }
        several => {
            let words = format!("--execution-engine {engine} may be {}", several.join(" or "));
            Err(Diagnostic::refused("generator_unknown", words).hint("name one with --generator"))
        }
    }
}

/// `coffee.jpg … rocket.jpg` → `coffee-to-rocket`.
fn name_after(images: &[PathBuf], film: Option<&Path>) -> String {
    let stem = |path: &Path| path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    match (film, images) {
        (Some(film), _) => stem(film),
        (None, [first, .., last]) => format!("{}-to-{}", stem(first), stem(last)),
        (None, [one]) => stem(one),
        (None, []) => "film".to_owned(),
    }
}

fn check_name(name: &str) -> Result<(), Diagnostic> {
    let bad = |c: char| c == '/' || c == '\\' || c.is_control();
    let number = name.trim_start_matches('#').parse::<u64>().is_ok();
    if name.is_empty() || name.starts_with('.') || name.len() > 200 || name.contains(bad) || number {
        return Err(Diagnostic::refused("bad_name", format!("`{name}` cannot be a film's name"))
            .hint("use 1 to 200 characters without a slash, not beginning with a dot, and not only digits"));
    }
    Ok(())
}

/// A path that means the same for every process.
pub fn absolute(path: &Path) -> Result<PathBuf, Diagnostic> {
    std::path::absolute(path).map_err(|e| Diagnostic::refused("bad_path", format!("{}: {e}", path.display())))
}

pub fn object(flag: &str, text: &str) -> Result<Map<String, Value>, Diagnostic> {
    serde_json::from_str(text).map_err(|e| {
        Diagnostic::refused("bad_json", format!("{flag} is not a JSON object: {e}"))
            .hint("write it in single quotes, as '{\"duration_factor\": 0.5}'")
    })
}

fn role_choice(text: &str) -> Result<(Role, String), String> {
    let (role, plugin) = text.split_once('=').ok_or("write it as ROLE=PLUGIN, as guide=dissolve")?;
    Ok((role.parse()?, plugin.to_owned()))
}

fn stitching(text: &str) -> Result<Stitching, String> {
    match text {
        "full" => Ok(Stitching::Full),
        "auto" => Ok(Stitching::Auto),
        "smart" => Ok(Stitching::Smart),
        _ => Err("full, auto or smart".to_owned()),
    }
}

/// `3.prompt=snow`
fn leg_wish(text: &str) -> Result<(u32, LegWish), String> {
    let wrong = || "as N.prompt=TEXT, N.negative-prompt=TEXT, N.seed=SEED or N.settings=JSON, with N from 0".to_owned();
    let (leg, rest) = text.split_once('.').ok_or_else(wrong)?;
    let (key, value) = rest.split_once('=').ok_or_else(wrong)?;
    let leg: u32 = leg.trim().parse().map_err(|_| wrong())?;
    let value = value.to_owned();
    let wish = match key.trim() {
        "prompt" => LegWish { prompt: Some(value), ..LegWish::default() },
        "negative-prompt" | "negative_prompt" => LegWish { negative_prompt: Some(value), ..LegWish::default() },
        "seed" => LegWish { seed: Some(value.trim().parse().map_err(|_| wrong())?), ..LegWish::default() },
        "settings" => LegWish { settings: Some(value), ..LegWish::default() },
        _ => return Err(wrong()),
    };
    Ok((leg, wish))
}

fn role_param(text: &str) -> Result<(Role, String, Value), String> {
    let usage = "write it as ROLE.KEY=VALUE, as guide.fit=contain";
    let (name, value) = text.split_once('=').ok_or(usage)?;
    let (role, key) = name.split_once('.').ok_or(usage)?;
    let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
    Ok((role.parse()?, key.to_owned(), value))
}

fn codec(text: &str) -> Result<Codec, String> {
    match text {
        "h264" => Ok(Codec::H264),
        "hevc" | "h265" => Ok(Codec::Hevc),
        _ => Err("the codecs are h264 and hevc".to_owned()),
    }
}

fn preset(text: &str) -> Result<Preset, String> {
    [Preset::Ultrafast, Preset::Veryfast, Preset::Fast, Preset::Medium, Preset::Slow]
        .into_iter()
        .find(|p| p.name() == text)
        .ok_or_else(|| "the presets are ultrafast, veryfast, fast, medium and slow".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flag_of_a_film_is_named() {
        let command = TravelArgs::augment_args(clap::Command::new("film"));
        let heading = |arg: &clap::Arg| arg.get_help_heading() == Some("Not supported (refused)");
        let ids: Vec<&str> = command.get_arguments().filter(|a| !heading(a)).map(|a| a.get_id().as_str()).collect();
        let (place, content): (Vec<&str>, Vec<&str>) = ids.into_iter().partition(|id| PLACE_FLAGS.contains(id));
        assert_eq!((place.as_slice(), content.as_slice()), (&PLACE_FLAGS[..], &CONTENT_FLAGS[..]));
    }
}
