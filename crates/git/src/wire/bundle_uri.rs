//! `bundle-uri` of protocol version 2: where bundles are that a clone can begin with
//! (gitprotocol-v2(5), "bundle-uri"; git's Documentation/technical/bundle-uri).

use crate::pktline;

/// A bundle that clients may fetch before they ask for the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleUri {
    /// Its name in the list: letters, digits and `-`.
    pub id: String,
    /// Where it is: absolute, or relative to the repository.
    pub uri: String,
    /// A number that grows with every newer bundle; what clients have seen they pass over.
    pub creation_token: Option<u64>,
}

/// Writes the answer, its flush included: a list of which any bundle will do and all are of use.
pub fn write(out: &mut Vec<u8>, bundles: &[BundleUri]) {
    let mut line = |text: String| pktline::write(out, &[text.as_bytes(), b"\n"]);
    if !bundles.is_empty() {
        line("bundle.version=1".to_owned());
        line("bundle.mode=all".to_owned());
        if bundles.iter().all(|bundle| bundle.creation_token.is_some()) {
            line("bundle.heuristic=creationToken".to_owned());
        }
    }
    for BundleUri {
        id,
        uri,
        creation_token,
    } in bundles
    {
        line(format!("bundle.{id}.uri={uri}"));
        if let Some(token) = creation_token {
            line(format!("bundle.{id}.creationToken={token}"));
        }
    }
    out.extend_from_slice(pktline::FLUSH);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_says_where_bundles_are() {
        let mut out = Vec::new();
        write(&mut out, &[]);
        assert_eq!(out, pktline::FLUSH);
        out.clear();
        let bundle = |id: &str, creation_token| BundleUri {
            id: id.to_owned(),
            uri: format!("https://x/{id}"),
            creation_token,
        };
        write(&mut out, &[bundle("a", Some(7)), bundle("b", None)]);
        let text = String::from_utf8(out).unwrap();
        let lines: Vec<&str> = text.lines().map(|line| &line[4..]).collect();
        assert_eq!(
            lines,
            [
                "bundle.version=1",
                "bundle.mode=all",
                "bundle.a.uri=https://x/a",
                "bundle.a.creationToken=7",
                "bundle.b.uri=https://x/b",
                "",
            ]
        );
    }
}
