//! Embeds the web client: lists the files below `web/app` and `web/sdk` with their content types and hashes.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// Folder below `web`, and where it is served.
const ROOTS: &[(&str, &str)] = &[("app", "/app/"), ("sdk", "/sdk/")];

/// Only these are served; sources of tests, notes and settings stay out.
const TYPES: &[(&str, &str)] = &[
    ("html", "text/html; charset=utf-8"),
    ("js", "text/javascript; charset=utf-8"),
    ("css", "text/css; charset=utf-8"),
    ("svg", "image/svg+xml"),
    ("png", "image/png"),
    ("ico", "image/x-icon"),
    ("woff2", "font/woff2"),
    ("webmanifest", "application/manifest+json"),
];

/// Folders that hold no part of the client.
const LEFT_OUT: &[&str] = &["node_modules", "test", "tests", "types"];

fn main() -> io::Result<()> {
    let web = PathBuf::from(env::var("CARGO_MANIFEST_DIR").map_err(io::Error::other)?).join("web");
    println!("cargo:rerun-if-changed={}", web.display());
    let mut list = String::from("&[\n");
    for (folder, served_at) in ROOTS {
        let root = web.join(folder);
        println!("cargo:rerun-if-changed={}", root.display());
        let mut files = Vec::new();
        collect(&root, &mut files)?;
        files.sort();
        for file in files {
            let name = file.strip_prefix(&root).map_err(io::Error::other)?.to_string_lossy().replace('\\', "/");
            let Some((_, content_type)) = TYPES.iter().find(|(end, _)| file.extension().is_some_and(|e| e == *end))
            else {
                continue;
            };
            let etag = sha1_smol::Sha1::from(fs::read(&file)?).digest();
            writeln!(
                list,
                "File {{ path: {:?}, content_type: {content_type:?}, etag: \"\\\"{etag}\\\"\", bytes: include_bytes!({:?}) }},",
                format!("{served_at}{name}"),
                file.display().to_string(),
            )
            .map_err(io::Error::other)?;
        }
    }
    list.push(']');
    fs::write(PathBuf::from(env::var("OUT_DIR").map_err(io::Error::other)?).join("web_files.rs"), list)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    if !folder.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        println!("cargo:rerun-if-changed={}", entry.path().display());
        if entry.file_type()?.is_dir() {
            if !LEFT_OUT.contains(&name.as_ref()) {
                collect(&entry.path(), files)?;
            }
        } else if !name.contains(".test.") && !name.starts_with('.') {
            files.push(entry.path());
        }
    }
    Ok(())
}
