//! What the scripts beside the targets ask: `govc-fuzz targets`, `parser TARGET`, `bug TARGET`,
//! `feed TARGET`, `plant DIRECTORY`, `seeds DIRECTORY`.

// Its output is what the scripts read.
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::path::Path;

use govc_fuzz::plants::{self, PLANTS};
use govc_fuzz::{TARGETS, Target, corpus, seeds, target};

fn named(name: &str) -> Result<&'static Target, String> {
    target(name).ok_or_else(|| format!("{name:?} is no target"))
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["targets"] => TARGETS
            .iter()
            .for_each(|target| println!("{}", target.name)),
        ["parser", name] => named(name)?
            .parser
            .iter()
            .for_each(|file| println!("{file}")),
        ["bug", name] => {
            let named = PLANTS.iter().filter(|plant| plant.target == name);
            named.for_each(|plant| println!("{}", plant.bug));
        }
        ["feed", name] => {
            for (_, data) in corpus::inputs(name)? {
                named(name)?.feed(&data);
            }
        }
        ["plant", to] => {
            let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
            plants::plant(&from, Path::new(to))?;
        }
        ["seeds", to] => seeds::write(Path::new(to))?,
        _ => return Err("targets, parser, bug, feed, plant or seeds".into()),
    }
    Ok(())
}
