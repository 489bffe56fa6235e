//! A door for the fuzzer to what is read from a disk and is nobody else's business.

use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use govc_engine::journal::{Floor, PackId};
use govc_engine::{Entry, EntryEdit, RefName, Refs, RepoKey, RepositoryRecord, Target, Time};
use govc_git::{ObjectFormat, ObjectId};

use crate::disk::{self, Disk, Open, SimDisk};
use crate::format::{self, Checkpoint, FormatError};
use crate::history::realities::{self, RealityHistory};
use crate::history::{self, HistoryIndex, Point};
use crate::holdings::Holdings;
use crate::projection::{OnDisk, Projection, Seen};
use crate::repo::Retained;
use crate::{directory, log, loose, projection};

pub use crate::format::alone::Records;

/// Reads a checkpoint, and gives its bytes written again.
///
/// # Errors
/// [`FormatError`], as when it is read or written.
pub fn checkpoint(file: Bytes) -> Result<Vec<u8>, FormatError> {
    format::encode_checkpoint(&format::decode_checkpoint(file)?)
}

/// Batches as they were read, and how much damage was between them.
type ReadLog = (Vec<Bytes>, usize);

fn read_log(disk: &SimDisk) -> Option<ReadLog> {
    let (mut payloads, mut damages) = (Vec::new(), 0);
    let event = |event| match event {
        log::Event::Batch { payload, .. } => payloads.push(payload),
        log::Event::Damaged { .. } => damages += 1,
    };
    log::read(disk, Path::new(""), event).ok()?;
    Some((payloads, damages))
}

/// A log that has these batches.
fn write_log(payloads: &[impl AsRef<[u8]>]) -> Option<SimDisk> {
    const SEGMENT_BYTES: u64 = 16 << 10;
    let disk = SimDisk::new(0);
    let summary = log::LogSummary::default();
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let mut log = log::Log::open(shared, Path::new(""), SEGMENT_BYTES, false, &summary, 1).ok()?;
    for payload in payloads {
        let own = vec![RepoKey([3; 16])];
        log.append(own, payload.as_ref()).ok()?;
    }
    log.close().ok()?;
    Some(disk)
}

/// Reads a log of one segment; gives its batches, each cut into entries as far as it can be, how
/// much damage is in it, and whether the same batches in a new log are read the same.
pub fn log(segment: &[u8], number: u64) -> Option<(Vec<Vec<Bytes>>, usize, bool)> {
    let disk = SimDisk::new(0);
    let file = disk
        .open(Path::new(&format!("{number:010}.log")), Open::Replace)
        .ok()?;
    file.write_at(0, segment).ok()?;
    let (payloads, damages) = read_log(&disk)?;
    let again = write_log(&payloads).and_then(|disk| read_log(&disk));
    let same = again.is_some_and(|(again, damages)| damages == 0 && again == payloads);
    let split = |payload| log::split_batch(payload).unwrap_or_default();
    Some((payloads.into_iter().map(split).collect(), damages, same))
}

/// The bytes of a log's segment of these entries, from its head of 60 bytes to its first record,
/// and from there to the end of its last.
///
/// # Errors
/// When the log cannot be made.
pub fn seed_log(entries: &[Entry]) -> io::Result<Vec<u8>> {
    const HEAD_BYTES: usize = 60;
    const RECORDS_AT: usize = 4096;
    let entries: Vec<Arc<Entry>> = entries.iter().cloned().map(Arc::new).collect();
    let batches = entries.chunks(2).map(log::encode_batch);
    let batches: Vec<Vec<u8>> = batches
        .collect::<Result<_, _>>()
        .map_err(io::Error::other)?;
    let disk = write_log(&batches).ok_or(io::ErrorKind::Other)?;
    let segment = disk.open(Path::new("0000000001.log"), Open::Read)?.map()?;
    let used = segment.iter().rposition(|byte| *byte != 0);
    let records = RECORDS_AT..used.map_or(RECORDS_AT, |last| last + 1);
    Ok([&segment[..HEAD_BYTES], &segment[records]].concat())
}

/// Reads a file of a history from its first frame on; gives how many entries it has after each of
/// its first numbers, `None` where it is damaged, and whether its table can be read.
pub fn history(bytes: &[u8], format: ObjectFormat) -> (Vec<Option<usize>>, bool) {
    const FIRST_FRAME_AT: u64 = 16;
    let disk = SimDisk::new(0);
    let path = format!("{}/{}{:010}", directory::OURS, history::PREFIX, 1);
    let made = disk::create_dirs(&disk, Path::new(directory::OURS))
        .and_then(|()| disk.open(Path::new(&path), Open::Replace))
        .and_then(|file| file.write_at(0, bytes));
    if made.is_err() {
        return (Vec::new(), false);
    }
    let index = HistoryIndex {
        files: vec![(1, bytes.len() as u64)],
        points: vec![Point {
            seq: 0,
            time: Time(i64::MIN),
            file: 1,
            offset: FIRST_FRAME_AT,
        }],
        since_table: 0,
        base: None,
    };
    let dir = Path::new("");
    let after = |seq| history::entries(&disk, dir, &index, seq, 1000);
    let counts =
        [None, Some(0), Some(1), Some(2)].map(|seq| after(seq).ok().map(|entries| entries.len()));
    let moment = govc_engine::journal::Moment::Seq(u64::MAX);
    let refs = history::refs_at(&disk, dir, &index, moment);
    let mut answered = Vec::new();
    let told = history::answered(&disk, dir, &index, Time(i64::MIN), &mut |entry| {
        answered.push((entry.seq, entry.step));
    });
    assert_eq!(told.is_ok(), counts.iter().all(Option::is_some));
    for place in answered {
        let _ = history::entry(&disk, dir, &index, place);
    }
    if let Ok(entries) = after(None) {
        write_history(&disk, &entries, format);
    }
    (counts.to_vec(), refs.is_ok())
}

/// Appends entries to a history of their own, and reads them back.
///
/// # Panics
/// When they are others.
fn write_history(disk: &SimDisk, entries: &[Arc<Entry>], format: ObjectFormat) {
    let dir = Path::new("again");
    let made = disk::create_dirs(disk, &dir.join(directory::OURS));
    let mut index = HistoryIndex::default();
    let mut refs = Refs::default();
    for some in entries.chunks(2) {
        match history::append(disk, dir, &index, None, &mut refs, format, some) {
            Ok(longer) => index = longer,
            // Ids of the other hash cannot be written.
            Err(_) => return,
        }
    }
    let again = history::entries(disk, dir, &index, None, 1000);
    let kept = entries
        .iter()
        .filter(|entry| entry.step == 0 && entry.host.is_none());
    let kept: Vec<_> = kept.map(format::without_objects).collect();
    assert!(made.is_ok() && again.is_ok_and(|again| again == kept));
    let Some(first) = kept.first() else { return };
    let base = Floor {
        seq: first.seq,
        time: first.time,
    };
    // Numbers that are not in order have no state to begin with.
    let is_in_order = kept.is_sorted_by(|a, b| (a.seq, a.time) < (b.seq, b.time));
    if let (true, Ok(cut)) = (
        is_in_order,
        history::cut(disk, dir, &index, 2, base, format),
    ) {
        let left = history::entries(disk, dir, &cut, None, 1000);
        assert!(left.is_ok_and(|left| left == kept[1..]));
    }
}

/// Reads the past of the reality whose newest entry is at `newest` of this file; gives how many
/// changes it has after each of its first numbers, `None` where it is damaged.
///
/// # Panics
/// When what was read cannot be read again, or is another when it is written anew.
pub fn reality_history(bytes: &[u8], newest: u64) -> Option<Vec<usize>> {
    let disk = SimDisk::new(0);
    let dir = Path::new("");
    let path = format!("{}/{}{:010}", directory::OURS, realities::PREFIX, 1);
    disk::create_dirs(&disk, Path::new(directory::OURS)).ok()?;
    let file = disk.open(Path::new(&path), Open::Replace).ok()?;
    file.write_at(0, bytes).ok()?;
    let key = realities::key_at(&*file, newest).ok()?;
    let newest = realities::Frame {
        file: 1,
        offset: newest,
    };
    let history = RealityHistory {
        files: vec![(1, bytes.len() as u64)],
        last: [(key, newest)].into(),
        has_litter: false,
    };
    let after = |history: &_, seq| realities::entries(&disk, dir, history, key, seq, 1000);
    let changes = after(&history, None).ok()?;
    let mut answered = Vec::new();
    let mut take = |entry: &Arc<Entry>| answered.push((entry.seq, entry.step));
    realities::answered(&disk, dir, &history, Time(i64::MIN), &mut take).expect("it was read");
    for place in answered {
        // Whether it is found too depends on the order, which hostile bytes need not have.
        realities::entry(&disk, dir, &history, key, place).expect("it was read");
    }
    // Entries of no reality are not kept here, and come from nowhere but hostile bytes.
    if changes.iter().all(|entry| entry.host.is_some()) {
        let swept = realities::sweep(&disk, dir, &history, 7).expect("a disk");
        assert_eq!(after(&swept, None).expect("it was just written"), changes);
    }
    let seqs = [None, Some(0), Some(1), Some(2)];
    let counts = seqs.map(|seq| after(&history, seq).map(|changes| changes.len()));
    Some(counts.into_iter().flatten().collect())
}

/// The file of the past of realities of those of these entries that are of one.
///
/// # Errors
/// When it cannot be made.
pub fn seed_reality_history(entries: &[Entry]) -> io::Result<Vec<u8>> {
    let entries: Vec<Arc<Entry>> = entries.iter().cloned().map(Arc::new).collect();
    let disk = SimDisk::new(0);
    let dir = Path::new("");
    disk::create_dirs(&disk, Path::new(directory::OURS))?;
    realities::append(&disk, dir, &RealityHistory::default(), None, &entries)?;
    let path = format!("{}/{}{:010}", directory::OURS, realities::PREFIX, 1);
    let file = disk.open(Path::new(&path), Open::Read)?.map()?;
    Ok(file.to_vec())
}

/// The file of a history of these entries.
///
/// # Errors
/// When it cannot be made.
pub fn seed_history(entries: &[Entry], format: ObjectFormat) -> io::Result<Vec<u8>> {
    let entries: Vec<Arc<Entry>> = entries.iter().cloned().map(Arc::new).collect();
    let disk = SimDisk::new(0);
    let dir = Path::new("");
    disk::create_dirs(&disk, Path::new(directory::OURS))?;
    let mut refs = Refs::default();
    let index = HistoryIndex::default();
    history::append(&disk, dir, &index, None, &mut refs, format, &entries)?;
    let path = format!("{}/{}{:010}", directory::OURS, history::PREFIX, 1);
    let file = disk.open(Path::new(&path), Open::Read)?.map()?;
    Ok(file.to_vec())
}

/// A checkpoint that has something of everything, of a repository with this record, after these
/// entries.
///
/// # Errors
/// [`FormatError`].
pub fn seed_checkpoint(
    record: RepositoryRecord,
    entries: &[Entry],
) -> Result<Vec<u8>, FormatError> {
    let format = record.object_format;
    let id = |byte: u8| ObjectId::try_from(&vec![byte; format.len_in_bytes()][..]);
    let id = |byte| id(byte).map_err(|_| FormatError::Invalid("an id"));
    let refs = [
        (RefName::head(), Target::Symbolic(RefName::branch("main"))),
        (RefName::branch("main"), Target::At(id(1)?)),
        (RefName::branch("main2"), Target::At(id(2)?)),
        (RefName::tag("v1"), Target::At(id(3)?)),
    ];
    let point = |seq: u64, time: i64| Point {
        seq,
        time: Time(time),
        file: 1,
        offset: 16,
    };
    let mut holdings = Holdings::default();
    entries.iter().for_each(|entry| holdings.apply(entry, 1));
    let mut before = Seen::default();
    before
        .loose
        .insert(RefName::head(), b"ref: refs/heads/main\n".to_vec());
    format::encode_checkpoint(&Checkpoint {
        key: RepoKey([3; 16]),
        epoch: 2,
        seq: 300,
        step: 1,
        time: Time(1_700_000_000_000_000),
        record,
        refs: Refs::from_entries(refs),
        peeled: vec![(id(3)?, id(1)?)],
        packs: vec![PackId(id(4)?), PackId(id(5)?)],
        history: HistoryIndex {
            files: vec![(1, 900), (2, 70)],
            points: vec![point(1, -5), point(200, 1 << 40), point(150, 0)],
            since_table: 7,
            base: Some(Floor {
                seq: 1,
                time: Time(-5),
            }),
        },
        packed_to_come: [9; 32],
        before,
        graph_commits: 3,
        holdings,
        reality_history: RealityHistory::default(),
        retained: Retained {
            floor: Some(Floor {
                seq: 2,
                time: Time(7),
            }),
            collected: Some(1),
            litter: true,
        },
        replaced: vec![(PackId(id(6)?), Time(4))],
    })
}

/// What is in `packed-refs` and HEAD.
#[derive(Debug)]
pub struct ReadRefs {
    /// `packed-refs` as we would write it, without peeled ids.
    pub packed: Vec<u8>,
    /// HEAD as we would write it.
    pub head: Option<Vec<u8>>,
    /// How much of it is no ref.
    pub broken: usize,
    /// Why the files are not what git leaves.
    pub damage: Option<String>,
}

/// Reads `packed-refs` and HEAD.
pub fn packed_refs(packed: &[u8], head: &[u8], format: ObjectFormat) -> Option<ReadRefs> {
    let disk = SimDisk::new(0);
    for (name, content) in [("packed-refs", packed), ("HEAD", head)] {
        let file = disk.open(Path::new(name), Open::Replace).ok()?;
        file.write_at(0, content).ok()?;
    }
    let mut found = OnDisk::read(&disk, Path::new("")).ok()?;
    let damage = found.damage(format);
    let refs = found.refs(format);
    let projection = Projection::of(&refs, &|_| None);
    // What is written over what was there is read back, without locks and what is broken.
    if projection::write(&disk, Path::new(""), &projection, false).is_ok() {
        let mut again = OnDisk::read(&disk, Path::new("")).ok()?;
        assert!(again.refs(format) == refs);
        assert!(
            again
                .seen()
                .is_mixture_of([&projection.seen(), &projection.seen()])
        );
    }
    projection::remove_locks(&disk, Path::new("")).ok()?;
    Some(ReadRefs {
        packed: projection.packed,
        head: projection.loose.get(b"HEAD".as_slice()).cloned(),
        broken: found.broken.len(),
        damage,
    })
}

/// Reads records of one kind, and gives their bytes written again.
///
/// # Errors
/// [`FormatError`], as when they are read or written.
pub fn records(kind: Records, bytes: Bytes, format: ObjectFormat) -> Result<Vec<u8>, FormatError> {
    format::alone::rewrite(kind, bytes, format)
}

/// The records of one kind that a repository has after these entries; of edits each alone.
///
/// # Errors
/// [`FormatError`].
pub fn seed_records(
    kind: Records,
    entries: &[Entry],
    format: ObjectFormat,
) -> Result<Vec<Vec<u8>>, FormatError> {
    if kind == Records::RealityEdit {
        let edits = entries.iter().flat_map(|entry| &entry.edits);
        let edits = edits.filter_map(|edit| match edit {
            EntryEdit::Reality(edit) => Some(format::alone::write_edit(edit, format)),
            _ => None,
        });
        return edits.collect();
    }
    let mut holdings = Holdings::default();
    entries.iter().for_each(|entry| holdings.apply(entry, 1));
    Ok(vec![format::alone::write(kind, &holdings, format)?])
}

/// Reads the file of a loose object; whether it is the object `id`.
///
/// # Panics
/// When it is neither packed nor said to be broken.
pub fn loose_object(file: &[u8], id: ObjectId) -> bool {
    let disk = SimDisk::new(0);
    let hex = id.to_string();
    let (folder, name) = hex.split_at(2);
    let folder = Path::new("objects").join(folder);
    let made = disk::create_dirs(&disk, &folder)
        .and_then(|()| disk::create_dirs(&disk, Path::new("objects/pack")))
        .and_then(|()| disk.open(&folder.join(name), Open::Replace))
        .and_then(|made| made.write_at(0, file));
    made.expect("a disk");
    let packed = loose::pack(&disk, Path::new(""), id.kind()).expect("a disk");
    assert_ne!(packed.packs.is_empty(), packed.broken.is_empty());
    !packed.packs.is_empty()
}
