//! Configuration: defaults, then a TOML file, then `VIBERCHAT__SECTION__KEY`, then flags.
//!
//! Sections refuse unknown keys by `#[serde(deny_unknown_fields)]`. What is refused is named with the key and where it
//! came from.

use std::path::{Path, PathBuf};

use figment::providers::{Format as _, Serialized, Toml};
use figment::value::{Dict, Map, Tag, Value};
use figment::{Figment, Metadata, Profile, Provider};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};

/// What environment variables of the configuration begin with.
pub const VARIABLE_PREFIX: &str = "VIBERCHAT__";

const SEPARATOR: &str = "__";

/// What is wrong with a configuration, one line a finding.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The file is named and not there.
    #[error("configuration file {} cannot be read: {cause}", path.display())]
    Unreadable {
        /// As it was named.
        path: PathBuf,
        /// What the system said.
        cause: String,
    },
    /// Keys or values.
    #[error("{}", .0.join("\n"))]
    Invalid(
        /// Each names the key and its origin.
        Vec<String>,
    ),
}

/// Reads the configuration. `flags` is laid over everything; what is `None` in it says nothing.
///
/// A value in the environment is text, and becomes the number or truth value that the key wants; one that begins with
/// `[` or `{` is a TOML array or table.
///
/// # Errors
/// [`ConfigError`], with all that could be found at once.
pub fn load<T>(file: Option<&Path>, flags: impl Serialize) -> Result<T, ConfigError>
where
    T: DeserializeOwned + Serialize + Default,
{
    load_with(file, variables()?, flags)
}

/// The same, and checks what results. `check` finds `section.key: what is wrong with it`; each finding gets the origin of
/// its key.
///
/// # Errors
/// As [`load`], and what `check` finds.
pub fn load_checked<T>(
    file: Option<&Path>,
    flags: impl Serialize,
    check: impl FnOnce(&T) -> Vec<String>,
) -> Result<T, ConfigError>
where
    T: DeserializeOwned + Serialize + Default,
{
    load_checked_with(file, variables()?, flags, check)
}

fn load_checked_with<T>(
    file: Option<&Path>,
    variables: impl IntoIterator<Item = (String, String)>,
    flags: impl Serialize,
    check: impl FnOnce(&T) -> Vec<String>,
) -> Result<T, ConfigError>
where
    T: DeserializeOwned + Serialize + Default,
{
    let figment = layers::<T>(file, variables, flags)?;
    let config = figment.extract_lossy().map_err(invalid)?;
    let findings: Vec<_> = check(&config).into_iter().map(|finding| with_origin(&figment, finding)).collect();
    if findings.is_empty() { Ok(config) } else { Err(ConfigError::Invalid(findings)) }
}

/// `gateway.port: must be more than 0 (VIBERCHAT__GATEWAY__PORT)`. Defaults have no origin to go to.
fn with_origin(figment: &Figment, finding: String) -> String {
    let key = finding.split_once(": ").map_or("", |(key, _)| key);
    match figment.find_metadata(key) {
        Some(metadata) if metadata.name != DEFAULTS => {
            let path: Vec<_> = key.split('.').map(str::to_owned).collect();
            format!("{finding} ({})", origin(metadata, &path))
        }
        _ => finding,
    }
}

/// Our variables. Those of others may hold any bytes.
fn variables() -> Result<Vec<(String, String)>, ConfigError> {
    let ours = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
    let ours = ours.filter(|(name, _)| name.starts_with(VARIABLE_PREFIX));
    ours.map(|(name, value)| match value.into_string() {
        Ok(value) => Ok((name, value)),
        Err(_) => Err(ConfigError::Invalid(vec![format!("{name} is not UTF-8")])),
    })
    .collect()
}

/// The same, with the environment as a parameter.
///
/// # Errors
/// As [`load`].
pub fn load_with<T>(
    file: Option<&Path>,
    variables: impl IntoIterator<Item = (String, String)>,
    flags: impl Serialize,
) -> Result<T, ConfigError>
where
    T: DeserializeOwned + Serialize + Default,
{
    layers::<T>(file, variables, flags)?.extract_lossy().map_err(invalid)
}

fn layers<T>(
    file: Option<&Path>,
    variables: impl IntoIterator<Item = (String, String)>,
    flags: impl Serialize,
) -> Result<Figment, ConfigError>
where
    T: Serialize + Default,
{
    let defaults = Named { name: DEFAULTS.to_owned(), inner: Serialized::defaults(T::default()) };
    let mut figment = Figment::from(defaults);
    if let Some(path) = file {
        let text = std::fs::read_to_string(path)
            .map_err(|error| ConfigError::Unreadable { path: path.to_owned(), cause: error.to_string() })?;
        figment = figment.merge(Named { name: path.display().to_string(), inner: Toml::string(&text) });
    }
    let flags = Value::serialize(flags).map_err(invalid)?;
    Ok(figment.merge(Variables::from_all(variables)).merge(Flags(without_empty(flags))))
}

fn invalid(errors: figment::Error) -> ConfigError {
    ConfigError::Invalid(errors.into_iter().map(|error| describe(&error)).collect())
}

/// `gateway.port: invalid type: found string "x", expected u16 (VIBERCHAT__GATEWAY__PORT)`.
fn describe(error: &figment::Error) -> String {
    let mut text = String::new();
    if !error.path.is_empty() {
        text.push_str(&error.path.join("."));
        text.push_str(": ");
    }
    text.push_str(&error.kind.to_string());
    if let Some(metadata) = &error.metadata {
        text.push_str(&format!(" ({})", origin(metadata, &error.path)));
    }
    text
}

fn origin(metadata: &Metadata, path: &[String]) -> String {
    match metadata.name.as_ref() {
        ENVIRONMENT => variable_name(path),
        name => name.to_owned(),
    }
}

const DEFAULTS: &str = "default";

const ENVIRONMENT: &str = "environment";
const FLAGS: &str = "command line";

fn variable_name(path: &[String]) -> String {
    format!("{VARIABLE_PREFIX}{}", path.join(SEPARATOR).to_uppercase())
}

/// A file whose errors name it as the caller did.
struct Named<P> {
    name: String,
    inner: P,
}

impl<P: Provider> Provider for Named<P> {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.name.clone())
    }

    fn data(&self) -> figment::error::Result<Map<Profile, Dict>> {
        self.inner.data()
    }
}

/// Our variables, by section and key. Texts stay texts: which of them are numbers is for the key to say, else a name
/// of digits could not be a name.
struct Variables(Dict);

impl Variables {
    fn from_all(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut dict = Dict::new();
        for (name, text) in variables {
            if let Some(key) = name.strip_prefix(VARIABLE_PREFIX) {
                let path: Vec<_> = key.split(SEPARATOR).map(str::to_lowercase).collect();
                insert(&mut dict, &path, parse_variable(text));
            }
        }
        Self(dict)
    }
}

fn insert(dict: &mut Dict, path: &[String], value: Value) {
    let [key, rest @ ..] = path else { return };
    if rest.is_empty() {
        dict.insert(key.clone(), value);
        return;
    }
    let section = dict.entry(key.clone()).or_insert_with(|| Value::from(Dict::new()));
    if let Value::Dict(_, inner) = section {
        insert(inner, rest, value);
    }
}

fn parse_variable(text: String) -> Value {
    match text.trim_start().as_bytes().first() {
        Some(b'[' | b'{') => text.parse().unwrap_or(Value::from(text)),
        _ => Value::from(text),
    }
}

impl Provider for Variables {
    fn metadata(&self) -> Metadata {
        Metadata::named(ENVIRONMENT)
    }

    fn data(&self) -> figment::error::Result<Map<Profile, Dict>> {
        Ok(Profile::Default.collect(self.0.clone()))
    }
}

struct Flags(Option<Value>);

impl Provider for Flags {
    fn metadata(&self) -> Metadata {
        Metadata::named(FLAGS)
    }

    fn data(&self) -> figment::error::Result<Map<Profile, Dict>> {
        let dict = match &self.0 {
            Some(Value::Dict(_, dict)) => dict.clone(),
            _ => Dict::new(),
        };
        Ok(Profile::Default.collect(dict))
    }
}

/// Flags that were not given must not undo what the file says.
fn without_empty(value: Value) -> Option<Value> {
    match value {
        Value::Empty(..) => None,
        Value::Dict(_, dict) => {
            let kept: Dict = dict.into_iter().filter_map(|(key, value)| Some((key, without_empty(value)?))).collect();
            (!kept.is_empty()).then_some(Value::Dict(Tag::Default, kept))
        }
        other => Some(other),
    }
}

/// A list that may be written as one text: `issuer = "a"` and `issuer = ["a", "b"]`.
///
/// # Errors
/// For everything else.
pub fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a text or a list of texts")]
    enum OneOrMany {
        One(String),
        Many(Vec<String>),
    }
    Ok(match OneOrMany::deserialize(deserializer)? {
        OneOrMany::One(text) => vec![text],
        OneOrMany::Many(texts) => texts,
    })
}

#[cfg(test)]
mod tests;
