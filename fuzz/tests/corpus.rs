//! Every target with its corpus, and with some thousand changes of it: what `make fuzz` does for
//! longer.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use govc_fuzz::corpus::{Mutator, inputs};
use govc_fuzz::plants::PLANTS;
use govc_fuzz::{TARGETS, Target};

/// How many changes of a corpus are tried for each target; `GOVC_FUZZ_CHANGES` says another number,
/// and `GOVC_FUZZ_TARGET` which target alone.
const CHANGES: usize = 2000;

fn feed(target: &govc_fuzz::Target, data: &[u8], what: &str) {
    let fed = catch_unwind(AssertUnwindSafe(|| target.feed(data)));
    assert!(
        fed.is_ok(),
        "{} fails with {what}: \"{}\"",
        target.name,
        data.escape_ascii()
    );
}

#[test]
fn every_input_of_the_corpus_is_taken_well() {
    for target in TARGETS {
        let inputs = inputs(target.name).expect("every target has a corpus");
        assert!(!inputs.is_empty(), "{} has no corpus", target.name);
        feed(target, b"", "nothing");
        for (name, data) in inputs {
            assert!(data.len() <= 8 << 10, "{}/{name} is large", target.name);
            feed(target, &data, &name);
        }
    }
}

#[test]
fn so_is_what_is_almost_an_input() {
    let changes = std::env::var("GOVC_FUZZ_CHANGES").ok();
    let changes = changes.and_then(|text| text.parse().ok());
    let only = std::env::var("GOVC_FUZZ_TARGET").ok();
    let chosen = |target: &&Target| only.as_deref().is_none_or(|only| only == target.name);
    for target in TARGETS.iter().filter(chosen) {
        let inputs = inputs(target.name).expect("every target has a corpus");
        let mut mutator = Mutator::new(4711);
        for change in 0..changes.unwrap_or(CHANGES) {
            let (name, input) = &inputs[change % inputs.len()];
            let (_, other) = &inputs[change * 7 % inputs.len()];
            let data = mutator.change(input, other);
            feed(target, &data, &format!("change {change} of {name}"));
        }
    }
}

#[test]
fn every_corpus_has_a_target() {
    let folder = govc_fuzz::corpus::folder("");
    for entry in std::fs::read_dir(folder).expect("the corpus") {
        let name = entry.expect("a folder").file_name();
        let name = name.to_string_lossy();
        assert!(govc_fuzz::target(&name).is_some(), "{name} is no target");
    }
}

#[test]
fn every_parser_is_there_and_its_bug_has_a_place_in_it() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates");
    for target in TARGETS {
        for file in target.parser {
            assert!(crates.join(file).is_file(), "{}: {file}", target.name);
        }
        let plants = || PLANTS.iter().filter(|plant| plant.target == target.name);
        assert_eq!(plants().count(), 1, "{} has one bug", target.name);
        for plant in plants() {
            let source = std::fs::read_to_string(crates.join(plant.file)).expect("a file");
            assert!(
                plant.put_into(&source).is_some_and(|wrong| wrong != source),
                "{} has not what the bug of {} is made of, or has it twice: {:?}",
                plant.file,
                plant.target,
                plant.right,
            );
        }
    }
    assert_eq!(PLANTS.len(), TARGETS.len());
}
