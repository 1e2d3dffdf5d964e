//! The settings of the embedded generators: parsed once, refused with the place and the reason.

use crate::error::GeneratorError;
use jsonschema::{Draft, PatternOptions};
use serde_json::{Map, Value, json};
use travel::easing::Easing;

/// How much time the network may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg(feature = "rife")]
pub(crate) enum Quality {
    /// Motion is found in pictures 320 pixels long.
    Fast,
    /// 416 pixels.
    #[default]
    Balanced,
    /// 832 pixels: finds small things; some seven times slower.
    High,
}

#[cfg(feature = "rife")]
impl Quality {
    const NAMES: [(&'static str, Self); 3] = [("fast", Self::Fast), ("balanced", Self::Balanced), ("high", Self::High)];
}

/// A JSON object of settings and whose it is.
pub(crate) struct Settings<'a> {
    generator: &'static str,
    value: &'a Value,
}

impl<'a> Settings<'a> {
    /// Null stands for no settings.
    ///
    /// # Errors
    /// [`GeneratorError::BadSettings`] for anything but an object, and for keys other than `known`.
    pub(crate) fn new(
        generator: &'static str,
        value: &'a Value,
        known: &[&'static str],
    ) -> Result<Self, GeneratorError> {
        let settings = Self { generator, value };
        match value {
            Value::Null => Ok(settings),
            Value::Object(map) => match map.keys().find(|key| !known.contains(&key.as_str())) {
                None => Ok(settings),
                Some(key) if known.is_empty() => {
                    Err(settings.refusal(key, "is unknown; it takes no settings".to_owned()))
                }
                Some(key) => Err(settings.refusal(key, format!("is unknown; known are {}", known.join(", ")))),
            },
            other => Err(GeneratorError::BadSettings {
                generator: generator.to_owned(),
                pointer: String::new(),
                reason: format!("{other} is not a JSON object"),
            }),
        }
    }

    /// The curve of time in gaps, if one is set.
    pub(crate) fn easing(&self) -> Result<Option<Easing>, GeneratorError> {
        self.named("easing", Easing::NAMES.iter().copied(), |name| {
            serde_json::from_value(Value::String(name.to_owned())).ok()
        })
    }

    /// How much time the network may take, if set.
    #[cfg(feature = "rife")]
    pub(crate) fn quality(&self) -> Result<Option<Quality>, GeneratorError> {
        let names = Quality::NAMES.iter().map(|(name, _)| *name);
        self.named("quality", names, |wanted| {
            Quality::NAMES.iter().find(|(name, _)| *name == wanted).map(|(_, quality)| *quality)
        })
    }

    fn named<T>(
        &self,
        key: &str,
        names: impl Iterator<Item = &'static str>,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, GeneratorError> {
        let Some(value) = self.value.get(key) else { return Ok(None) };
        match value.as_str().and_then(parse) {
            Some(parsed) => Ok(Some(parsed)),
            None => Err(self.refusal(key, format!("{value} is not one of {}", names.collect::<Vec<_>>().join(", ")))),
        }
    }

    fn refusal(&self, key: &str, reason: String) -> GeneratorError {
        // RFC 6901 §3: `~` and `/` are escaped in a pointer.
        let pointer = format!("/{}", key.replace('~', "~0").replace('/', "~1"));
        GeneratorError::BadSettings { generator: self.generator.to_owned(), pointer, reason }
    }
}

/// A schema of an object with these properties and no others.
pub(crate) fn schema(properties: Value) -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
    })
}

/// A job's settings, over those of the configuration.
pub(crate) fn over(
    generator: &str,
    usual: &Map<String, Value>,
    own: &Value,
) -> Result<Map<String, Value>, GeneratorError> {
    let mut all = usual.clone();
    match own {
        Value::Null => {}
        Value::Object(own) => all.extend(own.clone()),
        other => {
            return Err(GeneratorError::BadSettings {
                generator: generator.to_owned(),
                pointer: String::new(),
                reason: format!("{other} is not a JSON object"),
            });
        }
    }
    Ok(all)
}

/// Holds settings against a generator's JSON Schema (draft 2020-12), which may not lead out of itself.
pub(crate) fn check_by(generator: &str, schema: &Value, settings: &Value) -> Result<(), GeneratorError> {
    let validator = jsonschema::options()
        .with_draft(Draft::Draft202012)
        .with_pattern_options(PatternOptions::regex())
        .offline()
        .build(schema)
        .map_err(|e| GeneratorError::Protocol {
            generator: generator.to_owned(),
            said: "hello".to_owned(),
            reason: format!("its settings_schema is not a JSON Schema: {e}"),
            stderr: String::new(),
        })?;
    match validator.iter_errors(settings).next() {
        None => Ok(()),
        Some(error) => Err(GeneratorError::BadSettings {
            generator: generator.to_owned(),
            pointer: error.instance_path().to_string(),
            reason: error.to_string(),
        }),
    }
}

/// The schema of `easing`; `unset` says what happens without it.
pub(crate) fn easing_schema(unset: &str) -> Value {
    json!({ "enum": Easing::NAMES, "description": format!("The curve of time between two kept frames. {unset}") })
}

/// The schema of `quality`.
#[cfg(feature = "rife")]
pub(crate) fn quality_schema() -> Value {
    json!({
        "enum": Quality::NAMES.map(|(name, _)| name),
        "default": "balanced",
        "description": "The size at which motion is found: 320, 416 or 832 pixels on the longer side.",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(value: Value) -> (String, String) {
        let settings = Settings::new("dissolve", &value, &["easing"]);
        match settings.and_then(|s| s.easing()) {
            Err(GeneratorError::BadSettings { pointer, reason, .. }) => (pointer, reason),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_refusal_points_at_the_setting() {
        assert_eq!(refused(json!([])).0, "");
        assert_eq!(refused(json!({"a/b~c": 1})).0, "/a~1b~0c");
        assert_eq!(refused(json!({"easing": 3})).0, "/easing");
        let (pointer, reason) = refused(json!({"easing": "bouncy"}));
        assert_eq!(pointer, "/easing");
        assert!(reason.contains("bouncy") && reason.contains("ease_in_out_sine"), "{reason}");
    }

    #[test]
    fn every_name_of_the_schema_is_accepted() {
        for name in Easing::NAMES {
            let value = json!({ "easing": name });
            assert!(Settings::new("dissolve", &value, &["easing"]).unwrap().easing().unwrap().is_some(), "{name}");
        }
        assert_eq!(Settings::new("dissolve", &Value::Null, &[]).unwrap().easing().unwrap(), None);
    }
}
