//! `generators list`, `show`, `check` and `run`.

use super::{print, print_json};
use crate::args::{GeneratorsCommand, Global, TryGenerator};
use crate::diagnostic::Diagnostic;
use crate::format::table;
use crate::progress::tell;
use crate::render_args::{absolute, object};
use crate::workplace::Workplace;
use serde_json::{Value, json};
use std::path::Path;
use travel::{Dims, Place, Rate};
use travel_engine::EngineError;
use travel_engine::generators::process::{Recipe, Step, Verdict, check};
use travel_engine::generators::{
    Capabilities, ComfyuiServers, Device, Generator as _, Generators, Job, Progress, RenderFarm, Wanted,
};
use travel_engine::media::{Unwatched, probe};

pub fn generators(global: &Global, command: &GeneratorsCommand) -> Result<u8, Diagnostic> {
    let place = Workplace::find(global)?;
    match command {
        GeneratorsCommand::List => list(global, &place.generators()),
        GeneratorsCommand::Show { name } => show(global, &place.generators(), name),
        GeneratorsCommand::Check { name, settings, device, command } => {
            let recipe = match name {
                Some(name) => place.config.generators.get(name).cloned().ok_or_else(|| no_program(&place, name))?,
                None => Recipe::of(command.clone()),
            };
            let settings = settings.as_deref().map(|text| object("--generator-settings", text)).transpose()?;
            let settings = Value::Object(settings.unwrap_or_default());
            let name = name.as_deref().unwrap_or_default();
            match (recipe.servers(name), recipe.render_farm(name)) {
                (Some(servers), _) => ask_servers(global, &servers, &settings),
                (None, Some(farm)) => try_farm(global, &farm, &settings),
                (None, None) => try_out(global, &recipe, &settings, device.as_deref()),
            }
        }
        GeneratorsCommand::Run(args) => run(global, &place.generators(), args),
    }
}

fn no_program(place: &Workplace, name: &str) -> Diagnostic {
    let known: Vec<&str> = place.config.generators.keys().map(String::as_str).collect();
    let hint = if known.is_empty() {
        "add one as [generators.NAME], or give its command after `--`".to_owned()
    } else {
        format!("one of: {}", known.join(", "))
    };
    Diagnostic::refused("generator_unknown", format!("the configuration has no generator `{name}` with a program"))
        .hint(hint)
}

fn list(global: &Global, generators: &Generators) -> Result<u8, Diagnostic> {
    let mut rows = Vec::new();
    let mut all = Vec::new();
    let mut notices = String::new();
    for name in generators.names() {
        let described = generators.by_name(name).and_then(|generator| generator.describe());
        match described {
            Ok(able) => {
                rows.push(vec![
                    name.to_owned(),
                    able.version.clone(),
                    able.pool.clone(),
                    lengths(&able),
                    able.models.join(" "),
                ]);
                if let Some(notice) = &able.notice {
                    notices.push_str(&format!("\n{name}: {notice}"));
                }
                all.push(summary(&able));
            }
            Err(e) => {
                let e = EngineError::from(e);
                rows.push(vec![name.to_owned(), "—".to_owned(), "—".to_owned(), e.with_causes(), String::new()]);
                all.push(json!({ "name": name, "error": { "code": e.code(), "message": e.with_causes() } }));
            }
        }
    }
    if global.json {
        return print_json(&all);
    }
    print(&format!("{}{notices}", table(&["name", "version", "pool", "renders", "models"], &rows)))
}

fn lengths(able: &Capabilities) -> String {
    let larger = able.upscales.map(|most| format!("films up to {most} times as large"));
    match (able.renders, larger) {
        (true, None) => segments(able),
        (true, Some(larger)) => format!("{}; {larger}", segments(able)),
        (false, larger) => larger.unwrap_or_default(),
    }
}

fn segments(able: &Capabilities) -> String {
    let grid = able.grid;
    let frames = match (grid.step, grid.offset) {
        (1, _) => format!("{}…{} frames", grid.min, grid.max),
        (step, offset) => format!("{step}n+{offset} frames, {}…{}", grid.min, grid.max),
    };
    format!("{frames}, sides of {}", grid.dims_multiple)
}

fn summary(able: &Capabilities) -> Value {
    json!({
        "name": able.name, "version": able.version, "pool": able.pool, "renders": able.renders, "upscales": able.upscales, "grid": able.grid, "rates": able.rates,
        "models": able.models, "memory_mb": able.memory_mb, "reads_guide": able.wants_guide, "reads_prompts": able.reads_prompts,
        "reads_references": able.references > 0, "references": able.references,
        "settings_schema": able.settings_schema, "notice": able.notice,
    })
}

fn show(global: &Global, generators: &Generators, name: &str) -> Result<u8, Diagnostic> {
    let able = generators.by_name(name).and_then(|g| g.describe()).map_err(EngineError::from)?;
    if global.json {
        return print_json(&summary(&able));
    }
    let mut text = format!("{} {}\n\nrenders:  {}\n", able.name, able.version, lengths(&able));
    let rates = able.rates.as_ref().map(|rates| rates.iter().map(Rate::to_string).collect::<Vec<_>>().join(", "));
    text.push_str(&format!("rates:    {}\n", rates.unwrap_or_else(|| "any".to_owned())));
    text.push_str(&format!("prompts:  {}\n", if able.reads_prompts { "read" } else { "not read" }));
    text.push_str(&format!(
        "pictures: {}\n",
        if able.references > 0 { "read as references" } else { "only the guide's" }
    ));
    text.push_str(&format!("pool:     {}\n", able.pool));
    if let Some(memory) = able.memory_mb {
        text.push_str(&format!("memory:   {memory} MiB of a card for each job\n"));
    }
    if !able.models.is_empty() {
        text.push_str(&format!("models:   {}\n", able.models.join(", ")));
    }
    text.push_str("\nsettings (--generator-settings '{\"KEY\": VALUE}'):\n");
    for (key, property) in able.settings_schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        let what = property.get("description").and_then(Value::as_str).unwrap_or_default();
        let of = property.get("enum").or_else(|| property.get("type")).map(Value::to_string).unwrap_or_default();
        text.push_str(&format!("  {key}: {what} {of}\n"));
    }
    if let Some(notice) = &able.notice {
        text.push_str(&format!("\n{notice}\n"));
    }
    print(text.trim_end())
}

/// Prints a step as it is taken.
fn told(global: &Global, step: &Step) {
    if !global.json {
        let (mark, why) = match &step.verdict {
            Verdict::Holds => ("ok     ", String::new()),
            Verdict::Skipped(why) => ("skipped", format!(": {why}")),
            Verdict::Warning(why) => ("warning", format!(": {why}")),
            Verdict::Broken(why) => ("BROKEN ", format!(": {why}")),
        };
        drop(print(&format!("{mark}  {}{why}", step.rule)));
    }
}

fn ask_servers(global: &Global, servers: &ComfyuiServers, settings: &Value) -> Result<u8, Diagnostic> {
    servers.check_settings(settings).map_err(EngineError::from)?;
    sum_up(global, &servers.check(&mut |step| told(global, step)), "docs/comfyui.md")
}

/// An empty folder for as long as the value lives.
fn scratch() -> Result<tempfile::TempDir, Diagnostic> {
    tempfile::tempdir().map_err(|e| Diagnostic::failed("scratch", format!("no temporary folder can be made: {e}")))
}

fn try_farm(global: &Global, farm: &RenderFarm, settings: &Value) -> Result<u8, Diagnostic> {
    let folder = scratch()?;
    let steps = farm.check(settings, folder.path(), &mut |step| told(global, step)).map_err(EngineError::from)?;
    sum_up(global, &steps, "docs/farm-protocol.md")
}

fn try_out(global: &Global, recipe: &Recipe, settings: &Value, device: Option<&str>) -> Result<u8, Diagnostic> {
    let folder = scratch()?;
    let device = device.map(|index| Device { name: format!("gpu{index}"), index: index.to_owned() });
    let steps = check(recipe, device.as_ref(), settings, folder.path(), &mut |step| told(global, step))
        .map_err(EngineError::from)?;
    sum_up(global, &steps, "docs/generator-protocol.md")
}

fn sum_up(global: &Global, steps: &[Step], see: &str) -> Result<u8, Diagnostic> {
    if global.json {
        print_json(&steps)?;
    }
    let broken = steps.iter().filter(|step| matches!(step.verdict, Verdict::Broken(_))).count();
    match broken {
        0 => Ok(0),
        n => Err(Diagnostic::failed(
            "generator_check",
            format!("{n} of {} rules {} not kept", steps.len(), if n == 1 { "is" } else { "are" }),
        )
        .hint(format!("see {see}"))),
    }
}

/// Tells of progress on a line of its own.
struct Told {
    quiet: bool,
}

impl Progress for Told {
    fn report(&self, done: u32, total: u32) {
        if !self.quiet && (done == total || done.is_multiple_of(10)) {
            tell(&format!("  {done}/{total}"));
        }
    }
    fn stage(&self, name: &str) {
        if !self.quiet {
            tell(name);
        }
    }
    fn cancelled(&self) -> bool {
        false
    }
    fn on_cancel(&self, _: Box<dyn Fn() + Send + Sync>) {}
}

fn run(global: &Global, generators: &Generators, args: &TryGenerator) -> Result<u8, Diagnostic> {
    let generator = generators.by_name(&args.name).map_err(EngineError::from)?;
    let settings = args.settings.as_deref().map(|text| object("--generator-settings", text)).transpose()?;
    let settings = Value::Object(settings.unwrap_or_default());
    generator.check_settings(&settings).map_err(EngineError::from)?;
    let guide = probe(&args.guide, &Unwatched).map_err(EngineError::from)?;
    let mask = probe(&args.mask, &Unwatched).map_err(EngineError::from)?;
    let say = |frames: u32, dims: Dims| format!("{frames} frames of {dims}");
    if (guide.frames, guide.dims) != (mask.frames, mask.dims) {
        let (guide, mask) = (say(guide.frames, guide.dims), say(mask.frames, mask.dims));
        return Err(Diagnostic::refused("guide_and_mask", format!("the guide has {guide}, the mask {mask}"))
            .hint("a mask is as long and as large as its guide"));
    }
    let out = absolute(&args.output)?;
    if !out.parent().is_some_and(Path::is_dir) {
        return Err(Diagnostic::refused("output_folder", format!("{} has no folder to lie in", out.display()))
            .hint("make the folder, or choose another file with -o"));
    }
    let able = generator.describe().map_err(EngineError::from)?;
    if let Some(model) = args.model.as_ref().filter(|model| !able.models.contains(model)) {
        let (model, generator) = (model.clone(), args.name.clone());
        return Err(EngineError::UnknownModel { model, generator, models: able.models.join(", ") }.into());
    }
    if !args.reference.is_empty() && able.references == 0 {
        return Err(
            EngineError::CannotHonour { flag: "--reference", generator: args.name.clone(), able: Vec::new() }.into()
        );
    }
    if out.exists() && !args.overwrite {
        return Err(EngineError::OutputExists(out).into());
    }
    let folder = scratch()?;
    let whole = |path: &Path| {
        std::fs::canonicalize(path).map_err(|e| Diagnostic::failed("io", format!("{}: {e}", path.display())))
    };
    let job = Job {
        guide: whole(&args.guide)?,
        mask: whole(&args.mask)?,
        references: args.reference.iter().map(|path| whole(path)).collect::<Result<_, _>>()?,
        model: args.model.clone(),
        prompt: args.prompt.clone(),
        negative_prompt: args.negative_prompt.clone(),
        seed: args.seed,
        dims: guide.dims,
        rate: guide.rate,
        place: Place { index: 0, of: 1, new: guide.frames, overlap: 0, total: guide.frames },
        settings,
        out: folder.path().join("clip.mkv"),
        work_dir: folder.path().to_owned(),
        device: args.device.as_ref().map(|index| Device { name: format!("gpu{index}"), index: index.clone() }),
    };
    let made = generator.generate(&job, &Told { quiet: global.json }).map_err(EngineError::from)?;
    let clip = probe(&made.clip, &Unwatched).map_err(EngineError::from)?;
    let wanted = Wanted { frames: guide.frames, dims: guide.dims, rate: guide.rate, allow_still: true };
    wanted.measure(&clip).map_err(|flaw| EngineError::BadClip { generator: args.name.clone(), flaw })?;
    std::fs::copy(&made.clip, &out)
        .map_err(|e| Diagnostic::failed("output_folder", format!("{} cannot be written: {e}", out.display())))?;
    if global.json {
        return print_json(&json!({ "clip": out, "frames": clip.frames, "dims": clip.dims, "rate": clip.rate }));
    }
    print(&format!("{}: {} at {} a second", out.display(), say(clip.frames, clip.dims), clip.rate))
}
