//! Parameters, read into a type.

use serde::de::DeserializeOwned;
use travel::Refusal;

/// Reads a role's parameters. The host has checked them against the plugin's schema; this says no where schema and type
/// disagree, and natively, where nobody has checked.
///
/// # Errors
/// [`Refusal::InvalidParams`] with what serde says.
pub fn params<T: DeserializeOwned>(json: &str) -> Result<T, Refusal> {
    serde_json::from_str(json)
        .map_err(|error| Refusal::InvalidParams { pointer: String::new(), reason: error.to_string() })
}
