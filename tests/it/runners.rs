//! A test that no runner names is a test that nobody runs.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Every Rust file under `tests/` belongs to a target in `tests/Cargo.toml`, and every story in
/// `tests/git` is named by its runner.
#[test]
fn no_test_file_is_forgotten() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest = std::fs::read_to_string(root.join("Cargo.toml")).expect("a manifest");
    let mut named = BTreeSet::new();
    for line in manifest.lines() {
        let path = line
            .strip_prefix("path = \"")
            .and_then(|rest| rest.strip_suffix('"'));
        if let Some(path) = path {
            follow(root.join(path), &mut named);
        }
    }
    let mut there = BTreeSet::new();
    collect(root, "rs", &mut there);
    let forgotten: Vec<&PathBuf> = there.difference(&named).collect();
    assert!(forgotten.is_empty(), "no target runs {forgotten:?}");

    let runner = std::fs::read_to_string(root.join("git/main.rs")).expect("the runner");
    let mut stories = BTreeSet::new();
    collect(root, "txtar", &mut stories);
    for story in stories {
        let name = story.file_stem().expect("a name").to_string_lossy();
        assert!(
            runner.contains(&format!("\"{name}\"")),
            "git/main.rs does not name {name:?}"
        );
    }
}

/// A file and those that its `mod` lines name.
fn follow(file: PathBuf, named: &mut BTreeSet<PathBuf>) {
    let text = std::fs::read_to_string(&file);
    let text = text.unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let folder = match file.file_stem().and_then(|stem| stem.to_str()) {
        Some("main" | "lib" | "mod") => file.parent().expect("a folder").to_owned(),
        _ => file.with_extension(""),
    };
    named.insert(file);
    for line in text.lines() {
        let line = line.strip_prefix("pub ").unwrap_or(line);
        let name = line
            .strip_prefix("mod ")
            .and_then(|rest| rest.strip_suffix(';'));
        let Some(name) = name else { continue };
        let beside = folder.join(format!("{name}.rs"));
        let within = folder.join(name).join("mod.rs");
        follow(if beside.exists() { beside } else { within }, named);
    }
}

/// All files below `folder` with this extension.
fn collect(folder: &Path, extension: &str, found: &mut BTreeSet<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            // A package of its own has targets of its own.
            if !path.join("Cargo.toml").exists() {
                collect(&path, extension, found);
            }
        } else if path.extension().is_some_and(|other| other == extension) {
            found.insert(path);
        }
    }
}
