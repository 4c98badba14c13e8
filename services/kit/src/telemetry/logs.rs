use std::sync::OnceLock;

use serde::{Deserialize, Serialize};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, reload};

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// A filter that is none, with what is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a log filter: {0}")]
pub struct InvalidFilter(String);

/// Changes the level of a running process.
#[derive(Clone)]
pub struct LogHandle {
    /// `None`: somebody else set up logging first.
    filter: Option<reload::Handle<EnvFilter, Registry>>,
}

impl LogHandle {
    /// Takes a filter such as `info,viberchat_message=debug`.
    ///
    /// # Errors
    /// [`InvalidFilter`]; the present one stays.
    pub fn set_filter(&self, filter: &str) -> Result<(), InvalidFilter> {
        let filter = parse(filter)?;
        match &self.filter {
            Some(handle) => handle.reload(filter).map_err(|error| InvalidFilter(error.to_string())),
            None => Ok(()),
        }
    }

    /// The present filter.
    pub fn filter(&self) -> Option<String> {
        self.filter.as_ref()?.with_current(ToString::to_string).ok()
    }
}

/// Sets up the logs of the process, on standard error. The second call only sets the filter.
///
/// # Errors
/// [`InvalidFilter`].
pub fn init_logs(format: LogFormat, filter: &str) -> Result<LogHandle, InvalidFilter> {
    static HANDLE: OnceLock<LogHandle> = OnceLock::new();
    let parsed = parse(filter)?;
    let handle = HANDLE.get_or_init(|| install(format, parsed));
    handle.set_filter(filter)?;
    Ok(handle.clone())
}

fn install(format: LogFormat, filter: EnvFilter) -> LogHandle {
    let (filter, handle) = reload::Layer::new(filter);
    let lines = match format {
        LogFormat::Text => fmt::layer().with_writer(std::io::stderr).boxed(),
        LogFormat::Json => fmt::layer().json().flatten_event(true).with_writer(std::io::stderr).boxed(),
    };
    let installed = tracing_subscriber::registry().with(filter).with(lines).try_init().is_ok();
    LogHandle { filter: installed.then_some(handle) }
}

fn parse(filter: &str) -> Result<EnvFilter, InvalidFilter> {
    EnvFilter::builder().parse(filter).map_err(|error| InvalidFilter(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_level_changes_while_it_runs_and_nonsense_changes_nothing() {
        let handle = init_logs(LogFormat::Text, "warn").unwrap();
        assert_eq!(handle.filter().as_deref(), Some("warn"));
        let again = init_logs(LogFormat::Json, "info,viberchat_kit=debug").unwrap();
        let set = handle.filter().unwrap();
        assert!(set.contains("info") && set.contains("viberchat_kit=debug"), "{set}");
        assert!(again.set_filter("a=b=c").is_err());
        assert!(init_logs(LogFormat::Text, "viberchat_kit=loud").is_err());
        assert_eq!(handle.filter().unwrap(), set);
    }
}
