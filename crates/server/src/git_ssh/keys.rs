//! The keys of those who may come.

use std::fmt;
use std::sync::Arc;

use russh::keys::PublicKey;
use russh::keys::ssh_key::Algorithm;
use serde::de::{self, Deserialize, Deserializer};
use subtle::ConstantTimeEq;

/// Public keys, and the names of those whose they are.
#[derive(Clone, Default)]
pub struct SshKeys(Vec<SshKey>);

#[derive(Clone)]
struct SshKey {
    name: Arc<str>,
    key: PublicKey,
    /// The key as it is sent.
    bytes: Vec<u8>,
}

impl SshKeys {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The name of the one who has `key`.
    pub(crate) fn owner(&self, key: &PublicKey) -> Option<Arc<str>> {
        let shown = key.to_bytes().ok()?;
        let mut owner = None;
        // All of them are looked at, whichever fits.
        for known in &self.0 {
            if bool::from(known.bytes.ct_eq(&shown)) {
                owner = Some(Arc::clone(&known.name));
            }
        }
        owner
    }
}

impl fmt::Debug for SshKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.0.iter().map(|known| &known.name);
        f.debug_set().entries(names).finish()
    }
}

impl<'de> Deserialize<'de> for SshKeys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<SshKeys, D::Error> {
        let keys = Vec::<SshKey>::deserialize(deserializer)?;
        Ok(SshKeys(keys))
    }
}

impl<'de> Deserialize<'de> for SshKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<SshKey, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = SshKey;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a public key as in id_ed25519.pub, or {name, key}")
            }

            fn visit_str<E: de::Error>(self, line: &str) -> Result<SshKey, E> {
                SshKey::parse(None, line).map_err(E::custom)
            }

            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<SshKey, A::Error> {
                let (mut name, mut key) = (None, None);
                while let Some(field) = map.next_key::<String>()? {
                    let place = match &field[..] {
                        "name" => &mut name,
                        "key" => &mut key,
                        other => {
                            return Err(de::Error::unknown_field(other, &["name", "key"]));
                        }
                    };
                    if place.replace(map.next_value::<String>()?).is_some() {
                        return Err(de::Error::custom(format!("{field} is there twice")));
                    }
                }
                let name = name.ok_or_else(|| de::Error::missing_field("name"))?;
                let key = key.ok_or_else(|| de::Error::missing_field("key"))?;
                SshKey::parse(Some(&name), &key).map_err(de::Error::custom)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl SshKey {
    /// Reads a line of an `id_….pub`; without `name` the comment behind the key is the name.
    fn parse(name: Option<&str>, line: &str) -> Result<SshKey, String> {
        let line = line.trim();
        if line.contains("PRIVATE KEY") {
            return Err("this is a private key: the public one, id_….pub, is wanted".to_owned());
        }
        let key = PublicKey::from_openssh(line)
            .map_err(|error| format!("not an OpenSSH public key ({error})"))?;
        match key.algorithm() {
            Algorithm::Ed25519
            | Algorithm::Ecdsa { .. }
            | Algorithm::Rsa { .. }
            | Algorithm::SkEd25519
            | Algorithm::SkEcdsaSha2NistP256 => {}
            other => return Err(format!("keys of the kind {other} are not taken")),
        }
        let name = name.unwrap_or_else(|| line.splitn(3, ' ').nth(2).unwrap_or_default());
        let name = name.trim();
        if name.is_empty() || name.chars().any(char::is_control) || name.len() > 255 {
            return Err(
                "the key needs a name: a comment behind it, or {name: …, key: …}".to_owned(),
            );
        }
        let bytes = key.to_bytes().map_err(|error| error.to_string())?;
        Ok(SshKey {
            name: name.into(),
            key,
            bytes,
        })
    }
}

impl PartialEq for SshKeys {
    fn eq(&self, other: &SshKeys) -> bool {
        let same = |(a, b): (&SshKey, &SshKey)| a.name == b.name && a.key == b.key;
        self.0.len() == other.0.len() && self.0.iter().zip(&other.0).all(same)
    }
}
