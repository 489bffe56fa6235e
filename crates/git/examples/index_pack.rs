//! Indexes a pack as `git index-pack` does, to compare what the two take:
//!
//! ```text
//! cargo build --release -p govc-git --example index_pack
//! /usr/bin/time -f '%U %S %M' target/release/examples/index_pack FILE.pack [OUT.idx]
//! /usr/bin/time -f '%U %S %M' git index-pack --threads=1 -o OTHER.idx FILE.pack
//! ```

#![allow(
    clippy::disallowed_methods,
    reason = "an example reads files and the clock"
)]

use std::process::ExitCode;

use bytes::Bytes;
use govc_git::pack::{
    IndexLimits, NoCache, Pack, PackIndex, PackVisitor, Stage, VisitedObject, index_pack,
};
use govc_git::{ObjectFormat, oid};

/// Counts what it is shown.
#[derive(Default)]
struct Counter {
    objects: u64,
    deltas: u64,
    large: u64,
}

impl PackVisitor for Counter {
    fn object(&mut self, object: &VisitedObject<'_>) -> Result<(), String> {
        self.objects += 1;
        self.deltas += u64::from(object.base.is_some());
        Ok(())
    }

    fn large_blob(&mut self, _id: &oid, _number: u32, _size: u64) -> Result<(), String> {
        self.large += 1;
        Ok(())
    }

    fn progress(&mut self, _stage: Stage, _done: u32, _total: u32) {}
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let pack = Bytes::from(std::fs::read(arguments.next().ok_or("which pack?")?)?);
    let mut counter = Counter::default();
    let limits = IndexLimits::default();
    let indexed = index_pack(&pack, ObjectFormat::Sha1, &limits, &|_| None, &mut counter)?;
    let index = indexed.entries.write_index(&indexed.checksum);
    eprintln!(
        "{} objects, {} of them deltas, {} large; {} bytes inflated; pack {}",
        counter.objects, counter.deltas, counter.large, indexed.total_inflated, indexed.checksum
    );
    if let Some(out) = arguments.next() {
        std::fs::write(out, &index)?;
    }
    if arguments.next().is_some() {
        drop(indexed);
        let index = PackIndex::parse(Bytes::from(index), ObjectFormat::Sha1)?;
        let pack = Pack::new(index.pack_checksum(), pack, index)?;
        let started = std::time::Instant::now();
        let (mut at, reads) = (0u32, 20_000);
        for _ in 0..reads {
            at = (at.wrapping_mul(1_664_525).wrapping_add(1_013_904_223)) % pack.index().len();
            pack.object_at(at, &|_| None, &NoCache)?;
        }
        eprintln!("a random read takes {:?}", started.elapsed() / reads);
        let started = std::time::Instant::now();
        for position in (0..pack.index().len()).step_by(7) {
            pack.header_at(position, &|_| None)?;
        }
        eprintln!(
            "a header takes {:?}",
            started.elapsed() / (pack.index().len() / 7).max(1)
        );
        let count = pack.index().len().max(1);
        let started = std::time::Instant::now();
        pack.index().positions_in_pack_order();
        eprintln!("the order of the pack takes {:?}", started.elapsed());
        let started = std::time::Instant::now();
        for position in 0..pack.index().len() {
            pack.base_of(position)?;
        }
        eprintln!("a base takes {:?}", started.elapsed() / count);
        let started = std::time::Instant::now();
        for position in 0..pack.index().len() {
            let id = pack.index().id(position);
            if pack.index().lookup(id) != Some(position) {
                return Err("an id is not found".into());
            }
        }
        eprintln!("a lookup takes {:?}", started.elapsed() / count);
    }
    Ok(())
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
