//! Hooks that are programs: git's own (githooks(5)), from a folder of the operator's.
//!
//! They see a repository directory that is up to date, and what a change brings beside it, in
//! quarantine, as under git's `receive-pack`. The API never brings a program.

mod run;
mod surroundings;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use govc_engine::{CauseKind, Entry, EntryEdit, RefName, Repository, Target};
use govc_git::{ObjectId, ObjectKind};
use tokio::sync::mpsc::UnboundedSender;

use super::App;
use super::error::AppError;
use run::{Ended, Order, run};
use surroundings::Surroundings;

/// Where a repository has its own hooks: a folder of its directory on the disk.
const OWN_FOLDER: &str = "hooks";

/// How a change that is asked about came, and where those who wait for it listen.
#[derive(Debug, Clone, Default)]
pub struct Passage {
    /// Where the output of programs goes while they run; where there is nobody it is in the refusal.
    pub say: Option<UnboundedSender<Bytes>>,
    /// What a push said with `-o`; `None` where it was not asked for options.
    pub options: Option<Vec<Vec<u8>>>,
    /// Whether a push is all or nothing.
    pub atomic: bool,
    /// The refs that were refused alone.
    pub refused: Arc<Mutex<Vec<RefName>>>,
}

impl Passage {
    /// The refs that `update` refused.
    pub fn refused(&self) -> Vec<RefName> {
        let refused = self.refused.lock();
        refused.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A ref that a change moves, as hooks are told: the null id where there is none.
struct Moved {
    old: ObjectId,
    new: ObjectId,
    name: RefName,
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
    /// [`AppError::ProgramRefused`]; [`AppError::Internal`] when a program cannot be run.
    pub(super) async fn ask(
        self: &Arc<Self>,
        entry: Arc<Entry>,
        passage: &Passage,
    ) -> Result<Arc<Entry>, AppError> {
        if moved(&entry).is_empty() || entry.host.is_some() {
            return Ok(entry);
        }
        let (own, passage) = (Arc::clone(self), passage.clone());
        let asking = move || own.ask_now(entry, &passage);
        tokio::task::spawn_blocking(asking)
            .await
            .map_err(AppError::internal)?
    }

    fn ask_now(&self, entry: Arc<Entry>, passage: &Passage) -> Result<Arc<Entry>, AppError> {
        let is_push = entry.cause.kind == CauseKind::Push;
        let commits = entry.objects.inline.iter();
        let commits = { commits }.any(|object| object.kind == ObjectKind::Commit);
        let before: &[&str] = match (is_push, commits) {
            (true, _) => &["pre-push", "pre-receive"],
            (false, true) => &["pre-commit", "pre-receive"],
            (false, false) => &["pre-receive"],
        };
        let names = before.iter().chain(&["update", "reference-transaction"]);
        if names.into_iter().all(|name| self.find(name).is_none()) {
            return Ok(entry);
        }
        let place = Surroundings::for_asking(&self.app, &self.repository, &entry, passage)
            .map_err(AppError::internal)?;
        let all = moved(&entry);
        for name in before {
            let (arguments, input) = match *name {
                "pre-push" => self.as_pre_push(&all),
                _ => (Vec::new(), as_lines(&all)),
            };
            self.must_pass(name, &arguments, &input, &place, passage)?;
        }
        let mut refused = BTreeSet::new();
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
                        if passage.atomic || !is_push {
                            return Err(error);
                        }
                        if let Some(say) = &passage.say {
                            let name = update.name.to_text();
                            let line = format!("error: hook declined to update {name}\n");
                            let _ = say.send(line.into());
                        }
                        refused.insert(update.name.clone());
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        if refused.len() == all.len() {
            return Err(refusal("update", ""));
        }
        let left: Vec<&Moved> = all.iter().filter(|m| !refused.contains(&m.name)).collect();
        let input = as_lines(left.iter().copied());
        let arguments = ["prepared".to_owned()];
        self.must_pass("reference-transaction", &arguments, &input, &place, passage)?;
        if refused.is_empty() {
            return Ok(entry);
        }
        let mut smaller = Entry::clone(&entry);
        smaller
            .edits
            .retain(|edit| !matches!(edit, EntryEdit::Ref { name, .. } if refused.contains(name)));
        let kept = passage.refused.lock();
        *kept.unwrap_or_else(PoisonError::into_inner) = refused.into_iter().collect();
        Ok(Arc::new(smaller))
    }

    /// Tells of `entry`, which was made. Whoever pushed waits for it, and sees what is said.
    pub(super) async fn tell(self: Arc<Self>, entry: Arc<Entry>, passage: Passage) {
        if moved(&entry).is_empty() || entry.host.is_some() {
            return;
        }
        let waits = passage.say.is_some();
        let told = tokio::task::spawn_blocking(move || self.tell_now(&entry, &passage));
        if waits {
            let _ = told.await;
        }
    }

    fn tell_now(&self, entry: &Entry, passage: &Passage) {
        const AFTER: [&str; 4] = [
            "reference-transaction",
            "post-commit",
            "post-receive",
            "post-update",
        ];
        if AFTER.iter().all(|name| self.find(name).is_none()) {
            return;
        }
        let place = match Surroundings::for_telling(&self.app, &self.repository, entry, passage) {
            Ok(place) => place,
            Err(error) => {
                tracing::warn!(%error, "hooks were not told of a change");
                return;
            }
        };
        let all = moved(entry);
        let is_push = entry.cause.kind == CauseKind::Push;
        let commits = entry.objects.inline.iter();
        let commits = { commits }.any(|object| object.kind == ObjectKind::Commit);
        for name in AFTER {
            if name == "post-commit" && (is_push || !commits) {
                continue;
            }
            let Some(program) = self.find(name) else {
                continue;
            };
            let (arguments, input) = match name {
                "reference-transaction" => (vec!["committed".to_owned()], as_lines(&all)),
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
        } = ended.map_err(AppError::internal)?;
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
