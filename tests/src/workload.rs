//! Users who chat at random, from a seed: the load under which the checker, the kills and the mutants are tried.
//!
//! Map: `plan` how many do what, `crowd` gathers them and reads everything at the end, `actor` is one of them;
//! `run` has them chat on servers, through what is done to these, and has the history judged.

mod actor;
mod crowd;
mod plan;
mod run;

pub use self::{
    crowd::{Crowd, Place},
    plan::{Plan, size_from_environment},
    run::{chat_and_judge, chat_through, judge, wait_for_an_ack},
};
