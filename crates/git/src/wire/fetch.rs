//! `fetch` of protocol version 2: what a client wants, what it has, and what it is told
//! (gitprotocol-v2(5), "fetch").

use super::command::shortened;
use super::depth::Depth;
use super::filter::FilterSpec;
use super::offers::Offers;
use super::{ProtocolError, parse_id, push_hex};
use crate::{ObjectFormat, ObjectId, oid, pktline};

/// What a client wants and has.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FetchRequest {
    /// Objects to be sent, with all that they reach. Clients name one twice.
    pub wants: Vec<ObjectId>,
    /// Objects that the client says it has, with all that they reach.
    pub haves: Vec<ObjectId>,
    /// The client has said all that it will say: a pack is to follow.
    pub done: bool,
    /// Deltas may start from objects that the client has.
    pub thin_pack: bool,
    /// No progress is to be shown.
    pub no_progress: bool,
    /// Annotated tags are to come along with what they name.
    pub include_tag: bool,
    /// Deltas may name their base by its distance.
    pub ofs_delta: bool,
    /// No pack before `done`, however much is known.
    pub wait_for_done: bool,
    /// Where its history is cut, and where it is to be.
    pub depth: Depth,
    /// Which objects it does without for now.
    pub filter: Option<FilterSpec>,
    /// Refs whose targets it wants, by their full names; `git fetch-pack` puts ids there too.
    pub wanted_refs: Vec<Vec<u8>>,
    /// The answer is to be in side-band lines from its first line on.
    pub sideband_all: bool,
}

/// The most objects that one request may want or have.
pub const OBJECTS_MAX: usize = 1_000_000;
/// The most refs that one request may want by name.
const WANTED_REFS_MAX: usize = 100_000;

impl FetchRequest {
    pub(super) fn argument(
        &mut self,
        text: &[u8],
        format: ObjectFormat,
        offers: &Offers,
    ) -> Result<(), ProtocolError> {
        if let Some(hex) = text.strip_prefix(b"have ") {
            return push_id(&mut self.haves, hex, format, "haves");
        }
        if let Some(hex) = text.strip_prefix(b"want ") {
            return push_id(&mut self.wants, hex, format, "wants");
        }
        if self.depth.line(text, format)? {
            return Ok(());
        }
        if let Some(spec) = text.strip_prefix(b"filter ").filter(|_| offers.filter) {
            return self.set_filter(spec);
        }
        if let Some(name) = text.strip_prefix(b"want-ref ")
            && offers.ref_in_want
        {
            if self.wanted_refs.len() == WANTED_REFS_MAX {
                return Err(ProtocolError::TooMany {
                    what: "wanted refs",
                    max: WANTED_REFS_MAX,
                });
            }
            self.wanted_refs.push(name.to_vec());
            return Ok(());
        }
        match text {
            b"sideband-all" if offers.sideband_all => self.sideband_all = true,
            b"done" => self.done = true,
            b"thin-pack" => self.thin_pack = true,
            b"no-progress" => self.no_progress = true,
            b"include-tag" => self.include_tag = true,
            b"ofs-delta" => self.ofs_delta = true,
            b"wait-for-done" => self.wait_for_done = true,
            b"deepen-relative" => self.depth.relative = true,
            _ => return Err(ProtocolError::UnexpectedLine(shortened(text))),
        }
        Ok(())
    }

    pub(super) fn set_filter(&mut self, spec: &[u8]) -> Result<(), ProtocolError> {
        if self.filter.is_some() {
            return Err(ProtocolError::SecondFilter);
        }
        self.filter = Some(FilterSpec::parse(spec)?);
        Ok(())
    }

    /// Gives back the memory that its lists grew ahead of what came: many clients at once each hold
    /// one until their packs are counted.
    pub(super) fn shrink_to_fit(&mut self) {
        self.wants.shrink_to_fit();
        self.haves.shrink_to_fit();
    }

    /// Whether it names anything that it wants.
    pub fn wants_something(&self) -> bool {
        !self.wants.is_empty() || !self.wanted_refs.is_empty()
    }
}

/// Writes the section that says what wanted refs name, and the delimiter behind it; nothing where
/// there are none.
pub fn write_wanted_refs(out: &mut Vec<u8>, refs: &[(ObjectId, Vec<u8>)]) {
    if refs.is_empty() {
        return;
    }
    pktline::write(out, &[b"wanted-refs\n"]);
    for (id, name) in refs {
        let mut line = Vec::with_capacity(id.kind().len_in_hex() + name.len() + 2);
        push_hex(&mut line, id);
        line.push(b' ');
        line.extend_from_slice(name);
        line.push(b'\n');
        pktline::write(out, &[&line]);
    }
    out.extend_from_slice(pktline::DELIMITER);
}

pub(super) fn push_id(
    ids: &mut Vec<ObjectId>,
    hex: &[u8],
    format: ObjectFormat,
    what: &'static str,
) -> Result<(), ProtocolError> {
    let id = parse_id(hex, format)?;
    if ids.len() == OBJECTS_MAX {
        return Err(ProtocolError::TooMany {
            what,
            max: OBJECTS_MAX,
        });
    }
    ids.push(id);
    Ok(())
}

/// What follows a client's haves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// The client names more of what it has, in a request of its own.
    MoreHaves,
    /// The pack.
    Pack,
}

/// Writes the acknowledgments section: `common` are the haves that the server has too, each once;
/// `ready` says that a good pack can be made from them. Where no pack follows, the answer ends
/// here; else the packfile section is next.
pub fn write_acknowledgments(
    out: &mut Vec<u8>,
    common: impl IntoIterator<Item = ObjectId>,
    ready: bool,
) -> Next {
    pktline::write(out, &[b"acknowledgments\n"]);
    let mut any = false;
    for id in common {
        any = true;
        write_ack(out, &id);
    }
    if !any {
        pktline::write(out, &[b"NAK\n"]);
    }
    if ready {
        pktline::write(out, &[b"ready\n"]);
        out.extend_from_slice(pktline::DELIMITER);
        Next::Pack
    } else {
        out.extend_from_slice(pktline::FLUSH);
        Next::MoreHaves
    }
}

/// Begins the section about shallow commits; their lines follow, and [`end_section`].
pub fn begin_shallow_info(out: &mut Vec<u8>) {
    pktline::write(out, &[b"shallow-info\n"]);
}

/// Ends a section that another one follows.
pub fn end_section(out: &mut Vec<u8>) {
    out.extend_from_slice(pktline::DELIMITER);
}

/// Begins the packfile section; side-band frames and a flush follow.
pub fn write_packfile_header(out: &mut Vec<u8>) {
    pktline::write(out, &[b"packfile\n"]);
}

fn write_ack(out: &mut Vec<u8>, id: &oid) {
    out.extend_from_slice(&pktline::prefix(id.kind().len_in_hex() + 5));
    out.extend_from_slice(b"ACK ");
    push_hex(out, id);
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_come_in_any_order_and_twice() {
        let hex = "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391";
        let mut request = FetchRequest::default();
        for line in [
            "done".to_owned(),
            format!("want {hex}"),
            "ofs-delta".to_owned(),
            format!("have {hex}"),
            format!("want {hex}"),
        ] {
            request
                .argument(line.as_bytes(), ObjectFormat::Sha1, &Offers::default())
                .unwrap();
        }
        assert_eq!((request.wants.len(), request.haves.len()), (2, 1));
        assert!(request.done && request.ofs_delta && !request.thin_pack);
    }

    #[test]
    fn what_is_not_offered_is_no_argument() {
        let line = |text: &str, offers: &Offers| {
            FetchRequest::default().argument(text.as_bytes(), ObjectFormat::Sha1, offers)
        };
        let nothing = Offers {
            filter: false,
            ref_in_want: false,
            sideband_all: false,
            ..Offers::default()
        };
        for text in [
            "filter blob:none",
            "want-ref refs/heads/main",
            "sideband-all",
        ] {
            assert_eq!(line(text, &Offers::default()), Ok(()));
            let error = line(text, &nothing).unwrap_err().to_string();
            assert_eq!(error, format!("unexpected line: '{text}'"));
        }
        let error = line("filter blob:nothing", &Offers::default()).unwrap_err();
        assert_eq!(error.to_string(), "invalid filter-spec 'blob:nothing'");
    }

    #[test]
    fn wanted_refs_are_said_before_the_pack() {
        let id = ObjectFormat::Sha1.empty_tree();
        let mut out = Vec::new();
        write_wanted_refs(&mut out, &[]);
        assert!(out.is_empty());
        write_wanted_refs(&mut out, &[(id, b"refs/heads/a".to_vec())]);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            format!("0010wanted-refs\n003a{id} refs/heads/a\n0001")
        );
    }

    #[test]
    fn nothing_in_common_is_a_nak_and_more_is_asked() {
        let mut out = Vec::new();
        assert_eq!(write_acknowledgments(&mut out, [], false), Next::MoreHaves);
        assert_eq!(out, b"0014acknowledgments\n0008NAK\n0000");
    }

    #[test]
    fn ready_is_followed_by_the_pack() {
        let id = ObjectFormat::Sha1.empty_blob();
        let mut out = Vec::new();
        assert_eq!(write_acknowledgments(&mut out, [id], true), Next::Pack);
        write_packfile_header(&mut out);
        assert_eq!(
            String::from_utf8_lossy(&out),
            format!("0014acknowledgments\n0031ACK {id}\n000aready\n0001000dpackfile\n")
        );
    }
}
