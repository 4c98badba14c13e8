use std::io::Write as _;

use super::*;
use crate::keys::Secret;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    name: String,
    gateway: Gateway,
    secret: Option<Secret>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Gateway {
    port: u16,
    open: bool,
    ratio: f64,
    limit: Option<u64>,
    claims: Vec<String>,
    #[serde(deserialize_with = "one_or_many")]
    issuer: Vec<String>,
    idle_timeout_ms: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { name: "default".to_owned(), gateway: Gateway::default(), secret: None }
    }
}

impl Default for Gateway {
    fn default() -> Self {
        Self {
            port: 1,
            open: false,
            ratio: 0.5,
            limit: None,
            claims: vec!["sub".to_owned()],
            issuer: Vec::new(),
            idle_timeout_ms: 100,
        }
    }
}

#[derive(Default, Serialize)]
struct Flags {
    name: Option<String>,
    gateway: GatewayFlags,
}

#[derive(Default, Serialize)]
struct GatewayFlags {
    port: Option<u16>,
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

fn from_file(text: &str) -> Result<Settings, ConfigError> {
    load_with(Some(file(text).path()), [], Flags::default())
}

fn from_variables(variables: &[(&str, &str)]) -> Result<Settings, ConfigError> {
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    load_with(None, variables, Flags::default())
}

fn finding<T: std::fmt::Debug>(result: Result<T, ConfigError>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn without_anything_the_defaults_hold() {
    assert_eq!(load_with::<Settings>(None, [], Flags::default()), Ok(Settings::default()));
    assert_eq!(from_file(""), Ok(Settings::default()));
}

#[test]
fn flags_win_over_the_environment_which_wins_over_the_file() {
    let file = file("name = 'file'\n[gateway]\nport = 2\nopen = true\nidle_timeout_ms = 7");
    let variables = [("VIBERCHAT__NAME", "env"), ("VIBERCHAT__GATEWAY__PORT", "3")];
    let variables = || variables.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned()));
    let flags = Flags { gateway: GatewayFlags { port: Some(4) }, ..Flags::default() };
    let settings: Settings = load_with(Some(file.path()), variables(), flags).unwrap();
    assert_eq!((&*settings.name, settings.gateway.port), ("env", 4));
    assert!(settings.gateway.open);
    assert_eq!(settings.gateway.idle_timeout_ms, 7);
    let settings: Settings = load_with(Some(file.path()), variables(), Flags::default()).unwrap();
    assert_eq!(settings.gateway.port, 3, "a flag that was not given says nothing");
    let settings: Settings = load_with(Some(file.path()), [], Flags::default()).unwrap();
    assert_eq!((&*settings.name, settings.gateway.port), ("file", 2));
}

#[test]
fn variables_become_what_the_key_wants() {
    let settings = from_variables(&[
        ("VIBERCHAT__NAME", "0123"),
        ("VIBERCHAT__GATEWAY__PORT", "8080"),
        ("VIBERCHAT__GATEWAY__OPEN", "true"),
        ("VIBERCHAT__GATEWAY__RATIO", "0.25"),
        ("VIBERCHAT__GATEWAY__LIMIT", "18446744073709551615"),
        ("VIBERCHAT__GATEWAY__CLAIMS", "[\"a\", \"b\"]"),
        ("VIBERCHAT__SECRET", "[not toml, but a secret of 32 bytes"),
    ]);
    let settings = settings.unwrap();
    assert_eq!(settings.name, "0123", "a name of digits stays a name");
    assert_eq!(settings.secret.unwrap().as_bytes(), b"[not toml, but a secret of 32 bytes");
    let gateway = Gateway {
        port: 8080,
        open: true,
        ratio: 0.25,
        limit: Some(u64::MAX),
        claims: vec!["a".to_owned(), "b".to_owned()],
        ..Gateway::default()
    };
    assert_eq!(settings.gateway, gateway);
}

#[test]
fn other_variables_are_none_of_ours() {
    let others = [("VIBERCHAT_TEST_MUTANT", "x"), ("viberchat__name", "x"), ("PATH", "x")];
    assert_eq!(from_variables(&others), Ok(Settings::default()));
}

#[test]
fn unknown_keys_are_refused_with_their_origin() {
    let found = finding(from_variables(&[("VIBERCHAT__GATEWAY__PROT", "1")]));
    assert!(found.contains("prot") && found.contains("VIBERCHAT__GATEWAY"), "{found}");
    let file = file("[gateway]\nprot = 1");
    let found = finding(load_with::<Settings>(Some(file.path()), [], Flags::default()));
    assert!(found.contains("prot") && found.contains(&file.path().display().to_string()), "{found}");
    assert!(finding(from_file("[gatway]")).contains("gatway"));
    assert!(finding(from_variables(&[("VIBERCHAT__", "1")])).contains("unknown"));
}

#[test]
fn wrong_values_are_refused_with_key_and_origin() {
    let found = finding(from_variables(&[("VIBERCHAT__GATEWAY__PORT", "many")]));
    assert!(found.contains("gateway.port") && found.contains("(VIBERCHAT__GATEWAY__PORT)"), "{found}");
    for (name, value) in [("PORT", "70000"), ("PORT", ""), ("OPEN", "perhaps"), ("CLAIMS", "sub"), ("LIMIT", "-1")] {
        let found = finding(from_variables(&[(&format!("VIBERCHAT__GATEWAY__{name}"), value)]));
        assert!(found.contains(&format!("gateway.{}", name.to_lowercase())), "{found}");
    }
}

#[test]
fn a_secret_is_not_repeated_in_a_finding() {
    let found = finding(from_variables(&[("VIBERCHAT__SECRET", "hunter2")]));
    assert!(found.contains("VIBERCHAT__SECRET") && !found.contains("hunter2"), "{found}");
}

#[test]
fn a_file_that_is_no_toml_is_refused_with_its_name() {
    let file = file("[gateway\nport = 1");
    let found = finding(load_with::<Settings>(Some(file.path()), [], Flags::default()));
    assert!(found.contains(&file.path().display().to_string()), "{found}");
}

#[test]
fn a_file_that_is_not_there_is_refused_with_its_name() {
    let found = finding(load_with::<Settings>(Some(Path::new("/nowhere/viberchat.toml")), [], Flags::default()));
    assert!(found.contains("/nowhere/viberchat.toml"), "{found}");
}

#[test]
fn a_section_and_a_value_of_one_name_do_not_panic() {
    let variables = [("VIBERCHAT__GATEWAY", "x"), ("VIBERCHAT__GATEWAY__PORT", "1")];
    assert!(from_variables(&variables).is_err());
}

#[test]
fn what_a_check_finds_is_named_with_its_origin() {
    let file = file("[gateway]\nidle_timeout_ms = 3");
    let variables = [("VIBERCHAT__GATEWAY__PORT".to_owned(), "0".to_owned())];
    let check = |settings: &Settings| {
        assert_eq!(settings.gateway.port, 0);
        ["gateway.port: is 0", "gateway.idle_timeout_ms: is 3", "gateway.ratio: is odd", "no key at all"]
            .map(str::to_owned)
            .to_vec()
    };
    let found = finding(load_checked_with(Some(file.path()), variables, Flags::default(), check));
    let expected = [
        "gateway.port: is 0 (VIBERCHAT__GATEWAY__PORT)".to_owned(),
        format!("gateway.idle_timeout_ms: is 3 ({})", file.path().display()),
        "gateway.ratio: is odd".to_owned(),
        "no key at all".to_owned(),
    ];
    assert_eq!(found.lines().collect::<Vec<_>>(), expected);
    let fine = load_checked_with::<Settings>(None, [], Flags::default(), |_| Vec::new());
    assert_eq!(fine, Ok(Settings::default()));
}

#[test]
fn a_list_may_be_written_as_one_text() {
    let issuer = |text: &str| from_file(&format!("[gateway]\nissuer = {text}")).map(|settings| settings.gateway.issuer);
    assert_eq!(issuer("'a b'"), Ok(vec!["a b".to_owned()]));
    assert_eq!(issuer("['a', 'b']"), Ok(vec!["a".to_owned(), "b".to_owned()]));
    assert_eq!(issuer("[]"), Ok(vec![]));
    let of_variable = |text| from_variables(&[("VIBERCHAT__GATEWAY__ISSUER", text)]).unwrap().gateway.issuer;
    assert_eq!(of_variable("a"), ["a"]);
    assert_eq!(of_variable("[\"a\", \"b\"]"), ["a", "b"]);
    let found = finding(issuer("{ a = 1 }"));
    assert!(found.contains("gateway.issuer") && found.contains("list of texts"), "{found}");
}
