//! What hooks are told of the certificate of a signed push (githooks(5), `pre-receive`).

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::sync::OnceLock;

use govc_git::ObjectId;
use govc_git::wire::push_cert::PushCertificate;

use super::signature::{Verdict, Verifier};
use crate::app::App;
use crate::app::push_nonce::NonceStatus;

/// A push that came with a certificate.
#[derive(Debug)]
pub struct SignedPush {
    certificate: PushCertificate,
    id: ObjectId,
    nonce: String,
    nonce_status: NonceStatus,
    /// Found when the first hook is to know.
    verdict: OnceLock<Verdict>,
}

impl SignedPush {
    /// The push that `certificate`, a blob called `id`, is of; of its nonce is known what became of
    /// it, and which one counts.
    pub fn new(
        certificate: PushCertificate,
        id: ObjectId,
        (nonce_status, nonce): (NonceStatus, String),
    ) -> SignedPush {
        SignedPush {
            certificate,
            id,
            nonce,
            nonce_status,
            verdict: OnceLock::new(),
        }
    }

    /// What the blob is called, and holds.
    pub(super) fn blob(&self) -> (ObjectId, &[u8]) {
        (self.id, self.certificate.text())
    }

    /// What hooks find in their environment. The first time, a program looks at the signature.
    pub(super) fn environment(&self, app: &App) -> Vec<(&'static str, OsString)> {
        let verdict = self.verdict.get_or_init(|| {
            let (receive, hooks) = (&app.config().receive, &app.config().hooks);
            let verifier = Verifier {
                allowed_signers: &receive.allowed_signers,
                gnupg_home: &receive.gnupg_home,
                timeout: hooks.run_timeout.get(),
            };
            verifier.verify(self.certificate.payload(), self.certificate.signature())
        });
        let mut all = vec![
            ("GIT_PUSH_CERT", self.id.to_string()),
            ("GIT_PUSH_CERT_SIGNER", verdict.signer.clone()),
            ("GIT_PUSH_CERT_KEY", verdict.key.clone()),
            ("GIT_PUSH_CERT_STATUS", verdict.status.to_string()),
            ("GIT_PUSH_CERT_NONCE", self.nonce.clone()),
            (
                "GIT_PUSH_CERT_NONCE_STATUS",
                self.nonce_status.name().to_owned(),
            ),
        ];
        if let NonceStatus::Slop(seconds) = self.nonce_status {
            all.push(("GIT_PUSH_CERT_NONCE_SLOP", seconds.to_string()));
        }
        let all = all.into_iter();
        // No value of an environment holds a NUL.
        let clean = |value: String| {
            let bytes = value.into_bytes().into_iter();
            OsString::from_vec(bytes.filter(|&byte| byte != 0).collect())
        };
        all.map(|(name, value)| (name, clean(value))).collect()
    }
}
