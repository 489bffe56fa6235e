//! Fetching in versions 0 and 1: wants behind the advertised refs, haves in rounds, and a pack
//! (gitprotocol-pack(5), "Packfile Negotiation").

use super::capabilities::Capabilities;
use super::command::{check_format, shortened};
use super::fetch::{FetchRequest, push_id};
use super::offers::Offers;
use super::{ProtocolError, parse_id, push_hex};
use crate::pktline::{self, Line, Lines};
use crate::{ObjectFormat, ObjectId, oid};

/// What upload-pack can do in these versions, as it stands behind the first ref; `head` is the
/// branch that HEAD names, where there is one.
pub fn capabilities(format: ObjectFormat, head: Option<&[u8]>, offers: &Offers) -> Vec<u8> {
    let mut list = b"multi_ack multi_ack_detailed no-done thin-pack side-band side-band-64k \
        ofs-delta no-progress include-tag shallow deepen-since deepen-not deepen-relative"
        .to_vec();
    if offers.tip_wants {
        list.extend_from_slice(b" allow-tip-sha1-in-want");
    }
    if offers.reachable_wants {
        list.extend_from_slice(b" allow-reachable-sha1-in-want");
    }
    if let Some(branch) = head {
        list.extend_from_slice(b" symref=HEAD:");
        list.extend_from_slice(branch);
    }
    if offers.filter {
        list.extend_from_slice(b" filter");
    }
    if let Some(id) = &offers.session_id {
        list.extend_from_slice(b" session-id=");
        list.extend_from_slice(id.as_bytes());
    }
    list.extend_from_slice(b" object-format=");
    list.extend_from_slice(super::advertise::format_name(format).as_bytes());
    list.extend_from_slice(b" agent=");
    list.extend_from_slice(super::advertise::AGENT.as_bytes());
    list
}

/// How much a client wants to hear about its haves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Acks {
    /// The first one that both sides have.
    #[default]
    First,
    /// Each one, until enough is known (`multi_ack`).
    Multi,
    /// Each one, and when a good pack can be made (`multi_ack_detailed`).
    Detailed,
}

/// What carries the pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Carrier {
    /// Nothing: the pack follows bare, and there is no progress.
    #[default]
    Raw,
    /// Lines of at most 1,000 bytes (`side-band`).
    SmallLines,
    /// Lines of at most 65,520 bytes (`side-band-64k`).
    Lines,
}

/// What a client wants, and how it is to be answered. Its haves come afterwards.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WantRequest {
    /// What it wants; `haves` and `done` are empty.
    pub fetch: FetchRequest,
    /// How much it wants to hear about its haves.
    pub acks: Acks,
    /// What carries the pack.
    pub carrier: Carrier,
    /// The pack may follow as soon as the server is ready, without `done`.
    pub no_done: bool,
    /// What the client calls itself.
    pub agent: Option<Vec<u8>>,
    /// What the client wants logged beside the request.
    pub session_id: Option<Vec<u8>>,
    /// It asked for filters to be understood.
    filter_asked: bool,
}

/// What a client says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// All that it wants.
    Wants(Box<WantRequest>),
    /// Something that it has.
    Have(ObjectId),
    /// The end of a round of haves.
    Flush,
    /// It has said all that it will say.
    Done,
}

/// Reads what a client says, from bytes that arrive in pieces.
#[derive(Debug)]
pub struct UploadDecoder {
    lines: Lines,
    format: ObjectFormat,
    wants: Option<Box<WantRequest>>,
    any_want: bool,
    offers: Offers,
}

impl UploadDecoder {
    /// Waits for a client of a repository of `format`.
    pub fn new(format: ObjectFormat) -> UploadDecoder {
        UploadDecoder {
            lines: Lines::default(),
            format,
            wants: Some(Box::default()),
            any_want: false,
            offers: Offers::default(),
        }
    }

    /// Refuses what is not among `offers`.
    pub fn offering(self, offers: Offers) -> UploadDecoder {
        UploadDecoder { offers, ..self }
    }

    /// The next thing said in what came before and `input`, which is shortened by what was taken;
    /// `None` when more must arrive.
    ///
    /// # Errors
    /// [`ProtocolError`]: what was read has no place in this conversation.
    pub fn next(&mut self, input: &mut &[u8]) -> Result<Option<Said>, ProtocolError> {
        while let Some(line) = self.lines.next(input)? {
            let text = match line {
                Line::Data(_) => line.text().unwrap_or_default(),
                Line::Flush => {
                    return Ok(Some(match self.wants.take() {
                        Some(mut wants) => {
                            wants.fetch.shrink_to_fit();
                            Said::Wants(wants)
                        }
                        None => Said::Flush,
                    }));
                }
                Line::Delimiter => return Err(ProtocolError::UnexpectedMark("delimiter")),
                Line::ResponseEnd => return Err(ProtocolError::UnexpectedMark("response end")),
            };
            match &mut self.wants {
                Some(wants) => {
                    self.any_want = true;
                    want(wants, text, self.format, &self.offers)?;
                }
                None if text == b"done" => return Ok(Some(Said::Done)),
                None => match text.strip_prefix(b"have ") {
                    Some(hex) => return Ok(Some(Said::Have(parse_id(hex, self.format)?))),
                    None => return Err(ProtocolError::UnexpectedLine(shortened(text))),
                },
            }
        }
        Ok(None)
    }

    /// Whether the client may hang up here: between lines, and not in the middle of its wants.
    pub fn is_at_boundary(&self) -> bool {
        self.lines.is_at_boundary() && (self.wants.is_none() || !self.any_want)
    }
}

fn want(
    wants: &mut WantRequest,
    text: &[u8],
    format: ObjectFormat,
    offers: &Offers,
) -> Result<(), ProtocolError> {
    let unexpected = || ProtocolError::UnexpectedLine(shortened(text));
    if wants.fetch.depth.line(text, format)? {
        return Ok(());
    }
    if let Some(spec) = text.strip_prefix(b"filter ") {
        if !wants.filter_asked {
            return Err(ProtocolError::FilterNotAsked);
        }
        return wants.fetch.set_filter(spec);
    }
    let rest = text.strip_prefix(b"want ").ok_or_else(unexpected)?;
    let hex = &rest[..rest.len().min(format.len_in_hex())];
    let first = wants.fetch.wants.is_empty();
    push_id(&mut wants.fetch.wants, hex, format, "wants")?;
    if !first {
        return Ok(());
    }
    let list = Capabilities::new(&rest[hex.len()..]);
    // git names its hash in pushes and in version 2 alone: here its ids are what says it.
    if let Some(client) = list.value(b"object-format") {
        check_format(client, format)?;
    }
    wants.acks = if list.has(b"multi_ack_detailed") {
        Acks::Detailed
    } else if list.has(b"multi_ack") {
        Acks::Multi
    } else {
        Acks::First
    };
    wants.carrier = if list.has(b"side-band-64k") {
        Carrier::Lines
    } else if list.has(b"side-band") {
        Carrier::SmallLines
    } else {
        Carrier::Raw
    };
    wants.no_done = list.has(b"no-done");
    wants.agent = list.value(b"agent").map(shortened);
    wants.session_id = list.value(b"session-id").map(shortened);
    wants.filter_asked = offers.filter && list.has(b"filter");
    wants.fetch.thin_pack = list.has(b"thin-pack");
    wants.fetch.ofs_delta = list.has(b"ofs-delta");
    wants.fetch.no_progress = list.has(b"no-progress");
    wants.fetch.include_tag = list.has(b"include-tag");
    wants.fetch.depth.relative = list.has(b"deepen-relative");
    Ok(())
}

/// Answers haves, one by one, as the client wants to hear of them.
#[derive(Debug)]
pub struct Negotiator {
    acks: Acks,
    no_done: bool,
    /// The last have that both sides have.
    last: Option<ObjectId>,
    said_ready: bool,
    /// Of the haves of this round: whether both sides have one, and whether the client alone has.
    round: (bool, bool),
}

impl Negotiator {
    /// Begins for a client that asked for `request`.
    pub fn new(request: &WantRequest) -> Negotiator {
        Negotiator {
            acks: request.acks,
            no_done: request.no_done,
            last: None,
            said_ready: false,
            round: (false, false),
        }
    }

    /// The client has `id`; `common` says whether the server has it too. `ready` tells whether
    /// what is known is enough for a good pack, and is asked only where that matters.
    ///
    /// # Errors
    /// What `ready` met.
    pub fn have<E>(
        &mut self,
        out: &mut Vec<u8>,
        id: &oid,
        common: bool,
        ready: impl FnOnce() -> Result<bool, E>,
    ) -> Result<(), E> {
        if !common {
            self.round.1 = true;
            if self.acks > Acks::First && ready()? {
                if self.acks == Acks::Detailed {
                    self.said_ready = true;
                    write_ack(out, id, " ready");
                } else {
                    write_ack(out, id, " continue");
                }
            }
            return Ok(());
        }
        self.round.0 = true;
        let first = self.last.replace(id.to_owned()).is_none();
        match self.acks {
            Acks::Detailed => write_ack(out, id, " common"),
            Acks::Multi => write_ack(out, id, " continue"),
            Acks::First if first => write_ack(out, id, ""),
            Acks::First => {}
        }
        Ok(())
    }

    /// The client ends a round. Whether the pack follows now.
    ///
    /// # Errors
    /// What `ready` met.
    pub fn flush<E>(
        &mut self,
        out: &mut Vec<u8>,
        ready: impl FnOnce() -> Result<bool, E>,
    ) -> Result<bool, E> {
        let only_common = self.round == (true, false);
        self.round = (false, false);
        if let Some(last) = &self.last
            && self.acks == Acks::Detailed
            && only_common
            && ready()?
        {
            self.said_ready = true;
            write_ack(out, last, " ready");
        }
        if self.last.is_none() || self.acks > Acks::First {
            pktline::write(out, &[b"NAK\n"]);
        }
        match &self.last {
            Some(last) if self.no_done && self.said_ready => {
                write_ack(out, last, "");
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// The client has said all that it will say: the pack follows.
    pub fn done(&mut self, out: &mut Vec<u8>) {
        match &self.last {
            Some(last) if self.acks > Acks::First => write_ack(out, last, ""),
            Some(_) => {}
            None => pktline::write(out, &[b"NAK\n"]),
        }
    }
}

fn write_ack(out: &mut Vec<u8>, id: &oid, status: &str) {
    out.extend_from_slice(&pktline::prefix(5 + id.kind().len_in_hex() + status.len()));
    out.extend_from_slice(b"ACK ");
    push_hex(out, id);
    out.extend_from_slice(status.as_bytes());
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::*;
    use crate::wire::filter::FilterSpec;

    const A: &str = "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391";
    const B: &str = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";

    fn bytes(lines: &[String]) -> Vec<u8> {
        let mut out = Vec::new();
        for line in lines {
            match &line[..] {
                "." => out.extend_from_slice(pktline::FLUSH),
                text => pktline::write(&mut out, &[text.as_bytes()]),
            }
        }
        out
    }

    fn hear(pieces: &[&[u8]]) -> (Vec<Said>, Option<ProtocolError>, bool) {
        let (mut decoder, mut heard) = (UploadDecoder::new(ObjectFormat::Sha1), Vec::new());
        for piece in pieces {
            let mut input = *piece;
            loop {
                match decoder.next(&mut input) {
                    Ok(Some(said)) => heard.push(said),
                    Ok(None) => break,
                    Err(error) => return (heard, Some(error), false),
                }
            }
        }
        let whole = decoder.is_at_boundary();
        (heard, None, whole)
    }

    #[test]
    fn lines_about_depth_stand_among_the_wants() {
        let all = bytes(&[
            format!("shallow {B}\n"),
            format!("want {A} side-band-64k deepen-relative"),
            format!("want {B}"),
            "deepen 3\n".into(),
            "deepen-not v1".into(),
            ".".into(),
        ]);
        let (heard, error, whole) = hear(&[&all]);
        assert!(error.is_none() && whole && heard.len() == 1);
        let Said::Wants(wants) = &heard[0] else {
            panic!("{heard:?}")
        };
        let depth = &wants.fetch.depth;
        assert_eq!(
            (wants.fetch.wants.len(), wants.carrier),
            (2, Carrier::Lines)
        );
        assert_eq!((depth.shallow.len(), depth.deepen), (1, Some(3)));
        assert!(depth.relative && depth.not == [b"v1"]);
        let wrong = bytes(&[format!("want {A}"), "deepen 0".into()]);
        let error = hear(&[&wrong]).1.unwrap().to_string();
        assert_eq!(error, "Invalid deepen: deepen 0");
    }

    #[test]
    fn clients_spell_their_first_want_differently() {
        for list in [
            " multi_ack_detailed no-done side-band-64k thin-pack ofs-delta agent=git/2",
            " multi_ack_detailed no-done side-band-64k thin-pack shallow include-tag \n",
        ] {
            let all = bytes(&[
                format!("want {A}{list}"),
                format!("want {A}\n"),
                ".".into(),
                format!("have {B}\n"),
                "done\n".into(),
            ]);
            let (heard, error, whole) = hear(&[&all]);
            assert!(error.is_none() && whole);
            let Said::Wants(wants) = &heard[0] else {
                panic!("{heard:?}")
            };
            assert_eq!(wants.fetch.wants.len(), 2);
            assert_eq!(
                (wants.acks, wants.carrier),
                (Acks::Detailed, Carrier::Lines)
            );
            assert!(wants.no_done && wants.fetch.thin_pack);
            assert_eq!(
                heard[1..],
                [
                    Said::Have(ObjectId::from_hex(B.as_bytes()).unwrap()),
                    Said::Done
                ]
            );
        }
    }

    #[test]
    fn what_is_not_offered_is_refused_clearly() {
        let all = bytes(&[format!("want {A}"), "filter blob:none".into()]);
        let error = hear(&[&all]).1.unwrap().to_string();
        assert_eq!(
            error,
            "git upload-pack: filtering capability not negotiated"
        );
        let all = bytes(&[
            format!("want {A} filter"),
            "filter blob:none".into(),
            ".".into(),
        ]);
        let Said::Wants(wants) = &hear(&[&all]).0[0] else {
            panic!("no wants")
        };
        assert_eq!(wants.fetch.filter, Some(FilterSpec::BlobNone));
    }

    /// What is answered to haves that both sides have (`c`) or the client alone (`o`), flush (`.`)
    /// and done (`d`), where the server is ready once both have something.
    fn answers(acks: Acks, no_done: bool, said: &str) -> String {
        let request = WantRequest {
            acks,
            no_done,
            ..WantRequest::default()
        };
        let (mut negotiator, mut out, mut any) = (Negotiator::new(&request), Vec::new(), false);
        let id = ObjectId::from_hex(A.as_bytes()).unwrap();
        for letter in said.chars() {
            match letter {
                'c' | 'o' => {
                    any |= letter == 'c';
                    negotiator
                        .have(&mut out, &id, letter == 'c', || Ok::<_, Infallible>(any))
                        .unwrap();
                }
                '.' => {
                    if negotiator
                        .flush(&mut out, || Ok::<_, Infallible>(any))
                        .unwrap()
                    {
                        out.extend_from_slice(b"PACK");
                    }
                }
                _ => negotiator.done(&mut out),
            }
        }
        let text = String::from_utf8_lossy(&out).replace(A, "A");
        let lines = text.lines().map(|line| {
            if line.starts_with('0') {
                &line[4..]
            } else {
                line
            }
        });
        lines.collect::<Vec<_>>().join("|")
    }

    #[test]
    fn haves_are_answered_as_the_client_asked() {
        for (acks, no_done, said, expected) in [
            (Acks::First, false, "d", "NAK"),
            (Acks::First, false, "o.", "NAK"),
            (Acks::First, false, "occ.d", "ACK A"),
            (
                Acks::Multi,
                false,
                "co.d",
                "ACK A continue|ACK A continue|NAK|ACK A",
            ),
            (Acks::Detailed, false, "oc.d", "ACK A common|NAK|ACK A"),
            (
                Acks::Detailed,
                false,
                "cc.d",
                "ACK A common|ACK A common|ACK A ready|NAK|ACK A",
            ),
            (
                Acks::Detailed,
                true,
                "co.",
                "ACK A common|ACK A ready|NAK|ACK A|PACK",
            ),
            (Acks::Detailed, true, "oo.", "NAK"),
        ] {
            assert_eq!(answers(acks, no_done, said), expected, "{acks:?} {said}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic_and_no_split_matters(
            chosen in prop::collection::vec(0usize..6, 0..12),
            garbage in prop::collection::vec(any::<u8>(), 0..20),
            size in 1usize..9,
        ) {
            let words = [format!("want {A} side-band"), format!("want {B}\n"), ".".into(), format!("have {A}"), "done".into(), "x".into()];
            let mut all = bytes(&chosen.iter().map(|&at| words[at].clone()).collect::<Vec<_>>());
            all.extend_from_slice(&garbage);
            let pieces: Vec<&[u8]> = all.chunks(size).collect();
            prop_assert_eq!(hear(&pieces), hear(&[&all]));
        }
    }
}
