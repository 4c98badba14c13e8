//! Who is there, and who types: types and pure rules, without I/O.
//!
//! Map: `status` what is shown of a user; `registry` gateways, their sessions and their users; `typing` who types where;
//! `name` what gateways call themselves and their sessions.

pub(crate) mod name;
pub(crate) mod registry;
pub(crate) mod status;
pub(crate) mod typing;
