//! What is staged in a workspace: files written, removed and moved, and the commit of them.

use std::sync::Arc;

use govc_api::commits::Commit;
use govc_api::workspaces::{CommitStagedOrder, FileNow, FilesChanged, MoveFile, content_bytes};
use govc_engine::pool::Pool;
use govc_engine::work::merge::People;
use govc_engine::work::workspace::{Changed, FileToWrite, StagedCommit};
use govc_engine::work::{View, tree};
use govc_engine::{CauseKind, Expected, RefEdit, Seq, Target};

use super::answers::Logged;
use super::commits;
use super::error::AppError;
use super::in_workspace::{At, Done, check_belief, moved};
use super::scope::Place;
use super::{Action, App};
use crate::http::ask::Terms;
use crate::http::caller::Caller;

impl App {
    /// Writes files, and stages them where `stage` says so.
    ///
    /// # Errors
    /// [`AppError`]; nothing was changed then.
    pub async fn write_files(
        &self,
        caller: &Caller,
        at: &Place,
        files: Vec<FileToWrite>,
        stage: bool,
        terms: &Terms,
    ) -> Result<(FilesChanged, Seq), AppError> {
        let repository = self
            .repository_in(caller, &at.repo, &terms.scope, Action::Write)
            .await?;
        let limit = self.config().limits.file;
        for file in &files {
            if content_bytes(file) > limit.0 {
                return Err(AppError::TooLarge {
                    what: format!("the content of {:?}", String::from_utf8_lossy(&file.path)),
                    limit: limit.0,
                    setting: "limits.file",
                });
            }
        }
        let repo = Arc::clone(&repository);
        let write = move |at: &At<'_>| {
            let view = View::of_snapshot(&repo, at.snapshot)
                .within(at.open.head_target(), at.open.now.roots());
            let changed = at.open.write(at.pool, &view, &files, stage)?;
            let answer = FilesChanged {
                files: files_now(at.pool, &changed, files.iter().map(|file| &file.path[..]))?,
            };
            Ok(Done::staged(changed, answer))
        };
        self.in_workspace(caller, &repository, &at.name, terms, 200, write)
            .await
    }

    /// Removes a file or a folder, staged.
    ///
    /// # Errors
    /// [`AppError::PathNotFound`], [`AppError::WorkspaceDirty`].
    pub async fn remove_file(
        &self,
        caller: &Caller,
        at: &Place,
        path: Vec<u8>,
        force: bool,
        terms: &Terms,
    ) -> Result<Seq, AppError> {
        let repository = self
            .repository_in(caller, &at.repo, &terms.scope, Action::Write)
            .await?;
        let remove = move |at: &At<'_>| {
            let changed = at.open.remove(at.pool, &path, force)?;
            Ok(Done::staged(changed, ()))
        };
        let done = self.in_workspace(caller, &repository, &at.name, terms, 204, remove);
        Ok(done.await?.1)
    }

    /// Moves a file or a folder, staged.
    ///
    /// # Errors
    /// [`AppError::PathNotFound`], [`AppError::PathConflict`].
    pub async fn move_file(
        &self,
        caller: &Caller,
        at: &Place,
        order: MoveFile,
        terms: &Terms,
    ) -> Result<(FilesChanged, Seq), AppError> {
        let repository = self
            .repository_in(caller, &at.repo, &terms.scope, Action::Write)
            .await?;
        let rename = move |at: &At<'_>| {
            let (from, to) = (order.from.as_bytes(), order.to.as_bytes());
            let changed = at.open.rename(at.pool, from, to, order.force)?;
            let answer = FilesChanged {
                files: moved_now(&changed, [from, to]),
            };
            Ok(Done::staged(changed, answer))
        };
        self.in_workspace(caller, &repository, &at.name, terms, 200, rename)
            .await
    }

    /// Commits what is staged.
    ///
    /// # Errors
    /// [`AppError::RefMoved`] where the workspace is behind, [`AppError::NothingToCommit`],
    /// [`AppError::Unmerged`].
    pub async fn commit_staged(
        &self,
        caller: &Caller,
        at: &Place,
        order: CommitStagedOrder,
        terms: &Terms,
    ) -> Result<(Commit, Seq), AppError> {
        let repository = self
            .repository_in(caller, &at.repo, &terms.scope, Action::Write)
            .await?;
        let People {
            author: asking,
            committer,
        } = self.people(caller, order.author.as_ref(), order.committer.as_ref())?;
        let staged = StagedCommit {
            message: order.message.map(String::into_bytes),
            amend: order.amend,
            allow_empty: order.allow_empty,
            // The author of what is amended or picked stays.
            author: order.author.is_some().then(|| asking.clone()),
            asking,
            committer,
        };
        let (expected, merge) = (order.expected, order.merge);
        let commit = move |at: &At<'_>| {
            let open = at.open;
            check_belief(open, expected)?;
            let made = match open.is_behind() {
                false => open.commit(at.pool, &staged)?,
                true if merge => open.commit_onto_head(at.pool, &staged)?,
                true => return Err(moved(open, expected)),
            };
            let body = Commit::read(made.id, &made.data, at.pool.format());
            let answer = Commit {
                files_changed: Some(made.files_changed),
                ..body.map_err(AppError::internal)?
            };
            let refs = open.now.branch.iter().map(|branch| RefEdit {
                name: branch.clone(),
                expected: open.head.map_or(Expected::Absent, Expected::At),
                target: Target::At(made.id),
            });
            let refs = refs.collect();
            Ok(Done::moved(made.changed, refs, CauseKind::Commit, answer))
        };
        let repo = at.repo.clone();
        let logged = move |commit: &Commit| {
            Logged::body(201, Some(commit)).at(commits::place(&repo, commit))
        };
        self.in_workspace_answering(caller, &repository, &at.name, terms, logged, commit)
            .await
    }
}

fn files_now<'a>(
    pool: &Pool,
    changed: &Changed,
    paths: impl Iterator<Item = &'a [u8]>,
) -> Result<Vec<FileNow>, AppError> {
    let mut files = Vec::new();
    for path in paths {
        // New trees are not in the pool yet: what was written is among the objects.
        let found = changed.written(path);
        let found = match found {
            Some(found) => Some(found),
            None => tree::lookup(pool, &changed.after.files, path).unwrap_or(None),
        };
        files.push(FileNow {
            path: String::from_utf8_lossy(path).into_owned(),
            oid: found.map(|found| found.id.to_string()),
            mode: found.map(|found| govc_api::files::mode_text(found.mode)),
        });
    }
    Ok(files)
}

fn moved_now(changed: &Changed, [from, to]: [&[u8]; 2]) -> Vec<FileNow> {
    let is_below = |path: &[u8]| {
        path.strip_prefix(to)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
    };
    let gone = FileNow {
        path: String::from_utf8_lossy(from).into_owned(),
        oid: None,
        mode: None,
    };
    let there = changed.edits.iter().filter(|(path, _)| is_below(path));
    let there = there.filter_map(|(path, found)| {
        let found = (*found)?;
        Some(FileNow {
            path: String::from_utf8_lossy(path).into_owned(),
            oid: Some(found.id.to_string()),
            mode: Some(govc_api::files::mode_text(found.mode)),
        })
    });
    std::iter::once(gone).chain(there).collect()
}
