//! `ls-refs` of protocol version 2: which refs there are.

use super::command::shortened;
use super::{AdvertisedRef, ProtocolError, push_hex};
use crate::pktline;

/// What a client asks of the refs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LsRefsRequest {
    /// What is under annotated tags is to be said too.
    pub peel: bool,
    /// What symbolic refs are names for is to be said too.
    pub symrefs: bool,
    /// HEAD is to be named even where its branch does not exist yet.
    pub unborn: bool,
    /// Only refs whose names begin with one of these, taken literally; empty means all.
    pub prefixes: Vec<Vec<u8>>,
    prefix_bytes: usize,
    /// There were more prefixes than are worth comparing: all refs are given, as git does.
    prefixes_overflowed: bool,
}

/// With so many prefixes git gives all refs: so do we. Prefixes only save work.
const PREFIXES_MAX: usize = 65_536;
const PREFIX_BYTES_MAX: usize = 4 << 20;

impl LsRefsRequest {
    pub(super) fn argument(&mut self, text: &[u8]) -> Result<(), ProtocolError> {
        match text {
            b"peel" => self.peel = true,
            b"symrefs" => self.symrefs = true,
            b"unborn" => self.unborn = true,
            _ => match text.strip_prefix(b"ref-prefix ") {
                Some(prefix) => self.prefix(prefix),
                None => return Err(ProtocolError::UnexpectedLine(shortened(text))),
            },
        }
        Ok(())
    }

    fn prefix(&mut self, prefix: &[u8]) {
        self.prefix_bytes = self.prefix_bytes.saturating_add(prefix.len());
        if self.prefixes.len() + 1 == PREFIXES_MAX || self.prefix_bytes > PREFIX_BYTES_MAX {
            self.prefixes_overflowed = true;
            self.prefixes = Vec::new();
        }
        if !self.prefixes_overflowed {
            self.prefixes.push(prefix.to_vec());
        }
    }

    /// Whether a ref of this name is asked for.
    pub fn asks_for(&self, name: &[u8]) -> bool {
        self.prefixes.is_empty() || self.prefixes.iter().any(|prefix| name.starts_with(prefix))
    }

    /// The prefixes that no other one covers, sorted; empty means all refs. Walking the refs below
    /// each of them in turn meets every ref that is asked for, once, in the order of names.
    pub fn ranges(&self) -> Vec<&[u8]> {
        let mut sorted: Vec<&[u8]> = self.prefixes.iter().map(Vec::as_slice).collect();
        sorted.sort_unstable();
        sorted.dedup_by(|later, earlier| later.starts_with(earlier));
        match sorted.first() {
            Some([]) => Vec::new(),
            _ => sorted,
        }
    }

    /// Writes the line of one ref, as far as it was asked for; [`pktline::FLUSH`] ends the answer.
    pub fn write(&self, out: &mut Vec<u8>, shown: &AdvertisedRef<'_>) {
        if shown.id.is_none() && !self.unborn {
            return;
        }
        let start = out.len();
        out.extend_from_slice(pktline::FLUSH);
        match &shown.id {
            Some(id) => push_hex(out, id),
            None => out.extend_from_slice(b"unborn"),
        }
        out.push(b' ');
        out.extend_from_slice(shown.name);
        // An unborn HEAD is of no use without its target, so that is given in any case.
        if let Some(target) = shown
            .symref_target
            .filter(|_| self.symrefs || shown.id.is_none())
        {
            out.extend_from_slice(b" symref-target:");
            out.extend_from_slice(target);
        }
        if let Some(peeled) = shown.peeled.as_ref().filter(|_| self.peel) {
            out.extend_from_slice(b" peeled:");
            push_hex(out, peeled);
        }
        out.push(b'\n');
        let data_bytes = out.len() - start - pktline::PREFIX_BYTES;
        let prefix = pktline::prefix(data_bytes.min(pktline::DATA_BYTES_MAX));
        out[start..start + pktline::PREFIX_BYTES].copy_from_slice(&prefix);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ObjectFormat;

    fn asked(arguments: &[&str]) -> LsRefsRequest {
        let mut request = LsRefsRequest::default();
        for argument in arguments {
            request.argument(argument.as_bytes()).unwrap();
        }
        request
    }

    #[test]
    fn prefixes_are_literal() {
        let request = asked(&["ref-prefix HEAD", "ref-prefix refs/heads/"]);
        assert!(request.asks_for(b"HEAD") && request.asks_for(b"refs/heads/a"));
        assert!(!request.asks_for(b"refs/tags/a"));
        assert!(!asked(&["ref-prefix refs/*"]).asks_for(b"refs/heads/a"));
        assert!(asked(&[]).asks_for(b"anything"));
    }

    #[test]
    fn ranges_cover_each_ref_once() {
        let request = asked(&[
            "ref-prefix refs/tags/",
            "ref-prefix refs/",
            "ref-prefix HEAD",
            "ref-prefix refs/heads/x",
        ]);
        assert_eq!(request.ranges(), [&b"HEAD"[..], b"refs/"]);
        assert!(asked(&["ref-prefix ", "ref-prefix a"]).ranges().is_empty());
    }

    #[test]
    fn very_many_prefixes_are_none() {
        let prefixes = |count: usize| {
            let all: Vec<String> = (0..count).map(|n| format!("ref-prefix x{n}")).collect();
            asked(&all.iter().map(String::as_str).collect::<Vec<_>>())
        };
        assert!(!prefixes(PREFIXES_MAX - 1).asks_for(b"HEAD"));
        assert!(prefixes(PREFIXES_MAX).asks_for(b"HEAD"));
        assert!(prefixes(PREFIXES_MAX + 1).asks_for(b"HEAD"));
    }

    #[test]
    fn a_line_says_what_was_asked_for_and_no_more() {
        let id = ObjectFormat::Sha1.empty_blob();
        let shown = AdvertisedRef {
            name: b"refs/tags/v1",
            id: Some(id),
            symref_target: Some(b"refs/tags/v0"),
            peeled: Some(id),
        };
        let mut out = Vec::new();
        asked(&[]).write(&mut out, &shown);
        assert_eq!(out, format!("003a{id} refs/tags/v1\n").as_bytes());
        out.clear();
        asked(&["peel", "symrefs"]).write(&mut out, &shown);
        assert_eq!(
            String::from_utf8_lossy(&out)[4..],
            format!("{id} refs/tags/v1 symref-target:refs/tags/v0 peeled:{id}\n")
        );
    }

    #[test]
    fn an_unborn_head_is_named_where_that_was_asked_for() {
        let head = AdvertisedRef {
            name: b"HEAD",
            id: None,
            symref_target: Some(b"refs/heads/trunk"),
            peeled: None,
        };
        let mut out = Vec::new();
        asked(&["symrefs"]).write(&mut out, &head);
        assert!(out.is_empty());
        asked(&["symrefs", "unborn"]).write(&mut out, &head);
        assert_eq!(out, b"002funborn HEAD symref-target:refs/heads/trunk\n");
    }
}
