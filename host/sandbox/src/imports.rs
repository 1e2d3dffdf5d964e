//! The linker is the grant: what is linked for whom, and what a binary asks for beyond it.

use crate::bindings::{contract, stub};
use crate::error::PluginError;
use crate::host::HostState;
use crate::manifest::Wants;
use wasmtime::Engine;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, HasSelf, Linker};

const LOG: &str = "travel:host/log";
const JOB: &str = "travel:host/job";
const WASI: [&str; 16] = [
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/stderr",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:cli/terminal-stderr",
    "wasi:clocks/monotonic-clock",
    "wasi:clocks/wall-clock",
    "wasi:random/",
];

/// A linker that holds what a plugin with these wants may use, and nothing else.
pub(crate) fn linker(engine: &Engine, wants: Wants) -> wasmtime::Result<Linker<HostState>> {
    let mut linker = Linker::new(engine);
    stub::Stub::add_to_linker::<_, HasSelf<_>>(&mut linker, |state: &mut HostState| state)?;
    contract::travel::host::job::add_to_linker::<_, HasSelf<_>>(&mut linker, |state: &mut HostState| state)?;
    if wants.log {
        contract::travel::host::log::add_to_linker::<_, HasSelf<_>>(&mut linker, |state: &mut HostState| state)?;
    }
    Ok(linker)
}

/// Refuses a component that imports what is not linked for it; lists all of it.
pub(crate) fn check(engine: &Engine, component: &Component, wants: Wants, plugin: &str) -> Result<(), PluginError> {
    let mut missing = Vec::new();
    for (name, import) in component.component_type().imports(engine) {
        let interface = name.split('@').next().unwrap_or(name);
        let needs_definition = match &import.ty {
            ComponentItem::ComponentInstance(instance) => {
                instance.exports(engine).any(|(_, e)| !matches!(e.ty, ComponentItem::Type(_)))
            }
            _ => true,
        };
        let granted = match interface {
            JOB => true,
            LOG => wants.log,
            wasi => WASI.iter().any(|w| wasi == *w || (w.ends_with('/') && wasi.starts_with(w))),
        };
        if needs_definition && !granted {
            missing.push(match interface {
                LOG => format!("{name} (plugin.toml must say `[wants] log = true`)"),
                _ => name.to_owned(),
            });
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    Err(PluginError::Incompatible {
        plugin: plugin.to_owned(),
        missing,
        have: "this host does not give it all of that".into(),
        want: "imports more than is granted".into(),
    })
}
