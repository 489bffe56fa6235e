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
    /// The longest payload of a line; 0 where there are no lines.
    payload_bytes_max: usize,
    gathered: BytesMut,
    ready: VecDeque<Bytes>,
}

impl Framer {
    /// Begins a pack in what the client understands.
    pub fn new(carrier: Carrier) -> Framer {
        Framer {
            payload_bytes_max: match carrier {
                Carrier::Raw => 0,
                Carrier::SmallLines => SMALL_PAYLOAD_BYTES_MAX,
                Carrier::Lines => PAYLOAD_BYTES_MAX,
            },
            gathered: BytesMut::new(),
            ready: VecDeque::new(),
        }
    }

    /// Whether there are lines: without them there is no place for progress and errors.
    pub fn has_lines(&self) -> bool {
        self.payload_bytes_max > 0
    }

    /// Takes a piece of the pack.
    pub fn push(&mut self, mut piece: Bytes) {
        if !self.has_lines() {
            self.ready.push_back(piece);
            return;
        }
        let line_bytes_max = self.payload_bytes_max + PREFIX_BYTES + 1;
        if piece.len() < COPY_BYTES_MAX {
            while !piece.is_empty() {
                let room = line_bytes_max - self.start_line();
                let now = piece.split_to(piece.len().min(room));
                self.gathered.extend_from_slice(&now);
                if self.gathered.len() == line_bytes_max {
                    self.end_line();
                }
            }
            return;
        }
        self.end_line();
        while !piece.is_empty() {
            let now = piece.split_to(piece.len().min(self.payload_bytes_max));
            self.ready
                .push_back(Bytes::copy_from_slice(&header(Band::Data, now.len())));
            self.ready.push_back(now);
        }
    }

    /// No more pieces for now: what was gathered is passed on.
    pub fn end_line(&mut self) {
        if self.gathered.is_empty() {
            return;
        }
        let payload_bytes = self.gathered.len() - PREFIX_BYTES - 1;
        self.gathered[..PREFIX_BYTES + 1].copy_from_slice(&header(Band::Data, payload_bytes));
        self.ready.push_back(self.gathered.split().freeze());
    }

    /// Puts whole lines between those of the pack: progress, or the end. Without lines they are
    /// left out.
    pub fn push_line(&mut self, lines: Bytes) {
        self.end_line();
        if self.has_lines() {
            self.ready.push_back(lines);
        }
    }

    /// What can be sent.
    pub fn pop(&mut self) -> Option<Bytes> {
        self.ready.pop_front()
    }

    /// Makes room for a header where a line begins; the length of the line so far.
    fn start_line(&mut self) -> usize {
        if self.gathered.is_empty() {
            self.gathered
                .reserve(self.payload_bytes_max + PREFIX_BYTES + 1);
            self.gathered.extend_from_slice(&[0; PREFIX_BYTES + 1]);
        }
        self.gathered.len()
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
        fn every_byte_of_the_pack_arrives_once(sizes in prop::collection::vec(0usize..150_000, 0..12), small: bool) {
            let carrier = if small { Carrier::SmallLines } else { Carrier::Lines };
            let (mut framer, mut pack, mut sent) = (Framer::new(carrier), Vec::new(), Vec::new());
            for (n, size) in sizes.into_iter().enumerate() {
                let size = if n % 2 == 0 { size / 100 } else { size };
                let piece = vec![n as u8; size];
                pack.extend_from_slice(&piece);
                framer.push(piece.into());
                while let Some(out) = framer.pop() { sent.extend_from_slice(&out); }
            }
            framer.end_line();
            while let Some(out) = framer.pop() { sent.extend_from_slice(&out); }
            prop_assert_eq!(&unframe(&sent)[0], &pack);
        }
    }
}
