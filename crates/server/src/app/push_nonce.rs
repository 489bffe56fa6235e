//! What whoever signs a push is given to sign with it, so that a certificate cannot be used again:
//! a time, and what only this server can make of it (`receive.certNonceSeed` in git-config(1)).

use govc_engine::Repository;
use ring::hmac;

use super::App;

/// What became of the nonce of a certificate, as git tells its hooks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NonceStatus {
    /// The certificate has none.
    Missing,
    /// It is none that was given out for this repository.
    Bad,
    /// It was given out, now or not too long ago.
    Ok,
    /// It was given out so many seconds ago, which is more than may be.
    Slop(i64),
}

impl NonceStatus {
    /// As git spells it.
    pub fn name(self) -> &'static str {
        match self {
            NonceStatus::Missing => "MISSING",
            NonceStatus::Bad => "BAD",
            NonceStatus::Ok => "OK",
            NonceStatus::Slop(_) => "SLOP",
        }
    }
}

/// How nonces of a repository are made and known again.
pub struct PushNonces<'a> {
    seed: &'a str,
    /// What tells repositories apart: the path by which they are asked for, as git has it.
    place: String,
    /// How many seconds old one may be.
    slop: u64,
}

impl PushNonces<'_> {
    /// Those of the repository at `place`; one may be so many seconds old.
    pub(crate) fn new(seed: &str, place: String, slop: u64) -> PushNonces<'_> {
        PushNonces { seed, place, slop }
    }

    /// The one that is given out at `seconds` since 1970.
    pub fn at(&self, seconds: u64) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.seed.as_bytes());
        let tag = hmac::sign(&key, format!("{}:{seconds}", self.place).as_bytes());
        let digits: String = tag.as_ref().iter().map(|b| format!("{b:02x}")).collect();
        format!("{seconds}-{digits}")
    }

    /// What became of the nonce `said` where `own` is the one of this conversation or, where one
    /// conversation is several requests (`stateless`), of this moment; and the one that counts.
    pub fn check(
        &self,
        said: Option<&[u8]>,
        own: String,
        stateless: bool,
    ) -> (NonceStatus, String) {
        let Some(said) = said else {
            return (NonceStatus::Missing, own);
        };
        if are_same(said, own.as_bytes()) {
            return (NonceStatus::Ok, own);
        }
        let Some(then) = seconds_of(said).filter(|_| stateless) else {
            return (NonceStatus::Bad, own);
        };
        let given = self.at(then);
        if !are_same(said, given.as_bytes()) {
            return (NonceStatus::Bad, own);
        }
        let now = seconds_of(own.as_bytes()).unwrap_or_default();
        // Ahead of us: another server gave it out whose clock is.
        let age = i128::from(now) - i128::from(then);
        if age.unsigned_abs() <= u128::from(self.slop) {
            return (NonceStatus::Ok, given);
        }
        (
            NonceStatus::Slop(i64::try_from(age).unwrap_or_default()),
            own,
        )
    }
}

/// The time in a nonce.
fn seconds_of(nonce: &[u8]) -> Option<u64> {
    let nonce = std::str::from_utf8(nonce).ok()?;
    let (seconds, _) = nonce.split_once('-')?;
    let is_number = seconds.starts_with(|c| matches!(c, '1'..='9'));
    seconds.parse().ok().filter(|_| is_number)
}

/// Whether they are the same, in a time that does not tell where they differ.
fn are_same(a: &[u8], b: &[u8]) -> bool {
    let differ = a.iter().zip(b).fold(0, |differ, (a, b)| differ | (a ^ b));
    a.len() == b.len() && differ == 0
}

impl App {
    /// How nonces of `repository` are made; `None` where signed pushes are not taken.
    pub fn push_nonces(&self, repository: &Repository) -> Option<PushNonces<'_>> {
        let settings = &self.config().receive;
        let seed = settings.cert_nonce_seed.reveal();
        (!seed.is_empty()).then(|| {
            let place = repository.snapshot().record.id.to_string();
            PushNonces::new(seed, place, settings.cert_nonce_slop.get().as_secs())
        })
    }

    /// The nonce for a push to `repository` that begins now, where signed ones are taken.
    pub fn push_nonce(&self, repository: &Repository) -> Option<String> {
        let nonces = self.push_nonces(repository)?;
        let now = self.engine().ok()?.clock().now();
        Some(nonces.at(u64::try_from(now.0 / 1_000_000).unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nonces(place: &str) -> PushNonces<'static> {
        PushNonces {
            seed: "sekrit",
            place: place.to_owned(),
            slop: 30,
        }
    }

    #[test]
    fn only_what_was_given_out_lately_is_good() {
        let ours = nonces("a");
        let now = || ours.at(1_000);
        let check = |said: &str, stateless| ours.check(Some(said.as_bytes()), now(), stateless);
        assert_eq!(check(&now(), false), (NonceStatus::Ok, now()));
        let early = ours.at(971);
        assert_eq!(check(&early, true), (NonceStatus::Ok, early.clone()));
        assert_eq!(check(&early, false), (NonceStatus::Bad, now()));
        assert_eq!(check(&ours.at(969), true), (NonceStatus::Slop(31), now()));
        assert_eq!(
            check(&ours.at(1_040), true),
            (NonceStatus::Slop(-40), now())
        );
        assert_eq!(ours.check(None, now(), true), (NonceStatus::Missing, now()));
        let forged = now().replace("1000-", "1001-");
        let other = nonces("b").at(1_000);
        let cut = &now()[..20];
        for bad in [
            "", "-", "1", "x-1", "01000-ab", "1000-", cut, &forged, &other,
        ] {
            assert_eq!(check(bad, true), (NonceStatus::Bad, now()), "{bad}");
        }
    }
}
