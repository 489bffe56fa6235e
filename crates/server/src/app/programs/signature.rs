//! Whether a signature is good: asked of `gpg`, `gpgsm` or `ssh-keygen`, as git asks them
//! (git-config(1), `gpg.format`; GnuPG's doc/DETAILS; ssh-keygen(1), `-Y`).

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use govc_git::wire::push_cert::SignatureKind;

use super::run::{Order, run};
use super::surroundings::Scratch;

/// What these programs say is some lines.
const OUTPUT_BYTES: usize = 64 << 10;
/// So many names under which a key may sign are tried.
const PRINCIPALS_MAX: usize = 16;

/// What is found of a signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verdict {
    /// As git's `%G?`: `G`ood, `B`ad, `E`: cannot be checked, `X`, `Y`: expired, or its key,
    /// `R`: its key is revoked, `N`: nothing is known.
    pub(super) status: char,
    /// Who signed.
    pub(super) signer: String,
    /// With which key.
    pub(super) key: String,
}

impl Verdict {
    fn of(status: char) -> Verdict {
        Verdict {
            status,
            signer: String::new(),
            key: String::new(),
        }
    }
}

/// How signatures are looked at.
pub(super) struct Verifier<'a> {
    /// Keys and names of those who sign with SSH keys; empty: nobody.
    pub(super) allowed_signers: &'a Path,
    /// Where GnuPG has its keys; empty: where it has them for whom the server runs as.
    pub(super) gnupg_home: &'a Path,
    /// How long each program may run.
    pub(super) timeout: Duration,
}

impl Verifier<'_> {
    /// Looks at `signature` under `payload`. It blocks.
    pub(super) fn verify(&self, payload: &[u8], signature: &[u8]) -> Verdict {
        let looked = match SignatureKind::of(signature) {
            Some(SignatureKind::OpenPgp) => {
                self.gnupg("gpg", &["--keyid-format=long"], payload, signature)
            }
            Some(SignatureKind::X509) => self.gnupg("gpgsm", &[], payload, signature),
            Some(SignatureKind::Ssh) => self.ssh(payload, signature),
            None => Ok(Verdict::of('N')),
        };
        looked.unwrap_or_else(|error| {
            tracing::warn!(%error, "the signature of a push could not be looked at");
            Verdict::of('N')
        })
    }

    fn gnupg(
        &self,
        program: &str,
        first: &[&str],
        payload: &[u8],
        signature: &[u8],
    ) -> io::Result<Verdict> {
        let (_scratch, file) = written(signature)?;
        let mut arguments: Vec<String> = first.iter().map(ToString::to_string).collect();
        arguments.extend(["--status-fd=1", "--verify"].map(str::to_owned));
        arguments.extend([file, "-".to_owned()]);
        let (_, said) = self.ask(program, &arguments, payload)?;
        Ok(of_gnupg(&said))
    }

    fn ssh(&self, payload: &[u8], signature: &[u8]) -> io::Result<Verdict> {
        let Some(signers) = self
            .allowed_signers
            .to_str()
            .filter(|path| !path.is_empty())
        else {
            tracing::warn!("a push is signed with an SSH key: receive.allowed_signers is not set");
            return Ok(Verdict::of('N'));
        };
        let (_scratch, file) = written(signature)?;
        let ask = |arguments: &[&str], input: &[u8]| {
            let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
            self.ask("ssh-keygen", &arguments, input)
        };
        let find = ["-Y", "find-principals", "-f", signers, "-s", &file];
        let (found, principals) = ask(&find, &[])?;
        let mut said = String::new();
        let names = principals.lines().filter(|name| !name.is_empty());
        if !found || principals.is_empty() {
            // Nobody's that is known; it may be what it says all the same.
            let look = ["-Y", "check-novalidate", "-n", "git", "-s", &file];
            said = ask(&look, payload)?.1;
        } else {
            for name in names.take(PRINCIPALS_MAX) {
                let look = [
                    "-Y", "verify", "-n", "git", "-f", signers, "-I", name, "-s", &file,
                ];
                let good;
                (good, said) = ask(&look, payload)?;
                if good && said.starts_with("Good") {
                    break;
                }
            }
        }
        Ok(of_ssh(&said))
    }

    /// Runs a program; whether it ended well, and what it said.
    fn ask(&self, program: &str, arguments: &[String], input: &[u8]) -> io::Result<(bool, String)> {
        let home = match self.gnupg_home.as_os_str() {
            empty if empty.is_empty() => std::env::var_os("GNUPGHOME"),
            path => Some(path.to_owned()),
        };
        let home = home.map(|home| (OsString::from("GNUPGHOME"), home));
        let ended = run(Order {
            program: Path::new(program),
            arguments,
            input,
            folder: Path::new("/"),
            environment: home.as_slice(),
            timeout: self.timeout,
            output_bytes: OUTPUT_BYTES,
            kept_bytes: OUTPUT_BYTES,
            errors_too: false,
            say: None,
        })?;
        if ended.timed_out {
            return Err(io::Error::new(io::ErrorKind::TimedOut, program.to_owned()));
        }
        Ok((ended.status == Some(0), ended.said))
    }
}

/// A file with the signature, in a folder that only we see.
fn written(signature: &[u8]) -> io::Result<(Scratch, String)> {
    let scratch = Scratch::new(&std::env::temp_dir(), "govc-signature-")?;
    let path = scratch.path().join("signature");
    fs::write(&path, signature)?;
    let path = path.to_str().ok_or(io::ErrorKind::InvalidFilename)?;
    let path = path.to_owned();
    Ok((scratch, path))
}

/// What GnuPG's status lines say.
fn of_gnupg(said: &str) -> Verdict {
    let mut verdict = Verdict::of('N');
    let mut seen = false;
    let lines = said.lines();
    for line in lines.filter_map(|line| line.strip_prefix("[GNUPG:] ")) {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let status = match word {
            "GOODSIG" => 'G',
            "BADSIG" => 'B',
            "ERRSIG" => 'E',
            "EXPSIG" => 'X',
            "EXPKEYSIG" => 'Y',
            "REVKEYSIG" => 'R',
            _ => match word.strip_prefix("TRUST_") {
                None | Some("UNDEFINED" | "NEVER" | "MARGINAL" | "FULLY" | "ULTIMATE") => continue,
                Some(_) => return Verdict::of('E'),
            },
        };
        // Several signatures are not what git makes: whose is it then?
        if std::mem::replace(&mut seen, true) {
            return Verdict::of('E');
        }
        let (key, signer) = rest.split_once(' ').unwrap_or((rest, ""));
        verdict.status = status;
        verdict.key = key.to_owned();
        if status != 'E' {
            verdict.signer = signer.to_owned();
        }
    }
    verdict
}

/// What ssh-keygen says: `Good "git" signature for ADA with ED25519 key SHA256:…`, or the same
/// without a name for a key that nobody is known by.
fn of_ssh(said: &str) -> Verdict {
    let bad = Verdict::of('B');
    let line = said.trim_start().lines().next().unwrap_or_default();
    let Some(rest) = line.strip_prefix("Good \"git\" signature ") else {
        return bad;
    };
    let (signer, key) = match (rest.strip_prefix("for "), rest.strip_prefix("with ")) {
        // A name may hold the word too: the last one is ssh-keygen's.
        (Some(rest), _) => match rest.rsplit_once(" with ") {
            Some(parts) => parts,
            None => return bad,
        },
        (None, Some(key)) => ("", key),
        (None, None) => return bad,
    };
    match key.split_once("key ") {
        Some((_, key)) => Verdict {
            status: 'G',
            signer: signer.to_owned(),
            key: key.trim_end().to_owned(),
        },
        None => bad,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is(verdict: Verdict, status: char, signer: &str, key: &str) {
        let expected = Verdict {
            status,
            signer: signer.to_owned(),
            key: key.to_owned(),
        };
        assert_eq!(verdict, expected);
    }

    #[test]
    fn what_gnupg_says_is_understood() {
        let good = "[GNUPG:] NEWSIG\n[GNUPG:] GOODSIG 13B6 C O Mitter <c@x>\n\
                    [GNUPG:] VALIDSIG ABC 2020-01-01\n[GNUPG:] TRUST_ULTIMATE 0 pgp\n";
        is(of_gnupg(good), 'G', "C O Mitter <c@x>", "13B6");
        is(of_gnupg("gpg: [GNUPG:] GOODSIG 1 x\n"), 'N', "", "");
        is(of_gnupg(&good.repeat(2)), 'E', "", "");
        is(of_gnupg("[GNUPG:] ERRSIG 12 1 8 00 1 9\n"), 'E', "", "12");
        is(of_gnupg("[GNUPG:] BADSIG 12 Ada\n"), 'B', "Ada", "12");
        is(
            of_gnupg("[GNUPG:] GOODSIG 1 x\n[GNUPG:] TRUST_ME"),
            'E',
            "",
            "",
        );
    }

    #[test]
    fn what_ssh_keygen_says_is_understood() {
        let known = "Good \"git\" signature for a with b with ED25519 key SHA256:x\n";
        is(of_ssh(known), 'G', "a with b", "SHA256:x");
        let unknown = "Good \"git\" signature with RSA key SHA256:y\n";
        is(of_ssh(unknown), 'G', "", "SHA256:y");
        for bad in [
            "",
            "Could not verify signature.\n",
            "Good \"git\" signature for a key",
        ] {
            is(of_ssh(bad), 'B', "", "");
        }
    }
}
