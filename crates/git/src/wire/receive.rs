//! A push: commands, options, a pack, and the report (gitprotocol-pack(5), "Pushing Data To a
//! Server"). It is the same in all versions of the protocol.

use super::capabilities::Capabilities;
use super::command::{check_format_v0, shortened};
use super::push_cert::PushCertificate;
use super::sideband::{self, Band};
use super::{ProtocolError, parse_id};
use crate::pktline::{self, Line, Lines};
use crate::{ObjectFormat, ObjectId};

/// What a push asks for, without its pack.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PushRequest {
    /// The refs to be moved, in the client's order.
    pub commands: Vec<Command>,
    /// How it is to be answered, and more.
    pub capabilities: PushCapabilities,
    /// What the user said with `-o`; `None` where the client did not ask for options at all.
    pub options: Option<Vec<Vec<u8>>>,
    /// Commits whose parents the client does not have.
    pub shallow: Vec<ObjectId>,
    /// What the commands are taken from, where their pusher signed them.
    pub certificate: Option<PushCertificate>,
}

/// One ref, from what the client saw to what it wants. The null id means that there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// What the client saw.
    pub old: ObjectId,
    /// What it wants.
    pub new: ObjectId,
    /// The full name.
    pub name: Vec<u8>,
}

impl Command {
    /// Whether the ref is to go.
    pub fn is_delete(&self) -> bool {
        self.new.is_null()
    }

    /// Whether the ref is believed not to be there.
    pub fn is_create(&self) -> bool {
        self.old.is_null()
    }
}

/// What a client said about itself behind its first command.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PushCapabilities {
    /// A report is wanted, in the first or second version (ours says the same in both).
    pub report_status: bool,
    /// The report comes in a side-band, and so may text for the user.
    pub side_band: bool,
    /// All commands are to hold, or none.
    pub atomic: bool,
    /// No progress is to be shown.
    pub quiet: bool,
    /// What the client calls itself.
    pub agent: Option<Vec<u8>>,
    /// What the client wants logged beside the request.
    pub session_id: Option<Vec<u8>>,
}

impl PushRequest {
    /// Whether the options are those that were signed, where something was signed.
    pub fn has_signed_options(&self) -> bool {
        let options = self.options.as_deref().unwrap_or_default();
        let certificate = self.certificate.as_ref();
        certificate.is_none_or(|certificate| certificate.has_options(options))
    }

    /// Whether a pack follows: only deletions come without one.
    pub fn has_pack(&self) -> bool {
        self.commands.iter().any(|command| !command.is_delete())
    }
}

/// How much a push may ask for.
#[derive(Debug, Clone, Copy)]
pub struct PushLimits {
    /// Commands.
    pub commands: usize,
    /// Bytes of one ref name.
    pub name_bytes: usize,
    /// Push options.
    pub options: usize,
    /// Bytes of all push options together.
    pub option_bytes: usize,
    /// Bytes of a certificate; 0: signed pushes are not taken.
    pub certificate_bytes: usize,
}

impl Default for PushLimits {
    fn default() -> PushLimits {
        PushLimits {
            commands: 100_000,
            name_bytes: 1_024,
            options: 1_000,
            option_bytes: 1 << 20,
            certificate_bytes: 0,
        }
    }
}

/// Reads a push up to its pack, from bytes that arrive in pieces.
#[derive(Debug)]
pub struct PushDecoder {
    lines: Lines,
    format: ObjectFormat,
    limits: PushLimits,
    place: Place,
    push_options: bool,
    option_bytes: usize,
    certificate: Option<Vec<u8>>,
    request: PushRequest,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Commands,
    Certificate,
    Options,
    End,
}

impl PushDecoder {
    /// Waits for a push to a repository of `format`.
    pub fn new(format: ObjectFormat, limits: PushLimits) -> PushDecoder {
        PushDecoder {
            lines: Lines::default(),
            format,
            limits,
            place: Place::Commands,
            push_options: false,
            option_bytes: 0,
            certificate: None,
            request: PushRequest::default(),
        }
    }

    /// Takes bytes from `input` up to where the pack begins: it and what follows stay in `input`.
    /// Gives whether that place was reached.
    ///
    /// # Errors
    /// [`ProtocolError`]: what was read is no push.
    pub fn read(&mut self, input: &mut &[u8]) -> Result<bool, ProtocolError> {
        let mut lines = std::mem::take(&mut self.lines);
        let result = self.read_lines(&mut lines, input);
        self.lines = lines;
        result
    }

    fn read_lines(&mut self, lines: &mut Lines, input: &mut &[u8]) -> Result<bool, ProtocolError> {
        while self.place != Place::End {
            let Some(line) = lines.next(input)? else {
                return Ok(false);
            };
            match (self.place, line) {
                (_, Line::Delimiter) => return Err(ProtocolError::UnexpectedMark("delimiter")),
                (_, Line::ResponseEnd) => {
                    return Err(ProtocolError::UnexpectedMark("response end"));
                }
                (Place::Commands, Line::Data(data)) => self.command_line(data)?,
                (Place::Certificate, Line::Data(data)) => self.certificate_line(data)?,
                (Place::Commands | Place::Certificate, Line::Flush) => {
                    self.take_certificate()?;
                    let options = self.push_options && !self.request.commands.is_empty();
                    self.place = if options { Place::Options } else { Place::End };
                }
                (Place::Options, Line::Data(_)) => {
                    self.option(line.text().unwrap_or_default())?;
                }
                (Place::Options, Line::Flush) => self.place = Place::End,
                (Place::End, _) => {}
            }
        }
        Ok(true)
    }

    /// What the client has said about itself so far.
    pub fn capabilities_so_far(&self) -> &PushCapabilities {
        &self.request.capabilities
    }

    /// The push that was read, when its input is at the pack or at its end. Without commands it
    /// asks for nothing: `0000` alone is how clients try whether they may push.
    ///
    /// # Errors
    /// [`ProtocolError::Truncated`] when the input ended in the middle.
    pub fn finish(self) -> Result<PushRequest, ProtocolError> {
        // A client that asked for options and deletes only may leave out the list of options.
        let nothing_came = self.place == Place::Commands
            && self.request.commands.is_empty()
            && self.certificate.is_none();
        let whole = matches!(self.place, Place::Options | Place::End) || nothing_came;
        if !whole || !self.lines.is_at_boundary() {
            return Err(ProtocolError::Truncated);
        }
        Ok(self.request)
    }

    fn command_line(&mut self, data: &[u8]) -> Result<(), ProtocolError> {
        let (text, list) = match data.iter().position(|&byte| byte == 0) {
            Some(nul) => (&data[..nul], Some(&data[nul + 1..])),
            None => (data, None),
        };
        let text = text.strip_suffix(b"\n").unwrap_or(text);
        if let Some(hex) = text.strip_prefix(b"shallow ") {
            if self.request.shallow.len() == self.limits.commands {
                return Err(self.too_many("shallow commits"));
            }
            self.request.shallow.push(parse_id(hex, self.format)?);
            return Ok(());
        }
        if text == b"push-cert" {
            if self.limits.certificate_bytes == 0 {
                return Err(ProtocolError::NotSupported("a signed push"));
            }
            if self.certificate.is_some() {
                return Err(ProtocolError::UnexpectedLine(shortened(text)));
            }
            self.capabilities(Capabilities::new(list.unwrap_or_default()))?;
            self.certificate = Some(Vec::new());
            self.place = Place::Certificate;
            return Ok(());
        }
        if self.certificate.is_some() {
            return Err(ProtocolError::UnsignedCommands);
        }
        if let Some(list) = list {
            self.capabilities(Capabilities::new(list))?;
        } else if self.request.commands.is_empty() {
            check_format_v0(Capabilities::new(b""), self.format)?;
        }
        self.push_command(text)
    }

    fn push_command(&mut self, text: &[u8]) -> Result<(), ProtocolError> {
        let command = self.command(text)?;
        if self.request.commands.len() == self.limits.commands {
            return Err(self.too_many("refs"));
        }
        self.request.commands.push(command);
        Ok(())
    }

    /// A line of the certificate, of which every byte counts, or the one behind it.
    fn certificate_line(&mut self, data: &[u8]) -> Result<(), ProtocolError> {
        if data == b"push-cert-end\n" {
            self.place = Place::Commands;
            return Ok(());
        }
        let text = self.certificate.get_or_insert_default();
        if text.len() + data.len() > self.limits.certificate_bytes {
            return Err(ProtocolError::TooMany {
                what: "bytes in a push certificate",
                max: self.limits.certificate_bytes,
            });
        }
        text.extend_from_slice(data);
        Ok(())
    }

    /// The commands of a signed push are those of its certificate.
    fn take_certificate(&mut self) -> Result<(), ProtocolError> {
        let Some(text) = self.certificate.take() else {
            return Ok(());
        };
        if !self.request.commands.is_empty() {
            return Err(ProtocolError::UnsignedCommands);
        }
        let certificate = PushCertificate::parse(text)?;
        for line in certificate.commands() {
            self.push_command(line)?;
        }
        self.request.certificate = Some(certificate);
        Ok(())
    }

    fn too_many(&self, what: &'static str) -> ProtocolError {
        ProtocolError::TooMany {
            what,
            max: self.limits.commands,
        }
    }

    fn command(&self, text: &[u8]) -> Result<Command, ProtocolError> {
        let unexpected = || ProtocolError::UnexpectedLine(shortened(text));
        let digits = self.format.len_in_hex();
        let old = text.get(..digits).ok_or_else(unexpected)?;
        let new = text
            .get(digits + 1..2 * digits + 1)
            .ok_or_else(unexpected)?;
        let name = text.get(2 * digits + 2..).ok_or_else(unexpected)?;
        if text[digits] != b' ' || text[2 * digits + 1] != b' ' || name.is_empty() {
            return Err(unexpected());
        }
        if name.len() > self.limits.name_bytes {
            return Err(ProtocolError::TooMany {
                what: "bytes in a ref name",
                max: self.limits.name_bytes,
            });
        }
        Ok(Command {
            old: parse_id(old, self.format)?,
            new: parse_id(new, self.format)?,
            name: name.to_vec(),
        })
    }

    fn capabilities(&mut self, list: Capabilities<'_>) -> Result<(), ProtocolError> {
        check_format_v0(list, self.format)?;
        self.push_options = list.has(b"push-options");
        self.request.options = self.push_options.then(Vec::new);
        self.request.capabilities = PushCapabilities {
            report_status: list.has(b"report-status") || list.has(b"report-status-v2"),
            side_band: list.has(b"side-band-64k"),
            atomic: list.has(b"atomic"),
            quiet: list.has(b"quiet"),
            agent: list.value(b"agent").map(shortened),
            session_id: list.value(b"session-id").map(shortened),
        };
        Ok(())
    }

    fn option(&mut self, text: &[u8]) -> Result<(), ProtocolError> {
        let options = self.request.options.get_or_insert_default();
        self.option_bytes += text.len();
        if options.len() == self.limits.options || self.option_bytes > self.limits.option_bytes {
            return Err(ProtocolError::TooMany {
                what: "push options",
                max: self.limits.options,
            });
        }
        options.push(text.to_vec());
        Ok(())
    }
}

/// What became of a push: of its pack, and of each command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report<'a> {
    /// Why the pack was not taken; `None` when it was, or none came.
    pub unpack_error: Option<&'a str>,
    /// For each command its ref, and why it was not moved.
    pub refs: Vec<(&'a [u8], Option<&'a str>)>,
}

/// Writes the answer to a push: text for the user and the report, as the client asked for them,
/// and the flush that ends the answer.
///
/// Without a side-band there is no place for `messages`, and they are left out.
pub fn write_answer(
    out: &mut Vec<u8>,
    capabilities: &PushCapabilities,
    messages: &str,
    report: &Report<'_>,
) {
    if capabilities.side_band {
        sideband::write(out, Band::Progress, messages.as_bytes());
        if capabilities.report_status {
            let mut lines = Vec::new();
            write_report(&mut lines, report);
            sideband::write(out, Band::Data, &lines);
        }
        out.extend_from_slice(pktline::FLUSH);
    } else if capabilities.report_status {
        write_report(out, report);
    }
}

/// Tells that there is no push, and why: in the side-band, where the client listens to it.
pub fn write_refusal(out: &mut Vec<u8>, capabilities: &PushCapabilities, error: &ProtocolError) {
    let text = error.to_string();
    if capabilities.side_band {
        sideband::write(out, Band::Error, text.as_bytes());
        out.extend_from_slice(pktline::FLUSH);
    } else {
        pktline::write_error(out, &text);
    }
}

/// The report alone. Both versions of it are the same here: what the second one adds is for refs
/// that were moved otherwise than was asked for.
fn write_report(out: &mut Vec<u8>, report: &Report<'_>) {
    let unpack = report.unpack_error.unwrap_or("ok");
    pktline::write(out, &[b"unpack ", one_line(unpack).as_bytes(), b"\n"]);
    for (name, refused) in &report.refs {
        match refused {
            None => pktline::write(out, &[b"ok ", name, b"\n"]),
            Some(why) => {
                pktline::write(out, &[b"ng ", name, b" ", one_line(why).as_bytes(), b"\n"]);
            }
        }
    }
    out.extend_from_slice(pktline::FLUSH);
}

/// A reason is one line; what follows it would be read as another ref's.
fn one_line(text: &str) -> &str {
    let line = text.lines().next().unwrap_or_default();
    let end = (0..=line.len().min(1_000))
        .rev()
        .find(|&at| line.is_char_boundary(at));
    &line[..end.unwrap_or_default()]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const A: &str = "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391";
    const NULL: &str = "0000000000000000000000000000000000000000";

    fn decoder() -> PushDecoder {
        PushDecoder::new(ObjectFormat::Sha1, PushLimits::default())
    }

    /// What is read from `lines` (`.` is a flush), and what is left for the pack.
    fn read(lines: &[String]) -> Result<(PushRequest, Vec<u8>), ProtocolError> {
        let bytes = bytes(lines);
        let (mut decoder, mut input) = (decoder(), &bytes[..]);
        decoder.read(&mut input)?;
        Ok((decoder.finish()?, input.to_vec()))
    }

    fn bytes(lines: &[String]) -> Vec<u8> {
        let mut out = Vec::new();
        for line in lines {
            match &line[..] {
                "." => out.extend_from_slice(pktline::FLUSH),
                raw if raw.starts_with("PACK") => out.extend_from_slice(raw.as_bytes()),
                text => pktline::write(&mut out, &[text.as_bytes()]),
            }
        }
        out
    }

    #[test]
    fn clients_spell_the_first_line_differently() {
        for list in [
            " report-status side-band-64k object-format=sha1 agent=git/2",
            "report-status side-band-64k agent=git/2",
            " report-status side-band-64k agent=git/2 \n",
        ] {
            let lines = [
                format!("{NULL} {A} refs/heads/main\0{list}"),
                format!("{A} {NULL} refs/heads/old\n"),
                ".".into(),
                "PACKxyz".into(),
            ];
            let (push, rest) = read(&lines).unwrap();
            assert_eq!(rest, b"PACKxyz");
            assert_eq!(push.commands[0].name, b"refs/heads/main");
            assert!(push.commands[0].is_create() && !push.commands[0].is_delete());
            assert_eq!(push.commands[1].name, b"refs/heads/old");
            assert!(push.commands[1].is_delete() && push.has_pack());
            assert!(push.capabilities.report_status && push.capabilities.side_band);
            assert_eq!(push.capabilities.agent.as_deref(), Some(&b"git/2"[..]));
            assert_eq!(push.options, None);
        }
    }

    #[test]
    fn options_may_be_an_empty_list_and_a_delete_may_leave_it_out() {
        let first = format!("{A} {NULL} refs/heads/x\0 push-options");
        let given = read(&[
            first.clone(),
            ".".into(),
            "a=b\n".into(),
            "c".into(),
            ".".into(),
        ]);
        assert_eq!(
            given.unwrap().0.options,
            Some(vec![b"a=b".to_vec(), b"c".to_vec()])
        );
        let empty = read(&[first.clone(), ".".into(), ".".into(), "PACK".into()]).unwrap();
        assert_eq!((empty.0.options, empty.1), (Some(vec![]), b"PACK".to_vec()));
        let left_out = read(&[first, ".".into()]).unwrap().0;
        assert!(!left_out.has_pack());
    }

    #[test]
    fn the_probe_asks_for_nothing() {
        assert!(read(&[".".into()]).unwrap().0.commands.is_empty());
        assert!(read(&[]).unwrap().0.commands.is_empty());
    }

    #[test]
    fn what_is_no_push_is_told_so() {
        let command = format!("{NULL} {A} refs/heads/main");
        for (lines, expected) in [
            (
                vec![command.clone()],
                "protocol error: the request ends in the middle",
            ),
            (vec!["hello".into()], "unexpected line: 'hello'"),
            (vec![format!("{NULL} {A} ")], "unexpected line"),
            (
                vec![format!("{NULL}x{A} refs/heads/main")],
                "unexpected line",
            ),
            (
                vec![format!("{NULL} {} refs/heads/main", A.replace('e', "x"))],
                "invalid object id",
            ),
            (
                vec![format!("{command}\0object-format=sha256")],
                "mismatched object format",
            ),
            (
                vec!["push-cert\0".into()],
                "a signed push is not supported by this server",
            ),
            (
                vec![format!("{command}{}", "x".repeat(1_024))],
                "the request has too many bytes in a ref name",
            ),
        ] {
            let error = read(&lines).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }

    #[test]
    fn too_many_refs_are_told_so() {
        let limits = PushLimits {
            commands: 2,
            ..PushLimits::default()
        };
        let line = format!("{NULL} {A} refs/heads/main");
        let bytes = bytes(&[line.clone(), line.clone(), line]);
        let error = PushDecoder::new(ObjectFormat::Sha1, limits).read(&mut &bytes[..]);
        assert_eq!(
            error.unwrap_err().to_string(),
            "the request has too many refs: at most 2 are taken"
        );
    }

    fn answer(report_status: bool, side_band: bool) -> String {
        let mut out = Vec::new();
        let capabilities = PushCapabilities {
            report_status,
            side_band,
            ..Default::default()
        };
        let report = Report {
            unpack_error: None,
            refs: vec![
                (b"refs/heads/a", None),
                (b"refs/heads/b", Some("no\nok refs/heads/c")),
            ],
        };
        write_answer(&mut out, &capabilities, "hello\n", &report);
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn the_report_goes_where_the_client_looks_for_it() {
        let report = "000eunpack ok\n0014ok refs/heads/a\n0017ng refs/heads/b no\n0000";
        assert_eq!(answer(true, false), report);
        assert_eq!(
            answer(true, true),
            format!("000b\u{2}hello\n0042\u{1}{report}0000")
        );
        assert_eq!(answer(false, true), "000b\u{2}hello\n0000");
        assert_eq!(answer(false, false), "");
    }

    proptest! {
        #[test]
        fn no_bytes_panic_and_no_split_matters(
            chosen in prop::collection::vec(0usize..7, 0..8),
            garbage in prop::collection::vec(any::<u8>(), 0..20),
            size in 1usize..9,
        ) {
            let words = [format!("{NULL} {A} refs/heads/main\0 report-status push-options"), format!("{A} {NULL} refs/heads/x\n"),
                ".".into(), "PACK".into(), format!("shallow {A}"), "option".into(), ".".into()];
            let mut all = bytes(&chosen.iter().map(|&at| words[at].clone()).collect::<Vec<_>>());
            all.extend_from_slice(&garbage);
            let (mut whole, mut rest) = (decoder(), &all[..]);
            let expected = whole.read(&mut rest).and_then(|_| Ok((whole.finish()?, rest.to_vec())));
            let mut pieces = decoder();
            let mut left = Vec::new();
            let mut seen = Ok(false);
            for piece in all.chunks(size) {
                let mut input = piece;
                if seen == Ok(false) { seen = pieces.read(&mut input); }
                if seen.is_err() { break; }
                left.extend_from_slice(input);
            }
            let seen = seen.and_then(|_| Ok((pieces.finish()?, left)));
            prop_assert_eq!(seen, expected);
        }
    }
}
