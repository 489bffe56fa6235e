//! Merging packs by `git pack-objects`, which searches for deltas.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::thread;
use std::time::Duration;

use govc_git::ObjectId;

use super::Chosen;
use crate::repo::Repo;
use crate::store::Store;

/// The lowest there is: it takes what nobody else wants.
const NICENESS: i32 = 19;
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// What git says to an option that it does not know.
const USAGE: i32 = 129;

impl Store {
    /// Lets git make the pack, in `aside`; returns what it is called there. `None`: there is no git
    /// that can, and entries are to be kept as they are.
    pub(super) fn merge_with_git(
        &self,
        repo: &Repo,
        chosen: &Chosen,
        aside: &Path,
    ) -> io::Result<Option<ObjectId>> {
        let options = &self.options.compaction;
        let Some(program) = options.git.as_deref() else {
            return Ok(None);
        };
        let Some(native) = self.disk.native(aside) else {
            return Ok(None);
        };
        let native = std::path::absolute(native)?;
        for folder in ["objects", "objects/info", "objects/pack"] {
            self.disk.create_dir(&aside.join(folder))?;
        }
        let mut asked = File::create(native.join("packs"))?;
        for id in &chosen.ids {
            writeln!(asked, "pack-{}.pack", id.0)?;
        }
        drop(asked);
        let memory = options.memory_bytes.max(1 << 20);
        let mut command = Command::new(program);
        for setting in [
            format!("pack.windowMemory={}", memory / 2),
            format!("pack.deltaCacheSize={}", memory / 4),
            // Larger ones are not held in memory, and not compared.
            format!("core.bigFileThreshold={}", memory / 4),
            "pack.packSizeLimit=0".to_owned(),
            "pack.threads=1".to_owned(),
            "pack.indexVersion=2".to_owned(),
            "pack.writeReverseIndex=false".to_owned(),
            "core.fsync=none".to_owned(),
        ] {
            command.arg("-c").arg(setting);
        }
        command
            .args([
                "pack-objects",
                "--quiet",
                "--stdin-packs",
                "--delta-base-offset",
            ])
            .args(["--window=10", "--depth=50"])
            .arg(native.join("out"));
        // What it makes on the way is in the folder aside, not in the repository's.
        let path = std::env::var_os("PATH").unwrap_or_default();
        command
            .env_clear()
            .env("PATH", path)
            .env("LC_ALL", "C")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_NO_REPLACE_OBJECTS", "1")
            .env("GIT_DIR", ".")
            .env("GIT_OBJECT_DIRECTORY", native.join("objects"))
            .env("GIT_ALTERNATE_OBJECT_DIRECTORIES", "./objects")
            .stdin(File::open(native.join("packs"))?)
            .stdout(File::create(native.join("name"))?)
            .stderr(File::create(native.join("said"))?);
        // The directory may get another name meanwhile: to who works in it that changes nothing.
        let started = self.in_directory(repo, |dir| {
            let dir = self.disk.native(dir).ok_or(io::ErrorKind::NotFound)?;
            command.current_dir(dir).spawn()
        });
        let mut child = match started {
            Ok(child) => child,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        lower(&child);
        let status = self.wait_for(&mut child)?;
        if status.success() {
            let name = std::fs::read_to_string(native.join("name"))?;
            if let [only] = &name.lines().collect::<Vec<_>>()[..]
                && let Ok(id) = ObjectId::from_hex(only.as_bytes())
            {
                return Ok(Some(id));
            }
        }
        let said = std::fs::read_to_string(native.join("said")).unwrap_or_default();
        let said = said.trim();
        if status.code() == Some(USAGE) {
            tracing::debug!(said, "git is too old to merge packs");
        } else {
            tracing::warn!(%status, said, "git did not merge packs: they are merged as they are");
        }
        Ok(None)
    }

    /// Waits until it ends, or ends it when the store is closing.
    fn wait_for(&self, child: &mut Child) -> io::Result<ExitStatus> {
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(status);
            }
            if self.is_closing() {
                child.kill()?;
                child.wait()?;
                return Err(io::ErrorKind::Interrupted.into());
            }
            thread::sleep(LOOK_EVERY);
        }
    }
}

fn lower(child: &Child) {
    let id = i32::try_from(child.id()).ok();
    let id = id.and_then(rustix::process::Pid::from_raw);
    if let Err(error) = rustix::process::setpriority_process(id, NICENESS) {
        tracing::debug!(%error, "git keeps its priority");
    }
}
