//! The pages lead where they say: every relative link of a Markdown file names a file, and every anchor a heading.

use std::fs;
use std::path::{Path, PathBuf};

const FOLDERS: &[&str] = &[".", "docs", "docs/decisions", "docs/reference", "services", "proto", "tests"];

#[test]
fn every_link_of_the_pages_leads_somewhere() {
    let root = root();
    let mut broken = Vec::new();
    let mut links_seen = 0;
    for page in pages(&root) {
        let text = fs::read_to_string(&page).expect("a page is UTF-8");
        for link in links(&text) {
            links_seen += 1;
            if let Err(why) = check(&page, &text, &link) {
                broken.push(format!("{}: {link}: {why}", page.strip_prefix(&root).unwrap_or(&page).display()));
            }
        }
    }
    assert!(broken.is_empty(), "broken links:\n{}", broken.join("\n"));
    assert!(links_seen > 10, "only {links_seen} links were found");
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the workspace").to_owned()
}

fn pages(root: &Path) -> Vec<PathBuf> {
    FOLDERS
        .iter()
        .flat_map(|folder| fs::read_dir(root.join(folder)).expect("the folder is there"))
        .map(|entry| entry.expect("the folder can be read").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect()
}

/// Targets of `[text](target)`, outside of code.
fn links(text: &str) -> Vec<String> {
    let mut in_code = false;
    let mut found = Vec::new();
    for line in text.lines() {
        in_code ^= line.starts_with("```");
        if !in_code {
            found.extend(
                line.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link.to_owned()),
            );
        }
    }
    found
}

fn check(page: &Path, text: &str, link: &str) -> Result<(), String> {
    if link.starts_with("https://") || link.starts_with("http://") {
        return Ok(());
    }
    let (path, anchor) = link.split_once('#').map_or((link, None), |(path, anchor)| (path, Some(anchor)));
    let target = page.parent().expect("a page lies in a folder").join(path);
    if !path.is_empty() && !target.exists() {
        return Err("no such file".into());
    }
    let Some(anchor) = anchor else { return Ok(()) };
    let target_text = match path {
        "" => text.to_owned(),
        _ => fs::read_to_string(&target).map_err(|error| error.to_string())?,
    };
    let known = target_text.lines().filter(|line| line.starts_with('#')).map(anchor_of);
    if known.into_iter().any(|heading| heading == anchor) { Ok(()) } else { Err("no such heading".into()) }
}

/// As the usual renderers make it: lower case, blanks to dashes, punctuation gone.
fn anchor_of(heading: &str) -> String {
    let kept =
        |character: char| character.is_alphanumeric() || character == '-' || character == ' ' || character == '_';
    heading
        .trim_start_matches('#')
        .trim()
        .to_lowercase()
        .chars()
        .filter(|c| kept(*c))
        .collect::<String>()
        .replace(' ', "-")
}

#[test]
fn a_link_to_nowhere_is_noticed() {
    let page = root().join("README.md");
    assert!(check(&page, "# A b", "#a-b").is_ok());
    assert!(check(&page, "# A b", "#c").is_err());
    assert!(check(&page, "", "docs/no-such-page.md").is_err());
    assert!(check(&page, "", "docs/contract.md#limits").is_ok());
}
