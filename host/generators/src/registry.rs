//! The generators of a host by name.

use crate::dissolve::Dissolve;
use crate::error::GeneratorError;
use crate::generator::Generator;
use crate::lanczos::Lanczos;
use crate::policy::Policy;
#[cfg(feature = "rife")]
use crate::rife::Rife;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The generators that a host has: those embedded in it, and its own.
#[derive(Clone)]
pub struct Generators {
    /// In the order in which they are listed; the default first.
    known: Vec<(String, Arc<dyn Generator>)>,
    said: BTreeMap<String, String>,
    policies: BTreeMap<String, Policy>,
}

impl Generators {
    /// Those that need nothing but this program. Cheap: weights are loaded at the first frame that needs them, once a
    /// process.
    #[must_use]
    pub fn embedded() -> Self {
        let known: Vec<(String, Arc<dyn Generator>)> = vec![
            #[cfg(feature = "rife")]
            (Rife::NAME.to_owned(), Arc::new(Rife)),
            (Dissolve::NAME.to_owned(), Arc::new(Dissolve)),
            (Lanczos::NAME.to_owned(), Arc::new(Lanczos)),
        ];
        Self { known, said: BTreeMap::new(), policies: BTreeMap::new() }
    }

    /// With one more; a name that is taken is answered by the newcomer. `said` is what the configuration says of it, in any
    /// words: another text is another generator to whoever remembers what it rendered.
    #[must_use]
    pub fn with(mut self, name: &str, generator: Arc<dyn Generator>, said: String) -> Self {
        self.known.retain(|(known, _)| known != name);
        self.said.insert(name.to_owned(), said);
        self.known.push((name.to_owned(), generator));
        self
    }

    /// With what the configuration wishes of the generator of this name.
    #[must_use]
    pub fn governed(mut self, name: &str, policy: Policy) -> Self {
        self.policies.insert(name.to_owned(), policy);
        self
    }

    /// What the configuration says of the generator of this name; nothing of those embedded.
    #[must_use]
    pub fn said(&self, name: &str) -> &str {
        self.said.get(name).map_or("", String::as_str)
    }

    /// What is wished of the generator of this name.
    #[must_use]
    pub fn policy(&self, name: &str) -> Policy {
        self.policies.get(name).cloned().unwrap_or_default()
    }

    /// The generator of this name.
    ///
    /// # Errors
    /// [`GeneratorError::UnknownGenerator`] with the names there are.
    pub fn by_name(&self, name: &str) -> Result<Arc<dyn Generator>, GeneratorError> {
        let found = self.known.iter().find(|(known, _)| known == name);
        found.map(|(_, generator)| Arc::clone(generator)).ok_or_else(|| GeneratorError::UnknownGenerator {
            name: name.to_owned(),
            known: self.names().map(str::to_owned).collect(),
        })
    }

    /// All names, the default first.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.known.iter().map(|(name, _)| name.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_leads_to_the_generator_that_bears_it() {
        let generators = Generators::embedded();
        for name in generators.names() {
            assert_eq!(generators.by_name(name).unwrap().describe().unwrap().name, name);
        }
        let refusal = generators.by_name("wan").err().unwrap().to_string();
        assert!(refusal.contains("`wan`") && refusal.contains("dissolve"), "{refusal}");
    }
}
