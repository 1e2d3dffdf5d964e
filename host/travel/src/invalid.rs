//! Why the host refuses a plan.

/// A plan that breaks a rule of the contract.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {reason}")]
pub struct InvalidPlan {
    /// Where in the plan, as `layers[3].opacity[17]`.
    pub path: String,
    /// What is wrong there, with the numbers.
    pub reason: String,
}

impl InvalidPlan {
    /// A finding at a place in the plan.
    pub fn new(path: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { path: path.into(), reason: reason.into() }
    }
}

/// At most 64 pairs, keys unique and not empty.
pub(crate) fn check_extras(extras: &[(String, String)], path: &str) -> Result<(), InvalidPlan> {
    if extras.len() > 64 {
        return Err(InvalidPlan::new(path, format!("{} pairs; 64 are allowed", extras.len())));
    }
    let mut seen = std::collections::BTreeSet::new();
    for (key, _) in extras {
        if key.is_empty() || !seen.insert(key.as_str()) {
            return Err(InvalidPlan::new(path, format!("the key `{key}` is empty or repeated")));
        }
    }
    Ok(())
}
