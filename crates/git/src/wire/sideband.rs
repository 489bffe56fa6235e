//! One stream for three: pack data, progress for a person, and the error that ends it all
//! (gitprotocol-pack(5), "Packfile Data").

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use super::upload::Carrier;
use crate::pktline::{self, DATA_BYTES_MAX, Line, PREFIX_BYTES};

/// The most that one side-band line carries: the band's number takes one byte.
pub const PAYLOAD_BYTES_MAX: usize = DATA_BYTES_MAX - 1;

/// The same for lines of at most 1,000 bytes.
const SMALL_PAYLOAD_BYTES_MAX: usize = 1_000 - PREFIX_BYTES - 1;

/// What a byte belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Band {
    /// The pack, or the report of a push.
    Data = 1,
    /// Text that the client shows to its user behind `remote: `.
    Progress = 2,
    /// The reason why the conversation ends here.
    Error = 3,
}

/// The prefix and band number of a line that carries `payload_bytes`.
fn header(band: Band, payload_bytes: usize) -> [u8; PREFIX_BYTES + 1] {
    let [a, b, c, d] = pktline::prefix(payload_bytes + 1);
    [a, b, c, d, band as u8]
}

/// What stands before the longest payload of the data band.
const FULL_LINE_HEADER: &[u8] = b"fff0\x01";

/// Appends `payload` in as many lines as it needs.
pub fn write(out: &mut Vec<u8>, band: Band, payload: &[u8]) {
    for part in payload.chunks(PAYLOAD_BYTES_MAX) {
        out.extend_from_slice(&header(band, part.len()));
        out.extend_from_slice(part);
    }
}

/// An empty line on the data band: it means nothing, and shows that somebody is still there.
pub const KEEP_ALIVE: &[u8] = b"0005\x01";

/// Puts whole lines into the data band, for a client that wants all of the answer in side-band
/// lines (`sideband-all`). Flushes and delimiters stay as they are; what is no line, or too long
/// for one with a band, too.
pub fn into_data_band(lines: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(lines.len() + lines.len() / 8);
    let mut rest = lines;
    while let Ok(pktline::Decoded::Complete {
        line,
        bytes_consumed,
    }) = pktline::decode(rest)
    {
        let Some((whole, behind)) = rest.split_at_checked(bytes_consumed) else {
            break;
        };
        match line {
            Line::Data(data) if data.len() <= PAYLOAD_BYTES_MAX => {
                out.extend_from_slice(&header(Band::Data, data.len()));
                out.extend_from_slice(data);
            }
            _ => out.extend_from_slice(whole),
        }
        rest = behind;
    }
    out.extend_from_slice(rest);
    out
}

/// Below this many bytes copying a payload into a line is cheaper than sending it beside one.
const COPY_BYTES_MAX: usize = 16 << 10;

/// Puts a pack that comes in pieces of any size into lines of the data band.
///
/// Small pieces are gathered until a line is full; large ones are passed on as they are, without a
/// copy, behind a header of their own. For a client without side-band the pack is passed on bare.
#[derive(Debug)]
pub struct Framer {
    /// The longest payload of a line.
    payload_bytes_max: usize,
    /// What stands before a payload: nothing where there are no lines.
    header_bytes: usize,
    /// Lines that are copied together, the last of which may be open.
    gathered: BytesMut,
    /// Where the open line begins.
    open_from: Option<usize>,
    ready: VecDeque<Bytes>,
}

impl Framer {
    /// Begins a pack in what the client understands.
    pub fn new(carrier: Carrier) -> Framer {
        let header_bytes = PREFIX_BYTES + 1;
        let (header_bytes, payload_bytes_max) = match carrier {
            Carrier::Raw => (0, PAYLOAD_BYTES_MAX),
            Carrier::SmallLines => (header_bytes, SMALL_PAYLOAD_BYTES_MAX),
            Carrier::Lines => (header_bytes, PAYLOAD_BYTES_MAX),
        };
        Framer {
            payload_bytes_max,
            header_bytes,
            gathered: BytesMut::new(),
            open_from: None,
            ready: VecDeque::new(),
        }
    }

    /// Whether there are lines: without them there is no place for progress and errors.
    pub fn has_lines(&self) -> bool {
        self.header_bytes > 0
    }

    /// Takes a piece of the pack.
    pub fn push(&mut self, mut piece: Bytes) {
        // Between short lines headers take more time than copies.
        if piece.len() < COPY_BYTES_MAX || self.payload_bytes_max < COPY_BYTES_MAX {
            return self.gather(&piece);
        }
        self.end_line();
        self.pass_gathered();
        if !self.has_lines() {
            self.ready.push_back(piece);
            return;
        }
        while !piece.is_empty() {
            let now = piece.split_to(piece.len().min(self.payload_bytes_max));
            self.ready.push_back(match now.len() {
                PAYLOAD_BYTES_MAX => Bytes::from_static(FULL_LINE_HEADER),
                len => Bytes::copy_from_slice(&header(Band::Data, len)),
            });
            self.ready.push_back(now);
        }
    }

    fn gather(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let from = match self.open_from {
                Some(from) => from,
                None => {
                    let from = self.gathered.len();
                    self.gathered.resize(from + self.header_bytes, 0);
                    *self.open_from.insert(from)
                }
            };
            let filled = self.gathered.len() - from - self.header_bytes;
            let (now, rest) = bytes.split_at(bytes.len().min(self.payload_bytes_max - filled));
            self.gathered.extend_from_slice(now);
            bytes = rest;
            if filled + now.len() == self.payload_bytes_max {
                self.end_line();
            }
        }
    }

    /// No more pieces for now: what was gathered is passed on.
    pub fn end(&mut self) {
        self.end_line();
        self.pass_gathered();
    }

    fn end_line(&mut self) {
        let Some(from) = self.open_from.take() else {
            return;
        };
        let payload_bytes = self.gathered.len() - from - self.header_bytes;
        if self.has_lines() {
            let header = header(Band::Data, payload_bytes);
            self.gathered[from..from + self.header_bytes].copy_from_slice(&header);
        }
        if self.gathered.len() >= PAYLOAD_BYTES_MAX {
            self.pass_gathered();
        }
    }

    fn pass_gathered(&mut self) {
        if !self.gathered.is_empty() {
            self.ready.push_back(self.gathered.split().freeze());
        }
    }

    /// Puts whole lines between those of the pack: progress, or the end. Without lines they are
    /// left out.
    pub fn push_line(&mut self, lines: Bytes) {
        self.end();
        if self.has_lines() {
            self.ready.push_back(lines);
        }
    }

    /// What can be sent.
    pub fn pop(&mut self) -> Option<Bytes> {
        self.ready.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::pktline::Lines;

    /// The payload of each band, put together again.
    fn unframe(bytes: &[u8]) -> [Vec<u8>; 3] {
        let (mut lines, mut bands, mut input) =
            (Lines::default(), [const { Vec::new() }; 3], bytes);
        while let Some(line) = lines.next(&mut input).unwrap() {
            let Line::Data([band, payload @ ..]) = line else {
                panic!("{line:?}")
            };
            bands[usize::from(*band) - 1].extend_from_slice(payload);
        }
        assert!(lines.is_at_boundary());
        bands
    }

    #[test]
    fn the_longest_line_is_what_it_says() {
        assert_eq!(FULL_LINE_HEADER, header(Band::Data, PAYLOAD_BYTES_MAX));
    }

    #[test]
    fn long_text_takes_several_lines() {
        let text = vec![b'x'; 200_000];
        let mut out = Vec::new();
        write(&mut out, Band::Progress, &text);
        assert_eq!(unframe(&out), [Vec::new(), text, Vec::new()]);
    }

    #[test]
    fn all_of_an_answer_goes_into_the_band() {
        let mut lines = Vec::new();
        pktline::write(&mut lines, &[b"acknowledgments\n"]);
        lines.extend_from_slice(pktline::DELIMITER);
        pktline::write(&mut lines, &[b"packfile\n"]);
        lines.extend_from_slice(pktline::FLUSH);
        assert_eq!(
            into_data_band(&lines).escape_ascii().to_string(),
            "0015\\x01acknowledgments\\n0001000e\\x01packfile\\n0000"
        );
        assert_eq!(into_data_band(b"zzz"), b"zzz");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn every_byte_of_the_pack_arrives_once(sizes in prop::collection::vec(0usize..150_000, 0..12), carrier in 0usize..3) {
            let carrier = [Carrier::SmallLines, Carrier::Lines, Carrier::Raw][carrier];
            let (mut framer, mut pack, mut sent) = (Framer::new(carrier), Vec::new(), Vec::new());
            for (n, size) in sizes.into_iter().enumerate() {
                let size = if n % 2 == 0 { size / 100 } else { size };
                let piece = vec![n as u8; size];
                pack.extend_from_slice(&piece);
                framer.push(piece.into());
                while let Some(out) = framer.pop() { sent.extend_from_slice(&out); }
            }
            framer.end();
            while let Some(out) = framer.pop() { sent.extend_from_slice(&out); }
            match carrier {
                Carrier::Raw => prop_assert_eq!(&sent, &pack),
                _ => prop_assert_eq!(&unframe(&sent)[0], &pack),
            }
        }
    }
}
