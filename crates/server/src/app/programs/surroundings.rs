//! What programs see: a repository directory that is up to date, and beside it what a change
//! brings.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::ZlibEncoder;
use govc_engine::work::hidden::HiddenRefs;
use govc_engine::work::{View, bundle};
use govc_engine::{CauseKind, Entry, ObjectBody, Repository, Settings, Storage, Target};
use govc_git::pack::delta;
use govc_git::{ObjectId, ObjectKind};

use super::Passage;
use crate::app::App;

/// A delta that makes more than this is no delta of ours.
const OBJECT_BYTES_MAX: u64 = 2 << 30;

/// How a quarantine's name begins: git's own `gc` removes leftovers of the first part.
const QUARANTINE: &str = "tmp_objdir-incoming-govc-";

/// What tells this run of the server from those before it, in names of folders.
fn this_run() -> &'static str {
    static NAME: OnceLock<String> = OnceLock::new();
    NAME.get_or_init(|| format!("{:08x}-", getrandom::u32().unwrap_or_default()))
}

/// Removes what runs before this one left of their quarantines in a repository's directory.
///
/// # Errors
/// Whatever the disk met.
pub(super) fn remove_leftovers(directory: &Path) -> io::Result<()> {
    for found in fs::read_dir(directory.join("objects"))? {
        let found = found?;
        let name = found.file_name();
        let rest = name.to_str().and_then(|name| name.strip_prefix(QUARANTINE));
        if rest.is_some_and(|rest| !rest.starts_with(this_run())) {
            fs::remove_dir_all(found.path())?;
        }
    }
    Ok(())
}

/// A folder that goes when this is dropped.
pub(super) struct Scratch(PathBuf);

impl Scratch {
    /// A new one in `parent`, that only we may look into.
    ///
    /// # Errors
    /// Whatever the disk met.
    pub(super) fn new(parent: &Path, prefix: &str) -> io::Result<Scratch> {
        let random = getrandom::u64().map_err(io::Error::other)?;
        let path = parent.join(format!("{prefix}{random:016x}"));
        use std::os::unix::fs::DirBuilderExt;
        fs::DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Scratch(path))
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::warn!(%error, path = %self.0.display(), "a hook's folder stays");
        }
    }
}

/// Where programs run, and what they are told.
pub(super) struct Surroundings {
    directory: PathBuf,
    environment: Vec<(OsString, OsString)>,
    /// Gone when all programs have run.
    _scratch: Vec<Scratch>,
}

impl Surroundings {
    /// For programs that are asked about `entry`: what it brings is in quarantine.
    ///
    /// # Errors
    /// Whatever the disk met, or that git could not be run for a repository that is in memory.
    pub(super) fn for_asking(
        app: &App,
        repository: &Arc<Repository>,
        entry: &Entry,
        passage: &Passage,
    ) -> io::Result<Surroundings> {
        let mut place = Surroundings::of(app, repository, entry, passage)?;
        let objects = place.directory.join("objects");
        // Beside the objects, so that hard links and renames work.
        let quarantine = Scratch::new(&objects, &format!("{QUARANTINE}{}", this_run()))?;
        write_objects(repository, entry, &quarantine.0)?;
        let in_memory = app.directory_of(repository).is_none();
        if in_memory {
            let packs = quarantine.0.join("pack");
            fs::create_dir_all(&packs)?;
            for pack in &entry.objects.packs {
                let bytes = repository.packs().open(repository.key(), *pack)?;
                let path = |extension| packs.join(format!("pack-{}.{extension}", pack.0));
                fs::write(path("pack"), &bytes.pack)?;
                fs::write(path("idx"), &bytes.index)?;
            }
        }
        place.set("GIT_QUARANTINE_PATH", &quarantine.0);
        place.set("GIT_OBJECT_DIRECTORY", &quarantine.0);
        place.set("GIT_ALTERNATE_OBJECT_DIRECTORIES", &objects);
        place._scratch.insert(0, quarantine);
        Ok(place)
    }

    /// For programs that are told of `entry`, which was made.
    ///
    /// # Errors
    /// As [`Surroundings::for_asking`].
    pub(super) fn for_telling(
        app: &App,
        repository: &Arc<Repository>,
        entry: &Entry,
        passage: &Passage,
    ) -> io::Result<Surroundings> {
        Surroundings::of(app, repository, entry, passage)
    }

    fn of(
        app: &App,
        repository: &Arc<Repository>,
        entry: &Entry,
        passage: &Passage,
    ) -> io::Result<Surroundings> {
        let store = app.served().ok().and_then(|served| served.store.clone());
        let in_memory = repository.snapshot().record.storage == Storage::Memory;
        let (directory, scratch) = match store.filter(|_| !in_memory) {
            Some(store) => {
                store.checkpoint(repository.key())?;
                let directory = app.directory_of(repository);
                (directory.ok_or(io::ErrorKind::NotFound)?, Vec::new())
            }
            None => {
                let scratch = Scratch::new(&std::env::temp_dir(), "govc-hook-")?;
                write_bare(repository, &scratch.0)?;
                (scratch.0.clone(), vec![scratch])
            }
        };
        let mut place = Surroundings {
            directory,
            environment: Vec::new(),
            _scratch: scratch,
        };
        let git_dir = place.directory.clone();
        place.set("GIT_DIR", git_dir);
        let id = repository.snapshot().record.id.to_string();
        place.set("GOVC_REPO", id);
        place.set("GOVC_ACTOR", &*entry.cause.actor);
        place.set("GOVC_VIA", entry.cause.via.name());
        place.set("GOVC_REQUEST_ID", &*entry.cause.request_id);
        if let Some(options) = &passage.options
            && entry.cause.kind == CauseKind::Push
        {
            place.set("GIT_PUSH_OPTION_COUNT", options.len().to_string());
            for (number, option) in options.iter().enumerate() {
                let value = OsString::from_vec(option.clone());
                place.set(&format!("GIT_PUSH_OPTION_{number}"), value);
            }
        }
        if let Some(signed) = &passage.signed {
            if in_memory {
                let (id, text) = signed.blob();
                let objects = place.directory.join("objects");
                write_loose(&objects, id, ObjectKind::Blob, text)?;
            }
            for (name, value) in signed.environment(app) {
                place.set(name, value);
            }
        }
        Ok(place)
    }

    fn set(&mut self, name: &str, value: impl Into<OsString>) {
        self.environment.push((name.into(), value.into()));
    }

    /// The repository's directory.
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// What they are told.
    pub(super) fn environment(&self) -> &[(OsString, OsString)] {
        &self.environment
    }
}

/// Writes what an entry brings as loose objects.
fn write_objects(repository: &Repository, entry: &Entry, objects: &Path) -> io::Result<()> {
    let mut made: HashMap<ObjectId, Bytes> = HashMap::new();
    for object in &entry.objects.inline {
        let data = match &object.body {
            ObjectBody::Whole(data) => data.clone(),
            ObjectBody::Delta { base, delta } => {
                let base = match made.get(base) {
                    Some(base) => base.clone(),
                    None => repository.pool().get(base).map_err(io::Error::other)?.data,
                };
                let whole = delta::apply(&base, delta, OBJECT_BYTES_MAX);
                whole.map_err(io::Error::other)?.into()
            }
            ObjectBody::Elsewhere => continue,
        };
        write_loose(objects, object.id, object.kind, &data)?;
        made.insert(object.id, data);
    }
    Ok(())
}

/// Writes one loose object.
fn write_loose(objects: &Path, id: ObjectId, kind: ObjectKind, data: &[u8]) -> io::Result<()> {
    let name = id.to_string();
    let (folder, file) = name.split_at(2);
    fs::create_dir_all(objects.join(folder))?;
    let file = fs::File::create(objects.join(folder).join(file))?;
    let mut out = ZlibEncoder::new(io::BufWriter::new(file), Compression::fast());
    write!(out, "{} {}\0", kind.name(), data.len())?;
    out.write_all(data)?;
    let written = out.finish()?.into_inner();
    written.map_err(|error| error.into_error())?;
    Ok(())
}

/// Writes a bare repository that is what `repository` is.
fn write_bare(repository: &Arc<Repository>, directory: &Path) -> io::Result<()> {
    let view = View::of(repository);
    let format = view.pool.format();
    for folder in ["objects/pack", "objects/info", "refs/heads", "refs/tags"] {
        fs::create_dir_all(directory.join(folder))?;
    }
    let mut config = "[core]\n\trepositoryformatversion = 0\n\tbare = true\n".to_owned();
    if format != govc_git::ObjectFormat::Sha1 {
        config = "[core]\n\trepositoryformatversion = 1\n\tbare = true\n\
                  [extensions]\n\tobjectFormat = sha256\n"
            .to_owned();
    }
    fs::write(directory.join("config"), config)?;
    let head = match view.refs.head_branch() {
        Some(branch) => [b"ref: ", branch.as_bytes(), b"\n"].concat(),
        None => {
            let id = view.refs.resolve(b"HEAD");
            format!("{}\n", id.unwrap_or(ObjectId::null(format))).into_bytes()
        }
    };
    fs::write(directory.join("HEAD"), head)?;
    let mut packed = b"# pack-refs with: sorted\n".to_vec();
    for (name, target) in view.refs.iter() {
        if let Target::At(id) = target
            && name.as_bytes() != b"HEAD"
        {
            packed.extend_from_slice(format!("{id} ").as_bytes());
            packed.extend_from_slice(name.as_bytes());
            packed.push(b'\n');
        }
    }
    fs::write(directory.join("packed-refs"), packed)?;
    let all = Settings::default();
    let header =
        bundle::header(&view, HiddenRefs::of(&all), None, &[]).map_err(io::Error::other)?;
    let Some(header) = header else { return Ok(()) };
    let pack = bundle::pack(&view, &header).map_err(io::Error::other)?;
    let mut child = Command::new("git")
        .args(["index-pack", "--stdin"])
        .current_dir(directory)
        .env("GIT_DIR", directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let mut stdin = child.stdin.take();
    for piece in pack {
        let piece = piece.map_err(io::Error::other)?;
        if let Some(stdin) = &mut stdin {
            stdin.write_all(&piece)?;
        }
    }
    drop(stdin);
    match child.wait()?.success() {
        true => Ok(()),
        false => Err(io::Error::other("git index-pack failed")),
    }
}
