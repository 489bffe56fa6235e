//! Packs that nobody honest would send: each gets a clear error.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::write_with_newline
)]

mod kit;

use bytes::Bytes;
use govc_git::checksum::Checksum;
use govc_git::object_id::hash_object;
use govc_git::pack::delta::DeltaError;
use govc_git::pack::entry::write_header;
use govc_git::pack::zlib::Deflater;
use govc_git::pack::{
    EntryKind, IndexLimits, NoCache, Pack, PackError, PackIndex, PackVisitor, PackWriter,
    VisitedObject, delta, index_pack, parse_small,
};
use govc_git::{Object, ObjectFormat, ObjectId, ObjectKind, oid};
use proptest::prelude::*;

const FORMAT: ObjectFormat = ObjectFormat::Sha1;
const BLOB: EntryKind = EntryKind::Whole(ObjectKind::Blob);

fn nothing(_: &oid) -> Option<Object> {
    None
}

/// A pack by hand: what it says need not be what it has.
struct Forgery(Vec<u8>);

impl Forgery {
    fn of(count: u32) -> Forgery {
        Forgery([*b"PACK", [0, 0, 0, 2], count.to_be_bytes()].concat())
    }

    /// An entry that says `size`, with `data` deflated.
    fn entry(mut self, kind: &EntryKind, size: u64, data: &[u8]) -> Forgery {
        write_header(kind, size, &mut self.0);
        Deflater::new(9).deflate(data, &mut self.0);
        self
    }

    fn blob(self, data: &[u8]) -> Forgery {
        self.entry(&BLOB, data.len() as u64, data)
    }

    fn delta(self, kind: &EntryKind, data: &[u8]) -> Forgery {
        self.entry(kind, data.len() as u64, data)
    }

    fn bytes(mut self, bytes: &[u8]) -> Forgery {
        self.0.extend_from_slice(bytes);
        self
    }

    fn signed(mut self) -> Vec<u8> {
        sign(&mut self.0);
        self.0
    }
}

fn sign(pack: &mut Vec<u8>) {
    let checksum = Checksum::of(FORMAT, pack);
    pack.extend_from_slice(checksum.as_bytes());
}

fn at_distance(base_distance: u64) -> EntryKind {
    EntryKind::OfsDelta { base_distance }
}

fn of(base: ObjectId) -> EntryKind {
    EntryKind::RefDelta { base }
}

fn id_of(data: &[u8]) -> ObjectId {
    hash_object(FORMAT, ObjectKind::Blob, data).unwrap()
}

fn error(pack: &[u8]) -> PackError {
    let limits = IndexLimits {
        max_object_bytes: 1 << 20,
        ..IndexLimits::default()
    };
    let error = index_pack(pack, FORMAT, &limits, &nothing, &mut ()).unwrap_err();
    let small = parse_small(pack, FORMAT, &limits, &nothing).unwrap_err();
    assert_eq!(error.to_string(), small.to_string());
    error
}

macro_rules! assert_error {
    ($pack:expr, $pattern:pat $(if $guard:expr)?) => {{
        let error = error(&$pack[..]);
        assert!(matches!(error, $pattern $(if $guard)?), "{error:?}");
    }};
}

#[test]
fn what_is_not_a_pack_is_refused() {
    assert_error!(b"", PackError::NotAPack);
    assert_error!(b"PACk\0\0\0\x02", PackError::NotAPack);
    assert_error!(b"PACK", PackError::Truncated { offset: 4 });
    assert_error!(
        b"PACK\0\0\0\x02\0\0\0\0",
        PackError::Truncated { offset: 12 }
    );
    let version = b"PACK\0\0\0\x04\0\0\0\0".to_vec();
    assert_error!(
        [version, vec![0; 20]].concat(),
        PackError::UnsupportedVersion { version: 4 }
    );

    let good = Forgery::of(2).blob(b"one").blob(b"two").signed();
    assert!(index_pack(&good, FORMAT, &IndexLimits::default(), &nothing, &mut ()).is_ok());
    for end in 12..good.len() {
        assert!(
            index_pack(
                &good[..end],
                FORMAT,
                &IndexLimits::default(),
                &nothing,
                &mut ()
            )
            .is_err()
        );
    }
    assert_error!(good[..good.len() - 1], PackError::Checksum { .. });
    assert_error!([&good[..], b"!"].concat(), PackError::Checksum { .. });
    let garbage = Forgery::of(1)
        .blob(b"one")
        .blob(b"two")
        .bytes(b"!!")
        .signed();
    assert_error!(garbage, PackError::TrailingGarbage { bytes } if bytes > 10);
}

#[test]
fn a_count_is_not_believed() {
    for count in [4, 4000, u32::MAX] {
        let pack = Forgery::of(count).blob(b"one").blob(b"two").signed();
        assert_error!(pack, PackError::ObjectCount { .. });
    }
    // There is room for a third, by its length.
    let pack = Forgery::of(3)
        .blob(&[1; 3000])
        .blob(b"a longer one, one that does not shrink")
        .signed();
    assert_error!(pack, PackError::Truncated { .. });
    let limits = IndexLimits {
        max_objects: 1,
        ..IndexLimits::default()
    };
    let pack = Forgery::of(2).blob(b"one").blob(b"two").signed();
    let refused = index_pack(&pack, FORMAT, &limits, &nothing, &mut ());
    assert!(matches!(
        refused,
        Err(PackError::ObjectCount { count: 2, .. })
    ));
}

#[test]
fn an_entry_is_what_it_says() {
    let entry = |size, data: &[u8]| Forgery::of(1).entry(&BLOB, size, data).signed();
    assert_error!(
        entry(4, b"three"),
        PackError::Inflate {
            offset: 12,
            size: 4,
            ..
        }
    );
    assert_error!(
        entry(6, b"three"),
        PackError::Inflate {
            offset: 12,
            size: 6,
            ..
        }
    );
    assert_error!(
        entry(0, b"three"),
        PackError::Inflate {
            offset: 12,
            size: 0,
            ..
        }
    );
    assert_error!(
        entry(1 << 20, b"three"),
        PackError::Inflate {
            size: 0x10_0000,
            ..
        }
    );
    assert_error!(
        entry(u64::MAX, b"three"),
        PackError::ObjectTooLarge { offset: 12, .. }
    );
    assert_error!(
        entry((1 << 20) + 1, &vec![0; (1 << 20) + 1]),
        PackError::ObjectTooLarge { .. }
    );
    for bad in [0x00, 0x50, 0x0f, 0x5f] {
        let pack = Forgery::of(1).bytes(&[bad; 1]).bytes(&[0; 30]).signed();
        assert_error!(pack, PackError::Entry { offset: 12, .. });
    }
    let pack = Forgery::of(1).bytes(&[0xff; 30]).signed();
    assert_error!(pack, PackError::Entry { .. });
    let mut damaged = Forgery::of(1).blob(b"some text that has some text").0;
    let last = damaged.len() - 1;
    damaged[last] ^= 1;
    sign(&mut damaged);
    assert_error!(damaged, PackError::Inflate { .. });
}

#[test]
fn a_large_size_costs_nothing() {
    // 16 MiB and more are streamed: the size must still be possible.
    let limits = IndexLimits {
        max_object_bytes: u64::MAX,
        ..IndexLimits::default()
    };
    for kind in [ObjectKind::Blob, ObjectKind::Tree] {
        for size in [17 << 20, 1 << 40, u64::MAX] {
            let pack = Forgery::of(1)
                .entry(&EntryKind::Whole(kind), size, b"!")
                .signed();
            let refused = index_pack(&pack, FORMAT, &limits, &nothing, &mut ());
            let Err(PackError::Inflate { reason, .. }) = refused else {
                panic!("{refused:?}");
            };
            assert_eq!(reason, "no stream of this length can");
        }
    }
}

#[test]
fn a_delta_that_does_not_fit_its_base_is_refused() {
    let make = |delta: &[u8]| {
        let front = Forgery::of(2).blob(b"0123456789");
        let distance = front.0.len() as u64 - 12;
        front.delta(&at_distance(distance), delta).signed()
    };
    let good = delta::splice(10, 3..5, b"!");
    assert!(
        index_pack(
            &make(&good),
            FORMAT,
            &IndexLimits::default(),
            &nothing,
            &mut ()
        )
        .is_ok()
    );
    assert_error!(
        make(&[]),
        PackError::Delta {
            source: DeltaError::Truncated,
            ..
        }
    );
    assert_error!(
        make(&[9, 1, 1, b'a']),
        PackError::Delta {
            source: DeltaError::BaseSize { .. },
            ..
        }
    );
    assert_error!(
        make(&[10, 2, 1, b'a']),
        PackError::Delta {
            source: DeltaError::ResultSize { .. },
            ..
        }
    );
    assert_error!(
        make(&[10, 1, 0]),
        PackError::Delta {
            source: DeltaError::Reserved,
            ..
        }
    );
    assert_error!(
        make(&[10, 4, 0x91, 7, 4]),
        PackError::Delta {
            source: DeltaError::CopyOutside { .. },
            ..
        }
    );
    let huge = [&[10][..], &[0xff, 0xff, 0xff, 0xff, 0x7f], &[0x90, 10]].concat();
    assert_error!(make(&huge), PackError::ObjectTooLarge { .. });
}

#[test]
fn a_delta_of_nothing_is_refused() {
    let change = delta::splice(3, 0..1, b"!");
    let front = || Forgery::of(2).blob(b"one");
    let base_at = 12;
    let end = front().0.len() as u64;
    for distance in [
        end - base_at - 1,
        end - base_at + 1,
        end,
        end + 1,
        1,
        u64::MAX >> 1,
    ] {
        let pack = front().delta(&at_distance(distance), &change).signed();
        assert_error!(pack, PackError::NoEntryAtBase { .. });
    }
    let own = front().bytes(&[0x60, 0x00]).bytes(&[0; 30]).signed();
    assert_error!(
        own,
        PackError::Entry {
            reason: "it is a delta of itself",
            ..
        }
    );

    let absent = id_of(b"not here");
    let pack = front().delta(&of(absent), &change).signed();
    assert_error!(pack, PackError::MissingBase { count: 1, base, .. } if base == absent);

    // Of an object that the pack would only have if the delta were resolved.
    let made = id_of(b"!ne");
    let pack = front().delta(&of(made), &change).signed();
    assert_error!(pack, PackError::MissingBase { count: 1, base, .. } if base == made);
    // Two that would be each other's, if hashes had such things, and one that hangs on them.
    let (a, b) = (id_of(b"a"), id_of(b"b"));
    let circle = Forgery::of(3).delta(&of(a), &change).delta(&of(b), &change);
    let at = circle.0.len() as u64 - 12;
    let circle = circle.delta(&at_distance(at), &change).signed();
    assert_error!(circle, PackError::MissingBase { count: 3, base, .. } if base == a);
}

#[test]
fn a_delta_of_what_is_made_of_it_is_refused() {
    // The base is had already, and so both can be made now; from the pack alone neither can.
    let (base, made) = (&b"a base that is had"[..], &b"and what is made of it"[..]);
    let pack = Forgery::of(2)
        .delta(&of(id_of(base)), &delta::between(base, made))
        .delta(&of(id_of(made)), &delta::between(made, base))
        .signed();
    let had = |id: &oid| {
        (*id_of(base) == *id).then(|| Object {
            kind: ObjectKind::Blob,
            data: Bytes::from_static(b"a base that is had"),
        })
    };
    let limits = IndexLimits::default();
    for refused in [
        index_pack(&pack, FORMAT, &limits, &had, &mut ()).err(),
        parse_small(&pack, FORMAT, &limits, &had).err(),
    ] {
        assert!(
            matches!(refused, Some(PackError::Entry { reason, .. }) if reason.contains("itself")),
            "{refused:?}"
        );
    }
}

#[test]
fn the_same_object_twice_is_refused() {
    let twice = Forgery::of(2).blob(b"same").blob(b"same").signed();
    assert_error!(twice, PackError::DuplicateObject { id } if id == id_of(b"same"));
    let as_delta = Forgery::of(3)
        .blob(b"same")
        .blob(b"some")
        .delta(&of(id_of(b"some")), &delta::between(b"some", b"same"))
        .signed();
    assert_error!(as_delta, PackError::DuplicateObject { .. });
}

/// A chain of blobs, each a delta of the one before it.
fn chain(deltas: u32, by_id: bool) -> Vec<u8> {
    let text = |number: u32| format!("{number:08}").into_bytes();
    let mut pack = Forgery::of(deltas + 1).blob(&text(0));
    let mut before = 12;
    for number in 1..=deltas {
        let at = pack.0.len() as u64;
        let (base, target) = (text(number - 1), text(number));
        let kind = if by_id {
            of(id_of(&base))
        } else {
            at_distance(at - before)
        };
        pack = pack.delta(&kind, &delta::between(&base, &target));
        before = at;
    }
    pack.signed()
}

#[test]
fn a_chain_is_as_long_as_is_allowed() {
    for by_id in [false, true] {
        let limits = IndexLimits {
            max_chain: 500,
            memory_bytes: 0,
            ..IndexLimits::default()
        };
        let pack = chain(500, by_id);
        let indexed = index_pack(&pack, FORMAT, &limits, &nothing, &mut ()).unwrap();
        let index = indexed.entries.write_index(&indexed.checksum);
        let index = PackIndex::parse(Bytes::from(index), FORMAT).unwrap();
        let pack = Pack::new(indexed.checksum, Bytes::from(pack), index).unwrap();
        let last = pack
            .find(&id_of(b"00000500"), &nothing, &NoCache)
            .unwrap()
            .unwrap();
        assert_eq!(last.data, b"00000500"[..]);

        let too_long = index_pack(&chain(501, by_id), FORMAT, &limits, &nothing, &mut ());
        assert!(matches!(
            too_long,
            Err(PackError::ChainTooLong { limit: 500, .. })
        ));
    }
    // No stack grows with it.
    let limits = IndexLimits {
        max_chain: u32::MAX,
        ..IndexLimits::default()
    };
    index_pack(&chain(100_000, false), FORMAT, &limits, &nothing, &mut ()).unwrap();
    assert_error!(
        chain(5000, false),
        PackError::ChainTooLong { limit: 4095, .. }
    );
}

#[test]
fn a_bomb_does_not_go_off() {
    // Each delta copies the same mebibyte a thousand times: a few bytes of pack for a gibibyte.
    let base = vec![7u8; 1 << 20];
    let mut bomb = vec![0x80, 0x80, 0x40]; // of a base of 2^20 bytes
    bomb.extend([0x80, 0x80, 0x80, 0x80, 0x04]); // it makes 2^30 bytes
    bomb.extend([0xc0, 0x10].repeat(1024)); // 2^20 bytes from 0
    assert_eq!(delta::sizes(&bomb), Ok((1 << 20, 1 << 30)));
    let mut pack = Forgery::of(101).blob(&base);
    for _ in 0..100 {
        let distance = pack.0.len() as u64 - 12;
        pack = pack.delta(&at_distance(distance), &bomb);
    }
    assert!(pack.0.len() < 10_000);
    let pack = pack.signed();
    let limits = IndexLimits {
        max_total_bytes: 1 << 26,
        ..IndexLimits::default()
    };
    let refused = index_pack(&pack, FORMAT, &limits, &nothing, &mut ());
    assert!(
        matches!(refused, Err(PackError::TotalTooLarge { .. })),
        "{refused:?}"
    );
    assert_error!(
        pack,
        PackError::ObjectTooLarge {
            size: 0x4000_0000,
            ..
        }
    );
}

#[test]
fn deep_and_wide_at_once_stays_within_its_memory() {
    // A comb: each object of the chain has a second delta that is resolved only on the way back.
    let text = |number: u32, side: &str| {
        let mut text = vec![b'.'; 20_000];
        text[..12].copy_from_slice(format!("{number:08}{side}").as_bytes());
        text
    };
    let depth = 300;
    let mut pack = Forgery::of(2 * depth + 1).blob(&text(0, "main"));
    let mut before = 12;
    let mut expected = vec![id_of(&text(0, "main"))];
    for number in 1..=depth {
        let (base, main, side) = (
            text(number - 1, "main"),
            text(number, "main"),
            text(number, "side"),
        );
        let at = pack.0.len() as u64;
        pack = pack.delta(&at_distance(at - before), &delta::between(&base, &side));
        let main_at = pack.0.len() as u64;
        pack = pack.delta(
            &at_distance(main_at - before),
            &delta::between(&base, &main),
        );
        before = main_at;
        expected.extend([id_of(&side), id_of(&main)]);
    }
    let pack = pack.signed();
    for memory_bytes in [0, 100_000, 1 << 20, 64 << 20] {
        let limits = IndexLimits {
            memory_bytes,
            ..IndexLimits::default()
        };
        let indexed = index_pack(&pack, FORMAT, &limits, &nothing, &mut ()).unwrap();
        let ids: Vec<ObjectId> = indexed.entries.iter().map(|entry| entry.id).collect();
        assert_eq!(ids, expected);
    }
    // What is made again counts: an attacker may not have it for nothing.
    let limits = IndexLimits {
        memory_bytes: 0,
        max_total_bytes: 40_000_000,
        ..IndexLimits::default()
    };
    let refused = index_pack(&pack, FORMAT, &limits, &nothing, &mut ());
    assert!(matches!(refused, Err(PackError::TotalTooLarge { .. })));
}

#[test]
fn a_visitor_can_refuse() {
    struct Picky;
    impl PackVisitor for Picky {
        fn object(&mut self, object: &VisitedObject<'_>) -> Result<(), String> {
            if object.data == b"two" {
                Err("I asked for one".to_owned())
            } else {
                Ok(())
            }
        }
    }
    let pack = Forgery::of(2).blob(b"one").blob(b"two").signed();
    let refused = index_pack(&pack, FORMAT, &IndexLimits::default(), &nothing, &mut Picky);
    let error = refused.unwrap_err().to_string();
    assert_eq!(
        error,
        format!("blob {} is refused: I asked for one", id_of(b"two"))
    );
}

#[test]
fn a_pack_with_another_index_is_refused() {
    let of = |objects: &[&[u8]]| {
        let mut writer = PackWriter::new(Vec::new(), FORMAT, objects.len() as u32).unwrap();
        for object in objects {
            writer
                .whole(&id_of(object), ObjectKind::Blob, object, 1)
                .unwrap();
        }
        writer.finish().unwrap()
    };
    let (one, other, two) = (of(&[b"one"]), of(&[b"other"]), of(&[b"one", b"two"]));
    for wrong in [&other, &two] {
        let index = wrong.entries.write_index(&wrong.checksum);
        let index = PackIndex::parse(Bytes::from(index), FORMAT).unwrap();
        let pack = Pack::new(one.checksum, Bytes::from(one.out.clone()), index);
        assert!(matches!(pack, Err(PackError::Index { .. })));
    }
    let writer = PackWriter::new(Vec::new(), FORMAT, 2).unwrap();
    let mismatch = PackError::CountMismatch {
        expected: 2,
        written: 0,
    }
    .to_string();
    assert_eq!(writer.finish().unwrap_err().to_string(), mismatch);
}

/// A pack with all kinds of entries, and its index.
fn sample() -> (Vec<u8>, Vec<u8>) {
    use std::sync::OnceLock;
    static SAMPLE: OnceLock<(Vec<u8>, Vec<u8>)> = OnceLock::new();
    let make = || {
        let repo = kit::history(FORMAT, 12);
        let by_distance = repo.pack_all(&["--delta-base-offset"]);
        let index = repo.index_of(&by_distance);
        (by_distance, index)
    };
    SAMPLE.get_or_init(make).clone()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_damaged_pack_never_panics(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in proptest::option::weighted(0.2, any::<prop::sample::Index>()),
        memory_bytes in 0usize..10_000,
    ) {
        let (mut pack, _) = sample();
        pack.truncate(pack.len() - 20);
        if let Some(cut) = cut {
            pack.truncate(12 + cut.index(pack.len() - 12));
        }
        for (at, byte) in changes {
            let at = at.index(pack.len());
            pack[at] = byte;
        }
        sign(&mut pack);
        let limits = IndexLimits { memory_bytes, max_total_bytes: 1 << 28, ..IndexLimits::default() };
        if let Ok(indexed) = index_pack(&pack, FORMAT, &limits, &nothing, &mut ()) {
            // A changed object can be sound: then it is another object.
            let index = indexed.entries.write_index(&indexed.checksum);
            let index = PackIndex::parse(Bytes::from(index), FORMAT).unwrap();
            let pack = Pack::new(indexed.checksum, Bytes::from(pack), index).unwrap();
            for position in 0..pack.index().len() {
                let object = pack.object_at(position, &nothing, &NoCache).unwrap();
                let id = hash_object(FORMAT, object.kind, &object.data).unwrap();
                prop_assert_eq!(pack.index().id(position), id);
            }
        }
    }

    #[test]
    fn reading_a_damaged_pack_never_panics(
        pack_changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        index_changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let (mut pack, mut index) = sample();
        let (body, index_body) = (pack.len() - 32, index.len() - 1072);
        for (at, byte) in pack_changes {
            pack[12 + at.index(body)] = byte;
        }
        for (at, byte) in index_changes {
            index[1032 + at.index(index_body)] = byte;
        }
        let index = PackIndex::parse(Bytes::from(index), FORMAT).unwrap();
        let Ok(pack) = Pack::new(index.pack_checksum(), Bytes::from(pack), index) else {
            return Ok(());
        };
        for position in 0..pack.index().len() {
            let _ = pack.object_at(position, &nothing, &NoCache);
            let _ = pack.header_at(position, &|_| None);
            let _ = pack.raw_entry(position);
            let _ = pack.base_of(position);
            if let Ok(Some(stream)) = pack.stream_at(position) {
                let _ = stream.take(100).count();
            }
        }
    }
}
