//! Requests of protocol version 2: a command, capabilities, and the command's own arguments
//! (gitprotocol-v2(5)).

use super::capabilities::Capabilities;
use super::fetch::FetchRequest;
use super::ls_refs::LsRefsRequest;
use super::object_info::ObjectInfoRequest;
use super::offers::Offers;
use super::{ProtocolError, advertise};
use crate::ObjectFormat;
use crate::pktline::{Line, Lines};

/// One request, whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// What is asked for.
    pub command: Command,
    /// What the client calls itself.
    pub agent: Option<Vec<u8>>,
    /// What the client wants logged beside the request.
    pub session_id: Option<Vec<u8>>,
    /// What the user said with `-o`.
    pub server_options: Vec<Vec<u8>>,
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Which refs there are.
    LsRefs(LsRefsRequest),
    /// Objects.
    Fetch(FetchRequest),
    /// What objects are.
    ObjectInfo(ObjectInfoRequest),
    /// Where bundles are.
    BundleUri,
}

impl Command {
    /// What the protocol calls it.
    pub fn name(&self) -> &'static str {
        match self {
            Command::LsRefs(_) => "ls-refs",
            Command::Fetch(_) => "fetch",
            Command::ObjectInfo(_) => "object-info",
            Command::BundleUri => "bundle-uri",
        }
    }
}

/// The most server options that one request may have.
const SERVER_OPTIONS_MAX: usize = 1_000;

/// Reads one request from bytes that arrive in pieces.
#[derive(Debug)]
pub struct RequestDecoder {
    lines: Lines,
    format: ObjectFormat,
    offers: Offers,
    /// The client said what its hash is.
    format_known: bool,
    place: Place,
    /// Something was said before the first flush.
    begun: bool,
    command: Option<Command>,
    agent: Option<Vec<u8>>,
    session_id: Option<Vec<u8>>,
    server_options: Vec<Vec<u8>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Capabilities,
    Arguments,
    End,
}

impl RequestDecoder {
    /// Waits for a request to a repository of `format`.
    pub fn new(format: ObjectFormat) -> RequestDecoder {
        RequestDecoder {
            lines: Lines::default(),
            format,
            offers: Offers::default(),
            format_known: false,
            place: Place::Capabilities,
            begun: false,
            command: None,
            agent: None,
            session_id: None,
            server_options: Vec::new(),
        }
    }

    /// Refuses what is not among `offers`.
    pub fn offering(self, offers: Offers) -> RequestDecoder {
        RequestDecoder { offers, ..self }
    }

    /// Takes bytes from `input` until the request is whole; then gives it, and leaves what
    /// follows it in `input`.
    ///
    /// # Errors
    /// [`ProtocolError`]: what was read is no request.
    pub fn read(&mut self, input: &mut &[u8]) -> Result<Option<Request>, ProtocolError> {
        // The arguments are taken by the command itself, so that a million haves need no text.
        let mut lines = std::mem::take(&mut self.lines);
        let result = self.read_lines(&mut lines, input);
        self.lines = lines;
        result
    }

    fn read_lines(
        &mut self,
        lines: &mut Lines,
        input: &mut &[u8],
    ) -> Result<Option<Request>, ProtocolError> {
        while let Some(line) = lines.next(input)? {
            match (self.place, line) {
                (Place::Capabilities, Line::Data(_)) => {
                    self.begun = true;
                    self.capability(line.text().unwrap_or_default())?;
                }
                (Place::Capabilities, Line::Delimiter) => {
                    self.end_capabilities()?;
                    self.place = Place::Arguments;
                }
                (Place::Arguments, Line::Data(_)) => {
                    let text = line.text().unwrap_or_default();
                    match &mut self.command {
                        Some(Command::LsRefs(request)) => request.argument(text)?,
                        Some(Command::Fetch(request)) => {
                            request.argument(text, self.format, &self.offers)?;
                        }
                        Some(Command::ObjectInfo(request)) => {
                            request.argument(text, self.format)?;
                        }
                        Some(Command::BundleUri) => {
                            return Err(ProtocolError::BundleUriArgument(shortened(text)));
                        }
                        None => return Err(ProtocolError::NoCommand),
                    }
                }
                // A client that wants nothing more says so.
                (Place::Capabilities, Line::Flush) if !self.begun => self.place = Place::End,
                (Place::Capabilities | Place::Arguments, Line::Flush) => {
                    self.end_capabilities()?;
                    self.place = Place::End;
                    let mut command = self.command.take().ok_or(ProtocolError::NoCommand)?;
                    if let Command::Fetch(request) = &mut command {
                        request.shrink_to_fit();
                    }
                    return Ok(Some(Request {
                        command,
                        agent: self.agent.take(),
                        session_id: self.session_id.take(),
                        server_options: std::mem::take(&mut self.server_options),
                    }));
                }
                (_, Line::Delimiter) => return Err(ProtocolError::UnexpectedMark("delimiter")),
                (_, Line::ResponseEnd) => {
                    return Err(ProtocolError::UnexpectedMark("response end"));
                }
                (Place::End, Line::Flush) => return Err(ProtocolError::UnexpectedMark("flush")),
                (Place::End, Line::Data(data)) => {
                    return Err(ProtocolError::UnexpectedLine(shortened(data)));
                }
            }
        }
        Ok(None)
    }

    /// Whether nothing was asked: an empty body, a lone flush, or the end of a connection between
    /// requests.
    pub fn is_idle(&self) -> bool {
        self.lines.is_at_boundary() && self.place != Place::Arguments && !self.begun
    }

    /// Whether the client said, by a lone flush, that it wants nothing more.
    pub fn is_over(&self) -> bool {
        self.place == Place::End && !self.begun
    }

    /// Behind the capabilities there is a command, and one hash for both sides; a client that
    /// names none means SHA-1.
    fn end_capabilities(&mut self) -> Result<(), ProtocolError> {
        if self.command.is_none() {
            return Err(ProtocolError::NoCommand);
        }
        if !self.format_known {
            check_format(b"sha1", self.format)?;
        }
        Ok(())
    }

    fn capability(&mut self, text: &[u8]) -> Result<(), ProtocolError> {
        let (name, value) = match text.iter().position(|&byte| byte == b'=') {
            Some(at) => (&text[..at], Some(&text[at + 1..])),
            None => (text, None),
        };
        match (name, value) {
            (b"command", Some(command)) => {
                if let Some(first) = &self.command {
                    return Err(ProtocolError::SecondCommand {
                        first: first.name(),
                        second: shortened(command),
                    });
                }
                self.command = Some(match command {
                    b"ls-refs" => Command::LsRefs(LsRefsRequest::default()),
                    b"fetch" => Command::Fetch(FetchRequest::default()),
                    b"object-info" if self.offers.object_info => {
                        Command::ObjectInfo(ObjectInfoRequest::default())
                    }
                    b"bundle-uri" if self.offers.bundle_uri => Command::BundleUri,
                    other => return Err(ProtocolError::UnknownCommand(shortened(other))),
                });
            }
            (b"agent", value) => self.agent = value.map(shortened),
            (b"session-id", value) => self.session_id = value.map(shortened),
            (b"server-option", value) => {
                if self.server_options.len() == SERVER_OPTIONS_MAX {
                    return Err(ProtocolError::TooMany {
                        what: "server options",
                        max: SERVER_OPTIONS_MAX,
                    });
                }
                self.server_options.push(value.unwrap_or_default().to_vec());
            }
            (b"object-format", Some(client)) => {
                check_format(client, self.format)?;
                self.format_known = true;
            }
            _ => return Err(ProtocolError::UnknownCapability(shortened(text))),
        }
        Ok(())
    }
}

/// Refuses a client whose hash is not the repository's.
pub(crate) fn check_format(client: &[u8], server: ObjectFormat) -> Result<(), ProtocolError> {
    if client == advertise::format_name(server).as_bytes() {
        return Ok(());
    }
    if !matches!(client, b"sha1" | b"sha256") {
        return Err(ProtocolError::UnknownFormat(shortened(client)));
    }
    Err(ProtocolError::ObjectFormat {
        server,
        client: shortened(client),
    })
}

/// Refuses a push of the original protocol whose hash is not the repository's; one that names
/// none means SHA-1.
pub(crate) fn check_format_v0(
    capabilities: Capabilities<'_>,
    server: ObjectFormat,
) -> Result<(), ProtocolError> {
    let client = capabilities.value(b"object-format").unwrap_or(b"sha1");
    check_format(client, server)
}

/// As much of a stranger's text as is worth repeating.
pub(crate) fn shortened(text: &[u8]) -> Vec<u8> {
    text[..text.len().min(200)].to_vec()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::pktline;

    pub(crate) fn request(lines: &[&str]) -> Vec<u8> {
        let mut out = Vec::new();
        for line in lines {
            match *line {
                "--" => out.extend_from_slice(pktline::DELIMITER),
                "." => out.extend_from_slice(pktline::FLUSH),
                text => pktline::write(&mut out, &[text.as_bytes()]),
            }
        }
        out
    }

    fn read(lines: &[&str]) -> Result<Option<Request>, ProtocolError> {
        let bytes = request(lines);
        RequestDecoder::new(ObjectFormat::Sha1).read(&mut &bytes[..])
    }

    #[test]
    fn lines_come_with_and_without_lf() {
        for lines in [
            [
                "command=ls-refs\n",
                "agent=git/2.39.5",
                "object-format=sha1",
                "--",
                "peel\n",
                "symrefs",
                ".",
            ],
            [
                "command=ls-refs",
                "agent=git/2.39.5\n",
                "object-format=sha1\n",
                "--",
                "peel",
                "symrefs\n",
                ".",
            ],
        ] {
            let request = read(&lines).unwrap().unwrap();
            assert_eq!(request.agent.as_deref(), Some(&b"git/2.39.5"[..]));
            let Command::LsRefs(asked) = request.command else {
                panic!("{request:?}")
            };
            assert!(asked.peel && asked.symrefs && !asked.unborn);
        }
    }

    #[test]
    fn a_command_without_arguments_needs_no_delimiter() {
        assert!(matches!(
            read(&["command=ls-refs", "."]).unwrap().unwrap().command,
            Command::LsRefs(_)
        ));
    }

    #[test]
    fn a_client_that_names_no_hash_means_sha1() {
        let bytes = request(&["command=ls-refs", "--", "."]);
        let read = RequestDecoder::new(ObjectFormat::Sha256).read(&mut &bytes[..]);
        assert_eq!(
            read.unwrap_err().to_string(),
            "mismatched object format: server sha256; client sha1"
        );
    }

    #[test]
    fn a_list_of_bundles_is_asked_for_without_arguments() {
        let offers = || Offers {
            bundle_uri: true,
            ..Offers::default()
        };
        let read = |lines: &[&str]| {
            let bytes = request(lines);
            let decoder = RequestDecoder::new(ObjectFormat::Sha1).offering(offers());
            { decoder }.read(&mut &bytes[..])
        };
        let asked = read(&["command=bundle-uri", "agent=x", "."]).unwrap();
        assert_eq!(asked.unwrap().command, Command::BundleUri);
        let error = read(&["command=bundle-uri", "--", "all"]).unwrap_err();
        assert_eq!(error.to_string(), "bundle-uri: unexpected argument: 'all'");
    }

    #[test]
    fn a_lone_flush_asks_for_nothing() {
        let mut decoder = RequestDecoder::new(ObjectFormat::Sha1);
        assert!(decoder.is_idle() && !decoder.is_over());
        assert_eq!(decoder.read(&mut &pktline::FLUSH[..]), Ok(None));
        assert!(decoder.is_idle() && decoder.is_over());
        let mut decoder = RequestDecoder::new(ObjectFormat::Sha1);
        assert_eq!(decoder.read(&mut &request(&["agent=x"])[..]), Ok(None));
        assert!(!decoder.is_idle());
    }

    #[test]
    fn what_is_no_request_is_told_so() {
        for (lines, expected) in [
            (&["agent=x", "."][..], "no command requested"),
            (&["agent=x", "--"], "no command requested"),
            (&["command=agent"], "invalid command 'agent'"),
            (
                &["command=ls-refs=whatever"],
                "invalid command 'ls-refs=whatever'",
            ),
            (&["command=ls-refs", "fetch"], "unknown capability 'fetch'"),
            (&["command=frobnicate"], "invalid command 'frobnicate'"),
            (&["wonder"], "unknown capability 'wonder'"),
            (&["command=bundle-uri"], "invalid command 'bundle-uri'"),
            (
                &["command=ls-refs", "command=fetch"],
                "command 'fetch' requested after already requesting command 'ls-refs'",
            ),
            (
                &["command=ls-refs", "object-format=md5"],
                "unknown object format 'md5'",
            ),
            (
                &["command=ls-refs", "object-format=sha256"],
                "mismatched object format: server sha1; client sha256",
            ),
            (
                &["command=ls-refs", "--", "what"],
                "unexpected line: 'what'",
            ),
            (
                &["command=fetch", "--", "want 12"],
                "invalid object id: '12'",
            ),
        ] {
            assert_eq!(read(lines).unwrap_err().to_string(), expected);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic_and_no_split_matters(
            chosen in prop::collection::vec(0usize..18, 0..14),
            garbage in prop::collection::vec(any::<u8>(), 0..20),
            size in 1usize..9,
        ) {
            let words = ["command=ls-refs\n", "command=fetch", "command=object-info", "size", "oid 1234567890123456789012345678901234567890", "filter tree:1", "--", ".", "peel", "symrefs", "ref-prefix refs/\n",
                "want 1234567890123456789012345678901234567890", "have 1234567890123456789012345678901234567890\n",
                "done", "thin-pack", "agent=x", "object-format=sha1", "server-option=a"];
            let lines: Vec<&str> = chosen.iter().map(|&at| words[at]).collect();
            let mut bytes = request(&lines);
            bytes.extend_from_slice(&garbage);
            let mut whole = &bytes[..];
            let expected = RequestDecoder::new(ObjectFormat::Sha1).read(&mut whole);
            let mut decoder = RequestDecoder::new(ObjectFormat::Sha1);
            let mut seen = Ok(None);
            for piece in bytes.chunks(size) {
                seen = decoder.read(&mut &piece[..]);
                if !matches!(seen, Ok(None)) { break; }
            }
            prop_assert_eq!(seen, expected);
        }
    }
}
