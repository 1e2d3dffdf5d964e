//! A row's parameters as arguments of `travel`: said once more in the words that this program has for them, so that they are judged
//! like all others. Lists and objects may come as JSON or as strings of JSON, and renamed keys under any of their names.
//!
//! Frames are told apart by era. Payloads that prepared their reference images themselves (`vace_image_refs_prepared`) or know
//! `last_frame_duplication` count the frames that a segment *adds*. Later ones count *all* that it renders; those are
//! quantised as the original did it (`n / 4 * 4 + 1`), and their overlaps made even.

use serde_json::{Map, Value};
use std::borrow::Cow;
use std::path::PathBuf;

/// What a row asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    /// What the original called the run.
    pub run_id: String,
    /// Where it wanted its files.
    pub folder: Option<PathBuf>,
    /// Of `travel`: images and flags.
    pub args: Vec<String>,
    /// Which of the original's engines it asked for.
    pub engine: Option<String>,
    /// Settings of the generator, each to be passed on if it has it.
    pub settings: Map<String, Value>,
    /// How bright the images of a segment's two ends are as references; passed on if the generator reads any.
    pub references: [f64; 2],
    /// How many segments it has.
    pub segments: usize,
    /// Nothing is to be rendered: the original called that a success.
    pub is_nothing: bool,
}

/// A row that is not understood, in a sentence.
pub type Refusal = String;

/// The row's parameters as an object.
pub fn parse(params: Option<&str>) -> Result<Map<String, Value>, Refusal> {
    let params = params.ok_or("it has no parameters")?;
    match unfolded(&Value::String(params.to_owned())).into_owned() {
        Value::Object(map) => Ok(map),
        _ => Err("its parameters are not a JSON object".to_owned()),
    }
}

/// What the run of these parameters is called; also that of a segment's or a stitch's row.
pub fn run_id(params: &Map<String, Value>) -> Option<String> {
    let own = Fields(Cow::Borrowed(params));
    let of_payload = || Fields(Cow::Owned(details(params)?)).text(&["run_id", "orchestrator_task_id"]);
    own.text(&["orchestrator_run_id", "run_id"]).or_else(of_payload)
}

/// Which segment a row is.
pub fn segment_index(params: &Map<String, Value>) -> Option<u32> {
    Fields(Cow::Borrowed(params)).number(&["segment_index"]).map(|n| n as u32)
}

/// The orchestrator's payload, which every row of a run carries.
fn details(params: &Map<String, Value>) -> Option<Map<String, Value>> {
    let inside = |map: &Map<String, Value>| {
        let keys = ["orchestrator_details", "full_orchestrator_payload"];
        keys.iter().find_map(|key| match unfolded(map.get(*key)?).into_owned() {
            Value::Object(map) => Some(map),
            _ => None,
        })
    };
    inside(params).or_else(|| match unfolded(params.get("travel_chain_details")?).into_owned() {
        Value::Object(chain) => inside(&chain),
        _ => None,
    })
}

/// JSON out of a string of JSON, however often it was folded.
fn unfolded(value: &Value) -> Cow<'_, Value> {
    let mut value = Cow::Borrowed(value);
    while let Value::String(text) = value.as_ref() {
        match serde_json::from_str(text) {
            Ok(inner @ (Value::Object(_) | Value::Array(_) | Value::String(_))) => value = Cow::Owned(inner),
            _ => break,
        }
    }
    value
}

struct Fields<'a>(Cow<'a, Map<String, Value>>);

impl Fields<'_> {
    /// The first of several names that says something.
    fn get(&self, names: &[&str]) -> Option<&Value> {
        names.iter().find_map(|name| self.0.get(*name).filter(|value| !value.is_null()))
    }

    fn text(&self, names: &[&str]) -> Option<String> {
        match self.get(names)? {
            Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }

    fn number(&self, names: &[&str]) -> Option<f64> {
        match self.get(names)? {
            Value::Number(number) => number.as_f64(),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        }
    }

    fn is_on(&self, names: &[&str]) -> bool {
        match self.get(names) {
            Some(Value::Bool(on)) => *on,
            Some(Value::Number(n)) => n.as_f64() != Some(0.0),
            Some(Value::String(text)) => ["true", "1", "yes"].contains(&text.to_ascii_lowercase().as_str()),
            _ => false,
        }
    }

    /// A list, or one value.
    fn list(&self, names: &[&str]) -> Vec<Value> {
        match self.get(names).map(|value| unfolded(value).into_owned()) {
            Some(Value::Array(list)) => list,
            Some(one) => vec![one],
            None => Vec::new(),
        }
    }

    fn texts(&self, names: &[&str]) -> Vec<String> {
        let text = |value: Value| match value {
            Value::String(text) => text,
            other => other.to_string(),
        };
        self.list(names).into_iter().map(text).collect()
    }

    fn counts(&self, names: &[&str], what: &str) -> Result<Vec<u32>, Refusal> {
        let count = |value: Value| {
            let number = value.as_f64().or_else(|| value.as_str()?.trim().parse().ok());
            let whole = number.filter(|n| *n >= 0.0 && n.fract() == 0.0 && *n <= f64::from(u32::MAX));
            whole.map(|n| n as u32).ok_or_else(|| format!("its {what} has `{value}`, which is no number of frames"))
        };
        self.list(names).into_iter().map(count).collect()
    }
}

const REFERENCES: [&str; 3] =
    ["vace_image_refs_prepared", "vace_image_refs_to_prepare_by_headless", "vace_image_refs_to_prepare_by_worker"];

/// What a row asks for.
pub fn order(params: &Map<String, Value>) -> Result<Order, Refusal> {
    let details = details(params).ok_or("it carries no orchestrator_details, so nobody knows its images")?;
    let of = Fields(Cow::Owned(details));
    let run_id = run_id(params).ok_or("it has no run_id")?;
    let mut args = Vec::new();
    let mut flag = |name: &str, value: &str| args.push(format!("--{name}={value}"));

    let folder = of.text(&["main_output_dir_for_run"]).map(PathBuf::from);
    let is_nothing = of.number(&["num_new_segments_to_generate"]) == Some(0.0);
    let continued = of.text(&["continue_from_video_resolved_path"]);
    if let Some(video) = &continued {
        flag("continue-from-video", video);
    }
    let frames = of.counts(&["segment_frames_expanded", "segment_frames"], "segment_frames_expanded")?;
    let overlaps = of.counts(&["frame_overlap_expanded", "frame_overlap"], "frame_overlap_expanded")?;
    let adds = of.get(&["vace_image_refs_prepared", "last_frame_duplication"]).is_some();
    let (frames, overlaps) = if adds { (frames, overlaps) } else { added(&frames, &overlaps, continued.is_some())? };
    for (name, values) in [("segment-frames", frames), ("frame-overlap", overlaps)] {
        values.iter().for_each(|value| flag(name, &value.to_string()));
    }
    for (name, keys) in [
        ("base-prompts", ["base_prompts_expanded", "base_prompts"]),
        ("negative-prompts", ["negative_prompts_expanded", "negative_prompts"]),
    ] {
        of.texts(&keys).iter().for_each(|text| flag(name, text));
    }
    for (name, keys) in [
        ("resolution", &["parsed_resolution_wh", "resolution"][..]),
        ("seed", &["seed_base", "seed"]),
        ("last-frame-duplication", &["last_frame_duplication"]),
        ("subsequent-starting-strength-adjustment", &["subsequent_starting_strength_adjustment"]),
        ("desaturate-subsequent-starting-frames", &["desaturate_subsequent_starting_frames"]),
        ("adjust-brightness-subsequent-starting-frames", &["adjust_brightness_subsequent_starting_frames"]),
        ("after-first-post-generation-saturation", &["after_first_post_generation_saturation"]),
        ("after-first-post-generation-brightness", &["after_first_post_generation_brightness"]),
        ("crossfade-sharp-amt", &["crossfade_sharp_amt"]),
        ("params-json-str", &["params_json_str_override", "params_json_str"]),
        ("fade-in-duration", &["fade_in_params_json_str", "fade_in_duration"]),
        ("fade-out-duration", &["fade_out_params_json_str", "fade_out_duration"]),
    ] {
        match of.get(keys) {
            Some(object @ Value::Object(_)) => flag(name, &object.to_string()),
            _ => of.text(keys).iter().for_each(|text| flag(name, text)),
        }
    }
    flag("fps", &of.text(&["fps_helpers"]).unwrap_or_else(|| "16".to_owned()));
    if let Some(factor) = of.number(&["upscale_factor"]).filter(|factor| *factor > 1.0) {
        flag("upscale-factor", &factor.to_string());
    }
    if of.number(&["cfg_star_switch"]).is_some_and(|n| n != 0.0) {
        flag("cfg-star-switch", "1");
    }
    if let Some(step) = of.number(&["cfg_zero_step"]).filter(|step| *step >= 0.0) {
        flag("cfg-zero-step", &step.to_string());
    }
    if of.is_on(&["colour_match_videos"]) {
        flag("colour-match", "1");
    }
    if of.is_on(&["use_causvid_lora", "apply_causvid"]) {
        args.push("--use-causvid-lora".to_owned());
    }
    if of.is_on(&["skip_cleanup_enabled"]) || of.is_on(&["debug_mode_enabled"]) {
        args.push("--keep-guides".to_owned());
    }
    args.push("--".to_owned());
    let images = of.texts(&["input_image_paths_resolved", "input_images"]);
    let segments = images.len().saturating_sub(usize::from(continued.is_none()));
    args.extend(images);

    let mut settings = Map::new();
    for (name, keys) in [
        ("steps", &["num_inference_steps", "steps"][..]),
        ("guidance_scale", &["guidance_scale"]),
        ("flow_shift", &["flow_shift"]),
        ("additional_loras", &["additional_loras"]),
    ] {
        settings.extend(of.get(keys).map(|value| (name.to_owned(), unfolded(value).into_owned())));
    }
    let mut references = [0.0f64; 2];
    for reference in of.list(&REFERENCES) {
        let strength = reference.get("strength_to_apply").and_then(Value::as_f64).unwrap_or(1.0).clamp(0.0, 1.0);
        match reference.get("type").and_then(Value::as_str) {
            Some("initial") => references[0] = references[0].max(strength),
            Some("final") => references[1] = references[1].max(strength),
            _ => {}
        }
    }
    let engine = of.text(&["execution_engine"]);
    Ok(Order { run_id, folder, args, engine, settings, references, segments, is_nothing })
}

/// Frames that each segment adds, and the overlaps, where all that it renders was counted.
fn added(totals: &[u32], overlaps: &[u32], continued: bool) -> Result<(Vec<u32>, Vec<u32>), Refusal> {
    let totals: Vec<u32> = totals.iter().map(|n| (n / 4).saturating_mul(4).saturating_add(1)).collect();
    let join_of = |segment: usize| if continued { Some(segment) } else { segment.checked_sub(1) };
    // One value is for all.
    let overlap_of = |segment: usize| {
        let join = join_of(segment)?;
        let asked = *overlaps.get(join).or(overlaps.last())? / 2 * 2;
        let least =
            [segment.checked_sub(1), Some(segment)].into_iter().flatten().filter_map(|i| totals.get(i)).min()?;
        Some(asked.min(*least))
    };
    let own: Vec<u32> = (0..totals.len()).map(|i| overlap_of(i).unwrap_or(0)).collect();
    let new = totals.iter().zip(&own).enumerate().map(|(i, (total, overlap))| match total.checked_sub(*overlap) {
        None | Some(0) => Err(format!("its segment {i} has {total} frames, all of them shared with what precedes it")),
        Some(new) => Ok(new),
    });
    let new: Vec<u32> = new.collect::<Result<_, Refusal>>()?;
    let joins = own.into_iter().skip(usize::from(!continued)).collect();
    Ok((new, joins))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parsed(value: &Value) -> Map<String, Value> {
        parse(Some(&value.to_string())).unwrap()
    }

    fn has(order: &Order, arg: &str) -> bool {
        order.args.iter().any(|a| a == arg)
    }

    #[test]
    fn frames_of_the_first_era_are_what_a_segment_adds() {
        let details = json!({
            "run_id": "20250603_1", "input_image_paths_resolved": ["a.png", "-b.png", "c.png"],
            "segment_frames_expanded": [40, 41], "frame_overlap_expanded": [8, 8], "parsed_resolution_wh": "320x224",
            "vace_image_refs_prepared": [{"type": "final", "strength_to_apply": 0.5, "segment_idx_for_naming": 0}],
            "use_causvid_lora": true, "cfg_star_switch": 0, "cfg_zero_step": -1, "fps_helpers": 25,
        });
        let order = order(&parsed(&json!({ "orchestrator_details": details.to_string() }))).unwrap();
        assert!(
            ["--segment-frames=40", "--segment-frames=41", "--frame-overlap=8", "--fps=25", "--use-causvid-lora"]
                .iter()
                .all(|arg| has(&order, arg))
        );
        assert!(!order.args.iter().any(|arg| arg.starts_with("--cfg")));
        assert_eq!(order.references, [0.0, 0.5]);
        assert_eq!(order.args[order.args.len() - 4..], ["--", "a.png", "-b.png", "c.png"]);
    }

    #[test]
    fn frames_of_the_later_era_are_all_that_a_segment_renders() {
        assert_eq!(added(&[81, 80, 77], &[17, 16], false).unwrap(), (vec![81, 65, 61], vec![16, 16]));
        assert_eq!(added(&[81, 81], &[16, 8], true).unwrap(), (vec![65, 73], vec![16, 8]));
        assert_eq!(added(&[81, 81], &[16], false).unwrap(), (vec![81, 65], vec![16]));
        assert!(added(&[81, 9], &[40], false).unwrap_err().contains("segment 1"));
    }

    #[test]
    fn a_segments_row_carries_its_run_under_any_of_its_names_and_foldings() {
        let payload = json!({ "run_id": "r7", "input_image_paths_resolved": "[\"a.png\", \"b.png\"]", "apply_causvid": "true",
            "segment_frames_expanded": "[81]", "frame_overlap_expanded": [], "base_prompts_expanded": ["-- a, b"] });
        for params in [
            json!({ "orchestrator_run_id": "r7", "segment_index": 3, "full_orchestrator_payload": payload }),
            json!({ "segment_index": 3, "travel_chain_details": { "full_orchestrator_payload": payload.to_string() } }),
        ] {
            // The whole row folded once more.
            let map = parse(Some(&json!(params.to_string()).to_string())).unwrap();
            assert_eq!((run_id(&map).as_deref(), segment_index(&map)), (Some("r7"), Some(3)));
            let order = order(&map).unwrap();
            assert!(has(&order, "--use-causvid-lora") && has(&order, "--base-prompts=-- a, b"), "{order:?}");
            assert!(has(&order, "a.png") && has(&order, "--segment-frames=81"), "{order:?}");
        }
    }

    #[test]
    fn what_is_not_understood_says_so() {
        assert!(parse(Some("[1]")).unwrap_err().contains("not a JSON object"));
        assert!(order(&parsed(&json!({ "segment_index": 1 }))).unwrap_err().contains("orchestrator_details"));
        let wrong = json!({ "orchestrator_details": { "run_id": "r", "segment_frames_expanded": [1.5] } });
        assert!(order(&parsed(&wrong)).unwrap_err().contains("1.5"));
    }
}
