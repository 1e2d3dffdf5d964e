//! A schema is a plugin's data, but checking against it is the host's work, outside fuel and memory limits.
//!
//! So a schema may not multiply: with its references followed it has a bounded number of parts, and none leads back to
//! itself. References lead to `#/$defs/…` alone.

use serde_json::Value;
use std::collections::BTreeMap;

/// Parts of a schema, references followed.
const MAX_PARTS: u64 = 4096;

/// # Errors
/// A sentence.
pub(super) fn check(schema: &Value) -> Result<(), String> {
    let defs = schema.get("$defs");
    let parts = Walk { defs, known: BTreeMap::new() }.parts(schema, true)?;
    if parts > MAX_PARTS {
        return Err(format!("with its references followed it has {parts} parts; {MAX_PARTS} are allowed"));
    }
    Ok(())
}

struct Walk<'a> {
    defs: Option<&'a Value>,
    /// Parts of each definition; `None` while it is being counted.
    known: BTreeMap<&'a str, Option<u64>>,
}

impl<'a> Walk<'a> {
    fn parts(&mut self, value: &'a Value, top: bool) -> Result<u64, String> {
        let mut parts = 1u64;
        match value {
            Value::Array(items) => {
                for item in items {
                    parts = parts.saturating_add(self.parts(item, false)?);
                }
            }
            Value::Object(fields) => {
                for (key, field) in fields {
                    let more = match (key.as_str(), field) {
                        ("$ref", Value::String(to)) => self.definition(to)?,
                        ("$id" | "$anchor" | "$dynamicRef" | "$dynamicAnchor" | "$recursiveRef", Value::String(_)) => {
                            return Err(format!("it uses `{key}`; references lead to `#/$defs/…` alone"));
                        }
                        // Counted where they are referred to.
                        ("$defs", _) if top => 0,
                        _ => self.parts(field, false)?,
                    };
                    parts = parts.saturating_add(more);
                }
            }
            _ => {}
        }
        Ok(parts)
    }

    fn definition(&mut self, to: &'a str) -> Result<u64, String> {
        let name = to
            .strip_prefix("#/$defs/")
            .filter(|name| !name.contains(['/', '~', '%']))
            .ok_or_else(|| format!("it refers to `{to}`; references lead to `#/$defs/…` alone"))?;
        match self.known.get(name) {
            Some(Some(parts)) => return Ok(*parts),
            Some(None) => return Err(format!("its definition `{name}` leads back to itself")),
            None => {}
        }
        let definition = self.defs.and_then(|d| d.get(name)).ok_or_else(|| format!("it has no definition `{name}`"))?;
        self.known.insert(name, None);
        let parts = self.parts(definition, false)?;
        self.known.insert(name, Some(parts));
        Ok(parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn schemas_that_lead_back_to_themselves_or_multiply_are_refused() {
        assert!(check(&json!({"$ref": "#"})).is_err());
        assert!(check(&json!({"$ref": "#/$defs/a", "$defs": {"a": {"items": {"$ref": "#/$defs/a"}}}})).is_err());
        assert!(check(&json!({"$ref": "file:///etc/passwd"})).is_err());
        let mut defs = serde_json::Map::new();
        defs.insert("d0".into(), json!({"type": "number"}));
        for i in 1..40 {
            let below = format!("#/$defs/d{}", i - 1);
            defs.insert(format!("d{i}"), json!({"allOf": [{"$ref": below}, {"$ref": below}]}));
        }
        let error = check(&json!({"$ref": "#/$defs/d39", "$defs": defs})).unwrap_err();
        assert!(error.contains("parts"), "{error}");
    }

    #[test]
    fn definitions_that_are_used_twice_are_fine() {
        let fade = json!({"$ref": "#/$defs/fade"});
        let schema = json!({"properties": {"in": fade, "out": fade}, "$defs": {"fade": {"type": "object"}}});
        assert_eq!(check(&schema), Ok(()));
    }
}
