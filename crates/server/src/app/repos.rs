//! Repositories: made, listed, changed, deleted, restored, forked.

use std::sync::Arc;

use govc_api::repos::{
    Facts, ForkOrder, Repository as Body, RepositoryOrder, RepositoryPatch, Size,
};
use govc_engine::journal::Moment;
use govc_engine::{
    CatalogueError, CauseKind, Entry, EntryEdit, Expected, Found, NewRepository, Pending,
    Published, RealityOf, RefEdit, RefName, Refusal, RepoId, Repository, RepositoryRecord, Seq,
    Storage, Summary, Target, Time, Via,
};
use govc_git::ObjectId;

use super::answers::{Logged, LoggedRepository};
use super::error::AppError;
use super::publish::{cause, check_if_match, keyed, refused};
use super::{Action, App};
use crate::http::ask::{Reading, Terms};
use crate::http::caller::Caller;
use crate::http::page::{Cursor, Page, PageQuery};

/// A repository as it is told of.
#[derive(Debug, Clone)]
pub struct RepositoryState {
    /// What the catalogue knows of it.
    pub record: Arc<RepositoryRecord>,
    /// The branch that HEAD names.
    pub default_branch: Option<RefName>,
    /// The commit that HEAD leads to.
    pub head: Option<ObjectId>,
    /// The number of its newest change.
    pub seq: Seq,
    /// When that was.
    pub time: Time,
    /// How large it is.
    pub size: Size,
}

/// A repository after a write: how it is, and its number.
pub type Written = (RepositoryState, Seq);

impl RepositoryState {
    fn now(repository: &Repository) -> RepositoryState {
        let snapshot = repository.snapshot();
        RepositoryState {
            record: Arc::clone(&snapshot.record),
            default_branch: snapshot.refs.head_branch().cloned(),
            head: snapshot.head(),
            seq: snapshot.seq,
            time: snapshot.time,
            size: size(repository),
        }
    }

    /// How it is, in memory or not.
    fn of(found: &Found) -> Result<RepositoryState, AppError> {
        let resting = match found {
            Found::Here(repository) => return Ok(RepositoryState::now(repository)),
            Found::Resting(resting) => resting,
        };
        let Summary {
            record,
            seq,
            time,
            default_branch,
            head,
            ..
        } = resting.summary().clone();
        let usage = resting.usage().map_err(AppError::internal)?;
        Ok(RepositoryState {
            record,
            default_branch,
            head,
            seq,
            time,
            size: Size {
                objects: usage.objects,
                packed_bytes: usage.packed_bytes,
                memory_bytes: 0,
            },
        })
    }

    /// How it was after `entry`, which changed its record.
    ///
    /// # Errors
    /// When its past cannot be read.
    pub fn after(
        repository: &Repository,
        entry: &Entry,
        size: Size,
    ) -> Result<RepositoryState, AppError> {
        let past = repository
            .refs_at(Moment::Seq(entry.seq))
            .map_err(AppError::internal)?;
        let refs = past.map(|past| past.refs).unwrap_or_default();
        let record = entry.edits.iter().find_map(|edit| match edit {
            EntryEdit::Repository { after, .. } => Some(Arc::new(RepositoryRecord::clone(after))),
            _ => None,
        });
        Ok(RepositoryState {
            record: record.unwrap_or_else(|| Arc::clone(&repository.snapshot().record)),
            default_branch: refs.head_branch().cloned(),
            head: refs.resolve(b"HEAD"),
            seq: entry.seq,
            time: entry.time,
            size,
        })
    }

    /// How it would be after the entry of a rehearsal, which is in no history.
    fn rehearsed(repository: &Repository, entry: &Entry, size: Size) -> RepositoryState {
        let after = repository.snapshot().after(entry);
        RepositoryState {
            record: Arc::clone(&after.record),
            default_branch: after.refs.head_branch().cloned(),
            head: after.head(),
            seq: after.seq,
            time: after.time,
            size,
        }
    }

    /// As answers have it, to somebody who sees this server as `origin`.
    pub fn body(&self, origin: &str) -> Body {
        Body::from(Facts {
            record: &self.record,
            default_branch: self.default_branch.as_ref(),
            head: self.head,
            seq: self.seq,
            updated_at: self.time,
            size: self.size,
            clone_url: format!("{origin}/{}.git", self.record.id),
        })
    }
}

fn size(repository: &Repository) -> Size {
    let usage = repository.usage(&[]);
    Size {
        objects: usage.objects,
        packed_bytes: usage.packed_bytes,
        memory_bytes: repository.pool().stats().memory_bytes,
    }
}

impl App {
    /// Makes an empty repository.
    ///
    /// # Errors
    /// [`AppError::RepoExists`], [`AppError::Quota`].
    pub async fn create_repository(
        &self,
        caller: &Caller,
        order: RepositoryOrder,
        terms: &Terms,
        origin: &str,
    ) -> Result<Written, AppError> {
        self.may_make_repositories(caller)?;
        let engine = self.engine()?;
        let storage = order.storage.unwrap_or(self.config().storage.r#type.into());
        if storage != Storage::Memory && !self.keeps()? {
            return Err(AppError::Impossible {
                code: "STORAGE_UNAVAILABLE",
                detail: "this server was started without a data directory: it keeps repositories \
                         in memory only"
                    .to_owned(),
            });
        }
        if self.stopped(&order.id)?.is_some() {
            return Err(AppError::RepoExists { id: order.id });
        }
        let seconds = |ttl: u64| i64::try_from(ttl).unwrap_or(i64::MAX / 1_000_000) * 1_000_000;
        let new = NewRepository {
            id: order.id,
            description: order.description,
            default_branch: order.default_branch,
            storage,
            object_format: order.object_format,
            expires_at: order
                .ttl_seconds
                .map(|ttl| Time(engine.clock().now().0 + seconds(ttl))),
        };
        let size = Size::default();
        let location = location(&new.id);
        let logged = logged(201, Some(location), origin, size);
        let cause = keyed(
            cause(caller, CauseKind::RepoCreated, Via::Rest),
            terms,
            &logged,
        );
        let made = engine.create(new, cause, terms.dry_run).await;
        let (repository, published) = made.map_err(AppError::from)?;
        Ok(written(&repository, &published, size, terms))
    }

    fn may_make_repositories(&self, caller: &Caller) -> Result<(), AppError> {
        if !caller.may(Action::Administer) {
            return Err(AppError::Unauthenticated);
        }
        let limit = self.config().limits.repositories;
        if limit > 0 && self.engine()?.count() >= limit {
            return Err(AppError::Quota {
                what: "repositories",
                limit: limit as u64,
                setting: "limits.repositories",
            });
        }
        Ok(())
    }

    /// Repositories in the order of their ids.
    ///
    /// # Errors
    /// [`AppError::Query`] when the cursor is none of this list.
    pub async fn repositories(
        &self,
        caller: &Caller,
        prefix: &str,
        page: &PageQuery,
    ) -> Result<Page<RepositoryState>, AppError> {
        let after = match &page.cursor {
            Some(cursor) => {
                Some(std::str::from_utf8(&cursor.after).map_err(|_| PageQuery::not_a_cursor())?)
            }
            None => None,
        };
        if !caller.may(Action::Read) {
            return Err(AppError::Unauthenticated);
        }
        let mut found = self.engine()?.list(prefix, after, page.limit + 1);
        let more = found.len() > page.limit;
        found.truncate(page.limit);
        let all_here = found.iter().all(|found| matches!(found, Found::Here(_)));
        let tell = move || found.iter().map(RepositoryState::of).collect();
        let items: Result<Vec<RepositoryState>, AppError> = match all_here {
            true => tell(),
            // How large one is that rests is read from the disk.
            false => self.offload(tell).await?,
        };
        let items = items?;
        let next = items.last().filter(|_| more).map(|last| Cursor {
            seq: 0,
            after: last.record.id.as_str().as_bytes().to_vec(),
        });
        Ok(Page { items, next })
    }

    /// One repository.
    ///
    /// # Errors
    /// [`AppError::RepoNotFound`], [`AppError::SeqNotReached`].
    pub async fn show_repository(
        &self,
        caller: &Caller,
        id: &RepoId,
        reading: &Reading,
    ) -> Result<RepositoryState, AppError> {
        let repository = self
            .repository_in(caller, id, &reading.scope, Action::Read)
            .await?;
        self.reached(&repository, reading).await?;
        Ok(RepositoryState::now(&repository))
    }

    /// Changes what is known of a repository, as one change.
    ///
    /// # Errors
    /// [`AppError::RepoExists`] when it gets an id that is taken.
    pub async fn patch_repository(
        &self,
        caller: &Caller,
        id: &RepoId,
        patch: RepositoryPatch,
        terms: &Terms,
        origin: &str,
    ) -> Result<Written, AppError> {
        let repository = self.repository(caller, id, Action::Administer).await?;
        let head = patch.default_branch.clone().map(|branch| RefEdit {
            name: RefName::head(),
            expected: Expected::Anything,
            target: Target::Symbolic(branch),
        });
        let size = size(&repository);
        let logged = logged(200, None, origin, size);
        let cause = keyed(
            cause(caller, CauseKind::RepoUpdated, Via::Rest),
            terms,
            &logged,
        );
        let refs = head.into_iter().collect();
        let apply = move |record: &mut RepositoryRecord| patch.apply(record);
        let published = self
            .engine()?
            .update(
                &repository,
                apply,
                head_holds(terms),
                refs,
                cause,
                terms.dry_run,
            )
            .await;
        let published = published.map_err(|error| catalogue(&repository, error))?;
        Ok(written(&repository, &published, size, terms))
    }

    /// Deletes a repository; it can be restored for as long as it is kept.
    ///
    /// # Errors
    /// [`AppError::RepoNotFound`].
    pub async fn delete_repository(
        &self,
        caller: &Caller,
        id: &RepoId,
        terms: &Terms,
    ) -> Result<Seq, AppError> {
        let repository = self.repository(caller, id, Action::Administer).await?;
        let cause = cause(caller, CauseKind::RepoDeleted, Via::Rest);
        let cause = keyed(cause, terms, &Logged::empty(204));
        let now = self.engine()?.clock().now();
        let delete = move |record: &mut RepositoryRecord| {
            record.deleted_at.get_or_insert(now);
        };
        let published = self
            .engine()?
            .update(
                &repository,
                delete,
                head_holds(terms),
                Vec::new(),
                cause,
                terms.dry_run,
            )
            .await;
        let published = published.map_err(|error| catalogue(&repository, error))?;
        Ok(number(&repository, &published, terms))
    }

    /// Brings a deleted repository back.
    ///
    /// # Errors
    /// [`AppError::RepoExists`] when its id was taken meanwhile; [`AppError::RepoNotFound`] when
    /// none of that id was deleted.
    pub async fn restore_repository(
        &self,
        caller: &Caller,
        id: &RepoId,
        new_id: Option<RepoId>,
        terms: &Terms,
        origin: &str,
    ) -> Result<Written, AppError> {
        let not_found = || AppError::RepoNotFound {
            repo: id.to_string(),
        };
        if !caller.may(Action::Administer) {
            return Err(not_found());
        }
        let engine = self.engine()?;
        let Some(found) = engine.deleted(id.as_str()) else {
            return Err(match engine.find(id.as_str()) {
                // It is there: nothing is to be brought back, and its id is taken.
                Some(_) if new_id.is_none() => AppError::RepoExists { id: id.clone() },
                _ => not_found(),
            });
        };
        let repository = self.in_memory(found).await?;
        let size = size(&repository);
        let logged = logged(200, None, origin, size);
        let cause = keyed(
            cause(caller, CauseKind::RepoRestored, Via::Rest),
            terms,
            &logged,
        );
        let restore = move |record: &mut RepositoryRecord| {
            record.deleted_at = None;
            if let Some(id) = &new_id {
                record.id = id.clone();
            }
        };
        let published = engine
            .update(
                &repository,
                restore,
                head_holds(terms),
                Vec::new(),
                cause,
                terms.dry_run,
            )
            .await;
        let published = published.map_err(|error| catalogue(&repository, error))?;
        Ok(written(&repository, &published, size, terms))
    }

    /// Makes a copy of a repository, as it is or was.
    ///
    /// # Errors
    /// [`AppError::RepoExists`], [`AppError::SeqNotFound`], [`AppError::HistoryExpired`].
    pub async fn fork_repository(
        &self,
        caller: &Caller,
        id: &RepoId,
        order: ForkOrder,
        terms: &Terms,
        origin: &str,
    ) -> Result<Written, AppError> {
        let parent = self
            .repository_in(caller, id, &terms.scope, Action::Read)
            .await?;
        let is_lost_at_a_restart = |reality: &RealityOf| {
            let host = reality.made_in();
            let storage = host.map(|host| host.snapshot().record.storage);
            storage != Some(parent.snapshot().record.storage)
        };
        if parent.reality().is_some_and(is_lost_at_a_restart) {
            return Err(AppError::Impossible {
                code: "REALITY_IN_MEMORY",
                detail: "the reality is kept in memory only: promote it, and fork what it was \
                         promoted into"
                    .to_owned(),
            });
        }
        self.may_make_repositories(caller)?;
        let size = size(&parent);
        let location = location(&order.id);
        let logged = logged(201, Some(location), origin, size);
        let cause = keyed(
            cause(caller, CauseKind::RepoCreated, Via::Rest),
            terms,
            &logged,
        );
        let (at, said) = order.at.unzip();
        let made = self
            .engine()?
            .fork(&parent, order.id, at, cause, terms.dry_run)
            .await;
        let (fork, published) = made.map_err(|error| match error {
            CatalogueError::NoSuchMoment => AppError::SeqNotFound {
                at: said.unwrap_or_default(),
            },
            CatalogueError::Expired { oldest } => AppError::HistoryExpired {
                at: said.unwrap_or_default(),
                oldest,
            },
            other => catalogue(&parent, other),
        })?;
        Ok(written(&fork, &published, size, terms))
    }
}

impl App {
    /// Deletes the repositories whose time to live is over.
    ///
    /// # Errors
    /// [`AppError::Unavailable`] while the server is starting. A repository that cannot be deleted
    /// now is told to the log, and tried again the next time.
    pub async fn expire_repositories(&self) -> Result<(), AppError> {
        let engine = self.engine()?;
        let now = engine.clock().now();
        let job = Caller::job();
        for found in engine.all() {
            let record = found.record();
            let over = record.expires_at.is_some_and(|at| at <= now);
            if !over || record.deleted_at.is_some() {
                continue;
            }
            let repository = match self.in_memory(found).await {
                Ok(repository) => repository,
                Err(error) => {
                    tracing::warn!(repository = %record.id, %error, "an expired repository stays");
                    continue;
                }
            };
            let mut cause = cause(&job, CauseKind::RepoDeleted, Via::Job);
            cause.reason = Some("its time to live is over".into());
            let delete = move |record: &mut RepositoryRecord| {
                record.deleted_at.get_or_insert(now);
            };
            let deleted = engine
                .update(
                    &repository,
                    delete,
                    |_: &Pending<'_>| Ok(()),
                    Vec::new(),
                    cause,
                    false,
                )
                .await;
            if let Err(error) = deleted {
                tracing::warn!(repository = %record.id, %error, "an expired repository stays");
            }
        }
        self.expire_scopes().await
    }
}

/// Where a repository is in the API.
pub fn location(id: &RepoId) -> String {
    format!(
        "/api/v1/repos/{}",
        crate::http::path::encode(id.as_str().as_bytes(), false)
    )
}

fn logged(status: u16, location: Option<String>, origin: &str, size: Size) -> Logged {
    Logged {
        status,
        location,
        body: None,
        repository: Some(LoggedRepository {
            origin: origin.to_owned(),
            size,
        }),
        ..Logged::default()
    }
}

/// What a write made of a repository.
fn written(
    repository: &Arc<Repository>,
    published: &Published,
    size: Size,
    terms: &Terms,
) -> Written {
    let state = match &published.entry {
        Some(entry) if terms.dry_run => RepositoryState::rehearsed(repository, entry, size),
        Some(entry) => match RepositoryState::after(repository, entry, size) {
            Ok(state) => state,
            Err(_) => RepositoryState::now(repository),
        },
        None => RepositoryState::now(repository),
    };
    (state, number(repository, published, terms))
}

/// The number that a write answers: after a dry run the one there is.
fn number(repository: &Repository, published: &Published, terms: &Terms) -> Seq {
    if terms.dry_run {
        repository.snapshot().seq
    } else {
        published.seq
    }
}

/// Holds `If-Match` against HEAD, where the write is not about another ref.
fn head_holds(
    terms: &Terms,
) -> impl Fn(&Pending<'_>) -> Result<(), Refusal> + Send + use<> + 'static {
    let belief = terms.if_match.clone();
    move |now| match &belief {
        Some(belief) => Ok(check_if_match(belief, &[RefName::head()], now.snapshot)?),
        None => Ok(()),
    }
}

fn catalogue(repository: &Repository, error: CatalogueError) -> AppError {
    match error {
        CatalogueError::Publish(error) => refused(repository, error),
        other => other.into(),
    }
}

impl From<CatalogueError> for AppError {
    fn from(error: CatalogueError) -> AppError {
        match error {
            CatalogueError::Exists(id) => AppError::RepoExists { id },
            CatalogueError::NoSuchMoment => AppError::SeqNotFound { at: String::new() },
            CatalogueError::Expired { oldest } => AppError::HistoryExpired {
                at: String::new(),
                oldest,
            },
            CatalogueError::Publish(error) => super::publish::refused_by(error, ""),
            CatalogueError::History(error) => AppError::internal(error),
        }
    }
}
