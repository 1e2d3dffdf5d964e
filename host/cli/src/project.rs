//! A project file: one film in TOML, `travel-host render travel.toml`.
//!
//! Its keys are the flags' names, so it is read by saying it as flags: a flag on the command line goes before the file, the file before
//! its preset, and all are judged alike. What flags cannot say is when an image is shown; that becomes `--segment-frames`.

use crate::args::{Cli, Command};
use crate::diagnostic::Diagnostic;
use crate::render_args::TravelArgs;
use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory as _, Parser as _};
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use travel::Rate;
use travel_engine::download::is_address;

/// What a project may say; also in the documents.
pub const SCHEMA: &str = include_str!("../../../docs/travel.schema.json");

/// Keys whose values are files beside the project.
const FILES: [&str; 2] = ["continue-from-video", "audio"];

/// When an image can be shown at the latest, seconds; longer than any film.
const LONGEST: f64 = 1e6;

/// Keys that are no flags of that name.
const OWN: [&str; 6] = ["images", "segments", "use", "presets", "roles", "params"];

/// The command line with what its project file says, if it names one in place of images.
pub fn expanded(cli: Cli, args: &[OsString]) -> Result<Cli, Diagnostic> {
    let travel = match &cli.command {
        Command::Render(command) => &command.travel,
        Command::Travel(command) => &command.travel,
        Command::Plan(command) => &command.travel,
        _ => return Ok(cli),
    };
    let is_project = |path: &Path| path.extension().is_some_and(|e| e.eq_ignore_ascii_case("toml"));
    let Some(path) = travel.images.iter().chain(&travel.input_images).find(|path| is_project(path)).cloned() else {
        return match &travel.project_preset {
            Some(_) => Err(Diagnostic::refused("bad_project", "--project-preset needs a project file, as travel.toml")),
            None => Ok(cli),
        };
    };
    if travel.images.len() + travel.input_images.len() != 1 {
        let why = format!("{}: a project names its images itself; give it alone", path.display());
        return Err(Diagnostic::refused("bad_project", why));
    }
    let project = Project::read(&path, travel.project_preset.as_deref())?;
    let matches = Cli::command().try_get_matches_from(args).map_err(|e| Diagnostic::usage(&e.render().to_string()))?;
    let (_, given) = matches.subcommand().ok_or_else(|| Diagnostic::usage("no command"))?;
    let flags = project.flags(given, travel)?;
    let (mut words, mut placed) = (Vec::with_capacity(args.len() + flags.len()), false);
    for word in args {
        // The one word that is the project itself: its flags stand in its place, its images come last.
        if !placed && Path::new(word) == path {
            placed = true;
            words.extend(flags.iter().map(OsString::from));
        } else if word != OsStr::new("--input_images") && word != OsStr::new("--input-images") {
            words.push(word.clone());
        }
    }
    if !placed {
        let why = format!("{}: give the project file as an argument of its own", path.display());
        return Err(Diagnostic::refused("bad_project", why));
    }
    words.retain(|word| word != OsStr::new("--"));
    words.push("--".into());
    words.extend(project.images.iter().map(|image| image.file.clone().into_os_string()));
    Cli::try_parse_from(words).map_err(|e| Diagnostic::usage(&e.render().to_string()))
}

struct Project {
    path: PathBuf,
    film: Map<String, Value>,
    images: Vec<Image>,
    segments: Vec<Value>,
}

struct Image {
    file: PathBuf,
    /// Seconds.
    at: Option<f64>,
}

impl Project {
    fn read(path: &Path, preset: Option<&str>) -> Result<Self, Diagnostic> {
        let refuse = |why: String| {
            Diagnostic::refused("bad_project", format!("{}: {why}", path.display()))
                .hint("see docs/project.md, and docs/travel.schema.json for every key")
        };
        let text = std::fs::read_to_string(path).map_err(|e| refuse(e.to_string()))?;
        let value: Value = toml::from_str(&text).map_err(|e| refuse(e.to_string().trim_end().to_owned()))?;
        static VALIDATOR: OnceLock<Option<jsonschema::Validator>> = OnceLock::new();
        let validator = VALIDATOR.get_or_init(|| {
            let schema = serde_json::from_str(SCHEMA).ok()?;
            jsonschema::draft202012::new(&schema).ok()
        });
        let validator =
            validator.as_ref().ok_or_else(|| refuse("the program's own schema cannot be read".to_owned()))?;
        if let Some(error) = validator.iter_errors(&value).next() {
            let place = error.instance_path().to_string();
            let place = if place.is_empty() { String::new() } else { format!("at {place}: ") };
            return Err(refuse(format!("{place}{error}")));
        }
        let Value::Object(mut film) = value else { return Err(refuse("it is no table".to_owned())) };
        let mut take = |key: &str| film.remove(key).unwrap_or(Value::Null);
        let (images, segments) = (take("images"), take("segments"));
        let (chosen, presets) = (take("use"), take("presets"));
        if let Some(name) = preset.or(chosen.as_str()) {
            let Some(Value::Object(preset)) = presets.get(name) else {
                let known: Vec<&str> =
                    presets.as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
                return Err(refuse(format!("it has no preset `{name}`; its presets: {}", known.join(", "))));
            };
            for (key, value) in preset {
                film.entry(key.clone()).or_insert_with(|| value.clone());
            }
        }
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        let image = |value: &Value| {
            let file = value.get("file").unwrap_or(value).as_str().unwrap_or_default();
            let at = match value.get("at") {
                None => None,
                Some(Value::String(text)) => Some(
                    humantime::parse_duration(text)
                        .map(|at| at.as_secs_f64())
                        .or_else(|_| text.trim_end_matches('s').parse::<f64>().map_err(|_| text))
                        .map_err(|text| refuse(format!("`{text}` is no time: give seconds, or as 4.2s")))?,
                ),
                Some(number) => number.as_f64(),
            };
            if at.is_some_and(|at| !(0.0..=LONGEST).contains(&at)) {
                return Err(refuse(format!("an image at {} s: times are 0 to {LONGEST} s", at.unwrap_or_default())));
            }
            Ok(Image { file: folder.join(file), at })
        };
        let images = images.as_array().into_iter().flatten().map(image).collect::<Result<Vec<Image>, Diagnostic>>()?;
        for key in FILES {
            if let Some(Value::String(file)) = film.get_mut(key).filter(|file| !file.as_str().is_some_and(is_address)) {
                *file = folder.join(&*file).to_string_lossy().into_owned();
            }
        }
        let segments = segments.as_array().cloned().unwrap_or_default();
        Ok(Self { path: path.to_owned(), film, images, segments })
    }

    fn refuse(&self, why: String) -> Diagnostic {
        Diagnostic::refused("bad_project", format!("{}: {why}", self.path.display())).hint("see docs/project.md")
    }

    /// What the file says that the command line does not, as flags.
    fn flags(&self, given: &ArgMatches, line: &TravelArgs) -> Result<Vec<String>, Diagnostic> {
        let is_given = |key: &str| {
            let id = key.replace('-', "_");
            let known = given.ids().any(|known| known.as_str() == id);
            known && given.value_source(&id) == Some(ValueSource::CommandLine)
        };
        let mut flags = Vec::new();
        for (key, value) in self.film.iter().filter(|(key, _)| !OWN.contains(&key.as_str()) && !is_given(key)) {
            match value {
                Value::Bool(true) => flags.push(format!("--{key}")),
                Value::Bool(false) => {}
                Value::Array(list) => flags.extend(list.iter().map(|value| format!("--{key}={}", plain(value)))),
                one => flags.push(format!("--{key}={}", plain(one))),
            }
        }
        for (role, plugin) in self.film.get("roles").and_then(Value::as_object).into_iter().flatten() {
            flags.push(format!("--role={role}={}", plain(plugin)));
        }
        for (role, params) in self.film.get("params").and_then(Value::as_object).into_iter().flatten() {
            for (key, value) in params.as_object().into_iter().flatten() {
                flags.push(format!("--param={role}.{key}={value}"));
            }
        }
        let of = |key: &str, given: Option<Rate>| match self.film.get(key).filter(|_| !is_given(key)) {
            Some(rate) => plain(rate).parse().map(Some).map_err(|e| self.refuse(format!("{key}: {e}"))),
            None => Ok(given),
        };
        // Lengths are counted at the segments' rate.
        let rate = of("generator-fps", line.generator_fps)?.or(of("fps", Some(line.fps))?).unwrap_or(line.fps);
        if is_given("segment-frames") && self.images.iter().any(|image| image.at.is_some()) {
            return Err(self.refuse("its images have times, which --segment-frames would take away".to_owned()));
        }
        let mut indices = BTreeSet::new();
        if let Some(twice) =
            self.segments.iter().find(|segment| !indices.insert(segment.get("segment").and_then(Value::as_u64)))
        {
            return Err(
                self.refuse(format!("segment {} is there twice", twice.get("segment").cloned().unwrap_or_default()))
            );
        }
        let round = line.goes_round || self.film.get("loop").and_then(Value::as_bool) == Some(true);
        let lists = [("segment-frames", "frames"), ("frame-overlap", "overlap")];
        for (key, own) in lists.into_iter().filter(|(key, _)| !is_given(key)) {
            if let Some(values) = self.list(key, own, rate, is_given("continue-from-video"), round)? {
                let prefix = format!("--{key}=");
                flags.retain(|flag| !flag.starts_with(&prefix));
                flags.extend(values.iter().map(|value| format!("{prefix}{value}")));
            }
        }
        for segment in &self.segments {
            let index = segment.get("segment").and_then(Value::as_u64).unwrap_or_default();
            for key in ["prompt", "negative-prompt", "seed", "settings"] {
                flags.extend(segment.get(key).map(|value| format!("--segment={index}.{key}={}", plain(value))));
            }
        }
        Ok(flags)
    }

    /// One value a segment (a join, for overlaps), where images have times or single segments differ; nothing where the
    /// file's own list is all there is.
    fn list(
        &self,
        key: &str,
        own: &str,
        rate: Rate,
        is_continued: bool,
        round: bool,
    ) -> Result<Option<Vec<u64>>, Diagnostic> {
        let is_timed = key == "segment-frames" && self.images.iter().any(|image| image.at.is_some());
        if !is_timed && !self.segments.iter().any(|segment| segment.get(own).is_some()) {
            return Ok(None);
        }
        let continued = self.film.contains_key("continue-from-video") || is_continued;
        let legs = if continued || round { self.images.len() } else { self.images.len().saturating_sub(1) };
        let first = usize::from(key == "frame-overlap" && !continued);
        // The last join of a film that goes round is no segment's beginning.
        let more = usize::from(key == "frame-overlap" && round);
        let said: Vec<u64> = match self.film.get(key) {
            Some(Value::Array(list)) => list.iter().filter_map(Value::as_u64).collect(),
            Some(one) => one.as_u64().into_iter().collect(),
            None => vec![if key == "segment-frames" { 81 } else { 16 }],
        };
        let count = legs - first.min(legs) + more;
        let mut values: Vec<u64> = match said.as_slice() {
            [one] => vec![*one; count],
            list if list.len() == count => list.to_vec(),
            list => return Err(self.refuse(format!("{key} has {} values, and {count} are needed", list.len()))),
        };
        if is_timed {
            self.time(&mut values, rate, continued)?;
            // What a time says, nothing else may say.
            let timed = self.images.iter().rposition(|image| image.at.is_some()).unwrap_or_default();
            let said = |segment: &&Value| {
                segment.get(own).is_some() && segment.get("segment").and_then(Value::as_u64) < Some(timed as u64)
            };
            if let Some(segment) = self.segments.iter().find(said) {
                let index = segment.get("segment").cloned().unwrap_or_default();
                return Err(
                    self.refuse(format!("segment {index} has frames, and its images have times: one of the two"))
                );
            }
        }
        for segment in &self.segments {
            let (Some(index), Some(value)) = (segment.get("segment").and_then(Value::as_u64), segment.get(own)) else {
                continue;
            };
            let place = usize::try_from(index).ok().and_then(|index| values.get_mut(index.checked_sub(first)?));
            let place = place.ok_or_else(|| self.refuse(format!("segment {index} has no {own} to set")))?;
            *place = value.as_u64().unwrap_or(*place);
        }
        Ok(Some(values))
    }

    /// Sets the frames of segments by the times of their images. An image that ends a segment stands at its last frame, and the
    /// first image of a film from scratch at frame 0; images without a time stand evenly between those that have one.
    fn time(&self, frames: &mut [u64], rate: Rate, continued: bool) -> Result<(), Diagnostic> {
        let frame = |seconds: f64| (seconds * f64::from(rate.num) / f64::from(rate.den.max(1))).round() as i64;
        if continued {
            return Err(self.refuse("images after a continued video cannot have times; give segment-frames".to_owned()));
        }
        // Where the last frame of each segment stands, known or not.
        let mut known = vec![(0usize, 0i64)];
        for (i, image) in self.images.iter().enumerate() {
            let Some(at) = image.at else { continue };
            if i == 0 {
                if frame(at) != 0 {
                    return Err(self.refuse("the first image is where the film begins: its time is 0".to_owned()));
                }
                continue;
            }
            let at = frame(at);
            let (before, earlier) = known.last().copied().unwrap_or_default();
            if at - earlier < (i - before) as i64 {
                let why = format!("image {} comes {} frames after image {}: too few", i + 1, at - earlier, before + 1);
                return Err(self.refuse(why));
            }
            known.push((i, at));
        }
        for pair in known.windows(2) {
            let [(from, begin), (to, end)] = pair else { continue };
            let (steps, way) = ((to - from) as i64, end - begin);
            for i in 0..steps {
                let own = way * (i + 1) / steps - way * i / steps;
                // The first segment shows its first image at a frame of its own.
                let first = i64::from(*from == 0 && i == 0);
                if let Some(value) = usize::try_from(i).ok().and_then(|i| frames.get_mut(from + i)) {
                    *value = u64::try_from(own + first).unwrap_or(1);
                }
            }
        }
        Ok(())
    }
}

/// A value as it is typed.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render_args::CONTENT_FLAGS;

    #[test]
    fn every_flag_that_says_what_a_film_is_has_a_key() {
        let schema: Value = serde_json::from_str(SCHEMA).unwrap();
        let film = schema["$defs"]["film"]["properties"].as_object().unwrap();
        let other = ["images", "input_images", "role", "param", "segment", "project_preset"];
        for flag in CONTENT_FLAGS.iter().filter(|flag| !other.contains(flag)) {
            assert!(film.contains_key(&flag.replace('_', "-")), "{flag}");
        }
        let command = Cli::command();
        let render = command.find_subcommand("render").unwrap();
        for key in film.keys().filter(|key| !OWN.contains(&key.as_str())) {
            let known = render.get_arguments().any(|arg| arg.get_long() == Some(key.as_str()));
            assert!(known, "{key} is no flag");
        }
    }
}
