//! The wasm side: the contract's types, and the way to and from the domain's. Reached through [`crate::export!`] alone.
#![allow(missing_docs, unsafe_code, clippy::all, reason = "mostly generated from WIT")]

pub mod to_domain;
pub mod to_host;

/// What every face shares: types, and what the host offers.
pub mod base {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package travel:sdk;
            world base {
                import travel:host/media@0.1.0;
                import travel:host/log@0.1.0;
                import travel:host/job@0.1.0;
                import travel:plugin/travel@0.1.0;
            }
        ",
        world: "travel:sdk/base",
        generate_unused_types: true,
        generate_all,
    });
}

// One world a role, so that a plugin exports what it has: a component-model world cannot have optional exports, but
// several worlds that are linked into one module are merged.
macro_rules! face {
    ($module:ident, $inline:literal, $world:literal, $export:literal, $path:literal, with: $with:tt) => {
        pub mod $module {
            wit_bindgen::generate!({
                path: "../../wit",
                inline: $inline,
                world: $world,
                with: $with,
                pub_export_macro: true,
                export_macro_name: $export,
                default_bindings_module: $path,
            });
        }
    };
}

face!(
    describe_face,
    "package travel:sdk; world describe-face { export travel:plugin/describe@0.1.0; }",
    "travel:sdk/describe-face",
    "export_describe",
    "travel_plugin::glue::describe_face",
    with: {
        "travel:host/media@0.1.0": crate::glue::base::travel::host::media,
    }
);
face!(
    orchestrate_face,
    "package travel:sdk; world orchestrate-face { export travel:plugin/orchestrate@0.1.0; }",
    "travel:sdk/orchestrate-face",
    "export_orchestrate",
    "travel_plugin::glue::orchestrate_face",
    with: {
        "travel:host/media@0.1.0": crate::glue::base::travel::host::media,
        "travel:plugin/travel@0.1.0": crate::glue::base::travel::plugin::travel,
    }
);
face!(
    guide_face,
    "package travel:sdk; world guide-face { export travel:plugin/guide@0.1.0; }",
    "travel:sdk/guide-face",
    "export_guide",
    "travel_plugin::glue::guide_face",
    with: {
        "travel:host/media@0.1.0": crate::glue::base::travel::host::media,
        "travel:plugin/travel@0.1.0": crate::glue::base::travel::plugin::travel,
    }
);
face!(
    crossfade_face,
    "package travel:sdk; world crossfade-face { export travel:plugin/crossfade@0.1.0; }",
    "travel:sdk/crossfade-face",
    "export_crossfade",
    "travel_plugin::glue::crossfade_face",
    with: {
        "travel:host/media@0.1.0": crate::glue::base::travel::host::media,
    }
);

pub use base::travel::host::media;
pub use base::travel::plugin::travel as shared;
pub use crossfade_face::exports::travel::plugin::crossfade;
pub use describe_face::exports::travel::plugin::describe;
pub use guide_face::exports::travel::plugin::guide;
pub use orchestrate_face::exports::travel::plugin::orchestrate;

use base::travel::host::{job as host_job, log as host_log};

pub(crate) fn log(level: crate::log::Level, message: &str, fields: &[(&str, &str)]) {
    let level = match level {
        crate::log::Level::Trace => host_log::Level::Trace,
        crate::log::Level::Debug => host_log::Level::Debug,
        crate::log::Level::Info => host_log::Level::Info,
        crate::log::Level::Warn => host_log::Level::Warn,
        crate::log::Level::Error => host_log::Level::Error,
    };
    let fields: Vec<(String, String)> = fields.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    host_log::write(level, message, &fields);
}

pub(crate) fn cancelled() -> bool {
    host_job::cancelled()
}

pub(crate) fn remaining_ms() -> u32 {
    host_job::remaining_ms()
}

/// What `describe` answers.
pub fn about(name: &str, schemas: &[(&str, &str)]) -> describe::About {
    describe::About {
        name: name.to_owned(),
        params_schemas: schemas.iter().map(|(role, schema)| ((*role).to_owned(), (*schema).to_owned())).collect(),
        extras: Vec::new(),
    }
}
