//! The steps of the matrix (../../main.rs) with gix, that is gitoxide.

use std::fmt::Debug;
use std::num::NonZeroU32;
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;

use gix::progress::Discard;
use gix::remote::fetch::{Shallow, Tags};
use gix::remote::{Direction, ref_map};

static GO_ON: AtomicBool = AtomicBool::new(false);

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["ls-remote", url] => ls_remote(url),
        ["clone", url, dir] => clone(url, dir, None, Shallow::NoChange),
        ["clone-branch", url, dir, branch] => clone(url, dir, Some(branch), Shallow::NoChange),
        ["clone-depth", url, dir, depth] => {
            at_depth(depth).and_then(|depth| clone(url, dir, Some("main"), depth))
        }
        ["fetch", dir] => fetch(dir, Shallow::NoChange, Tags::All),
        ["deepen", dir, depth] => at_depth(depth).and_then(|depth| fetch(dir, depth, Tags::None)),
        ["unshallow", dir] => fetch(dir, Shallow::undo(), Tags::None),
        _ => Err(format!("no such step: {words:?}")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn text(error: impl Debug) -> String {
    format!("{error:?}")
}

fn at_depth(depth: &str) -> Result<Shallow, String> {
    let depth: NonZeroU32 = depth.parse().map_err(text)?;
    Ok(Shallow::DepthAtRemote(depth))
}

fn ls_remote(url: &str) -> Result<(), String> {
    let repository = gix::init_bare(".ls").map_err(text)?;
    let remote = repository.remote_at(url).map_err(text)?;
    let remote = remote
        .with_refspecs(["+refs/heads/*:refs/x/*"], Direction::Fetch)
        .map_err(text)?;
    let options = ref_map::Options {
        prefix_from_spec_as_filter_on_remote: false,
        ..ref_map::Options::default()
    };
    let connection = remote.connect(Direction::Fetch).map_err(text)?;
    let (map, _) = connection.ref_map(Discard, options).map_err(text)?;
    for found in map.remote_refs {
        let (name, target, _peeled) = found.unpack();
        if let Some(id) = target {
            println!("{id}\t{name}");
        }
    }
    Ok(())
}

fn clone(url: &str, dir: &str, branch: Option<&str>, shallow: Shallow) -> Result<(), String> {
    let mut clone = gix::prepare_clone(url, dir).map_err(text)?;
    if let Some(branch) = branch {
        let spec = format!("+refs/heads/{branch}:refs/remotes/origin/{branch}");
        clone = clone
            .with_ref_name(Some(branch))
            .map_err(text)?
            .configure_remote(move |remote| {
                let mut remote = remote.with_fetch_tags(Tags::None);
                remote.replace_refspecs([spec.as_str()], Direction::Fetch)?;
                Ok(remote)
            });
    }
    clone = clone.with_shallow(shallow);
    clone.fetch_only(Discard, &GO_ON).map_err(text)?;
    Ok(())
}

fn fetch(dir: &str, shallow: Shallow, tags: Tags) -> Result<(), String> {
    let repository = gix::open(dir).map_err(text)?;
    let remote = repository.find_remote("origin").map_err(text)?;
    let remote = remote.with_fetch_tags(tags);
    let connection = remote.connect(Direction::Fetch).map_err(text)?;
    let prepared = connection
        .prepare_fetch(Discard, ref_map::Options::default())
        .map_err(text)?;
    prepared
        .with_shallow(shallow)
        .receive(Discard, &GO_ON)
        .map_err(text)?;
    Ok(())
}
