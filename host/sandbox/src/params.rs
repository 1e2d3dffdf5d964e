//! Parameters against the schema that the plugin describes them with.

mod schema_bounds;

use crate::error::PluginError;
use crate::limits::{MAX_PARAMS_BYTES, MAX_SCHEMA_BYTES};
use crate::shown::shown;
use jsonschema::{Draft, PatternOptions, Validator};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use travel::Role;

/// The compiled schemas of a plugin, by role.
#[derive(Debug, Default)]
pub(crate) struct Schemas(BTreeMap<Role, (Value, Validator)>);

impl Schemas {
    /// Compiles what `describe` returned.
    ///
    /// # Errors
    /// A sentence: an unknown or repeated role, a schema that is too large, not JSON, or not a schema.
    pub(crate) fn compile(described: Vec<(String, String)>) -> Result<Self, String> {
        let mut schemas = BTreeMap::new();
        for (name, text) in described {
            let role: Role = name.parse()?;
            if text.len() > MAX_SCHEMA_BYTES {
                return Err(format!("the schema of {role} has {} bytes; {MAX_SCHEMA_BYTES} are allowed", text.len()));
            }
            let schema: Value =
                serde_json::from_str(&text).map_err(|e| format!("the schema of {role} is not JSON: {e}"))?;
            schema_bounds::check(&schema).map_err(|reason| format!("the schema of {role} is refused: {reason}"))?;
            // Patterns run in linear time.
            let validator = jsonschema::options()
                .with_draft(Draft::Draft202012)
                .with_pattern_options(PatternOptions::regex())
                .offline()
                .build(&schema)
                .map_err(|e| format!("the schema of {role} is not a JSON Schema: {e}"))?;
            if schemas.insert(role, (schema, validator)).is_some() {
                return Err(format!("{role} has two schemas"));
            }
        }
        Ok(Self(schemas))
    }

    /// A role's schema as the plugin wrote it.
    pub(crate) fn schema(&self, role: Role) -> Option<&Value> {
        self.0.get(&role).map(|(schema, _)| schema)
    }

    /// Checks parameters. A role without a schema takes `{}` alone.
    pub(crate) fn check(&self, plugin: &str, role: Role, params: &str) -> Result<(), PluginError> {
        let bad = |pointer: String, reason: String| {
            Err(PluginError::Params { plugin: plugin.to_owned(), role, pointer, reason })
        };
        if params.len() > MAX_PARAMS_BYTES {
            return bad(String::new(), format!("they have {} bytes; {MAX_PARAMS_BYTES} are allowed", params.len()));
        }
        let value: Value = match serde_json::from_str(params) {
            Ok(value) => value,
            Err(error) => return bad(String::new(), format!("not JSON: {error}")),
        };
        if !value.is_object() {
            return bad(String::new(), "not a JSON object".into());
        }
        match self.0.get(&role) {
            None if value == Value::Object(Map::new()) => Ok(()),
            None => bad(String::new(), "the plugin takes none for this role".into()),
            Some((_, validator)) => match validator.iter_errors(&value).next() {
                None => Ok(()),
                Some(error) => bad(shown(error.instance_path().as_str()), shown(&error.to_string())),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schemas() -> Schemas {
        let schema = r#"{"type":"object","additionalProperties":false,
            "properties":{"fade":{"type":"object","properties":{"low":{"type":"number","minimum":0}}}}}"#;
        Schemas::compile(vec![("guide".into(), schema.into())]).unwrap()
    }

    #[test]
    fn a_wrong_parameter_is_named_by_its_pointer() {
        schemas().check("p", Role::Guide, r#"{"fade":{"low":0.5}}"#).unwrap();
        let error = schemas().check("p", Role::Guide, r#"{"fade":{"low":-1}}"#).unwrap_err();
        assert!(matches!(&error, PluginError::Params { pointer, .. } if pointer == "/fade/low"), "{error}");
        assert!(error.to_string().contains("-1"), "{error}");
        for text in [r#"{"fad":1}"#, "[]", "{"] {
            assert!(schemas().check("p", Role::Guide, text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_role_without_a_schema_takes_the_empty_object_alone() {
        schemas().check("p", Role::Crossfade, "{}").unwrap();
        assert!(schemas().check("p", Role::Crossfade, r#"{"a":1}"#).is_err());
    }

    #[test]
    fn a_schema_that_is_none_is_refused_at_load() {
        for (role, schema) in [("guide", "{"), ("guide", r#"{"type":"oject"}"#), ("gide", "{}")] {
            assert!(Schemas::compile(vec![(role.into(), schema.into())]).is_err(), "{role} {schema}");
        }
    }
}
