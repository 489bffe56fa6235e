//! The wire protocols.

use std::convert::Infallible;

use govc_git::wire::capabilities::Capabilities;
use govc_git::wire::command::{Command, Request, RequestDecoder};
use govc_git::wire::fetch::{self, FetchRequest};
use govc_git::wire::filter::{DEPTH_MAX, FilterSpec, PARTS_MAX};
use govc_git::wire::ls_refs::LsRefsRequest;
use govc_git::wire::offers::Offers;
use govc_git::wire::receive::{self, PushDecoder, PushLimits, PushRequest, Report};
use govc_git::wire::upload::{Negotiator, Said, UploadDecoder};
use govc_git::wire::{AdvertisedRef, ProtocolError, ProtocolVersion, Service, depth};
use govc_git::{ObjectFormat, pktline};

use crate::lines::{cuts, request, said as bytes_of};

fn format_of(flags: u8) -> ObjectFormat {
    if flags & 1 == 0 {
        ObjectFormat::Sha1
    } else {
        ObjectFormat::Sha256
    }
}

/// Whether what follows is said as lines of text.
fn is_text(flags: u8) -> bool {
    flags & 64 != 0
}

fn offers_of(flags: u8) -> Offers {
    Offers {
        filter: flags & 2 == 0,
        ref_in_want: flags & 4 == 0,
        sideband_all: flags & 8 == 0,
        object_info: flags & 16 == 0,
        bundle_uri: flags & 32 == 0,
        ..Offers::default()
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Cut {
    Data(Vec<u8>),
    Mark(u8),
}

fn cut(line: pktline::Line<'_>) -> Cut {
    match line {
        pktline::Line::Data(data) => Cut::Data(data.to_vec()),
        pktline::Line::Flush => Cut::Mark(b'0'),
        pktline::Line::Delimiter => Cut::Mark(b'1'),
        pktline::Line::ResponseEnd => Cut::Mark(b'2'),
    }
}

/// Lines are the same however they arrive, and written again they are the bytes that they were.
pub(crate) fn pktline(data: &[u8]) {
    let mut whole = Vec::new();
    let mut rest = data;
    let ends = loop {
        match pktline::decode(rest) {
            Ok(pktline::Decoded::Complete {
                line,
                bytes_consumed,
            }) => {
                whole.push(cut(line));
                rest = &rest[bytes_consumed..];
            }
            Ok(pktline::Decoded::Incomplete { bytes_needed }) => {
                assert!(bytes_needed > 0);
                break Ok(());
            }
            Err(error) => break Err(error),
        }
    };
    for size in cuts(data) {
        let mut lines = pktline::Lines::default();
        let mut pieces = Vec::new();
        let mut result = Ok(());
        'fed: for mut piece in data.chunks(size) {
            loop {
                match lines.next(&mut piece) {
                    Ok(Some(line)) => pieces.push(cut(line)),
                    Ok(None) => break,
                    Err(error) => {
                        result = Err(error);
                        break 'fed;
                    }
                }
            }
        }
        assert_eq!(pieces, whole);
        assert_eq!(result, ends);
        if ends.is_ok() {
            assert_eq!(lines.is_at_boundary(), rest.is_empty());
        }
    }
    let mut again = Vec::new();
    for line in &whole {
        match line {
            Cut::Data(data) if data.is_empty() => again.extend_from_slice(b"0004"),
            Cut::Data(data) => pktline::write(&mut again, &[data]),
            Cut::Mark(mark) => again.extend_from_slice(&[b'0', b'0', b'0', *mark]),
        }
    }
    let read = &data[..data.len() - rest.len()];
    assert!(again.eq_ignore_ascii_case(read));
}

/// What a request is, and what of `data` follows it.
fn read_request(
    data: &[u8],
    size: usize,
    format: ObjectFormat,
    offers: &Offers,
) -> (Result<Option<Request>, ProtocolError>, usize) {
    let mut decoder = RequestDecoder::new(format).offering(offers.clone());
    let mut taken = 0;
    for piece in data.chunks(size) {
        let mut input = piece;
        let result = decoder.read(&mut input);
        taken += piece.len() - input.len();
        match result {
            Ok(None) => assert!(input.is_empty()),
            result => return (result, taken),
        }
    }
    let _ = (decoder.is_idle(), decoder.is_over());
    (Ok(None), taken)
}

fn read_whole(data: &[u8], format: ObjectFormat, offers: &Offers) -> Option<Request> {
    let (whole, taken) = read_request(data, data.len().max(1), format, offers);
    for size in cuts(data) {
        let (pieces, taken_so) = read_request(data, size, format, offers);
        assert_eq!(pieces, whole);
        if whole.is_ok() {
            assert_eq!(taken_so, taken);
        }
    }
    if let Err(error) = &whole {
        let said = error.to_string();
        assert!(said.len() < 4096, "{} bytes of error", said.len());
    }
    whole.ok().flatten()
}

/// Requests of version 2, byte by byte as they arrive.
pub(crate) fn command(data: &[u8]) {
    let Some((&flags, data)) = data.split_first() else {
        return;
    };
    let data = bytes_of(is_text(flags), data);
    let Some(request) = read_whole(&data, format_of(flags), &offers_of(flags)) else {
        return;
    };
    assert!(request.server_options.len() * 4 <= data.len());
    // They are written into logs.
    for said in request.agent.iter().chain(&request.session_id) {
        assert!(said.len() <= 200);
    }
}

fn arguments(data: &[u8], name: &str) -> Option<Command> {
    let (&flags, text) = data.split_first()?;
    let bytes = request(name, flags & 1 == 1, text);
    read_whole(&bytes, format_of(flags), &offers_of(flags)).map(|request| request.command)
}

/// The arguments of `fetch`: no more ids than lines, depths as they are allowed.
pub(crate) fn fetch(data: &[u8]) {
    let Some(Command::Fetch(fetch)) = arguments(data, "fetch") else {
        return;
    };
    let lines = data.iter().filter(|&&byte| byte == b'\n').count() + 1;
    let depth = &fetch.depth;
    assert!(fetch.wants.len() + fetch.haves.len() + depth.shallow.len() <= lines);
    assert!(depth.deepen.is_none_or(|depth| depth > 0));
    assert_eq!(depth.is_empty(), depth.shallow.is_empty() && !depth.asks());
    assert_eq!(
        fetch.wants_something(),
        !fetch.wants.is_empty() || !fetch.wanted_refs.is_empty()
    );
    if let Some(filter) = &fetch.filter {
        check_filter(filter);
    }
    answer_fetch(&fetch);
}

/// What is answered to a fetch is lines.
fn answer_fetch(fetch: &FetchRequest) {
    let mut out = Vec::new();
    fetch::write_acknowledgments(&mut out, fetch.haves.iter().copied(), fetch.done);
    fetch::begin_shallow_info(&mut out);
    depth::write_shallow(&mut out, &fetch.depth.shallow, &fetch.wants);
    fetch::end_section(&mut out);
    let refs = fetch.wanted_refs.iter().zip(&fetch.wants);
    let refs: Vec<_> = refs.map(|(name, id)| (*id, name.clone())).collect();
    fetch::write_wanted_refs(&mut out, &refs);
    fetch::write_packfile_header(&mut out);
    assert!(are_lines(&out));
}

fn are_lines(mut data: &[u8]) -> bool {
    while let Ok(pktline::Decoded::Complete { bytes_consumed, .. }) = pktline::decode(data) {
        data = &data[bytes_consumed..];
    }
    data.is_empty()
}

/// The arguments of `ls-refs`: walking the ranges gives what asking for each name gives.
pub(crate) fn ls_refs(data: &[u8]) {
    let Some(Command::LsRefs(request)) = arguments(data, "ls-refs") else {
        return;
    };
    check_ranges(&request);
    answer_ls_refs(&request);
}

/// What is answered to `ls-refs` is lines.
fn answer_ls_refs(request: &LsRefsRequest) {
    let (id, mut out) = (ObjectFormat::Sha1.null(), Vec::new());
    for name in request.prefixes.iter().take(100) {
        for id in [None, Some(id)] {
            let shown = AdvertisedRef {
                name,
                id,
                symref_target: Some(b"refs/heads/main"),
                peeled: id,
            };
            request.write(&mut out, &shown);
        }
    }
    assert!(are_lines(&out));
}

fn check_ranges(request: &LsRefsRequest) {
    let ranges = request.ranges();
    assert!(ranges.windows(2).all(|pair| pair[0] < pair[1]));
    assert!(ranges.windows(2).all(|pair| !pair[1].starts_with(pair[0])));
    let longer = |prefix: &Vec<u8>| [prefix, &b"x"[..]].concat();
    let names = request.prefixes.iter().take(64).flat_map(|prefix| {
        let shorter = prefix[..prefix.len().saturating_sub(1)].to_vec();
        [longer(prefix), prefix.clone(), shorter]
    });
    for name in names.chain([b"HEAD".to_vec(), b"refs/heads/main".to_vec()]) {
        let walked = ranges.is_empty() || ranges.iter().any(|range| name.starts_with(range));
        assert_eq!(request.asks_for(&name), walked, "{}", name.escape_ascii());
    }
}

/// The arguments of `object-info`.
pub(crate) fn object_info(data: &[u8]) {
    let Some(Command::ObjectInfo(request)) = arguments(data, "object-info") else {
        return;
    };
    let mut out = Vec::new();
    request.write(&mut out, request.ids.iter().map(|_| Some(u64::MAX)));
    let mut lines = pktline::Lines::default();
    let (mut rest, mut count) = (&out[..], 0);
    while let Ok(Some(_)) = lines.next(&mut rest) {
        count += 1;
    }
    let heading = usize::from(request.size && !request.ids.is_empty());
    assert_eq!(count, heading + request.ids.len() + 1);
}

/// How many parts a filter has, and how deep they are nested.
fn check_filter(filter: &FilterSpec) {
    fn measure(filter: &FilterSpec, depth: usize, parts: &mut usize) {
        *parts += 1;
        assert!(depth <= DEPTH_MAX && *parts <= PARTS_MAX);
        if let FilterSpec::Combine(filters) = filter {
            for filter in filters {
                measure(filter, depth + 1, parts);
            }
        }
    }
    measure(filter, 0, &mut 0);
}

/// A filter as git spells it.
fn spell(filter: &FilterSpec) -> Vec<u8> {
    match filter {
        FilterSpec::BlobNone => b"blob:none".to_vec(),
        FilterSpec::BlobLimit(limit) => format!("blob:limit={limit}").into_bytes(),
        FilterSpec::TreeDepth(depth) => format!("tree:{depth}").into_bytes(),
        FilterSpec::SparseOid(name) => [b"sparse:oid=", &name[..]].concat(),
        FilterSpec::ObjectType(kind) => format!("object:type={}", kind.name()).into_bytes(),
        FilterSpec::Combine(filters) => {
            let parts: Vec<Vec<u8>> = filters.iter().map(|part| escape(&spell(part))).collect();
            [b"combine:", &parts.join(&b'+')[..]].concat()
        }
    }
}

fn escape(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for &byte in text {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b':' | b'=' | b'/' | b'.' => out.push(byte),
            _ => out.extend_from_slice(format!("%{byte:02x}").as_bytes()),
        }
    }
    out
}

/// Filters: spelled and read again they are the same.
pub(crate) fn filter(data: &[u8]) {
    let Ok(filter) = FilterSpec::parse(data) else {
        return;
    };
    check_filter(&filter);
    let spelled = spell(&filter);
    assert_eq!(FilterSpec::parse(&spelled), Ok(filter));
}

/// All that a client of versions 0 and 1 says.
fn said(data: &[u8], size: usize, flags: u8) -> (Vec<Said>, Option<ProtocolError>, bool) {
    let mut decoder = UploadDecoder::new(format_of(flags)).offering(offers_of(flags));
    let mut all = Vec::new();
    for mut piece in data.chunks(size) {
        loop {
            match decoder.next(&mut piece) {
                Ok(Some(said)) => all.push(said),
                Ok(None) => break,
                Err(error) => return (all, Some(error), false),
            }
        }
    }
    (all, None, decoder.is_at_boundary())
}

/// Fetching in versions 0 and 1, and what a negotiator answers.
pub(crate) fn upload(data: &[u8]) {
    let Some((&flags, data)) = data.split_first() else {
        return;
    };
    let data = &bytes_of(is_text(flags), data)[..];
    let whole = said(data, data.len().max(1), flags);
    for size in cuts(data) {
        assert_eq!(said(data, size, flags), whole);
    }
    let (all, ..) = whole;
    let mut all = all.into_iter();
    let Some(Said::Wants(wants)) = all.next() else {
        return;
    };
    let mut negotiator = Negotiator::new(&wants);
    let mut out = Vec::new();
    let (mut haves, mut flushes) = (0, 0);
    for said in all {
        match said {
            Said::Wants(_) => panic!("wants are said once"),
            Said::Have(id) => {
                haves += 1;
                let common = id.first_byte() & 1 == 0;
                let ready = || Ok::<_, Infallible>(haves > 2);
                let _ = negotiator.have(&mut out, &id, common, ready);
            }
            Said::Flush => {
                flushes += 1;
                let _ = negotiator.flush(&mut out, || Ok::<_, Infallible>(haves > 2));
            }
            Said::Done => negotiator.done(&mut out),
        }
    }
    assert!(out.len() <= 128 * (2 * haves + 2 * flushes + 2 * data.len() / 8 + 2));
    assert!(are_lines(&out));
}

fn push(
    data: &[u8],
    size: usize,
    flags: u8,
) -> (Result<bool, ProtocolError>, usize, Option<PushRequest>) {
    let limits = PushLimits {
        commands: 100,
        name_bytes: 1024,
        options: 10,
        option_bytes: 1000,
        certificate_bytes: if flags & 2 == 0 { 2000 } else { 0 },
    };
    let mut decoder = PushDecoder::new(format_of(flags), limits);
    let mut taken = 0;
    for piece in data.chunks(size) {
        let mut input = piece;
        let result = decoder.read(&mut input);
        taken += piece.len() - input.len();
        match result {
            Ok(false) => assert!(input.is_empty()),
            Ok(true) => return (Ok(true), taken, decoder.finish().ok()),
            Err(error) => return (Err(error), 0, None),
        }
    }
    (Ok(false), taken, decoder.finish().ok())
}

/// Pushes up to their packs.
pub(crate) fn receive(data: &[u8]) {
    let Some((&flags, data)) = data.split_first() else {
        return;
    };
    let data = &bytes_of(is_text(flags), data)[..];
    let whole = push(data, data.len().max(1), flags);
    for size in cuts(data) {
        assert_eq!(push(data, size, flags), whole);
    }
    let (result, _, request) = whole;
    assert!(result.is_err() || request.is_some() || result == Ok(false));
    let Some(request) = request else { return };
    assert!(request.commands.len() <= 100);
    assert!(request.options.iter().flatten().count() <= 10);
    if let Some(certificate) = &request.certificate {
        let parts = [certificate.payload(), certificate.signature()];
        assert_eq!(parts.concat(), certificate.text());
        assert!(certificate.text().len() <= 2000);
        let _ = request.has_signed_options();
        assert_eq!(certificate.commands().count(), request.commands.len());
        assert!(certificate.nonce().is_none_or(|nonce| !nonce.contains(&0)));
    }
    let refused = |command: &receive::Command| command.is_delete().then_some("why\nnot");
    let refs = request.commands.iter();
    let report = Report {
        unpack_error: request.has_pack().then_some("it is no pack"),
        refs: refs
            .map(|command| (&command.name[..], refused(command)))
            .collect(),
    };
    let mut out = Vec::new();
    receive::write_answer(&mut out, &request.capabilities, "hello", &report);
    assert!(are_lines(&out));
}

/// Lists of capabilities, and the header that says which version is spoken.
pub(crate) fn capabilities(data: &[u8]) {
    let list = Capabilities::new(data);
    for item in list.iter().take(100) {
        assert!(!item.contains(&b' '));
        let (name, value) = match item.iter().position(|&byte| byte == b'=') {
            Some(at) => (&item[..at], Some(&item[at + 1..])),
            None => (item, None),
        };
        match value {
            Some(_) => assert!(list.value(name).is_some()),
            None => assert!(list.has(name)),
        }
    }
    if let Ok(name) = std::str::from_utf8(data) {
        assert!(Service::from_name(name).is_none_or(|service| service.name() == name));
    }
    let version = ProtocolVersion::from_header(data);
    let named = |text: &[u8]| data.windows(text.len()).any(|window| window == text);
    assert!(version != ProtocolVersion::V2 || named(b"version=2"));
}
