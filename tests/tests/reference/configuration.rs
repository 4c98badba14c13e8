//! Every setting: its meaning from the comment in the source, its default, and what its check says.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::page;

const ABOUT: &str = "TOML, then the environment (`VIBERCHAT__SECTION__KEY=…`; lists as `[\"a\", \"b\"]`), then flags. \
`viberchat config example` prints this with all defaults, `viberchat config check` says what is wrong with a file and where \
it came from. What is refused names the key.";

/// All settings.
pub(crate) struct Configuration(Vec<Key>);

/// A setting.
pub(crate) struct Key {
    pub(crate) section: String,
    pub(crate) key: String,
    pub(crate) meaning: String,
    /// As it would be written; empty: there is none.
    pub(crate) default: String,
    /// What the check says about values that it refuses.
    pub(crate) allowed: String,
}

/// The findings about a configuration; `None`: a value does not even fit into its type.
type Check<'a> = &'a dyn Fn(Value) -> Option<Vec<String>>;

impl Configuration {
    /// Reads the comments of the structs that `settings` name (section, file, struct), and walks over all defaults.
    pub(crate) fn read(root: &Path, settings: &[(&str, &str, &str)], defaults: &Value, check: Check<'_>) -> Self {
        let mut keys = Vec::new();
        for (section, file, name) in settings {
            let source = fs::read_to_string(root.join(file)).expect("the source is there");
            let values = path(section).fold(defaults, |values, name| &values[name]);
            for (key, meaning) in fields(&source, name) {
                let value = values.get(&key).unwrap_or(&Value::Null);
                // A section of its own.
                if settings.iter().any(|(other, ..)| *other == named(section, &key)) {
                    continue;
                }
                let allowed = allowed(defaults, section, &key, value, check);
                keys.push(Key { section: (*section).to_owned(), key, meaning, default: written(value), allowed });
            }
            let known = |key: &String| keys.iter().any(|known| known.section == *section && known.key == *key);
            let unknown: Vec<_> = values.as_object().into_iter().flat_map(|values| values.keys()).collect();
            let unknown: Vec<_> = unknown
                .into_iter()
                .filter(|key| !known(key) && !settings.iter().any(|(other, ..)| *other == named(section, key)))
                .collect();
            assert!(unknown.is_empty(), "[{section}] has settings that {file} does not show: {unknown:?}");
        }
        Self(keys)
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &Key> {
        self.0.iter()
    }
}

impl Key {
    pub(crate) fn name(&self) -> String {
        named(&self.section, &self.key)
    }

    /// By the end of its name, as all names here have it.
    pub(crate) fn unit(&self) -> &'static str {
        let has = |unit: &str| self.key.split('_').any(|part| part == unit);
        match () {
            () if has("ms") => "ms",
            () if has("s") => "s",
            () if has("bytes") => "bytes",
            () => "",
        }
    }
}

pub(crate) fn page(configuration: &Configuration) -> String {
    let mut text = page::begin("Configuration", ABOUT);
    let mut section = None;
    let mut rows = Vec::new();
    let flush = |text: &mut String, rows: &mut Vec<Vec<String>>| {
        if !rows.is_empty() {
            text.push_str(&page::table(&["key", "default", "unit", "meaning", "check"], rows.drain(..)));
        }
    };
    for key in configuration.keys() {
        if section != Some(&key.section) {
            flush(&mut text, &mut rows);
            let heading = if key.section.is_empty() { "At the top".to_owned() } else { format!("[{}]", key.section) };
            text.push_str(&format!("\n## {heading}\n"));
            section = Some(&key.section);
        }
        let default = if key.default.is_empty() { String::new() } else { format!("`{}`", key.default) };
        rows.push(vec![
            format!("`{}`", key.key),
            default,
            key.unit().to_owned(),
            key.meaning.clone(),
            key.allowed.clone(),
        ]);
    }
    flush(&mut text, &mut rows);
    text
}

/// The names of nested sections, outermost first.
fn path(section: &str) -> impl Iterator<Item = &str> {
    section.split('.').filter(|name| !name.is_empty())
}

fn named(section: &str, key: &str) -> String {
    if section.is_empty() { key.to_owned() } else { format!("{section}.{key}") }
}

/// Public fields of a struct with their comments.
fn fields(source: &str, name: &str) -> Vec<(String, String)> {
    let begin = format!("pub struct {name} {{");
    let body = source.split_once(&begin).unwrap_or_else(|| panic!("there is no {begin}")).1;
    let body = body.split_once("\n}").expect("a struct ends").0;
    let (mut found, mut comment) = (Vec::new(), Vec::new());
    for line in body.lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("///") {
            comment.push(text.trim());
        } else if let Some((field, _)) = line.strip_prefix("pub ").and_then(|rest| rest.split_once(": ")) {
            found.push((field.to_owned(), std::mem::take(&mut comment).join(" ")));
        }
    }
    found
}

fn written(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Object(map) if map.is_empty() => "{}".to_owned(),
        other => other.to_string(),
    }
}

/// What is said about nothing, and about far too much.
fn allowed(defaults: &Value, section: &str, key: &str, value: &Value, check: Check<'_>) -> String {
    let extremes = match value {
        Value::Number(_) => vec![Value::from(0), Value::from(1), Value::from(u64::MAX), Value::from(u32::MAX)],
        Value::String(_) => vec![Value::from("")],
        Value::Array(_) => vec![Value::from(vec![""]), Value::from(Vec::<String>::new())],
        _ => vec![],
    };
    let name = named(section, key);
    let mut said: Vec<String> = Vec::new();
    for extreme in extremes {
        let mut changed = defaults.clone();
        path(section).fold(&mut changed, |values, name| &mut values[name])[key] = extreme.clone();
        let findings = check(changed).unwrap_or_default();
        let about_it = findings.iter().filter_map(|finding| finding.strip_prefix(&name)?.strip_prefix(": "));
        for problem in about_it {
            // "is 0, allowed are 1 to 64" names the value that was tried.
            let tried = format!("is {extreme}, ");
            let rule = problem.strip_prefix(&tried).unwrap_or(problem).to_owned();
            if !said.contains(&rule) {
                said.push(rule);
            }
        }
    }
    said.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_belong_to_their_fields() {
        let source = "pub struct Other {\n    /// No.\n    pub no: u8,\n}\npub struct Config {\n    /// One\n    /// line.\n    #[serde(default)]\n    pub one: u8,\n    pub two: u8,\n}\n";
        assert_eq!(fields(source, "Config"), [("one".into(), "One line.".into()), ("two".into(), String::new())]);
    }
}
