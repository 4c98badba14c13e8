use std::fmt;
use std::str::FromStr;

use http::Uri;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Where the instances of a service are: `http://host:port`, several with commas between them. A host is an address or a
/// name; a name stands for all addresses that it has at the time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target(Vec<HostPort>);

/// One of the places that a [`Target`] names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HostPort {
    /// A name or an address; of IPv6 without brackets.
    pub(super) host: String,
    pub(super) port: u16,
}

/// A text that names no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTarget {
    /// No `http://host:port`.
    #[error("is not http://host:port, or several with commas between them")]
    Malformed,
    /// There would be more after the port.
    #[error("has something after the port")]
    Path,
    /// The same twice.
    #[error("names a place twice")]
    Twice,
}

impl Target {
    /// How many places are named. A name may stand for several instances.
    pub fn places(&self) -> usize {
        self.0.len()
    }

    pub(super) fn hosts(&self) -> &[HostPort] {
        &self.0
    }
}

impl FromStr for Target {
    type Err = InvalidTarget;

    fn from_str(text: &str) -> Result<Self, InvalidTarget> {
        let mut hosts = Vec::new();
        for place in text.split(',') {
            let host = HostPort::parse(place.trim())?;
            if hosts.contains(&host) {
                return Err(InvalidTarget::Twice);
            }
            hosts.push(host);
        }
        Ok(Self(hosts))
    }
}

impl HostPort {
    fn parse(text: &str) -> Result<Self, InvalidTarget> {
        let uri: Uri = text.parse().map_err(|_| InvalidTarget::Malformed)?;
        let (Some("http"), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(InvalidTarget::Malformed);
        };
        let port = authority.port_u16().filter(|port| *port > 0).ok_or(InvalidTarget::Malformed)?;
        if authority.host().is_empty() || authority.as_str().contains('@') {
            return Err(InvalidTarget::Malformed);
        }
        if uri.path_and_query().is_some_and(|rest| rest.as_str() != "/") {
            return Err(InvalidTarget::Path);
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        Ok(Self { host: host.to_ascii_lowercase(), port })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, host) in self.0.iter().enumerate() {
            write!(f, "{}{host}", if index == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "http://[{}]:{}", self.host, self.port),
            false => write!(f, "http://{}:{}", self.host, self.port),
        }
    }
}

impl Serialize for Target {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Target {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_place_or_several_are_read_and_written() {
        for (text, written) in [
            ("http://message:8081", "http://message:8081"),
            ("http://Message:8081/", "http://message:8081"),
            ("http://10.0.0.1:1, http://[::1]:2", "http://10.0.0.1:1,http://[::1]:2"),
        ] {
            let target: Target = text.parse().unwrap();
            assert_eq!(target.to_string(), written);
            assert_eq!(written.parse(), Ok(target));
        }
        assert_eq!("http://a:1,http://b:1".parse::<Target>().unwrap().places(), 2);
    }

    #[test]
    fn what_names_no_place_is_refused() {
        for text in
            ["", "message:8081", "https://message:8081", "http://message", "http://:1", "http://a:0", "http://a:1,"]
        {
            assert_eq!(text.parse::<Target>(), Err(InvalidTarget::Malformed), "{text}");
        }
        assert_eq!("http://user@a:1".parse::<Target>(), Err(InvalidTarget::Malformed));
        assert_eq!("http://a:1/b".parse::<Target>(), Err(InvalidTarget::Path));
        assert_eq!("http://a:1,http://A:1".parse::<Target>(), Err(InvalidTarget::Twice));
    }
}
