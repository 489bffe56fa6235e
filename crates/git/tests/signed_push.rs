//! Signed pushes as they arrive: a certificate instead of commands.

use govc_git::wire::ProtocolError;
use govc_git::wire::receive::{PushDecoder, PushLimits, PushRequest};
use govc_git::{ObjectFormat, pktline};

const A: &str = "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391";
const NULL: &str = "0000000000000000000000000000000000000000";
const PGP: &str = "-----BEGIN PGP SIGNATURE-----\n";

/// What is read of `lines` (`.` is a flush), in one piece and byte by byte.
fn read(lines: &[&str]) -> Result<PushRequest, ProtocolError> {
    let mut bytes = Vec::new();
    for line in lines {
        match *line {
            "." => bytes.extend_from_slice(pktline::FLUSH),
            text => pktline::write(&mut bytes, &[text.as_bytes()]),
        }
    }
    let read = |size: usize| {
        let limits = PushLimits {
            commands: 2,
            certificate_bytes: 500,
            ..PushLimits::default()
        };
        let mut decoder = PushDecoder::new(ObjectFormat::Sha1, limits);
        for mut piece in bytes.chunks(size) {
            decoder.read(&mut piece)?;
        }
        decoder.finish()
    };
    let whole = read(bytes.len().max(1));
    assert_eq!(read(1), whole);
    whole
}

#[test]
fn the_commands_are_those_of_the_certificate() {
    let first = format!("{NULL} {A} refs/heads/a\n");
    let second = format!("{A} {NULL} refs/heads/b\n");
    let push = read(&[
        "push-cert\0report-status push-options",
        "certificate version 0.1\n",
        "push-option x\n",
        "\n",
        &first,
        &second,
        PGP,
        "push-cert-end\n",
        ".",
        "x",
        ".",
    ]);
    let push = push.expect("it is one");
    let names: Vec<&[u8]> = push.commands.iter().map(|one| &one.name[..]).collect();
    assert_eq!(names, [b"refs/heads/a", b"refs/heads/b"]);
    assert!(push.has_pack() && push.capabilities.report_status && push.has_signed_options());
    let text = push.certificate.as_ref().map(|cert| cert.text().to_vec());
    let all = format!("certificate version 0.1\npush-option x\n\n{first}{second}{PGP}");
    assert_eq!(text, Some(all.into_bytes()));
    let other = PushRequest {
        options: None,
        ..push
    };
    assert!(!other.has_signed_options());
}

#[test]
fn what_is_no_signed_push_is_told_so() {
    let command = format!("{NULL} {A} refs/heads/a\n");
    let (command, long) = (&command[..], "x".repeat(501));
    let begin = "push-cert\0";
    let end = "push-cert-end\n";
    for (lines, why) in [
        (
            vec![begin],
            "protocol error: the request ends in the middle",
        ),
        (
            vec![begin, "a\n"],
            "protocol error: the request ends in the middle",
        ),
        (
            vec![begin, "a\n", end],
            "protocol error: the request ends in the middle",
        ),
        (
            vec![begin, "."],
            "malformed push certificate: its headers do not end",
        ),
        (
            vec![begin, "a\n", "\n", command, end, "."],
            "malformed push certificate: it is not",
        ),
        (
            vec![begin, "a\n", "\n", "b\n", PGP, end, "."],
            "unexpected line: 'b'",
        ),
        (
            vec![begin, "a\n", "\n", command, command, command, PGP, end, "."],
            "the request has too many refs",
        ),
        (
            vec![command, begin, "a\n\n", command, PGP, end, "."],
            "protocol error: got both",
        ),
        (vec![begin, end, command, "."], "protocol error: got both"),
        (vec![begin, end, begin], "unexpected line: 'push-cert'"),
        (
            vec![begin, &long],
            "the request has too many bytes in a push certificate",
        ),
        (
            vec!["push-cert\0object-format=sha256"],
            "mismatched object format",
        ),
    ] {
        let error = read(&lines).expect_err(why).to_string();
        assert!(error.starts_with(why), "{error}");
    }
}
