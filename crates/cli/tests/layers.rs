//! Imports go down only: cli → server → {store, api} → engine → git.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::process::Command;

/// Which of our crates each of our crates may use.
const LAYERS: &[(&str, &[&str])] = &[
    ("govc-git", &[]),
    ("govc-engine", &["govc-git"]),
    ("govc-store", &["govc-engine", "govc-git"]),
    ("govc-api", &["govc-engine", "govc-git"]),
    (
        "govc-server",
        &["govc-api", "govc-engine", "govc-git", "govc-store"],
    ),
    ("govc-cli", &["govc-server"]),
    // Nobody uses these.
    (
        "govc-tests",
        &[
            "govc-api",
            "govc-engine",
            "govc-git",
            "govc-server",
            "govc-store",
        ],
    ),
    ("govc-bench", &["govc-engine", "govc-git", "govc-store"]),
    (
        "govc-fuzz",
        &[
            "govc-api",
            "govc-engine",
            "govc-git",
            "govc-server",
            "govc-store",
        ],
    ),
];

#[test]
fn imports_go_down_only() {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--no-deps",
            "--offline",
            "--format-version",
            "1",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    assert!(packages.len() >= 6);
    for package in packages {
        let name = package["name"].as_str().unwrap();
        let (_, allowed) = LAYERS
            .iter()
            .find(|(layer, _)| *layer == name)
            .unwrap_or_else(|| panic!("{name} has no place among the layers"));
        for dependency in package["dependencies"].as_array().unwrap() {
            let used = dependency["name"].as_str().unwrap();
            let ours = used.starts_with("govc-");
            assert!(
                !ours || allowed.contains(&used),
                "{name} may not use {used}"
            );
        }
    }
}
