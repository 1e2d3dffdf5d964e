//! Names that people type: a slip of the pen must not look like an empty answer, nor set up what nobody uses.

use crate::args::OneRun;
use crate::diagnostic::Diagnostic;
use crate::workplace::Workplace;
use std::collections::BTreeSet;
use travel_engine::queue::{QueueError, RunFilter, RunKey, RunView, Store};

/// The run that is meant.
pub fn find(store: &dyn Store, run: &OneRun) -> Result<RunView, Diagnostic> {
    let key = RunKey::parse(&run.run);
    let Some(tenant) = &run.tenant else { return Ok(store.run(&key)?) };
    require_tenant(store, tenant, "")?;
    let found = match &key {
        RunKey::Id(_) => Some(store.run(&key)?).filter(|view| view.tenant == *tenant),
        RunKey::Name(name) => {
            let filter = RunFilter { tenant: Some(tenant.clone()), name: Some(name.clone()), ..RunFilter::default() };
            store.runs(&filter, 1)?.pop()
        }
    };
    found.ok_or_else(|| QueueError::UnknownRun(format!("{key} of tenant {tenant}")).into())
}

/// Refuses a tenant whom the queue has never heard of. `otherwise` is what else to try.
pub fn require_tenant(store: &dyn Store, tenant: &str, otherwise: &str) -> Result<(), Diagnostic> {
    let known = store.tenants()?;
    if known.iter().any(|name| name == tenant) {
        return Ok(());
    }
    let message = format!("the queue knows no tenant `{tenant}`");
    Err(Diagnostic::refused("unknown_tenant", message).hint(format!("{}{otherwise}", listed(&known))))
}

/// Refuses a pool that no task was submitted to and that neither a host nor a generator of this configuration names.
pub fn require_pool(place: &Workplace, store: &dyn Store, pool: &str) -> Result<(), Diagnostic> {
    let mut known: BTreeSet<String> = store.pools()?.into_iter().collect();
    known.extend(place.places().into_iter().flat_map(|place| place.pools.into_keys()));
    known.extend(place.config.generators.iter().map(|(name, recipe)| recipe.pool_of(name).to_owned()));
    if known.contains(pool) {
        return Ok(());
    }
    let known: Vec<String> = known.into_iter().collect();
    Err(Diagnostic::refused("unknown_pool", format!("there is no pool `{pool}`")).hint(listed(&known)))
}

fn listed(known: &[String]) -> String {
    if known.is_empty() { "after something was submitted".to_owned() } else { known.join(", ") }
}
