//! What a person, or a script, sees while a host works.

use crate::args::Global;
use crate::diagnostic::uses_color;
use crate::format::duration;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::collections::HashMap;
use std::io::{IsTerminal as _, Write as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use travel::Timeline;
use travel_engine::media::Watch;
use travel_engine::queue::{RunId, RunState, TaskId};
use travel_engine::{CircuitState, HostEvent, Observer};

/// A line on standard error. A reader that went away does not stop the work.
pub fn tell(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// A film as the bar of all its segments follows it.
pub struct Whole {
    run: RunId,
    /// That its generator renders in all.
    frames: u64,
    /// Frames of each segment, as far as they are rendered.
    rendered: HashMap<TaskId, u64>,
}

impl Whole {
    /// Of a run with this time line. `done` are the tasks that earlier hosts have finished, by name.
    pub fn new(run: RunId, timeline: &Timeline, done: impl Iterator<Item = (TaskId, String)>) -> Self {
        let total = |name: &str| timeline.segments.iter().find(|s| s.key == name).map(|s| u64::from(s.place.total));
        Self {
            run,
            frames: timeline.segments.iter().map(|s| u64::from(s.place.total)).sum(),
            rendered: done.filter_map(|(task, name)| Some((task, total(&name)?))).collect(),
        }
    }
}

/// Who is told what the host does: JSON lines, bars on a terminal, or plain lines elsewhere. `whole` is what the bar of the
/// whole film follows.
pub fn observer(global: &Global, whole: Option<Whole>) -> Arc<dyn Observer> {
    if global.json {
        return Arc::new(JsonLines);
    }
    if std::io::stderr().is_terminal() && global.verbose == 0 {
        return Arc::new(Bars::new(whole, uses_color(global)));
    }
    Arc::new(Lines { begun: Mutex::default() })
}

/// Logs go to standard error: warnings, with `-v` what happens, with `-vv` details. `RUST_LOG` beats both.
pub fn log_to_stderr(global: &Global) {
    use tracing_subscriber::EnvFilter;
    let level = match global.verbose {
        0 => "warn",
        1 => "info",
        _ => "debug",
    };
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new(format!("warn,travel={level},travel_engine={level},travel_sandbox={level},travel_media={level},travel_queue={level},travel_generators={level}")));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let set =
        if global.json { log.json().try_init() } else { log.with_ansi(uses_color(global)).without_time().try_init() };
    // Only a second logger in one process could fail here, and then the first one serves.
    drop(set);
}

/// One JSON object a line, on standard output.
struct JsonLines;

impl Observer for JsonLines {
    fn tell(&self, event: &HostEvent) {
        if let Ok(line) = serde_json::to_string(event) {
            let mut out = std::io::stdout().lock();
            // A reader that went away does not stop the work.
            let _ = writeln!(out, "{line}").and_then(|()| out.flush());
        }
    }
}

/// One line when a task begins, ends or fails.
struct Lines {
    begun: Mutex<HashMap<TaskId, Instant>>,
}

impl Lines {
    fn begun(&self) -> MutexGuard<'_, HashMap<TaskId, Instant>> {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Lines {
    fn tell(&self, event: &HostEvent) {
        match event {
            HostEvent::TaskStarted { task, .. } => {
                self.begun().insert(*task, Instant::now());
            }
            HostEvent::TaskSucceeded { task, .. } | HostEvent::TaskFailed { task, .. } => {
                let took = self.begun().remove(task).map(|at| at.elapsed().as_secs_f64());
                if let Some(line) = sentence(event, took) {
                    tell(&line);
                }
                return;
            }
            _ => {}
        }
        if let Some(line) = sentence(event, None) {
            tell(&line);
        }
    }
}

fn sentence(event: &HostEvent, took: Option<f64>) -> Option<String> {
    let after = took.map_or_else(String::new, |s| format!(" in {}", duration(s)));
    match event {
        HostEvent::Started { recovered: 0 } | HostEvent::Progress { .. } => None,
        HostEvent::Started { recovered } => Some(format!("taken up again: {recovered} unfinished tasks")),
        HostEvent::TaskStarted { run, name, attempt: 1, .. } => Some(format!("run {run}: {name} begins")),
        HostEvent::TaskStarted { run, name, attempt, .. } => {
            Some(format!("run {run}: {name} begins, attempt {attempt}"))
        }
        HostEvent::TaskSucceeded { run, name, .. } => Some(format!("run {run}: {name} done{after}")),
        HostEvent::TaskFailed { run, name, error, retrying, .. } => {
            let then = if *retrying { "; it will be tried again" } else { "" };
            Some(format!("run {run}: {name} failed{after}: {error}{then}"))
        }
        HostEvent::TaskReleased { run, name, .. } => Some(format!("run {run}: {name} handed back")),
        HostEvent::TaskCancelled { run, name, .. } => Some(format!("run {run}: {name} cancelled")),
        HostEvent::Circuit { generator, state, error } => {
            let state = match state {
                CircuitState::Closed => "works again",
                CircuitState::Open => "is left alone for a while",
                CircuitState::HalfOpen => "is tried by one task",
            };
            let error = error.as_ref().map_or_else(String::new, |error| format!(": {error}"));
            Some(format!("generator {generator} {state}{error}"))
        }
        HostEvent::RunFinished { run, state, output, .. } => {
            let film = output.as_ref().and_then(|o| o.get("film")).and_then(|f| f.as_str());
            match (state, film) {
                (RunState::Succeeded, Some(film)) => Some(format!("run {run}: film {film}")),
                _ => Some(format!("run {run}: {state}")),
            }
        }
        HostEvent::Stopping { running: 0, .. } => None,
        HostEvent::Stopping { running, now: false } => {
            Some(format!("stopping when {running} running tasks are done; once more stops now"))
        }
        HostEvent::Stopping { running, now: true } => {
            Some(format!("stopping: {running} running tasks are handed back"))
        }
    }
}

/// A bar for each running task, and one with an estimate for the whole film when its time line is known.
struct Bars {
    screen: MultiProgress,
    style: ProgressStyle,
    whole: Option<(RunId, ProgressBar)>,
    state: Mutex<BarState>,
}

#[derive(Default)]
struct BarState {
    bars: HashMap<TaskId, (ProgressBar, Instant)>,
    /// Frames rendered of the whole film's tasks that are done, and of each that runs.
    rendered: HashMap<TaskId, u64>,
}

impl Bars {
    fn new(whole: Option<Whole>, color: bool) -> Self {
        let screen = MultiProgress::new();
        let paint = if color { ".cyan/dim" } else { "" };
        let template = format!("{{prefix:>14}} {{bar:28{paint}}} {{pos:>5}}/{{len:<5}} {{msg}} {{elapsed:>4}}");
        let style = ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar());
        let mut state = BarState::default();
        let whole = whole.map(|Whole { run, frames, rendered }| {
            let template = format!("{{prefix:>14}} {{bar:28{paint}}} {{pos:>5}}/{{len:<5}} frames, {{eta}} left");
            let style = ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar());
            let done = rendered.values().sum();
            let bar = ProgressBar::new(frames).with_style(style).with_prefix("all segments").with_position(done);
            let bar = screen.add(bar);
            // What was rendered before took no time of this host: shown once, it is left out of the estimate.
            bar.tick();
            bar.reset_eta();
            state.rendered = rendered;
            bar.enable_steady_tick(std::time::Duration::from_millis(250));
            (run, bar)
        });
        Self { screen, style, whole, state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, BarState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn say(&self, line: &str) {
        // With the terminal gone there is nobody left to tell.
        let _ = self.screen.println(line);
    }
}

impl Observer for Bars {
    fn tell(&self, event: &HostEvent) {
        match event {
            HostEvent::TaskStarted { task, name, .. } => {
                let bar = ProgressBar::new(0).with_style(self.style.clone()).with_prefix(name.clone());
                let bar = match &self.whole {
                    Some((_, whole)) => self.screen.insert_before(whole, bar),
                    None => self.screen.add(bar),
                };
                self.state().bars.insert(*task, (bar, Instant::now()));
                return;
            }
            HostEvent::Progress { run, task, phase, done, total, .. } => {
                let mut state = self.state();
                if let Some((_, whole)) =
                    self.whole.as_ref().filter(|(mine, _)| mine == run && phase.starts_with("generate"))
                {
                    state.rendered.insert(*task, *done);
                    whole.set_position(state.rendered.values().sum());
                }
                if let Some((bar, _)) = state.bars.get(task) {
                    bar.set_message(phase.clone());
                    bar.set_length(*total);
                    bar.set_position(*done);
                }
                return;
            }
            _ => {}
        }
        let ended = match event {
            HostEvent::TaskSucceeded { task, .. }
            | HostEvent::TaskFailed { task, .. }
            | HostEvent::TaskCancelled { task, .. }
            | HostEvent::TaskReleased { task, .. } => self.state().bars.remove(task),
            _ => None,
        };
        let took = ended.as_ref().map(|(_, begun)| begun.elapsed().as_secs_f64());
        if let Some((bar, _)) = ended {
            bar.finish_and_clear();
        }
        if let HostEvent::RunFinished { run, .. } = event
            && let Some((_, whole)) = self.whole.as_ref().filter(|(mine, _)| mine == run)
        {
            whole.finish_and_clear();
        }
        if let Some(line) = sentence(event, took) {
            self.say(&line);
        }
    }
}

/// Progress of reading the inputs: on a terminal, a line that is gone when it is done.
pub struct Reading(ProgressBar);

impl Reading {
    /// A bar for a command that reads inputs.
    pub fn new(global: &Global) -> Self {
        let quiet = global.json || !std::io::stderr().is_terminal();
        let bar = if quiet { ProgressBar::hidden() } else { ProgressBar::new_spinner() };
        Self(bar.with_message("reading the inputs"))
    }
}

impl Watch for Reading {
    fn frame(&self, done: u64, total: u64) {
        self.0.set_length(total);
        self.0.set_position(done);
    }

    fn cancelled(&self) -> bool {
        false
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use travel::timeline::TimelineSegment;
    use travel::{Leg, Place, Rate};

    fn segment(index: u32, new: u32, overlap: u32) -> TimelineSegment {
        let words = String::new;
        let leg = Leg { prompt: words(), negative_prompt: words(), new, overlap, seed: 0, settings: words() };
        TimelineSegment {
            key: format!("segment-{index:02}"),
            place: Place { index, of: 2, new, overlap, total: new + overlap },
            starts: index * 9 - overlap,
            new_from: index * 9,
            ends: (index + 1) * 9,
            waits_for: Vec::new(),
            key_frames: Vec::new(),
            leg,
        }
    }

    #[test]
    fn the_bar_of_all_segments_begins_with_what_was_rendered_before() {
        let run = RunId(1);
        let done = [(TaskId(1), "orchestrator"), (TaskId(2), "segment-00")].map(|(id, name)| (id, name.to_owned()));
        let segments = vec![segment(0, 9, 0), segment(1, 9, 3)];
        let timeline = Timeline { rate: Rate { num: 16, den: 1 }, frames: 18, continued: 0, segments };
        let bars = Bars::new(Some(Whole::new(run, &timeline, done.into_iter())), false);
        let position = || bars.whole.as_ref().map(|(_, bar)| (bar.position(), bar.length()));
        assert_eq!(position(), Some((9, Some(21))));
        let name = "segment-01".to_owned();
        bars.tell(&HostEvent::Progress {
            run,
            task: TaskId(3),
            name,
            phase: "generate".to_owned(),
            done: 4,
            total: 12,
        });
        assert_eq!(position(), Some((13, Some(21))));
    }
}
