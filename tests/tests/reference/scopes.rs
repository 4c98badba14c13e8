//! Who may call what.

use viberchat_kit::auth::{MethodRule, Scope};

use crate::page;

const ABOUT: &str = "A service token (`viberchat token --service NAME --scope …`) says what its bearer may do. A method that \
is not listed here is refused, whoever calls. Users may call what is for users, each within what they are a member of; the \
services decide that.";

pub(crate) fn page(rules: &[MethodRule]) -> String {
    let mut text = page::begin("Scopes", ABOUT);
    let scopes = Scope::ALL.iter().map(|scope| vec![format!("`{scope}`"), scope.description().to_owned()]);
    text.push_str("\n## What a scope allows\n");
    text.push_str(&page::table(&["scope", "allows"], scopes));
    text.push_str("\n## Methods\n");
    let methods = rules.iter().map(|rule| vec![format!("`{}`", rule.path.trim_start_matches('/')), who(rule)]);
    text.push_str(&page::table(&["method", "for"], methods));
    text
}

/// Whom a method takes, in words.
pub(crate) fn who(rule: &MethodRule) -> String {
    let access = &rule.access;
    if access.anonymous {
        return "everybody, without a token".to_owned();
    }
    let mut takers = Vec::new();
    if access.users {
        takers.push(format!("users, and services with `{}` in the name of one", Scope::ActForUsers));
    }
    if let Some(scope) = access.service {
        takers.push(format!("services with `{scope}`"));
    }
    takers.join("; ")
}
