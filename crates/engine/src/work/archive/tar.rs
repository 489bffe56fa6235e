//! Tar as `git archive` writes it: ustar, with pax headers for what does not fit there, and one in
//! front that names the commit.

use govc_git::ObjectId;
use govc_git::object::tree::{MODE_SUBMODULE, MODE_SYMLINK, MODE_TREE};

use super::{ArchiveEntry, digits};

const RECORD: usize = 512;
/// An archive is a multiple of so many bytes.
const BLOCK: usize = 20 * RECORD;
const NAME_MAX: usize = 100;
const PREFIX_MAX: usize = 155;
/// What eleven octal digits can say.
const NUMBER_MAX: u64 = 0o77_777_777_777;
/// Nobody else in the group may write (`tar.umask`).
const UMASK: u32 = 0o002;

pub(super) struct TarWriter {
    commit: ObjectId,
    /// Seconds since 1970.
    time: u64,
    written: usize,
}

/// One header, all but its checksum.
struct Header {
    bytes: [u8; RECORD],
}

impl Header {
    fn new(kind: u8, mode: u32, size: u64, time: u64) -> Header {
        let mut header = Header { bytes: [0; RECORD] };
        header.put(100, format!("{:07o}", mode & 0o7777).as_bytes());
        header.put(108, b"0000000");
        header.put(116, b"0000000");
        header.put(124, format!("{size:011o}").as_bytes());
        header.put(136, format!("{time:011o}").as_bytes());
        header.put(156, &[kind]);
        header.put(257, b"ustar\x0000");
        header.put(265, b"root");
        header.put(297, b"root");
        header.put(329, b"0000000");
        header.put(337, b"0000000");
        header
    }

    /// Whoever calls it knows that `text` fits.
    fn put(&mut self, at: usize, text: &[u8]) {
        for (place, byte) in self.bytes.iter_mut().skip(at).zip(text) {
            *place = *byte;
        }
    }

    fn finish(mut self) -> [u8; RECORD] {
        // The checksum counts as spaces while it is made.
        let sum: u32 = self.bytes.iter().map(|byte| u32::from(*byte)).sum();
        self.put(148, format!("{:07o}", sum + 8 * u32::from(b' ')).as_bytes());
        self.bytes
    }
}

impl TarWriter {
    pub(super) fn new(commit: ObjectId, time: u64) -> TarWriter {
        TarWriter {
            commit,
            time,
            written: 0,
        }
    }

    pub(super) fn begin(&mut self, out: &mut Vec<u8>) {
        let mut more = Vec::new();
        add_record(&mut more, "comment", self.commit.to_string().as_bytes());
        if self.time > NUMBER_MAX {
            add_record(&mut more, "mtime", self.time.to_string().as_bytes());
            self.time = NUMBER_MAX;
        }
        let mut header = Header::new(b'g', 0o666, more.len() as u64, self.time);
        header.put(0, b"pax_global_header");
        self.add(out, &header.finish());
        self.add(out, &more);
    }

    pub(super) fn write(&mut self, out: &mut Vec<u8>, entry: &ArchiveEntry<'_>) {
        let (kind, mode) = match entry.mode {
            MODE_TREE | MODE_SUBMODULE => (b'5', 0o777 & !UMASK),
            MODE_SYMLINK => (b'2', 0o777),
            mode if mode & 0o100 != 0 => (b'0', 0o777 & !UMASK),
            _ => (b'0', 0o666 & !UMASK),
        };
        let mut more = Vec::new();
        let content: &[u8] = if kind == b'0' { entry.content } else { b"" };
        let mut size = content.len() as u64;
        if size > NUMBER_MAX {
            add_record(&mut more, "size", size.to_string().as_bytes());
            size = 0;
        }
        let mut header = Header::new(kind, mode, size, self.time);
        let path = entry.path;
        if path.len() <= NAME_MAX {
            header.put(0, path);
        } else {
            match prefix(path) {
                Some((prefix, name)) => {
                    header.put(345, prefix);
                    header.put(0, name);
                }
                None => {
                    header.put(0, format!("{}.data", entry.id).as_bytes());
                    add_record(&mut more, "path", path);
                }
            }
        }
        if kind == b'2' {
            if entry.content.len() <= NAME_MAX {
                header.put(157, entry.content);
            } else {
                header.put(157, format!("see {}.paxheader", entry.id).as_bytes());
                add_record(&mut more, "linkpath", entry.content);
            }
        }
        if !more.is_empty() {
            let mut front = Header::new(b'x', 0o666, more.len() as u64, self.time);
            front.put(0, format!("{}.paxheader", entry.id).as_bytes());
            self.add(out, &front.finish());
            self.add(out, &more);
        }
        self.add(out, &header.finish());
        self.add(out, content);
    }

    pub(super) fn end(&mut self, out: &mut Vec<u8>) {
        let rest = BLOCK - self.written % BLOCK;
        let rest = if rest < 2 * RECORD {
            rest + BLOCK
        } else {
            rest
        };
        out.resize(out.len() + rest, 0);
    }

    /// Appends what then fills whole records.
    fn add(&mut self, out: &mut Vec<u8>, bytes: &[u8]) {
        out.extend_from_slice(bytes);
        let padding = bytes.len().next_multiple_of(RECORD) - bytes.len();
        out.resize(out.len() + padding, 0);
        self.written = (self.written + bytes.len() + padding) % BLOCK;
    }
}

/// A long path in two parts, as ustar has them; `None` where it does not fit.
fn prefix(path: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = path.len() - usize::from(path.ends_with(b"/"));
    let end = end.min(PREFIX_MAX);
    let at = path[..end].iter().rposition(|byte| *byte == b'/')?;
    let (prefix, name) = (&path[..at], &path[at + 1..]);
    (at > 0 && name.len() <= NAME_MAX).then_some((prefix, name))
}

/// Appends `<length> <keyword>=<value>`, whose length counts its own digits.
fn add_record(out: &mut Vec<u8>, keyword: &str, value: &[u8]) {
    let rest = 1 + keyword.len() + 1 + value.len() + 1;
    let mut length = rest + 1;
    while rest + digits(length).len() != length {
        length = rest + digits(length).len();
    }
    out.extend_from_slice(&digits(length));
    out.extend_from_slice(format!(" {keyword}=").as_bytes());
    out.extend_from_slice(value);
    out.push(b'\n');
}
