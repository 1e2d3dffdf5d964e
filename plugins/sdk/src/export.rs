//! The macro that makes a plugin of strategies.

/// Makes a plugin of types that implement the roles.
///
/// ```ignore
/// travel_plugin::export! {
///     name: "acme",                  // equals `id` in plugin.toml
///     orchestrate: Acme,             // each role is optional; the order is fixed
///     guide: Acme,
///     crossfade: Acme,
///     params: { guide: GUIDE_SCHEMA } // JSON Schema (2020-12) as text; a role without one takes `{}` alone
/// }
/// ```
///
/// Compiled for anything but wasm, it only proves that the types implement their roles.
#[macro_export]
macro_rules! export {
    (
        name: $name:expr
        $(, orchestrate: $orchestrate:ty)?
        $(, guide: $guide:ty)?
        $(, crossfade: $crossfade:ty)?
        $(, params: { $($role:ident: $schema:expr),* $(,)? })?
        $(,)?
    ) => {
        $crate::__export_describe!($name; $($($role: $schema),*)?);
        $($crate::__export_orchestrate!($orchestrate);)?
        $($crate::__export_guide!($guide);)?
        $($crate::__export_crossfade!($crossfade);)?
    };
}

#[doc(hidden)]
#[macro_export]
#[cfg(not(target_family = "wasm"))]
macro_rules! __export_describe {
    ($name:expr; $($role:ident: $schema:expr),*) => {
        const _: (&str, &[(&str, &str)]) = ($name, &[$((stringify!($role), $schema)),*]);
    };
}
#[doc(hidden)]
#[macro_export]
#[cfg(not(target_family = "wasm"))]
macro_rules! __export_orchestrate {
    ($strategy:ty) => {
        const _: fn(u32, bool, &str) -> Result<u32, $crate::travel::Refusal> = <$strategy as $crate::Orchestrate>::legs;
    };
}
#[doc(hidden)]
#[macro_export]
#[cfg(not(target_family = "wasm"))]
macro_rules! __export_guide {
    ($strategy:ty) => {
        const _: fn(&$crate::travel::guide::Request) -> Result<$crate::travel::guide::Plan, $crate::travel::Refusal> =
            <$strategy as $crate::Guide>::compose;
    };
}
#[doc(hidden)]
#[macro_export]
#[cfg(not(target_family = "wasm"))]
macro_rules! __export_crossfade {
    ($strategy:ty) => {
        const _: fn(
            &$crate::travel::crossfade::Request,
        ) -> Result<$crate::travel::crossfade::Plan, $crate::travel::Refusal> =
            <$strategy as $crate::Crossfade>::compose;
    };
}

#[doc(hidden)]
#[macro_export]
#[cfg(target_family = "wasm")]
macro_rules! __export_describe {
    ($name:expr; $($role:ident: $schema:expr),*) => {
        const _: () = {
            struct Face;
            impl $crate::glue::describe::Guest for Face {
                fn describe() -> $crate::glue::describe::About {
                    $crate::glue::about($name, &[$((stringify!($role), $schema)),*])
                }
            }
            $crate::glue::describe_face::export_describe!(Face with_types_in $crate::glue::describe_face);
        };
    };
}
#[doc(hidden)]
#[macro_export]
#[cfg(target_family = "wasm")]
macro_rules! __export_orchestrate {
    ($strategy:ty) => {
        const _: () = {
            struct Face;
            impl $crate::glue::orchestrate::Guest for Face {
                fn legs(
                    stills: u32,
                    continued: bool,
                    params: ::std::string::String,
                ) -> Result<u32, $crate::glue::media::Refusal> {
                    <$strategy as $crate::Orchestrate>::legs(stills, continued, &params)
                        .map_err($crate::glue::to_host::refusal)
                }
                fn expand(
                    request: $crate::glue::orchestrate::Request,
                ) -> Result<$crate::glue::orchestrate::Graph, $crate::glue::media::Refusal> {
                    let request = $crate::glue::to_domain::orchestrate_request(request);
                    <$strategy as $crate::Orchestrate>::expand(&request)
                        .map($crate::glue::to_host::graph)
                        .map_err($crate::glue::to_host::refusal)
                }
            }
    $crate::glue::orchestrate_face::export_orchestrate!(Face with_types_in $crate::glue::orchestrate_face);
        };
    };
}
#[doc(hidden)]
#[macro_export]
#[cfg(target_family = "wasm")]
macro_rules! __export_guide {
    ($strategy:ty) => {
        const _: () = {
            struct Face;
            impl $crate::glue::guide::Guest for Face {
                fn compose(
                    request: $crate::glue::guide::Request,
                ) -> Result<$crate::glue::guide::Plan, $crate::glue::media::Refusal> {
                    let request = $crate::glue::to_domain::guide_request(request);
                    <$strategy as $crate::Guide>::compose(&request)
                        .map($crate::glue::to_host::guide_plan)
                        .map_err($crate::glue::to_host::refusal)
                }
            }
    $crate::glue::guide_face::export_guide!(Face with_types_in $crate::glue::guide_face);
        };
    };
}
#[doc(hidden)]
#[macro_export]
#[cfg(target_family = "wasm")]
macro_rules! __export_crossfade {
    ($strategy:ty) => {
        const _: () = {
            struct Face;
            impl $crate::glue::crossfade::Guest for Face {
                fn compose(
                    request: $crate::glue::crossfade::Request,
                ) -> Result<$crate::glue::crossfade::Plan, $crate::glue::media::Refusal> {
                    let request = $crate::glue::to_domain::crossfade_request(request);
                    <$strategy as $crate::Crossfade>::compose(&request)
                        .map($crate::glue::to_host::crossfade_plan)
                        .map_err($crate::glue::to_host::refusal)
                }
            }
    $crate::glue::crossfade_face::export_crossfade!(Face with_types_in $crate::glue::crossfade_face);
        };
    };
}
