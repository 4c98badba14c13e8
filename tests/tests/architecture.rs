//! The layering of docs/architecture.md, read from `cargo metadata` and the sources; and what style can be counted.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

/// A file with more lines is two files. Tests apart.
const LINES_MAX: usize = 600;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests is a folder of the workspace").to_owned()
}

/// A source file of ours, by its path from the root.
struct Source {
    path: String,
    text: String,
}

/// All files of ours with one of these endings, generated and installed ones apart.
fn sources(endings: &[&str]) -> Vec<Source> {
    let (root, mut found) = (root(), Vec::new());
    for folder in ["proto", "services", "tests"] {
        walk(&root.join(folder), endings, &mut found);
    }
    let relative = |path: &PathBuf| path.strip_prefix(&root).expect("below the root").to_string_lossy().into_owned();
    found.iter().map(|path| Source { path: relative(path), text: fs::read_to_string(path).unwrap() }).collect()
}

fn walk(folder: &Path, endings: &[&str], found: &mut Vec<PathBuf>) {
    for item in fs::read_dir(folder).unwrap() {
        let path = item.unwrap().path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            if !["node_modules", "target"].contains(&name.as_str()) && !name.starts_with('.') {
                walk(&path, endings, found);
            }
        } else if endings.iter().any(|ending| name.ends_with(ending)) {
            found.push(path);
        }
    }
}

fn is_test(path: &str) -> bool {
    path.starts_with("tests/")
        || path.contains("/tests/")
        || path.contains("/testing/")
        || path.ends_with("/tests.rs")
        || path.ends_with("/testing.rs")
        || path.ends_with("/conformance.rs")
        || path.contains("/conformance/")
        || path.ends_with(".test.mjs")
        || path.ends_with(".test.js")
}

/// The part of a file before its tests.
fn product(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests {").next().unwrap_or(text)
}

/// The paths that a file uses: each `use` as a whole, `{…}` not taken apart.
fn uses(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut open: Option<String> = None;
    for line in product(text).lines() {
        let line = line.trim();
        let begins = line.strip_prefix("pub ").unwrap_or(line);
        let begins =
            begins.split_once(") ").filter(|(before, _)| before.starts_with("pub(")).map_or(begins, |(_, rest)| rest);
        if open.is_none() && begins.starts_with("use ") {
            open = Some(String::new());
        }
        if let Some(collected) = &mut open {
            collected.push_str(begins.trim_start_matches("use "));
            if line.ends_with(';') {
                found.extend(open.take());
            }
        }
    }
    found
}

#[test]
fn uses_are_read_whole() {
    let text = "use std::io;\npub(crate) use crate::{\n    a,\n    b::c,\n};\nfn f() {\n    use super::x;\n}\n";
    assert_eq!(uses(text), ["std::io;", "crate::{a,b::c,};", "super::x;"]);
}

/// Which of our packages each of our packages depends on; `kinds` as cargo names them, null for normal ones.
fn dependencies(kinds: &[Value]) -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline", "--manifest-path"])
        .arg(root().join("Cargo.toml"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let name = |value: &Value| value["name"].as_str().unwrap().to_owned();
    let ours = |package: &Value| {
        let listed = package["dependencies"].as_array().unwrap().iter();
        let wanted = listed.filter(|dependency| kinds.contains(&dependency["kind"]));
        wanted.map(name).filter(|name| name.starts_with("viberchat-")).collect()
    };
    metadata["packages"].as_array().unwrap().iter().map(|package| (name(package), ours(package))).collect()
}

#[test]
fn packages_depend_on_what_the_table_allows() {
    let all = dependencies(&[Value::Null, "dev".into(), "build".into()]);
    let allowed = |package: &str| -> Option<&[&str]> {
        match package {
            "viberchat-proto" => Some(&[]),
            "viberchat-kit" => Some(&["viberchat-proto"]),
            // Anything.
            "viberchat-cli" | "viberchat-tests" => None,
            // A service: never another one. Its tests run on real engines.
            _ => Some(&["viberchat-kit", "viberchat-proto", "viberchat-engines"]),
        }
    };
    assert!(all.len() >= 7, "the packages are found: {all:?}");
    for (package, uses) in &all {
        let Some(allowed) = allowed(package) else { continue };
        let wrong: Vec<_> = uses.iter().filter(|used| !allowed.contains(&used.as_str())).collect();
        assert!(wrong.is_empty(), "{package} must not depend on {wrong:?}");
    }
    for (package, uses) in dependencies(&[Value::Null, "build".into()]) {
        let is_tests = package == "viberchat-tests";
        assert!(is_tests || !uses.contains("viberchat-engines"), "{package} needs engines for more than its tests");
    }
}

#[test]
fn the_feature_for_tests_is_asked_for_by_the_tests_only() {
    for source in sources(&["Cargo.toml"]) {
        let asks = source.text.contains("\"testing\"]") && source.text.contains("features = [\"testing\"");
        assert!(!asks || source.path == "tests/Cargo.toml", "{} turns on the feature `testing`", source.path);
    }
}

/// Files of a service below one of its modules, the module's own file included.
fn module<'a>(sources: &'a [Source], name: &str) -> Vec<&'a Source> {
    let in_module = |source: &&Source| {
        let Some(rest) = source.path.strip_prefix("services/") else { return false };
        let Some((_, rest)) = rest.split_once("/src/") else { return false };
        (rest == format!("{name}.rs") || rest.starts_with(&format!("{name}/"))) && !is_test(&source.path)
    };
    sources.iter().filter(in_module).collect()
}

#[test]
fn a_domain_knows_only_the_language_ids_and_time() {
    let sources = sources(&[".rs"]);
    let domain = module(&sources, "domain");
    assert!(domain.len() >= 2, "domains are found");
    for source in domain {
        for path in uses(&source.text) {
            let allowed =
                ["std::", "core::", "super::", "self::", "crate::domain", "viberchat_kit::id", "viberchat_kit::clock"];
            // `domain.rs` names its own modules without a prefix.
            let own =
                source.path.ends_with("/domain.rs") && !path.contains("viberchat_") && !path.starts_with("crate::");
            assert!(own || allowed.iter().any(|start| path.starts_with(start)), "{} uses {path}", source.path);
        }
        for foreign in ["viberchat_proto", "rusqlite", "sqlx", "tonic", "tokio::"] {
            assert!(!product(&source.text).contains(foreign), "{} names {foreign}", source.path);
        }
    }
}

#[test]
fn a_store_knows_the_domain_and_its_driver_only_below_its_backend() {
    let sources = sources(&[".rs"]);
    let store = module(&sources, "store");
    assert!(store.len() >= 2, "stores are found");
    for source in store {
        for foreign in ["viberchat_proto", "crate::rpc", "crate::convert", "tonic::"] {
            assert!(!product(&source.text).contains(foreign), "{} names {foreign}", source.path);
        }
    }
    for source in sources.iter().filter(|source| source.path.starts_with("services/") && !is_test(&source.path)) {
        let is_backend = source.path.contains("/src/store/") || source.path.starts_with("services/cli/src/bench/");
        for driver in ["rusqlite::", "sqlx::", "scylla::"] {
            assert!(is_backend || !product(&source.text).contains(driver), "{} names {driver}", source.path);
        }
    }
}

#[test]
fn rpc_does_not_know_a_backend() {
    let sources = sources(&[".rs"]);
    for source in module(&sources, "rpc") {
        for path in uses(&source.text) {
            let backend = ["store::sqlite", "store::cassandra"].into_iter().find(|backend| path.contains(backend));
            assert_eq!(backend, None, "{} uses {path}", source.path);
        }
    }
}

/// Each request of a stream is authorized one by one: whoever takes a stream hands it to the adapter at once. `rpc.rs`,
/// which only delegates, cannot see inside of it either.
#[test]
fn no_handler_gets_a_bare_stream() {
    let mut streams = 0;
    for source in sources(&[".rs"]) {
        let is_service =
            ["conversation", "message"].iter().any(|name| source.path.starts_with(&format!("services/{name}/src/")));
        if !is_service || is_test(&source.path) {
            continue;
        }
        let text = product(&source.text);
        // The path of a request ends with `Request`; that of a stream that one of our clients reads, with `Response`.
        let takes = text.lines().filter(|line| line.contains("Streaming<") && line.contains("Request>")).count();
        if takes == 0 {
            continue;
        }
        streams += takes;
        assert!(!text.contains(".message().await"), "{} reads a stream by itself", source.path);
        // Where a request is taken apart, it is either handed to the adapter or has no stream in it.
        let delegates = source.path.ends_with("/src/rpc.rs");
        if !delegates {
            assert!(text.contains("authorized_stream("), "{} takes a stream without the adapter", source.path);
            assert!(!text.contains("into_inner()"), "{} takes the stream out of the request", source.path);
        }
    }
    assert!(streams >= 3, "streams are found");
}

#[test]
fn files_are_short() {
    for source in sources(&[".rs", ".mjs", ".js", ".css", ".proto", ".sql"]) {
        let lines = source.text.lines().count();
        assert!(is_test(&source.path) || lines <= LINES_MAX, "{} has {lines} lines, at most {LINES_MAX}", source.path);
    }
}

#[test]
fn nothing_is_left_for_later() {
    // Put together, so that this file does not find itself.
    let words = ["to", "fix", "XX", "un"].into_iter().zip(["do!(", "me:", "X:", "implemented!("]);
    let mut words: Vec<String> = words.map(|(one, two)| format!("{one}{two}")).collect();
    words.extend([format!("TO{}", "DO"), format!("FIX{}", "ME"), format!("#[al{}", "low(")]);
    for source in sources(&[".rs", ".mjs", ".js", ".proto", ".sql", ".toml"]) {
        for word in &words {
            assert!(!source.text.contains(word.as_str()), "{} says {word}", source.path);
        }
    }
}

#[test]
fn every_library_opens_with_what_it_is() {
    for source in sources(&["/lib.rs", "lib.rs"]) {
        let (path, text) = (&source.path, &source.text);
        assert!(text.starts_with("//! "), "{path} does not say what it is");
        if path.starts_with("services/") {
            for part in ["Map", "Invariant"] {
                assert!(text.contains(part), "{path} has no part `{part}`");
            }
        }
    }
}
