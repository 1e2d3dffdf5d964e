//! `travel-generator/1`: what the host and a generator say to each other, one JSON object a line.
//!
//! `docs/generator-protocol.md` tells it to authors, `docs/generator-protocol.schema.json` to programs.

use crate::error::{GeneratorError, said};
use crate::generator::Capabilities;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use travel::{Grid, Rate};

/// The version that this program speaks.
pub const PROTOCOL: &str = "travel-generator/1";

/// What the host says.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum Request<'a> {
    /// The first line.
    Hello { protocol: &'static str },
    /// Make a model ready.
    Load { model: &'a str },
    /// Render a segment.
    Generate(Box<Generate<'a>>),
    /// Make a film larger.
    Upscale(Box<Enlarge<'a>>),
    /// Stop that job.
    Cancel { id: &'a str },
    /// Give the device's memory back.
    Unload,
    /// End.
    Bye,
}

/// One segment to render; all paths are absolute.
#[derive(Debug, Serialize)]
pub(crate) struct Generate<'a> {
    pub(crate) id: &'a str,
    pub(crate) guide: &'a Path,
    pub(crate) mask: &'a Path,
    pub(crate) first_frame: Option<PathBuf>,
    pub(crate) last_frame: Option<PathBuf>,
    pub(crate) references: &'a [PathBuf],
    pub(crate) prompt: &'a str,
    pub(crate) negative_prompt: &'a str,
    pub(crate) seed: u64,
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) frames: u32,
    pub(crate) rate: [u32; 2],
    pub(crate) model: Option<&'a str>,
    pub(crate) settings: &'a Value,
    pub(crate) output: &'a Path,
    pub(crate) work_dir: &'a Path,
}

/// One film to make larger; all paths are absolute.
#[derive(Debug, Serialize)]
pub(crate) struct Enlarge<'a> {
    pub(crate) id: &'a str,
    pub(crate) video: &'a Path,
    pub(crate) prompt: &'a str,
    pub(crate) seed: u64,
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) frames: u32,
    pub(crate) rate: [u32; 2],
    pub(crate) model: Option<&'a str>,
    pub(crate) settings: &'a Value,
    pub(crate) output: &'a Path,
    pub(crate) work_dir: &'a Path,
}

/// What a generator says.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum Reply {
    /// Answer to `hello`.
    Hello(Box<Hello>),
    /// Answer to `load`.
    Loaded,
    /// Answer to `unload`.
    Unloaded,
    /// A sign of life.
    Progress {
        #[serde(default)]
        phase: String,
        #[serde(default)]
        step: u32,
        /// 0 where nobody knows.
        #[serde(default)]
        of: u32,
        #[serde(default)]
        preview: Option<PathBuf>,
    },
    /// The job's clip is complete.
    Done { id: String, output: PathBuf },
    /// What was asked cannot be done.
    Error {
        #[serde(default)]
        id: Option<String>,
        class: Class,
        message: String,
    },
}

/// What kind of trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// The job can never be rendered so.
    Invalid,
    /// The device's memory does not suffice.
    OutOfMemory,
    /// It may succeed if tried again.
    Transient,
    /// The program can do nothing more.
    Fatal,
    /// The job was cancelled, as asked.
    Cancelled,
}

/// How a generator describes itself.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Hello {
    pub(crate) protocol: String,
    /// For people: its name and version.
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) version: String,
    pub(crate) grid: Lengths,
    /// Rates that it renders, `[num, den]`; any when missing.
    #[serde(default)]
    pub(crate) rates: Option<Vec<[u32; 2]>>,
    /// What it reads of a segment's job; nothing for one that only makes films larger.
    #[serde(default)]
    pub(crate) inputs: Vec<Input>,
    /// Up to how many times as wide and high it makes films; it makes none larger when missing.
    #[serde(default)]
    pub(crate) upscales: Option<f64>,
    /// Models that `load` accepts, the default first.
    #[serde(default)]
    pub(crate) models: Vec<String>,
    /// How much of a card's memory a job wants, MiB; nothing is said when missing.
    #[serde(default)]
    pub(crate) memory_mb: Option<u64>,
    /// JSON Schema of `settings`; without one it takes none.
    #[serde(default)]
    pub(crate) settings_schema: Option<Value>,
    /// Words for the user, such as a licence's notice.
    #[serde(default)]
    pub(crate) notice: Option<String>,
}

/// Lengths `step * n + offset`, sizes in multiples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lengths {
    #[serde(default = "one")]
    step: u32,
    #[serde(default)]
    offset: u32,
    #[serde(default = "two")]
    min: u32,
    #[serde(default = "most")]
    max: u32,
    #[serde(default = "two")]
    multiple: u32,
    #[serde(default = "one")]
    anchor_hold: u32,
}

fn one() -> u32 {
    1
}

fn two() -> u32 {
    2
}

fn most() -> u32 {
    Grid::ANY.max
}

/// A part of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Input {
    /// The guide clip.
    Guide,
    /// The mask clip.
    Mask,
    /// The guide's first frame, as a PNG.
    FirstFrame,
    /// The guide's last frame, as a PNG.
    LastFrame,
    /// Pictures to go by.
    References,
    /// Both prompts.
    Prompt,
    /// The seed.
    Seed,
}

impl Class {
    /// What becomes of a job that failed so; `stderr` is what the program last said there.
    pub(crate) fn error(self, generator: String, message: String, stderr: impl FnOnce() -> String) -> GeneratorError {
        match self {
            Self::Invalid => GeneratorError::Refused { generator, message },
            Self::OutOfMemory => {
                GeneratorError::OutOfMemory { generator, message: format!("{message}{}", said(&stderr())) }
            }
            Self::Transient => {
                GeneratorError::Transient { generator, message: format!("{message}{}", said(&stderr())) }
            }
            Self::Fatal => GeneratorError::Fatal { generator, message, stderr: stderr() },
            Self::Cancelled => GeneratorError::Transient {
                generator,
                message: format!("it says that the job was cancelled, which nobody did: {message}"),
            },
        }
    }
}

impl Lengths {
    /// What is wrong with it, in a sentence.
    pub(crate) fn fault(&self) -> Option<String> {
        if self.step == 0 || self.offset >= self.step {
            return Some(format!("its grid has offset {} and step {}; offset is below step", self.offset, self.step));
        }
        if self.min == 0 || self.min > self.max {
            return Some(format!("its grid allows {} to {} frames", self.min, self.max));
        }
        if self.multiple == 0 || self.multiple % 2 == 1 || self.multiple > 256 {
            return Some(format!("its sizes are multiples of {}; 2 to 256, even, is possible", self.multiple));
        }
        if self.anchor_hold == 0 {
            return Some("its grid has an anchor_hold of 0; a key-frame is held for 1 frame or more".to_owned());
        }
        None
    }

    /// As the domain has it.
    pub(crate) fn grid(&self, wants_mask: bool) -> Grid {
        let Self { step, offset, min, max, multiple, anchor_hold } = *self;
        Grid { step, offset, min, max, dims_multiple: multiple, anchor_hold, wants_mask }
    }
}

impl Hello {
    /// What is wrong with it, in a sentence, as an answer in this protocol.
    pub(crate) fn fault(&self, protocol: &str) -> Option<String> {
        if self.protocol != protocol {
            return Some(format!("it speaks {}; this host speaks {protocol}", self.protocol));
        }
        if let Some(fault) = self.grid.fault() {
            return Some(fault);
        }
        if let Some(most) = self.upscales
            && !(most.is_finite() && most > 1.0)
        {
            return Some(format!("its upscales is {most}; the most times that it makes a film larger is above 1"));
        }
        if self.memory_mb == Some(0) {
            return Some("its memory_mb is 0; leave it out where nobody counts".to_owned());
        }
        if !self.renders() && self.upscales.is_none() {
            return Some("it reads neither `guide` nor `first_frame`, and so could not know where to begin".to_owned());
        }
        if self.rates.as_ref().is_some_and(|rates| rates.is_empty() || rates.iter().any(|[n, d]| *n == 0 || *d == 0)) {
            return Some("its rates are an empty list or hold a zero".to_owned());
        }
        None
    }

    pub(crate) fn reads(&self, input: Input) -> bool {
        self.inputs.contains(&input)
    }

    /// Whether it renders segments.
    pub(crate) fn renders(&self) -> bool {
        self.reads(Input::Guide) || self.reads(Input::FirstFrame)
    }

    pub(crate) fn grid(&self) -> Grid {
        self.grid.grid(self.reads(Input::Mask))
    }

    /// The model that is loaded: the one of the configuration, or its first.
    pub(crate) fn model<'a>(&'a self, configured: Option<&'a str>) -> Option<&'a str> {
        configured.or(self.models.first().map(String::as_str))
    }

    /// Whether it has the model of the configuration.
    pub(crate) fn check_model(&self, generator: &str, configured: Option<&str>) -> Result<(), GeneratorError> {
        match configured {
            Some(model) if !self.models.iter().any(|known| known == model) => {
                let known = if self.models.is_empty() { "none".to_owned() } else { self.models.join(", ") };
                let reason = format!("it has no model `{model}`; it has {known}");
                Err(GeneratorError::BadRecipe { generator: generator.to_owned(), reason })
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn check_settings(&self, generator: &str, settings: &Value) -> Result<(), GeneratorError> {
        if let Some(schema) = &self.settings_schema {
            return crate::settings::check_by(generator, schema, settings);
        }
        match settings.as_object().and_then(|map| map.keys().next()) {
            None => Ok(()),
            Some(key) => Err(GeneratorError::BadSettings {
                generator: generator.to_owned(),
                pointer: format!("/{key}"),
                reason: "it takes no settings".to_owned(),
            }),
        }
    }

    /// What a generator of this name and pool can do that says so.
    pub(crate) fn capabilities(&self, name: &str, pool: &str) -> Capabilities {
        let rates = |rates: &Vec<[u32; 2]>| rates.iter().map(|[num, den]| Rate { num: *num, den: *den }).collect();
        Capabilities {
            name: name.to_owned(),
            version: self.version.clone(),
            renders: self.renders(),
            upscales: self.upscales,
            grid: self.grid(),
            rates: self.rates.as_ref().map(rates),
            models: self.models.clone(),
            memory_mb: self.memory_mb,
            wants_guide: self.reads(Input::Guide),
            reads_prompts: self.reads(Input::Prompt),
            references: if self.reads(Input::References) { u32::MAX } else { 0 },
            settings_schema: self.settings_schema.clone().unwrap_or_else(|| crate::settings::schema(json!({}))),
            pool: pool.to_owned(),
            // It is shown on terminals.
            notice: self.notice.as_ref().map(|notice| notice.replace(char::is_control, " ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    const SCHEMA: &str = include_str!("../../../../docs/generator-protocol.schema.json");

    fn schema() -> Value {
        serde_json::from_str(SCHEMA).unwrap()
    }

    /// What the schema says of a message of this type and side.
    fn of(side: &str, kind: &str) -> Value {
        let schema = schema();
        let all = schema.pointer(&format!("/$defs/{side}/oneOf")).and_then(Value::as_array).unwrap().clone();
        let is = |one: &Value| one.pointer("/properties/type/const").and_then(Value::as_str) == Some(kind);
        all.into_iter().find(is).unwrap()
    }

    fn keys(value: &Value) -> BTreeSet<String> {
        value.as_object().unwrap().keys().cloned().collect()
    }

    /// Whether a side may say this, by the schema as a whole too.
    fn accepts(side: &str, message: &Value) -> bool {
        let whole = schema();
        let one = json!({ "$ref": format!("#/$defs/{side}"), "$defs": whole["$defs"] });
        let valid = [whole, one].map(|schema| jsonschema::draft202012::new(&schema).unwrap().is_valid(message));
        valid == [true, true]
    }

    #[test]
    fn the_published_schema_is_what_the_host_says() {
        let (path, settings) = (Path::new("/tmp/a.mkv"), json!({"steps": 3}));
        let generate = Generate {
            id: "1",
            guide: path,
            mask: path,
            first_frame: Some(path.to_owned()),
            last_frame: None,
            references: &[path.to_owned()],
            prompt: "",
            negative_prompt: "",
            seed: u64::MAX,
            width: 64,
            height: 48,
            frames: 17,
            rate: [16, 1],
            model: None,
            settings: &settings,
            output: path,
            work_dir: path,
        };
        let enlarge = Enlarge {
            id: "1",
            video: path,
            prompt: "",
            seed: 0,
            width: 64,
            height: 48,
            frames: 17,
            rate: [16, 1],
            model: Some("large"),
            settings: &settings,
            output: path,
            work_dir: path,
        };
        for request in [
            Request::Hello { protocol: PROTOCOL },
            Request::Load { model: "large" },
            Request::Cancel { id: "1" },
            Request::Unload,
            Request::Bye,
            Request::Generate(Box::new(generate)),
            Request::Upscale(Box::new(enlarge)),
        ] {
            let said = serde_json::to_value(&request).unwrap();
            assert!(accepts("fromHost", &said), "{said}");
            let kind = said["type"].as_str().unwrap();
            if !["unload", "bye"].contains(&kind) {
                assert_eq!(keys(&said), keys(&of("fromHost", kind)["properties"]), "{kind}");
            }
        }
    }

    #[test]
    fn the_published_schema_is_what_the_host_understands() {
        let hello = json!({
            "type": "hello", "protocol": PROTOCOL, "name": "x", "version": "1", "rates": [[16, 1]], "inputs": ["guide", "mask"],
            "grid": {"step": 4, "offset": 1, "min": 17, "max": 81, "multiple": 16, "anchor_hold": 4}, "upscales": 2.0,
            "models": ["a"], "memory_mb": 24000, "settings_schema": {}, "notice": "n",
        });
        assert_eq!(keys(&hello), keys(&of("fromGenerator", "hello")["properties"]), "every key is tried");
        let error = json!({"type": "error", "id": "1", "class": "out-of-memory", "message": "m"});
        let progress = json!({"type": "progress", "phase": "p", "step": 1, "of": 2, "preview": "/tmp/p.png"});
        let done = json!({"type": "done", "id": "1", "output": "/tmp/o.mkv"});
        for said in [hello.clone(), error, progress, done, json!({"type": "loaded"}), json!({"type": "unloaded"})] {
            assert!(accepts("fromGenerator", &said), "{said}");
            serde_json::from_value::<Reply>(said).unwrap();
        }
        for (key, value) in
            [("memory_mb", json!(0)), ("upscales", json!(1)), ("rates", json!([])), ("surprise", json!(1))]
        {
            let mut wrong = hello.clone();
            wrong[key] = value;
            assert!(!accepts("fromGenerator", &wrong), "{key}");
            let fault = serde_json::from_value::<Reply>(wrong).map(|reply| match reply {
                Reply::Hello(hello) => hello.fault(PROTOCOL),
                _ => None,
            });
            assert!(!matches!(fault, Ok(None)), "{key} is let pass");
        }
    }
}
