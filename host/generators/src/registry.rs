//! The embedded generators by name.

use crate::dissolve::Dissolve;
use crate::error::GeneratorError;
use crate::generator::Generator;
#[cfg(feature = "rife")]
use crate::rife::Rife;
use std::sync::Arc;

/// Names of the embedded generators, the default first.
#[must_use]
pub fn names() -> Vec<&'static str> {
    vec![
        #[cfg(feature = "rife")]
        Rife::NAME,
        Dissolve::NAME,
    ]
}

/// The embedded generator of this name. Cheap: weights are loaded at the first frame that needs them, once a process.
///
/// # Errors
/// [`GeneratorError::UnknownGenerator`] with the names there are.
pub fn by_name(name: &str) -> Result<Arc<dyn Generator>, GeneratorError> {
    match name {
        #[cfg(feature = "rife")]
        Rife::NAME => Ok(Arc::new(Rife)),
        Dissolve::NAME => Ok(Arc::new(Dissolve)),
        _ => Err(GeneratorError::UnknownGenerator { name: name.to_owned(), known: names() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_leads_to_the_generator_that_bears_it() {
        for name in names() {
            assert_eq!(by_name(name).unwrap().describe().name, name);
        }
        let refusal = by_name("wan").err().unwrap().to_string();
        assert!(refusal.contains("`wan`") && refusal.contains("dissolve"), "{refusal}");
    }
}
