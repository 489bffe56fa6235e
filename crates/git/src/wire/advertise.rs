//! The first words of a server: what it can do, and in versions 0 and 1 every ref
//! (gitprotocol-pack(5), gitprotocol-v2(5), gitprotocol-capabilities(5)).

use super::offers::{Offers, PushOffers};
use super::{AdvertisedRef, ProtocolVersion, Service, push_hex};
use crate::{ObjectFormat, pktline};

/// What this server calls itself.
pub const AGENT: &str = concat!("govc/", env!("CARGO_PKG_VERSION"));

/// The banner before an advertisement of versions 0 and 1 over HTTP (gitprotocol-http(5)).
pub fn write_http_banner(out: &mut Vec<u8>, service: Service) {
    pktline::write(out, &[b"# service=", service.name().as_bytes(), b"\n"]);
    out.extend_from_slice(pktline::FLUSH);
}

/// The capabilities of version 2. Only what is built, and among `offers`, is named.
pub fn write_v2(out: &mut Vec<u8>, format: ObjectFormat, offers: &Offers) {
    pktline::write(out, &[b"version 2\n"]);
    pktline::write(out, &[b"agent=", AGENT.as_bytes(), b"\n"]);
    pktline::write(
        out,
        &[match offers.unborn_head {
            true => &b"ls-refs=unborn\n"[..],
            false => b"ls-refs\n",
        }],
    );
    let mut fetch = b"fetch=shallow wait-for-done".to_vec();
    for (word, offered) in [
        (&b" filter"[..], offers.filter),
        (b" ref-in-want", offers.ref_in_want),
        (b" sideband-all", offers.sideband_all),
    ] {
        if offered {
            fetch.extend_from_slice(word);
        }
    }
    pktline::write(out, &[&fetch, b"\n"]);
    pktline::write(out, &[b"server-option\n"]);
    pktline::write(
        out,
        &[b"object-format=", format_name(format).as_bytes(), b"\n"],
    );
    if let Some(id) = &offers.session_id {
        pktline::write(out, &[b"session-id=", id.as_bytes(), b"\n"]);
    }
    if offers.object_info {
        pktline::write(out, &[b"object-info\n"]);
    }
    if offers.bundle_uri {
        pktline::write(out, &[b"bundle-uri\n"]);
    }
    out.extend_from_slice(pktline::FLUSH);
}

/// How Git spells a hash.
pub fn format_name(format: ObjectFormat) -> &'static str {
    match format {
        ObjectFormat::Sha256 => "sha256",
        _ => "sha1",
    }
}

/// What receive-pack can do, as it stands behind the first ref.
pub fn receive_pack_capabilities(format: ObjectFormat, offers: &PushOffers) -> String {
    let atomic = if offers.atomic { " atomic" } else { "" };
    let options = match offers.push_options {
        true => " push-options",
        false => "",
    };
    let signed = match &offers.push_nonce {
        Some(nonce) => format!(" push-cert={nonce}"),
        None => String::new(),
    };
    format!(
        "report-status report-status-v2 delete-refs side-band-64k quiet{atomic} ofs-delta \
         object-format={}{options}{signed} agent={AGENT}",
        format_name(format)
    )
}

/// Writes refs as versions 0 and 1 do, the capabilities behind the first one.
///
/// Upload-pack gives refs with what is under annotated tags, HEAD first; receive-pack gives
/// neither HEAD nor peeled ids, but `.have` lines for objects that the server has besides.
#[derive(Debug)]
pub struct RefAdvertisement {
    capabilities: Option<Vec<u8>>,
    format: ObjectFormat,
}

impl RefAdvertisement {
    /// Begins an advertisement with `capabilities`.
    pub fn begin(
        out: &mut Vec<u8>,
        version: ProtocolVersion,
        format: ObjectFormat,
        capabilities: impl Into<Vec<u8>>,
    ) -> RefAdvertisement {
        if version == ProtocolVersion::V1 {
            pktline::write(out, &[b"version 1\n"]);
        }
        RefAdvertisement {
            capabilities: Some(capabilities.into()),
            format,
        }
    }

    /// A ref. One that is unborn has no line in these versions.
    pub fn write(&mut self, out: &mut Vec<u8>, shown: &AdvertisedRef<'_>) {
        let Some(id) = shown.id else { return };
        self.line(out, &id, shown.name);
        if let Some(peeled) = shown.peeled {
            self.line(out, &peeled, &[shown.name, b"^{}"].concat());
        }
    }

    /// An object that the server has, though no ref here names it.
    pub fn write_have(&mut self, out: &mut Vec<u8>, id: &crate::oid) {
        self.line(out, id, b".have");
    }

    /// Ends the advertisement. Where there was no ref, the capabilities get a line of their own.
    pub fn end(mut self, out: &mut Vec<u8>) {
        if self.capabilities.is_some() {
            let nobody = self.format.null();
            self.line(out, &nobody, b"capabilities^{}");
        }
        out.extend_from_slice(pktline::FLUSH);
    }

    fn line(&mut self, out: &mut Vec<u8>, id: &crate::oid, name: &[u8]) {
        let capabilities = self.capabilities.take();
        let behind = capabilities.as_ref().map_or(0, |list| list.len() + 1);
        out.extend_from_slice(&pktline::prefix(
            id.kind().len_in_hex() + 1 + name.len() + behind + 1,
        ));
        push_hex(out, id);
        out.push(b' ');
        out.extend_from_slice(name);
        if let Some(list) = capabilities {
            out.push(0);
            out.extend_from_slice(&list);
        }
        out.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(out: &[u8]) -> String {
        out.escape_ascii().to_string().replace("\\n", "\n")
    }

    #[test]
    fn only_what_is_offered_is_advertised() {
        let said = |offers: &Offers| {
            let mut out = Vec::new();
            write_v2(&mut out, ObjectFormat::Sha1, offers);
            text(&out)
        };
        let all = said(&Offers {
            bundle_uri: true,
            session_id: Some("me".to_owned()),
            ..Offers::default()
        });
        let nothing = said(&Offers {
            filter: false,
            ref_in_want: false,
            sideband_all: false,
            object_info: false,
            unborn_head: false,
            ..Offers::default()
        });
        for word in [
            "filter",
            "ref-in-want",
            "sideband-all",
            "session-id=me",
            "object-info",
            "bundle-uri",
            "unborn",
        ] {
            assert!(all.contains(word), "{word}");
            assert!(!nothing.contains(word), "{word}");
        }
    }

    #[test]
    fn an_empty_repository_still_says_what_it_can_do() {
        let mut out = Vec::new();
        RefAdvertisement::begin(&mut out, ProtocolVersion::V0, ObjectFormat::Sha1, "atomic")
            .end(&mut out);
        assert_eq!(
            text(&out),
            "0044".to_owned() + &"0".repeat(40) + " capabilities^{}\\x00atomic\n0000"
        );
    }

    #[test]
    fn capabilities_stand_behind_the_first_ref_only() {
        let id = ObjectFormat::Sha1.empty_tree();
        let mut out = Vec::new();
        let mut refs =
            RefAdvertisement::begin(&mut out, ProtocolVersion::V1, ObjectFormat::Sha1, "x");
        for (name, id, peeled) in [
            (&b"refs/heads/unborn"[..], None, None),
            (b"refs/tags/v1", Some(id), Some(id)),
        ] {
            refs.write(
                &mut out,
                &AdvertisedRef {
                    name,
                    id,
                    symref_target: None,
                    peeled,
                },
            );
        }
        refs.write_have(&mut out, &id);
        refs.end(&mut out);
        assert_eq!(
            text(&out),
            format!(
                "000eversion 1\n003c{id} refs/tags/v1\\x00x\n003d{id} refs/tags/v1^{{}}\n0033{id} .have\n0000"
            )
        );
    }
}
