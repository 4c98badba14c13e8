//! What a log is and what may be appended to it. Pure: no I/O, no clock of its own, no generated types.
//!
//! Map: [`entry`] is what stands in the log, [`message`] a message as it stands now, [`head`] what is known about the end
//! of a log, [`dedup`] which ids it has, [`membership`] who may write, [`visibility`] what a member sees, [`rules`] the decision about one
//! write and [`target`] the messages that it is about, [`text`], [`content`] and [`position`] the small rules.

pub(crate) mod content;
pub(crate) mod dedup;
pub(crate) mod entry;
pub(crate) mod head;
pub(crate) mod membership;
pub(crate) mod message;
pub(crate) mod position;
pub(crate) mod rules;
pub(crate) mod target;
pub(crate) mod text;
pub(crate) mod visibility;
