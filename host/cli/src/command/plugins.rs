//! `plugins list` and `plugins inspect`.

use super::{print, print_json};
use crate::args::{Global, PluginsCommand};
use crate::diagnostic::Diagnostic;
use crate::format::table;
use crate::workplace::Workplace;
use serde_json::{Value, json};
use travel::Role;
use travel_engine::sandbox::{Plugin, Registry};

pub fn plugins(global: &Global, command: &PluginsCommand) -> Result<u8, Diagnostic> {
    let (_sandbox, registry) = Workplace::find(global)?.plugins()?;
    match command {
        PluginsCommand::List => list(global, &registry),
        PluginsCommand::Inspect { id } => {
            let plugin = registry.plugins().find(|p| p.id() == id).ok_or_else(|| {
                let known: Vec<&str> = registry.plugins().map(|p| p.id()).collect();
                Diagnostic::refused("unknown_plugin", format!("no plugin is called `{id}`"))
                    .hint(format!("one of: {}", known.join(", ")))
            })?;
            inspect(global, &registry, plugin)
        }
    }
}

fn list(global: &Global, registry: &Registry) -> Result<u8, Diagnostic> {
    if global.json {
        return print_json(&registry.plugins().map(|p| summary(registry, p)).collect::<Vec<_>>());
    }
    let rows: Vec<Vec<String>> = registry
        .plugins()
        .map(|p| {
            let manifest = p.manifest();
            let digest = p.digest().to_string().chars().take(12).collect();
            vec![p.id().to_owned(), manifest.version.clone(), roles(p).join(" "), digest, source(registry, p)]
        })
        .collect();
    print(&table(&["id", "version", "roles", "digest", "source"], &rows))
}

fn inspect(global: &Global, registry: &Registry, plugin: &Plugin) -> Result<u8, Diagnostic> {
    let limits = serde_json::to_value(plugin.limits()).unwrap_or_default();
    let schemas: Vec<(Role, Value)> =
        Role::ALL.into_iter().filter_map(|role| Some((role, plugin.params_schema(role)?.clone()))).collect();
    if global.json {
        let mut all = summary(registry, plugin);
        let schemas: serde_json::Map<String, Value> =
            schemas.into_iter().map(|(role, schema)| (role.to_string(), schema)).collect();
        if let Some(map) = all.as_object_mut() {
            map.insert("limits".to_owned(), limits);
            map.insert("params".to_owned(), Value::Object(schemas));
        }
        return print_json(&all);
    }
    let manifest = plugin.manifest();
    let mut text = format!("{} {}\n{}\n\n", plugin.id(), manifest.version, manifest.description);
    text.push_str(&format!("roles:   {}\n", roles(plugin).join(", ")));
    text.push_str(&format!("digest:  {}\n", plugin.digest()));
    text.push_str(&format!("source:  {}\n", source(registry, plugin)));
    text.push_str("\nlimits of a call:\n");
    for (name, value) in limits.as_object().into_iter().flatten() {
        text.push_str(&format!("  {name}: {value}\n"));
    }
    for (role, schema) in schemas {
        text.push_str(&format!("\nparameters of {role} (--param {role}.KEY=VALUE):\n"));
        for (key, property) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            let what = property.get("description").and_then(Value::as_str).unwrap_or_default();
            text.push_str(&format!("  {key}: {what}\n"));
        }
    }
    print(&text)
}

fn roles(plugin: &Plugin) -> Vec<&'static str> {
    Role::ALL.into_iter().filter(|role| plugin.answers(*role)).map(Role::as_str).collect()
}

fn source(registry: &Registry, plugin: &Plugin) -> String {
    match plugin.folder() {
        _ if registry.is_embedded(plugin) => "built in".to_owned(),
        Some(folder) => folder.display().to_string(),
        None => "memory".to_owned(),
    }
}

fn summary(registry: &Registry, plugin: &Plugin) -> Value {
    let manifest = plugin.manifest();
    json!({
        "id": plugin.id(), "version": manifest.version, "description": manifest.description,
        "roles": roles(plugin), "digest": plugin.digest().to_string(), "source": source(registry, plugin),
    })
}
