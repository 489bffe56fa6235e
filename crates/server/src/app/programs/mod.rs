//! Hooks that are programs: git's own (githooks(5)), from a folder of the operator's.
//!
//! They see a repository directory that is up to date, and what a change brings beside it, in
//! quarantine, as under git's `receive-pack`. The API never brings a program.

mod run;
mod signature;
mod signed_push;
mod surroundings;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use govc_engine::work::receive::Decision;
use govc_engine::{
    Cause, CauseKind, Entry, EntryEdit, NewObjects, RefName, Refs, Repository, Target,
};
use govc_git::wire::receive::Command;
use govc_git::{ObjectId, ObjectKind};
use tokio::sync::SemaphorePermit;
use tokio::sync::mpsc::UnboundedSender;

use super::App;
use super::error::AppError;
use run::{Ended, Order, run};
pub use signed_push::SignedPush;
use surroundings::Surroundings;

/// So much of the output is kept for a refusal.
const SAID_BYTES: usize = 2000;

/// Where a repository has its own hooks: a folder of its directory on the disk.
const OWN_FOLDER: &str = "hooks";

/// How a change that is asked about came, and where those who wait for it listen.
#[derive(Debug, Clone, Default)]
pub struct Passage {
    /// Where the output of programs goes while they run; where there is nobody it is in the refusal.
    pub say: Option<UnboundedSender<Bytes>>,
    /// What a push said with `-o`; `None` where it was not asked for options.
    pub options: Option<Vec<Vec<u8>>>,
    /// What was signed of a push.
    pub signed: Option<Arc<SignedPush>>,
    /// Whether a push is all or nothing.
    pub atomic: bool,
    /// What a push asked for.
    pub push: Option<Pushed>,
    /// The commands that `update` refused alone, by the names in them.
    pub refused: Arc<Mutex<Vec<RefName>>>,
}

/// What a push asked for: its hooks are given its commands, in their order, those that change
/// nothing too.
#[derive(Debug, Clone)]
pub struct Pushed {
    /// All of it.
    pub commands: Arc<[Command]>,
    /// Which of them were refused when it was decided last.
    pub decision: Arc<Mutex<Decision>>,
    /// Of the change that it is.
    pub cause: Cause,
}

impl Passage {
    /// What `update` refused.
    pub fn refused(&self) -> Vec<RefName> {
        let refused = self.refused.lock();
        refused.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What hooks are given of a change: of a push its commands that were not refused.
    fn moved(&self, entry: &Entry) -> Vec<Moved> {
        let Some(push) = &self.push else {
            return moved(entry);
        };
        let decision = push.decision.lock();
        let decision = decision.unwrap_or_else(PoisonError::into_inner);
        let commands = push.commands.iter().enumerate();
        let taken = commands.filter(|(at, _)| matches!(decision.refusals.get(*at), Some(None)));
        let told = taken.map(|(_, command)| Moved {
            old: command.old,
            new: command.new,
            name: RefName::new(&command.name[..]),
        });
        told.collect()
    }

    fn note_refused(&self, names: Vec<RefName>) {
        let refused = self.refused.lock();
        *refused.unwrap_or_else(PoisonError::into_inner) = names;
    }

    /// A push that changes nothing, as an entry without edits, where hooks are to hear of it.
    pub(super) fn nothing(&self, repository: &Repository) -> Option<Arc<Entry>> {
        let push = self.push.as_ref()?;
        let snapshot = repository.snapshot();
        Some(Arc::new(Entry {
            repo: repository.key(),
            host: repository.reality().map(|reality| reality.host),
            seq: snapshot.seq,
            step: snapshot.step,
            time: snapshot.time,
            cause: push.cause.clone(),
            edits: Vec::new(),
            objects: NewObjects::default(),
        }))
    }
}

/// A ref that a change moves, as hooks are told: the null id where there is none.
#[derive(Clone)]
struct Moved {
    old: ObjectId,
    new: ObjectId,
    name: RefName,
}

impl Moved {
    /// Whether what was to be deleted was not there.
    fn is_of_nothing(&self) -> bool {
        self.old.is_null() && self.new.is_null()
    }
}

/// The programs that want to see changes of a repository.
pub(super) struct Programs {
    app: App,
    repository: Arc<Repository>,
    /// Where they may be, first the repository's own place.
    folders: Vec<PathBuf>,
}

impl App {
    /// The programs for a repository; `None` where there can be none.
    pub(super) fn programs(&self, repository: &Arc<Repository>) -> Option<Programs> {
        let settings = &self.config().hooks;
        let mut folders = Vec::new();
        if settings.from_repositories
            && let Some(directory) = self.directory_of(repository)
        {
            folders.push(directory.join(OWN_FOLDER));
        }
        if !settings.path.as_os_str().is_empty() {
            let snapshot = repository.snapshot();
            folders.push(settings.path.join(snapshot.record.id.as_str()));
            folders.push(settings.path.clone());
        }
        (!folders.is_empty()).then(|| Programs {
            app: self.clone(),
            repository: Arc::clone(repository),
            folders,
        })
    }

    /// Removes what hooks of earlier runs left on the disk, when the server was killed meanwhile.
    pub fn remove_what_hooks_left(&self) {
        let Ok(served) = self.served() else { return };
        let Some(store) = &served.store else { return };
        for found in served.engine.all() {
            let Some(below) = store.directory(found.key()) else {
                continue;
            };
            let directory = self.config().storage.disk_path.join(below);
            if let Err(error) = surroundings::remove_leftovers(&directory)
                && error.kind() != std::io::ErrorKind::NotFound
            {
                tracing::warn!(%error, path = %directory.display(), "a hook's folder stays");
            }
        }
    }

    /// The repository's directory on the disk, if it has one.
    fn directory_of(&self, repository: &Repository) -> Option<PathBuf> {
        let store = self.served().ok()?.store.as_ref()?;
        let below = store.directory(repository.key())?;
        let path = self.config().storage.disk_path.join(below);
        std::path::absolute(path).ok()
    }
}

impl Programs {
    /// The program called `name`, if there is one.
    fn find(&self, name: &str) -> Option<PathBuf> {
        let paths = self.folders.iter().map(|folder| folder.join(name));
        paths.into_iter().find(|path| is_program(path))
    }

    /// Asks about `entry`, which was decided and not made. What is left of it where `update`
    /// refused some of its refs.
    ///
    /// # Errors
    /// [`AppError::ProgramRefused`]; [`AppError::Unavailable`] when too many run; and
    /// [`AppError::Internal`] when a program cannot be run.
    pub(super) async fn ask(
        self: &Arc<Self>,
        entry: Arc<Entry>,
        passage: &Passage,
    ) -> Result<Arc<Entry>, AppError> {
        if passage.moved(&entry).is_empty() || entry.host.is_some() {
            return Ok(entry);
        }
        let before = before(&entry);
        let names = before.iter().chain(&["update", "reference-transaction"]);
        if names.into_iter().all(|name| self.find(name).is_none()) {
            return Ok(entry);
        }
        let _place = self.place().await?;
        let (own, passage) = (Arc::clone(self), passage.clone());
        let asking = move || own.ask_now(entry, &passage);
        tokio::task::spawn_blocking(asking)
            .await
            .map_err(AppError::internal)?
    }

    /// A place among those that run.
    async fn place(&self) -> Result<SemaphorePermit<'_>, AppError> {
        let patience = self.app.config().hooks.run_timeout.get();
        match tokio::time::timeout(patience, self.app.program_places().acquire()).await {
            Ok(Ok(place)) => Ok(place),
            Ok(Err(_)) | Err(_) => Err(AppError::Unavailable {
                why: "too many hooks are running (hooks.run_concurrency)".to_owned(),
            }),
        }
    }

    fn ask_now(&self, entry: Arc<Entry>, passage: &Passage) -> Result<Arc<Entry>, AppError> {
        let is_push = entry.cause.kind == CauseKind::Push;
        let place = Surroundings::for_asking(&self.app, &self.repository, &entry, passage)
            .map_err(AppError::internal)?;
        let all = passage.moved(&entry);
        for name in before(&entry) {
            let (arguments, input) = match *name {
                "pre-push" => self.as_pre_push(&all),
                _ => (Vec::new(), as_lines(&all)),
            };
            self.must_pass(name, &arguments, &input, &place, passage)?;
        }
        let mut refused: Vec<RefName> = Vec::new();
        if self.find("update").is_some() {
            for update in &all {
                let arguments = [
                    update.name.to_text(),
                    update.old.to_string(),
                    update.new.to_string(),
                ];
                let passed = self.must_pass("update", &arguments, &[], &place, passage);
                match passed {
                    Ok(()) => {}
                    Err(error @ AppError::ProgramRefused { .. }) => {
                        if let (true, Some(say)) = (is_push, &passage.say) {
                            let name = update.name.to_text();
                            let line = format!("error: hook declined to update {name}\n");
                            let _ = say.send(line.into());
                        }
                        refused.push(update.name.clone());
                        if passage.atomic || !is_push {
                            passage.note_refused(refused);
                            return Err(error);
                        }
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        passage.note_refused(refused.clone());
        if refused.len() == all.len() {
            return Err(refusal("update", ""));
        }
        let left = match refused.is_empty() {
            true => entry,
            false => Arc::new(without(&entry, &refused, &self.repository.snapshot().refs)),
        };
        let moves = moved(&left);
        if !moves.is_empty() {
            let (input, arguments) = (as_lines(&moves), ["prepared".to_owned()]);
            self.must_pass("reference-transaction", &arguments, &input, &place, passage)?;
        }
        Ok(left)
    }

    /// What was asked about and let pass was not made all the same.
    pub(super) async fn take_back(self: &Arc<Self>, entry: Arc<Entry>, passage: &Passage) {
        if moved(&entry).is_empty() || entry.host.is_some() {
            return;
        }
        let Some(program) = self.find("reference-transaction") else {
            return;
        };
        let (own, passage) = (Arc::clone(self), passage.clone());
        let Ok(_place) = self.place().await else {
            return;
        };
        let telling = move || -> std::io::Result<Ended> {
            let place = Surroundings::for_telling(&own.app, &own.repository, &entry, &passage)?;
            let arguments = ["aborted".to_owned()];
            let input = as_lines(&moved(&entry));
            own.run(&program, &arguments, &input, &place, &passage)
        };
        if let Ok(Err(error)) = tokio::task::spawn_blocking(telling).await {
            tracing::warn!(%error, "a hook was not told that a change was not made");
        }
    }

    /// Tells of `entry`, which was made. Whoever pushed waits for it, and sees what is said.
    pub(super) async fn tell(self: Arc<Self>, entry: Arc<Entry>, passage: Passage) {
        let told = passage.moved(&entry);
        if told.iter().all(Moved::is_of_nothing) || entry.host.is_some() {
            return;
        }
        if AFTER.iter().all(|name| self.find(name).is_none()) {
            return;
        }
        let waits = passage.say.is_some();
        let telling = async move {
            let Ok(_place) = self.place().await else {
                tracing::warn!("hooks were not told of a change: too many run");
                return;
            };
            let own = Arc::clone(&self);
            let _ = tokio::task::spawn_blocking(move || own.tell_now(&entry, &passage)).await;
        };
        match waits {
            true => telling.await,
            false => drop(tokio::spawn(telling)),
        }
    }

    fn tell_now(&self, entry: &Entry, passage: &Passage) {
        let place = match Surroundings::for_telling(&self.app, &self.repository, entry, passage) {
            Ok(place) => place,
            Err(error) => {
                tracing::warn!(%error, "hooks were not told of a change");
                return;
            }
        };
        let mut all = passage.moved(entry);
        let refused = passage.refused();
        all.retain(|update| !update.is_of_nothing() && !refused.contains(&update.name));
        let moves = moved(entry);
        for name in AFTER {
            let is_asked = match name {
                "post-commit" => is_commit(entry),
                "reference-transaction" => !moves.is_empty(),
                _ => !all.is_empty(),
            };
            if !is_asked {
                continue;
            }
            let Some(program) = self.find(name) else {
                continue;
            };
            let (arguments, input) = match name {
                "reference-transaction" => (vec!["committed".to_owned()], as_lines(&moves)),
                "post-update" => {
                    let names = all.iter().map(|update| update.name.to_text());
                    (names.collect(), Vec::new())
                }
                _ => (Vec::new(), as_lines(&all)),
            };
            let ended = self.run(&program, &arguments, &input, &place, passage);
            match ended {
                Ok(Ended {
                    status: Some(0), ..
                }) => {}
                Ok(Ended { status, .. }) => {
                    tracing::warn!(name, ?status, "a hook failed, after the change");
                }
                Err(error) => tracing::warn!(name, %error, "a hook could not be run"),
            }
        }
    }

    /// Runs the program `name`, if there is one, which must end well.
    fn must_pass(
        &self,
        name: &str,
        arguments: &[String],
        input: &[u8],
        place: &Surroundings,
        passage: &Passage,
    ) -> Result<(), AppError> {
        let Some(program) = self.find(name) else {
            return Ok(());
        };
        let ended = self.run(&program, arguments, input, place, passage);
        let Ended {
            status,
            said,
            timed_out,
        } = ended.map_err(|error| {
            tracing::error!(hook = %program.display(), %error, "a hook cannot be run");
            refusal(name, &format!("cannot run hooks/{name}: {error}"))
        })?;
        if timed_out {
            let limit = self.app.config().hooks.run_timeout.get();
            let why = format!(
                "it was stopped after {} s (hooks.run_timeout)",
                limit.as_secs()
            );
            return Err(refusal(name, &why));
        }
        match status {
            Some(0) => Ok(()),
            _ if passage.say.is_some() => Err(refusal(name, "")),
            _ => Err(refusal(name, &said)),
        }
    }

    fn run(
        &self,
        program: &Path,
        arguments: &[String],
        input: &[u8],
        place: &Surroundings,
        passage: &Passage,
    ) -> std::io::Result<Ended> {
        let settings = &self.app.config().hooks;
        run(Order {
            program,
            arguments,
            input,
            folder: place.directory(),
            environment: place.environment(),
            timeout: settings.run_timeout.get(),
            output_bytes: settings.output.as_usize(),
            kept_bytes: SAID_BYTES,
            errors_too: true,
            say: passage.say.as_ref(),
        })
    }

    /// What git's client-side hook is given, of a push that has arrived here.
    fn as_pre_push(&self, all: &[Moved]) -> (Vec<String>, Vec<u8>) {
        let record = &self.repository.snapshot().record;
        let url = format!("{}/{}.git", self.app.http_origin(), record.id);
        let mut lines = Vec::new();
        for Moved { old, new, name } in all {
            let local: &[u8] = if new.is_null() {
                b"(delete)"
            } else {
                name.as_bytes()
            };
            lines.extend_from_slice(local);
            lines.extend_from_slice(format!(" {new} ").as_bytes());
            lines.extend_from_slice(name.as_bytes());
            lines.extend_from_slice(format!(" {old}\n").as_bytes());
        }
        (vec!["origin".to_owned(), url], lines)
    }
}

/// What is run after a change.
const AFTER: [&str; 4] = [
    "reference-transaction",
    "post-commit",
    "post-receive",
    "post-update",
];

/// What is run before a change, and refuses all of it.
fn before(entry: &Entry) -> &'static [&'static str] {
    match entry.cause.kind {
        CauseKind::Push => &["pre-push", "pre-receive"],
        _ if is_commit(entry) => &["pre-commit", "pre-receive"],
        _ => &["pre-receive"],
    }
}

/// Whether a change made a commit here.
fn is_commit(entry: &Entry) -> bool {
    let mut objects = entry.objects.inline.iter();
    let commits = objects.any(|object| object.kind == ObjectKind::Commit);
    entry.cause.kind != CauseKind::Push && commits
}

/// What is left of `entry` without the refs that were refused. Where one is a name for another,
/// it is that which would move.
fn without(entry: &Entry, refused: &[RefName], refs: &Refs) -> Entry {
    const DEPTH_MAX: usize = 5;
    let mut gone: Vec<RefName> = Vec::with_capacity(refused.len());
    for name in refused {
        let mut name = name.clone();
        for _ in 0..DEPTH_MAX {
            match refs.get(name.as_bytes()) {
                Some(Target::Symbolic(to)) => name = to.clone(),
                _ => break,
            }
        }
        gone.push(name);
    }
    let mut left = Entry::clone(entry);
    left.edits
        .retain(|edit| !matches!(edit, EntryEdit::Ref { name, .. } if gone.contains(name)));
    left
}

fn refusal(name: &str, why: &str) -> AppError {
    let declined = match name {
        "update" => "hook declined".to_owned(),
        name => format!("{name} hook declined"),
    };
    let message = match why.trim() {
        "" => declined,
        why => format!("{declined}\n{why}"),
    };
    AppError::ProgramRefused {
        name: name.to_owned(),
        message,
    }
}

/// The refs that `entry` moves from object to object.
fn moved(entry: &Entry) -> Vec<Moved> {
    let id = |target: &Target| match target {
        Target::At(id) => Some(*id),
        Target::Symbolic(_) | Target::Gone => None,
    };
    let edits = entry.edits.iter().filter_map(|edit| match edit {
        EntryEdit::Ref {
            name,
            before,
            after,
        } => {
            let (old, new) = (id(before), id(after));
            let kind = old.or(new)?.kind();
            Some(Moved {
                old: old.unwrap_or(ObjectId::null(kind)),
                new: new.unwrap_or(ObjectId::null(kind)),
                name: name.clone(),
            })
        }
        _ => None,
    });
    edits.collect()
}

/// `<old> SP <new> SP <name> LF`, as receive-pack's hooks read it.
fn as_lines<'a>(all: impl IntoIterator<Item = &'a Moved>) -> Vec<u8> {
    let mut lines = Vec::new();
    for Moved { old, new, name } in all {
        lines.extend_from_slice(format!("{old} {new} ").as_bytes());
        lines.extend_from_slice(name.as_bytes());
        lines.push(b'\n');
    }
    lines
}

/// Whether there is a file that may be run.
fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    let metadata = std::fs::metadata(path);
    metadata.is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}
