//! `plan`: the time line of a film, without touching the queue.

use super::{print, print_json};
use crate::args::{Global, PlanCommand};
use crate::diagnostic::Diagnostic;
use crate::format::{clock, table};
use crate::workplace::Workplace;
use serde_json::json;
use std::path::Path;
use travel_engine::Prepared;

pub fn plan(global: &Global, args: &PlanCommand) -> Result<u8, Diagnostic> {
    let place = Workplace::find(global)?;
    let request = args.travel.request(&place.config, None)?;
    let (_, registry) = place.plugins()?;
    let generators = place.generators();
    let (prepared, _) = place.prepare(global, &registry, &generators, request, args.travel.allow_private_addresses)?;
    let plan = prepared.plan();
    if global.json {
        let images: Vec<&Path> = prepared.stills().collect();
        return print_json(&json!({
            "canvas": prepared.canvas(), "upscale": prepared.upscale(), "images": images, "timeline": plan.timeline, "notes": plan.notes,
        }));
    }
    print(&picture(&prepared))
}

fn picture(prepared: &Prepared) -> String {
    let plan = prepared.plan();
    let line = &plan.timeline;
    let images: Vec<&Path> = prepared.stills().collect();
    let name = |still: u32| {
        let path = images.get(still as usize).and_then(|path| path.file_name());
        path.unwrap_or_default().to_string_lossy().into_owned()
    };
    let at = |frame: u32| clock(line.rate.seconds(frame));
    let mut text = format!(
        "film: {} frames, {} at {} frames a second, {}\n",
        line.frames,
        clock(line.rate.seconds(line.frames)),
        line.rate,
        prepared.canvas()
    );
    if let Some(upscale) = prepared.upscale() {
        text.push_str(&format!("it is made {} by {}\n", upscale.dims, upscale.generator));
    }
    if line.continued > 0 {
        text.push_str(&format!("it begins with {} frames of the continued video\n", line.continued));
    }
    let segments: Vec<Vec<String>> = line
        .segments
        .iter()
        .map(|s| {
            vec![
                s.key.clone(),
                format!("{}…{}", s.starts, s.ends.saturating_sub(1)),
                at(s.starts),
                s.place.total.to_string(),
                s.place.new.to_string(),
                s.place.overlap.to_string(),
                if s.waits_for.is_empty() { "—".to_owned() } else { s.waits_for.join(", ") },
            ]
        })
        .collect();
    let head = ["segment", "film frames", "from", "rendered", "new", "overlap", "waits for"];
    text.push_str(&format!("\n{}\n", table(&head, &segments)));
    let keys: Vec<Vec<String>> = line
        .segments
        .iter()
        .flat_map(|s| s.key_frames.iter().map(move |k| (s, k)))
        .map(|(s, k)| {
            let place = format!("{} of {}", k.segment_frame, s.key);
            vec![k.film_frame.to_string(), at(k.film_frame), name(k.still.0), place]
        })
        .collect();
    text.push_str(&format!("\n{}\n", table(&["frame", "time", "image", "is frame"], &keys)));
    for note in &plan.notes {
        text.push_str(&format!("\nnote: {note}"));
    }
    text
}
