//! The certificate of a signed push: what is pushed, as its pusher put a signature under it
//! (gitprotocol-pack(5), "Push Certificate"; gitformat-signature(5)).

use super::ProtocolError;
use super::command::shortened;

/// The bytes of a certificate: headers, an empty line, commands, a signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushCertificate {
    text: Vec<u8>,
    commands_at: usize,
    signature_at: usize,
}

/// Who made a signature, by the line that it begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignatureKind {
    /// GnuPG, or another OpenPGP.
    OpenPgp,
    /// S/MIME, as `gpgsm` has it.
    X509,
    /// An SSH key.
    Ssh,
}

impl SignatureKind {
    /// What begins with the first line of a signature.
    pub fn of(signature: &[u8]) -> Option<SignatureKind> {
        [
            (
                &b"-----BEGIN PGP SIGNATURE-----"[..],
                SignatureKind::OpenPgp,
            ),
            (b"-----BEGIN PGP MESSAGE-----", SignatureKind::OpenPgp),
            (b"-----BEGIN SIGNED MESSAGE-----", SignatureKind::X509),
            (b"-----BEGIN SSH SIGNATURE-----", SignatureKind::Ssh),
        ]
        .into_iter()
        .find_map(|(begin, kind)| signature.starts_with(begin).then_some(kind))
    }
}

impl PushCertificate {
    /// Looks at what was collected between `push-cert` and `push-cert-end`.
    ///
    /// # Errors
    /// [`ProtocolError::MalformedCertificate`]: there is no end to its headers, no signature, or
    /// nothing that is signed. Git's own server gives up on the first two as well.
    pub fn parse(text: Vec<u8>) -> Result<PushCertificate, ProtocolError> {
        let malformed = |why| ProtocolError::MalformedCertificate {
            why,
            text: shortened(&text),
        };
        if text.contains(&0) {
            return Err(malformed("it holds a NUL"));
        }
        let blank = text.windows(2).position(|pair| pair == b"\n\n");
        let commands_at = blank.ok_or_else(|| malformed("its headers do not end"))? + 2;
        // The last line that begins a signature is the one that does.
        let mut signature_at = None;
        let mut at = 0;
        for line in text.split_inclusive(|&byte| byte == b'\n') {
            if SignatureKind::of(line).is_some() {
                signature_at = Some(at);
            }
            at += line.len();
        }
        let signature_at = signature_at.ok_or_else(|| malformed("it is not signed"))?;
        if signature_at <= commands_at {
            return Err(malformed("it names no refs"));
        }
        Ok(PushCertificate {
            text,
            commands_at,
            signature_at,
        })
    }

    /// All of it: the content of the blob that it is kept as.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// What is signed.
    pub fn payload(&self) -> &[u8] {
        self.text.get(..self.signature_at).unwrap_or_default()
    }

    /// The signature, to the end.
    pub fn signature(&self) -> &[u8] {
        self.text.get(self.signature_at..).unwrap_or_default()
    }

    /// The lines of the commands.
    pub fn commands(&self) -> impl Iterator<Item = &[u8]> {
        let lines = self.text.get(self.commands_at..self.signature_at);
        let lines = lines.unwrap_or_default();
        let lines = lines.strip_suffix(b"\n").unwrap_or(lines);
        lines.split(|&byte| byte == b'\n')
    }

    /// The values of a header, in their order.
    pub fn headers<'a>(&'a self, name: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        let head = self.text.get(..self.commands_at).unwrap_or_default();
        let lines = head.split(|&byte| byte == b'\n');
        lines.filter_map(move |line| line.strip_prefix(name)?.strip_prefix(b" "))
    }

    /// What the pusher says it was given to sign.
    pub fn nonce(&self) -> Option<&[u8]> {
        self.headers(b"nonce").next()
    }

    /// Whether the options that are signed are `options`, in this order.
    pub fn has_options(&self, options: &[Vec<u8>]) -> bool {
        self.headers(b"push-option")
            .eq(options.iter().map(|option| &option[..]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "certificate version 0.1\npusher Ada <a@x> 1 +0000\nnonce 12-ab\npush-option one\npush-option two\n";
    const PGP: &str = "-----BEGIN PGP SIGNATURE-----\n\nabc\n-----END PGP SIGNATURE-----\n";

    fn parse(text: &str) -> Result<PushCertificate, ProtocolError> {
        PushCertificate::parse(text.as_bytes().to_vec())
    }

    #[test]
    fn its_parts_are_told_apart() {
        let cert = parse(&format!("{HEAD}\na b c\nd e f\n{PGP}")).unwrap();
        assert_eq!(cert.nonce(), Some(&b"12-ab"[..]));
        assert_eq!(cert.commands().collect::<Vec<_>>(), [b"a b c", b"d e f"]);
        assert_eq!(cert.signature(), PGP.as_bytes());
        assert!(cert.payload().ends_with(b"\nd e f\n"));
        assert!(cert.has_options(&[b"one".to_vec(), b"two".to_vec()]));
        for other in [&[][..], &[b"one".to_vec()], &[b"two".into(), b"one".into()]] {
            assert!(!cert.has_options(other));
        }
        // A header behind the empty line is none.
        let cert = parse(&format!("a b\n\nnonce x\n{PGP}")).unwrap();
        assert_eq!(cert.nonce(), None);
    }

    #[test]
    fn what_is_no_certificate_is_told_so() {
        for (text, why) in [
            (String::new(), "its headers do not end"),
            (format!("{HEAD}a b c\n"), "its headers do not end"),
            (format!("{HEAD}\na b c\n"), "it is not signed"),
            (format!("{HEAD}\n{PGP}"), "it names no refs"),
            (format!("{PGP}\na b c\n"), "it names no refs"),
            (format!("{HEAD}\na\0b c\n{PGP}"), "it holds a NUL"),
        ] {
            let error = parse(&text).unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("malformed push certificate: {why}")),
                "{error}"
            );
        }
    }
}
