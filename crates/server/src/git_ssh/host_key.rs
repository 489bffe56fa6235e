//! The key by which clients know this server.

use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use russh::keys::PrivateKey;
use russh::keys::ssh_key::LineEnding;
use russh::keys::ssh_key::private::Ed25519Keypair;

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
