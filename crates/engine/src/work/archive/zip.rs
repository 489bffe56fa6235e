//! Zip (APPNOTE.TXT 6.3.10), with modes as Unix has them, and the commit as the comment.

use flate2::Compression;
use flate2::write::DeflateEncoder;
use govc_git::ObjectId;
use govc_git::object::tree::{MODE_SUBMODULE, MODE_SYMLINK, MODE_TREE};
use std::io::Write as _;

use super::{ArchiveEntry, LEVEL};

const LOCAL: u32 = 0x0403_4b50;
const CENTRAL: u32 = 0x0201_4b50;
const END: u32 = 0x0605_4b50;
const END_64: u32 = 0x0606_4b50;
const END_64_LOCATOR: u32 = 0x0706_4b50;
/// Names are UTF-8.
const FLAG_UTF8: u16 = 1 << 11;
const VERSION: u16 = 20;
const VERSION_64: u16 = 45;
/// Made under Unix.
const MADE_BY: u16 = 0x0300 | VERSION_64;
const DEFLATED: u16 = 8;

pub(super) struct ZipWriter {
    commit: ObjectId,
    time: u64,
    written: u64,
    entries: u64,
    /// The directory at the end.
    directory: Vec<u8>,
}

impl ZipWriter {
    pub(super) fn new(commit: ObjectId, time: u64) -> ZipWriter {
        ZipWriter {
            commit,
            time,
            written: 0,
            entries: 0,
            directory: Vec::new(),
        }
    }

    pub(super) fn write(&mut self, out: &mut Vec<u8>, entry: &ArchiveEntry<'_>) {
        // Names are as long as paths, which trees may have longer than zip can.
        let path = &entry.path[..entry.path.len().min(usize::from(u16::MAX))];
        let is_folder = matches!(entry.mode, MODE_TREE | MODE_SUBMODULE);
        let mode: u32 = match entry.mode {
            MODE_TREE | MODE_SUBMODULE => 0o040_755,
            MODE_SYMLINK => 0o120_777,
            mode => 0o100_000 | if mode & 0o100 != 0 { 0o755 } else { 0o644 },
        };
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::new(LEVEL));
        // Writing into a Vec cannot fail.
        let _ = encoder.write_all(entry.content);
        let deflated = encoder.finish().unwrap_or_default();
        let is_smaller = deflated.len() < entry.content.len() && entry.mode != MODE_SYMLINK;
        let (method, data) = match is_smaller {
            true => (DEFLATED, &deflated[..]),
            false => (0, entry.content),
        };
        let flags = match path.is_ascii() || std::str::from_utf8(path).is_err() {
            true => 0,
            false => FLAG_UTF8,
        };
        let (date, time) = dos_time(self.time);
        // The time of its change, in seconds since 1970.
        let mut stamp = 0x5455u16.to_le_bytes().to_vec();
        stamp.extend_from_slice(&5u16.to_le_bytes());
        stamp.push(1);
        let seconds = u32::try_from(self.time).unwrap_or(u32::MAX);
        stamp.extend_from_slice(&seconds.to_le_bytes());
        let mut shared = Vec::new();
        for number in [flags, method, time, date] {
            shared.extend_from_slice(&number.to_le_bytes());
        }
        // An object has less than 4 GiB.
        let short = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        let sum = crc32fast::hash(entry.content);
        for number in [sum, short(data.len()), short(entry.content.len())] {
            shared.extend_from_slice(&number.to_le_bytes());
        }
        shared.extend_from_slice(&(path.len() as u16).to_le_bytes());

        let before = out.len();
        out.extend_from_slice(&LOCAL.to_le_bytes());
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&shared);
        out.extend_from_slice(&(stamp.len() as u16).to_le_bytes());
        out.extend_from_slice(path);
        out.extend_from_slice(&stamp);
        out.extend_from_slice(data);

        let is_far = self.written >= u64::from(u32::MAX);
        let mut extra = stamp;
        if is_far {
            extra.extend_from_slice(&1u16.to_le_bytes());
            extra.extend_from_slice(&8u16.to_le_bytes());
            extra.extend_from_slice(&self.written.to_le_bytes());
        }
        let directory = &mut self.directory;
        directory.extend_from_slice(&CENTRAL.to_le_bytes());
        directory.extend_from_slice(&MADE_BY.to_le_bytes());
        let version = if is_far { VERSION_64 } else { VERSION };
        directory.extend_from_slice(&version.to_le_bytes());
        directory.extend_from_slice(&shared);
        directory.extend_from_slice(&(extra.len() as u16).to_le_bytes());
        // No comment, the first disk, and nothing is said about being text.
        directory.extend_from_slice(&[0; 6]);
        // The lower half is of DOS: a folder has one bit there.
        let attributes = mode << 16 | if is_folder { 0x10 } else { 0 };
        directory.extend_from_slice(&attributes.to_le_bytes());
        let offset = u32::try_from(self.written).unwrap_or(u32::MAX);
        directory.extend_from_slice(&offset.to_le_bytes());
        directory.extend_from_slice(path);
        directory.extend_from_slice(&extra);
        self.entries += 1;
        self.written += (out.len() - before) as u64;
    }

    pub(super) fn end(&mut self, out: &mut Vec<u8>) {
        let size = self.directory.len() as u64;
        out.append(&mut self.directory);
        let fits = self.entries < u64::from(u16::MAX)
            && self.written < u64::from(u32::MAX)
            && size < u64::from(u32::MAX);
        if !fits {
            out.extend_from_slice(&END_64.to_le_bytes());
            out.extend_from_slice(&44u64.to_le_bytes());
            out.extend_from_slice(&MADE_BY.to_le_bytes());
            out.extend_from_slice(&VERSION_64.to_le_bytes());
            out.extend_from_slice(&[0; 8]);
            for number in [self.entries, self.entries, size, self.written] {
                out.extend_from_slice(&number.to_le_bytes());
            }
            out.extend_from_slice(&END_64_LOCATOR.to_le_bytes());
            out.extend_from_slice(&[0; 4]);
            out.extend_from_slice(&(self.written + size).to_le_bytes());
            out.extend_from_slice(&1u32.to_le_bytes());
        }
        out.extend_from_slice(&END.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        let count = u16::try_from(self.entries).unwrap_or(u16::MAX);
        out.extend_from_slice(&count.to_le_bytes());
        out.extend_from_slice(&count.to_le_bytes());
        for number in [size, self.written] {
            let number = u32::try_from(number).unwrap_or(u32::MAX);
            out.extend_from_slice(&number.to_le_bytes());
        }
        let comment = self.commit.to_string();
        out.extend_from_slice(&(comment.len() as u16).to_le_bytes());
        out.extend_from_slice(comment.as_bytes());
    }
}

/// A moment, in UTC, as DOS has it: a date and a time to two seconds.
fn dos_time(seconds: u64) -> (u16, u16) {
    let moment = i64::try_from(seconds).ok();
    let moment = moment.and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    let moment = moment.map(|moment| moment.to_zoned(jiff::tz::TimeZone::UTC));
    match moment {
        Some(moment) if (1980..2108).contains(&moment.year()) => {
            let (year, month, day) = (moment.year() - 1980, moment.month(), moment.day());
            let date = (year as u16) << 9 | (month as u16) << 5 | day as u16;
            let (hour, minute, second) = (moment.hour(), moment.minute(), moment.second());
            let time = (hour as u16) << 11 | (minute as u16) << 5 | (second as u16 / 2);
            (date, time)
        }
        // The first of January 1980.
        _ => ((1 << 5) | 1, 0),
    }
}
