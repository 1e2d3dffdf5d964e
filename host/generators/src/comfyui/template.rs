//! A workflow as ComfyUI exports it for its API, with slots that the host fills.
//!
//! A node says with its title what it is given: `travel: guide=video, frames=frame_load_cap` puts the guide into its input
//! `video` and the length into `frame_load_cap`. `travel: output` marks the node whose clip is meant. Names that the host
//! does not know are settings, whose default is what the workflow has there.

use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// What the host fills in.
pub(super) const KNOWN: [&str; 14] = [
    "guide",
    "mask",
    "first_frame",
    "last_frame",
    "reference_1",
    "reference_2",
    "prompt",
    "negative_prompt",
    "seed",
    "width",
    "height",
    "frames",
    "rate",
    "name",
];

/// Slots for pictures to go by. Few jobs have any, so that nodes with one that nothing is given for are left out.
const REFERENCES: [&str; 2] = ["reference_1", "reference_2"];

/// An input that is filled.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Slot {
    name: String,
    node: String,
    input: String,
}

/// A workflow and its slots.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Template {
    nodes: Map<String, Value>,
    slots: Vec<Slot>,
    /// Nodes whose clip is meant.
    outputs: Vec<String>,
}

impl Template {
    /// # Errors
    /// What is wrong, in a sentence.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let nodes: Map<String, Value> =
            serde_json::from_str(text).map_err(|e| format!("it is not a JSON object: {e}"))?;
        if nodes.contains_key("nodes") && nodes.contains_key("links") {
            return Err(
                "it is a workflow as the editor saves it; export it in API format (Workflow, Export (API))".to_owned()
            );
        }
        let mut template = Self { nodes: Map::new(), slots: Vec::new(), outputs: Vec::new() };
        for (id, node) in &nodes {
            if class(node).is_none() || !node.get("inputs").is_some_and(Value::is_object) {
                return Err(format!("its node {id} has no class_type or no inputs"));
            }
            let title = node.pointer("/_meta/title").and_then(Value::as_str).unwrap_or_default();
            if let Some(words) = title.strip_prefix("travel:") {
                template.read_title(id, node, words)?;
            }
        }
        template.nodes = nodes;
        if !template.has("guide") && !template.has("first_frame") {
            return Err("no node is given the guide or the first frame; title one `travel: guide=INPUT`".to_owned());
        }
        if !template.has("name") {
            let why = "without it ComfyUI answers an equal job out of its cache, with no clip";
            return Err(format!(
                "no node is given a name; title the one that saves `travel: output, name=filename_prefix`: {why}"
            ));
        }
        Ok(template)
    }

    fn read_title(&mut self, id: &str, node: &Value, words: &str) -> Result<(), String> {
        for word in words.split(',').map(str::trim) {
            if word == "output" {
                self.outputs.push(id.to_owned());
                continue;
            }
            let Some((name, input)) = word.split_once('=').map(|(name, input)| (name.trim(), input.trim())) else {
                return Err(format!("the title of node {id} has `{word}`, which is neither `output` nor SLOT=INPUT"));
            };
            match node.get("inputs").and_then(|inputs| inputs.get(input)) {
                None => {
                    let there = node.get("inputs").and_then(Value::as_object).into_iter().flat_map(Map::keys);
                    let there = there.map(String::as_str).collect::<Vec<_>>().join(", ");
                    return Err(format!("node {id} has no input `{input}` for `{name}`; it has {there}"));
                }
                Some(Value::Array(_)) => {
                    return Err(format!(
                        "input `{input}` of node {id} comes from another node, so `{name}` cannot go there"
                    ));
                }
                Some(_) => {}
            }
            self.slots.push(Slot { name: name.to_owned(), node: id.to_owned(), input: input.to_owned() });
        }
        Ok(())
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.slots.iter().any(|slot| slot.name == name)
    }

    /// Its slots for pictures to go by.
    pub(super) fn references(&self) -> Vec<&'static str> {
        REFERENCES.into_iter().filter(|slot| self.has(slot)).collect()
    }

    /// Classes of all nodes.
    pub(super) fn classes(&self) -> BTreeSet<&str> {
        self.nodes.values().filter_map(class).collect()
    }

    /// What people call a node.
    pub(super) fn label(&self, id: &str) -> String {
        let node = self.nodes.get(id);
        let title = node.and_then(|node| node.pointer("/_meta/title")).and_then(Value::as_str);
        let title = title.filter(|title| !title.starts_with("travel:"));
        title.or(node.and_then(class)).unwrap_or(id).to_owned()
    }

    pub(super) fn is_output(&self, id: &str) -> bool {
        self.outputs.iter().any(|output| output == id)
    }

    fn at(&self, slot: &Slot) -> Option<&Value> {
        self.nodes.get(&slot.node)?.get("inputs")?.get(&slot.input)
    }

    /// A JSON Schema of the settings.
    pub(super) fn settings_schema(&self) -> Value {
        let mut properties = Map::new();
        for slot in self.slots.iter().filter(|slot| !KNOWN.contains(&slot.name.as_str())) {
            let Some(default) = self.at(slot) else { continue };
            let kind = match default {
                Value::Bool(_) => "boolean",
                Value::Number(number) if number.is_f64() => "number",
                Value::Number(_) => "integer",
                _ => "string",
            };
            let what =
                format!("Input {} of {}.", slot.input, self.nodes.get(&slot.node).and_then(class).unwrap_or_default());
            properties.insert(slot.name.clone(), json!({ "type": kind, "default": default, "description": what }));
        }
        crate::settings::schema(Value::Object(properties))
    }

    /// The workflow with these values in its slots; a slot without a value keeps what the workflow has. A node whose reference
    /// is missing is left out, and every input that comes from it.
    pub(super) fn filled(&self, values: &Map<String, Value>) -> Value {
        let mut nodes = self.nodes.clone();
        let empty = |slot: &&Slot| REFERENCES.contains(&slot.name.as_str()) && !values.contains_key(&slot.name);
        for slot in self.slots.iter().filter(empty) {
            nodes.remove(&slot.node);
            let from = |value: &Value| value.get(0).and_then(Value::as_str) == Some(&slot.node);
            for inputs in nodes.values_mut().filter_map(|node| node.get_mut("inputs")?.as_object_mut()) {
                inputs.retain(|_, value| !from(value));
            }
        }
        for slot in &self.slots {
            let (Some(value), Some(default)) = (values.get(&slot.name), self.at(slot)) else { continue };
            // A whole number is not the same as one with a point to every node.
            let whole = value.as_f64().filter(|number| number.fract() == 0.0).and_then(|_| value.as_f64());
            let value = match (default, whole) {
                (Value::Number(number), Some(whole)) if !number.is_f64() && value.is_f64() => json!(whole as i64),
                _ => value.clone(),
            };
            let inputs =
                nodes.get_mut(&slot.node).and_then(|node| node.get_mut("inputs")).and_then(Value::as_object_mut);
            if let Some(inputs) = inputs {
                inputs.insert(slot.input.clone(), value);
            }
        }
        Value::Object(nodes)
    }
}

fn class(node: &Value) -> Option<&str> {
    node.get("class_type").and_then(Value::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workflow(title: &str) -> String {
        json!({
            "1": { "class_type": "LoadVideo", "inputs": { "file": "x.mp4", "clip": ["2", 0] }, "_meta": { "title": title } },
            "2": { "class_type": "KSampler", "inputs": { "steps": 20, "cfg": 6.0, "fps": 16 },
                   "_meta": { "title": "travel: steps=steps, strength=cfg, rate=fps" } },
            "3": { "class_type": "SaveVideo", "inputs": { "filename_prefix": "v" },
                   "_meta": { "title": "travel: output, name=filename_prefix" } },
        })
        .to_string()
    }

    #[test]
    fn titles_name_slots_and_settings() {
        let template = Template::parse(&workflow("travel: guide=file")).unwrap();
        let schema = template.settings_schema();
        assert_eq!(schema.pointer("/properties/steps/type"), Some(&json!("integer")));
        assert_eq!(schema.pointer("/properties/strength/default"), Some(&json!(6.0)));
        let values = json!({ "guide": "g.mkv", "steps": 4, "rate": 24.0, "name": "n" });
        let filled = template.filled(values.as_object().unwrap());
        assert_eq!(filled.pointer("/1/inputs/file"), Some(&json!("g.mkv")));
        assert_eq!(filled.pointer("/2/inputs"), Some(&json!({ "steps": 4, "cfg": 6.0, "fps": 24 })));
        assert!(template.is_output("3") && template.label("1") == "LoadVideo");
    }

    #[test]
    fn a_reference_that_is_missing_takes_its_node_along() {
        let text = json!({
            "1": { "class_type": "LoadVideo", "inputs": { "file": "x.mp4" }, "_meta": { "title": "travel: guide=file" } },
            "2": { "class_type": "LoadImage", "inputs": { "image": "r.png" }, "_meta": { "title": "travel: reference_1=image" } },
            "3": { "class_type": "SaveVideo", "inputs": { "filename_prefix": "v", "video": ["1", 0], "reference_image": ["2", 0] },
                   "_meta": { "title": "travel: output, name=filename_prefix" } },
        });
        let template = Template::parse(&text.to_string()).unwrap();
        let values = |value: Value| template.filled(value.as_object().unwrap());
        let without = values(json!({ "guide": "g.mkv", "name": "n" }));
        assert_eq!(without.get("2"), None);
        assert_eq!(without.pointer("/3/inputs"), Some(&json!({ "filename_prefix": "n", "video": ["1", 0] })));
        let with = values(json!({ "guide": "g.mkv", "name": "n", "reference_1": "a.png" }));
        assert_eq!(with.pointer("/2/inputs/image"), Some(&json!("a.png")));
        assert_eq!(with.pointer("/3/inputs/reference_image"), Some(&json!(["2", 0])));
    }

    #[test]
    fn mistakes_are_told() {
        for (text, says) in [
            (workflow("travel: guide=video"), "no input `video` for `guide`; it has clip, file"),
            (workflow("travel: guide=clip"), "comes from another node"),
            (workflow("travel: guide"), "neither `output` nor SLOT=INPUT"),
            (workflow("Load"), "no node is given the guide"),
            (json!({ "nodes": [], "links": [] }).to_string(), "Export (API)"),
            ("[]".to_owned(), "not a JSON object"),
            (json!({ "1": 3 }).to_string(), "node 1 has no class_type"),
        ] {
            let fault = Template::parse(&text).unwrap_err();
            assert!(fault.contains(says), "{fault}");
        }
    }
}
