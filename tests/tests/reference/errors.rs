//! Every reason.

use std::collections::BTreeMap;

use viberchat_kit::error::Reason;

use crate::descriptor::Protocol;
use crate::page;

const ABOUT: &str = "Clients branch on the reason, never on the text. Over gRPC it is in `google.rpc.ErrorInfo` (domain \
`viberchat`, with the outcome in its metadata); on a socket and over HTTP in [Error](rpcs.md#error). The outcome says what \
became of a write: `rejected`: it is not stored and never will be under this request id; `not_attempted`: this call stored \
nothing; `unknown`: it may be stored, so try again with the same request id. What is to be tried again says when \
(`retry_after_ms`, `google.rpc.RetryInfo`). Outcomes are the usual ones; the case may decide otherwise.";

pub(crate) fn page(protocol: &Protocol) -> String {
    let mut of_reason: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (method, reason) in named(protocol) {
        of_reason.entry(reason).or_default().push(format!("`{method}`"));
    }
    let rows = Reason::ALL.iter().map(|reason| {
        let again = if reason.retryable() { "yes" } else { "no" };
        vec![
            format!("`{reason}`"),
            format!("{:?}", reason.code()),
            format!("`{}`", reason.outcome()),
            again.to_owned(),
            reason.description().to_owned(),
            of_reason.get(reason.as_str()).map_or(String::new(), |methods| methods.join(", ")),
        ]
    });
    let head = ["reason", "gRPC code", "outcome", "try again", "meaning", "named by"];
    page::begin("Errors", ABOUT) + &page::table(&head, rows)
}

/// Methods whose comments name reasons after `Errors:`, with each of them.
pub(crate) fn named(protocol: &Protocol) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (path, method) in protocol.methods() {
        let Some((_, list)) = method.comment.split_once("Errors:") else { continue };
        let name = path.rsplit('/').next().unwrap_or_default();
        // One without an underscore might be any word in capitals.
        let is_capitals = |word: &str| word.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
        let is_reason = |word: &&str| Reason::parse(word).is_some() || (word.contains('_') && is_capitals(word));
        let words = list.split(|c: char| !(c.is_ascii_alphabetic() || c == '_'));
        found.extend(words.filter(is_reason).map(|reason| (name.to_owned(), reason.to_owned())));
    }
    found.sort();
    found.dedup();
    found
}
