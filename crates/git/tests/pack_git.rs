//! Packs, as git makes them and as git takes them.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::write_with_newline
)]

mod kit;

use std::collections::HashMap;

use bytes::Bytes;
use govc_git::object_id::hash_object;
use govc_git::pack::{
    Base, DeltaBaseCache, EntryKind, IndexLimits, NoCache, Pack, PackError, PackIndex, PackVisitor,
    PackWriter, VisitedObject, complete, delta, index_pack, parse_small,
};
use govc_git::{Object, ObjectFormat, ObjectId, ObjectKind, oid};

use kit::{Repo, history};

const FORMATS: [ObjectFormat; 2] = [ObjectFormat::Sha1, ObjectFormat::Sha256];

/// Nothing is known outside the pack.
fn nothing(_: &oid) -> Option<Object> {
    None
}

/// Remembers what it is shown, and holds it against what it must be.
#[derive(Default)]
struct Witness {
    seen: HashMap<ObjectId, Object>,
    numbers: HashMap<u32, ObjectId>,
    deltas: usize,
}

impl PackVisitor for Witness {
    fn object(&mut self, object: &VisitedObject<'_>) -> Result<(), String> {
        let id = object.id.to_owned();
        assert_eq!(hash_object(id.kind(), object.kind, object.data), Ok(id));
        if let Some(base) = object.base {
            self.deltas += 1;
            let made = delta::apply(base.data, base.delta, u64::MAX).unwrap();
            assert_eq!(made, object.data);
            if let Some(number) = base.number {
                assert_eq!(
                    self.numbers[&number], base.id,
                    "a base is shown before its deltas"
                );
                assert_eq!(self.seen[&self.numbers[&number]].data, base.data);
            }
        }
        let data = Bytes::copy_from_slice(object.data);
        let before = self.seen.insert(
            id,
            Object {
                kind: object.kind,
                data,
            },
        );
        assert!(before.is_none(), "{id} was shown twice");
        assert!(self.numbers.insert(object.number, id).is_none());
        Ok(())
    }
}

/// Takes a pack apart, and opens it with the index that was made.
fn open(data: &[u8], format: ObjectFormat, limits: &IndexLimits) -> (Pack, Witness) {
    let mut witness = Witness::default();
    let indexed = index_pack(data, format, limits, &nothing, &mut witness).unwrap();
    assert!(indexed.missing_bases.is_empty());
    assert_eq!(
        indexed.total_inflated,
        witness.seen.values().map(|o| o.data.len() as u64).sum()
    );
    let index = indexed.entries.write_index(&indexed.checksum);
    let index = PackIndex::parse(Bytes::from(index), format).unwrap();
    index.verify().unwrap();
    let pack = Pack::new(indexed.checksum, Bytes::copy_from_slice(data), index).unwrap();
    (pack, witness)
}

#[test]
fn an_index_is_gits_byte_for_byte() {
    for format in FORMATS {
        let repo = history(format, 120);
        for options in [
            &["--delta-base-offset"][..],
            &[],
            &["--depth=4000", "--window=50"],
        ] {
            let data = repo.pack_all(options);
            let (pack, witness) = open(&data, format, &IndexLimits::default());
            assert!(
                witness.deltas > 100,
                "the fixture must have deltas, and has {}",
                witness.deltas
            );
            assert_eq!(
                pack.index().bytes(),
                &repo.index_of(&data)[..],
                "{options:?}"
            );
        }
    }
}

#[test]
fn objects_are_what_git_says() {
    for format in FORMATS {
        let repo = history(format, 120);
        let expected = repo.all_objects();
        for options in [&["--delta-base-offset"][..], &[]] {
            let data = repo.pack_all(options);
            let (pack, witness) = open(&data, format, &IndexLimits::default());
            assert_eq!(witness.seen.len(), expected.len());
            let cache = DeltaBaseCache::new(1 << 20);
            for (id, object) in &expected {
                assert_eq!(&witness.seen[id], object);
                let found = pack.find(id, &nothing, &NoCache).unwrap();
                assert_eq!(found.as_ref(), Some(object));
                let found = pack.find(id, &nothing, &cache).unwrap();
                assert_eq!(found.as_ref(), Some(object));
                let header = pack.header(id, &|_| None).unwrap();
                assert_eq!(header, Some((object.kind, object.data.len() as u64)));
                let position = pack.index().lookup(id).unwrap();
                match pack.stream_at(position).unwrap() {
                    Some(stream) => {
                        assert_eq!((stream.kind, stream.size), header.unwrap());
                        let pieces: Vec<Bytes> = stream.collect::<Result<_, _>>().unwrap();
                        assert_eq!(pieces.concat(), object.data);
                        assert_eq!(pack.base_of(position).unwrap(), None);
                    }
                    None => assert!(pack.base_of(position).unwrap().is_some()),
                }
            }
            assert!(cache.used_bytes() > 0 && cache.used_bytes() <= 1 << 20);
            let absent = format.null_ref();
            assert_eq!(pack.find(absent, &nothing, &NoCache).unwrap(), None);
            assert_eq!(pack.header(absent, &|_| None).unwrap(), None);
        }
    }
}

#[test]
fn a_tight_budget_gives_the_same_answer() {
    let repo = history(ObjectFormat::Sha1, 200);
    let data = repo.pack_all(&["--delta-base-offset", "--depth=4000", "--window=100"]);
    let (pack, _) = open(&data, ObjectFormat::Sha1, &IndexLimits::default());
    for memory_bytes in [0, 1000, 20_000, 200_000] {
        let limits = IndexLimits {
            memory_bytes,
            ..IndexLimits::default()
        };
        let (same, _) = open(&data, ObjectFormat::Sha1, &limits);
        assert_eq!(same.index().bytes(), pack.index().bytes());
    }
}

#[test]
fn a_thin_pack_is_completed_as_git_wants_it() {
    for format in FORMATS {
        let repo = history(format, 120);
        let (pack, _) = open(&repo.pack_all(&[]), format, &IndexLimits::default());
        let external = |id: &oid| pack.find(id, &nothing, &NoCache).unwrap();
        for options in [&["--thin", "--delta-base-offset"][..], &["--thin"]] {
            let thin = repo.pack_revs("HEAD\n^HEAD~10\n", options);
            let limits = IndexLimits::default();
            let mut witness = Witness::default();
            let mut indexed = index_pack(&thin, format, &limits, &external, &mut witness).unwrap();
            assert!(
                !indexed.missing_bases.is_empty(),
                "the fixture must be thin"
            );
            for (id, object) in &witness.seen {
                assert_eq!(external(id).as_ref(), Some(object));
            }
            let alone = index_pack(&thin, format, &limits, &nothing, &mut ());
            assert!(matches!(alone, Err(PackError::MissingBase { .. })));

            let mut whole = thin.clone();
            complete(&thin, format, &mut indexed, &external, &mut whole).unwrap();
            assert!(indexed.missing_bases.is_empty());
            let index = indexed.entries.write_index(&indexed.checksum);
            assert_eq!(index, repo.index_of(&whole));
            let (pack, _) = open(&whole, format, &limits);
            assert_eq!(pack.index().bytes(), &index[..]);

            let parsed = parse_small(&thin, format, &limits, &external).unwrap();
            assert_eq!(parsed.len(), witness.seen.len());
            for (number, object) in (0..).zip(&parsed) {
                assert_eq!(witness.numbers[&number], object.id);
                assert_eq!(witness.seen[&object.id].data, object.data);
                if let Some((base, delta)) = &object.delta {
                    let base = external(base).unwrap();
                    assert_eq!(
                        delta::apply(&base.data, delta, u64::MAX).unwrap(),
                        object.data
                    );
                }
            }
            let small = IndexLimits {
                memory_bytes: 5000,
                ..limits
            };
            let refused = parse_small(&thin, format, &small, &external);
            assert!(matches!(
                refused,
                Err(PackError::TotalTooLarge { limit: 5000 })
            ));
        }
    }
}

#[test]
fn git_takes_what_is_written() {
    for format in FORMATS {
        let repo = history(format, 60);
        let (source, _) = open(
            &repo.pack_all(&["--delta-base-offset"]),
            format,
            &IndexLimits::default(),
        );
        let index = source.index();

        // As it comes, in pack order; deltas sent on as they are, once by distance, once by id.
        for by_id in [false, true] {
            let mut writer = PackWriter::new(Vec::new(), format, index.len()).unwrap();
            let mut offsets = HashMap::new();
            let order = index.positions_in_pack_order();
            for (rank, &position) in order.iter().enumerate() {
                let offset = index.offset(position);
                assert_eq!(index.offset_by_rank(rank), Some(offset));
                assert_eq!(index.rank_by_offset(offset), Some(rank));
                assert_eq!(index.rank_before(order.len(), offset), Some(rank));
                assert_eq!(index.rank_before(rank + 1, offset), Some(rank));
                assert_eq!(index.rank_before(rank, offset), None);
                assert_eq!(index.rank_before(order.len(), offset + 1), None);
            }
            for &position in index.positions_in_pack_order() {
                let entry = source.raw_entry(position).unwrap();
                assert_eq!(crc32fast::hash(&entry.bytes), index.crc32(position));
                let kind = match source.base_of(position).unwrap() {
                    None => entry.kind.clone(),
                    Some(Base::External(_)) => panic!("the pack is not thin"),
                    Some(Base::Position(base)) if by_id => EntryKind::RefDelta {
                        base: index.id(base).to_owned(),
                    },
                    Some(Base::Position(base)) => EntryKind::OfsDelta {
                        base_distance: writer.offset() - offsets[&base],
                    },
                };
                let at = writer.raw(index.id(position), &kind, &entry).unwrap();
                offsets.insert(position, at);
            }
            let written = writer.finish().unwrap();
            assert_eq!(written.bytes, written.out.len() as u64);
            assert_eq!(
                written.entries.write_index(&written.checksum),
                repo.index_of(&written.out)
            );
            Repo::empty(format).takes(&written.out, &repo.head());
        }

        // Made anew: every tree as a delta of the one before it.
        for (by_id, level) in [(false, 0), (true, 1), (true, 9)] {
            let mut writer = PackWriter::new(Vec::new(), format, index.len()).unwrap();
            let mut before: Option<(ObjectId, u64, Bytes)> = None;
            for position in 0..index.len() {
                let id = index.id(position).to_owned();
                let object = source.object_at(position, &nothing, &NoCache).unwrap();
                let at = match &before {
                    Some((base, base_at, base_data)) if object.kind == ObjectKind::Tree => {
                        let kind = if by_id {
                            EntryKind::RefDelta { base: *base }
                        } else {
                            EntryKind::OfsDelta {
                                base_distance: writer.offset() - base_at,
                            }
                        };
                        let delta = delta::between(base_data, &object.data);
                        writer.delta(&id, &kind, &delta, level).unwrap()
                    }
                    _ => writer.whole(&id, object.kind, &object.data, level).unwrap(),
                };
                // Chains of 50, as git makes them.
                if object.kind == ObjectKind::Tree {
                    let is_far = position % 50 == 49;
                    before = (!is_far).then_some((id, at, object.data));
                }
            }
            let written = writer.finish().unwrap();
            assert_eq!(
                written.entries.write_index(&written.checksum),
                repo.index_of(&written.out)
            );
            Repo::empty(format).takes(&written.out, &repo.head());
            let (again, _) = open(&written.out, format, &IndexLimits::default());
            assert_eq!(again.index().len(), index.len());
        }
    }
}

#[test]
fn a_large_blob_is_hashed_on_the_way() {
    let repo = Repo::empty(ObjectFormat::Sha1);
    let large: Vec<u8> = (0..17u32 << 20)
        .map(|n| (n >> 9) as u8 ^ (n >> 3) as u8)
        .collect();
    let mut changed = large.clone();
    changed[5_000_000] ^= 1;
    let (a, b) = (repo.add_blob(&large), repo.add_blob(&changed));
    let only = repo.pack_ids(&[a], &[]);
    let both = repo.pack_ids(&[a, b], &["--delta-base-offset"]);

    #[derive(Default)]
    struct Named(Vec<(ObjectId, u64)>);
    impl PackVisitor for Named {
        fn object(&mut self, object: &VisitedObject<'_>) -> Result<(), String> {
            Err(format!("{} bytes", object.data.len()))
        }
        fn large_blob(&mut self, id: &oid, _number: u32, size: u64) -> Result<(), String> {
            self.0.push((id.to_owned(), size));
            Ok(())
        }
    }
    for (data, ids) in [(only, vec![a]), (both, vec![a, b])] {
        let mut named = Named::default();
        let limits = IndexLimits::default();
        let indexed = index_pack(&data, ObjectFormat::Sha1, &limits, &nothing, &mut named).unwrap();
        assert_eq!(named.0.len(), ids.len());
        assert!(ids.iter().all(|&id| named.0.contains(&(id, 17 << 20))));
        let index = indexed.entries.write_index(&indexed.checksum);
        assert_eq!(index, repo.index_of(&data));
        let small = parse_small(&data, ObjectFormat::Sha1, &limits, &nothing);
        assert!(matches!(small, Err(PackError::TotalTooLarge { .. })));
    }
}

#[test]
fn an_empty_pack_is_a_pack() {
    for format in FORMATS {
        let written = PackWriter::new(Vec::new(), format, 0)
            .unwrap()
            .finish()
            .unwrap();
        let (pack, witness) = open(&written.out, format, &IndexLimits::default());
        assert!(pack.index().is_empty() && witness.seen.is_empty());
        let repo = Repo::empty(format);
        assert_eq!(pack.index().bytes(), &repo.index_of(&written.out)[..]);
    }
}
