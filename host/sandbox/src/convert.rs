//! Between the domain and the contract's generated types, field by field.
//!
//! On the way in nothing can fail. On the way out a case that this host does not know (`other`) is refused with its
//! place; everything else is left to the plans' own checks.

mod to_domain;
mod to_guest;

pub(crate) use to_domain::{crossfade_plan, graph, guide_plan, refusal};
pub(crate) use to_guest::{crossfade_request, guide_request, orchestrate_request};
