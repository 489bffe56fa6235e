//! The keys of those who may come, and the key by which they know this server.

use std::fmt;
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use russh::keys::ssh_key::private::Ed25519Keypair;
use russh::keys::ssh_key::{Algorithm, LineEnding};
use russh::keys::{PrivateKey, PublicKey};
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

/// Why there is no host key.
#[derive(Debug, thiserror::Error)]
pub enum HostKeyError {
    /// It cannot be read or written.
    #[error("the SSH host key {}: {source}", path.display())]
    Io {
        /// Where it is.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// What is there is no key that can be used.
    #[error("the SSH host key {}: {why}", path.display())]
    Unusable {
        /// Where it is.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

/// The key at `path`; made, for its owner's eyes only, if there is none. Without a path it is
/// another one at each start. Blocks.
///
/// # Errors
/// [`HostKeyError`].
pub fn host_key(path: Option<&Path>) -> Result<PrivateKey, HostKeyError> {
    let Some(path) = path else {
        return Ok(new_key());
    };
    let unusable = |why: String| HostKeyError::Unusable {
        path: path.to_owned(),
        why,
    };
    let io = |source| HostKeyError::Io {
        path: path.to_owned(),
        source,
    };
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let key = new_key();
            let text = key.to_openssh(LineEnding::LF);
            let text = text.map_err(|error| unusable(error.to_string()))?;
            write_key(path, text.as_bytes()).map_err(io)?;
            tracing::info!(path = %path.display(), "made an SSH host key");
            return Ok(key);
        }
        Err(error) => return Err(io(error)),
    };
    let mode = std::fs::metadata(path).map_err(io)?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(unusable(format!(
            "its mode is {:04o}: nobody but its owner may read it (chmod 600)",
            mode & 0o7777
        )));
    }
    let key = PrivateKey::from_openssh(&text)
        .map_err(|error| unusable(format!("not an OpenSSH private key ({error})")))?;
    if key.is_encrypted() {
        return Err(unusable(
            "it has a passphrase: it needs to have none".to_owned(),
        ));
    }
    Ok(key)
}

#[allow(
    clippy::expect_used,
    reason = "a key that is not random is everybody's key"
)]
fn new_key() -> PrivateKey {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).expect("the system has randomness");
    PrivateKey::from(Ed25519Keypair::from_seed(&seed))
}

/// Writes a file that only its owner reads, whole or not at all.
fn write_key(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut aside = path.as_os_str().to_owned();
    aside.push(".new");
    let aside = PathBuf::from(aside);
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(&aside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&aside, path)?;
    if let Some(folder) = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
    {
        std::fs::File::open(folder)?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_key_is_made_once_and_is_its_owners() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let made = host_key(Some(&path)).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let read = host_key(Some(&path)).unwrap();
        assert_eq!(made.public_key(), read.public_key());
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        let error = host_key(Some(&path)).unwrap_err().to_string();
        assert!(error.contains("chmod 600"), "{error}");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        std::fs::write(&path, "rubbish").unwrap();
        assert!(host_key(Some(&path)).is_err());
    }
}
