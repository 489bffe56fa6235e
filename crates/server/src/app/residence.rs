//! Who is in memory: repositories come back when they are asked for, and leave when there are too
//! many of them or memory is short.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use govc_engine::{Engine, Found, RepoKey, Repository};
use hashbrown::HashMap;
use tokio::sync::{Notify, Semaphore};

use super::App;
use super::error::AppError;

/// So many families come back at once: it is mostly work for a processor.
const RETURNS_MAX: usize = 2;
/// A repository that leaves again before the one who asked for it has it is brought back so often.
const TRIES_MAX: usize = 16;

/// A family that is on its way back; all who ask for it wait for the same return.
type Return = Shared<BoxFuture<'static, Result<Arc<[Arc<Repository>]>, Arc<str>>>>;

/// What is on its way, and what is to be looked after.
pub(super) struct Residence {
    returning: Mutex<HashMap<RepoKey, Return>>,
    places: Semaphore,
    /// Somebody came back: perhaps somebody else has to leave.
    came_back: Notify,
}

impl Default for Residence {
    fn default() -> Residence {
        Residence {
            returning: Mutex::default(),
            places: Semaphore::new(RETURNS_MAX),
            came_back: Notify::new(),
        }
    }
}

impl Residence {
    fn returning(&self) -> MutexGuard<'_, HashMap<RepoKey, Return>> {
        self.returning
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes a return off the list when it is over, however it ended.
struct Over {
    app: App,
    family: RepoKey,
}

impl Drop for Over {
    fn drop(&mut self) {
        self.app.0.residence.returning().remove(&self.family);
        self.app.0.residence.came_back.notify_one();
    }
}

impl App {
    /// The repository that was found, in memory.
    ///
    /// # Errors
    /// [`AppError::Unavailable`] when it cannot be read from the disk.
    pub(super) async fn in_memory(&self, found: Found) -> Result<Arc<Repository>, AppError> {
        let key = found.key();
        let family = found.record().family;
        if let Some(repository) = found.here() {
            return Ok(repository);
        }
        let engine = Arc::clone(self.engine()?);
        for _ in 0..TRIES_MAX {
            let came = self.join_return(&engine, key, family).await;
            let came = came.map_err(|why| AppError::Unavailable {
                why: format!("it could not be read from the disk: {why}"),
            })?;
            if let Some(repository) = came.iter().find(|repository| repository.key() == key) {
                return Ok(Arc::clone(repository));
            }
            if let Some(repository) = engine.by_key(key) {
                return Ok(repository);
            }
        }
        Err(AppError::Unavailable {
            why: "it left memory again and again".to_owned(),
        })
    }

    /// The return of a family, which goes on when those who wait for it go away.
    fn join_return(&self, engine: &Arc<Engine>, key: RepoKey, family: RepoKey) -> Return {
        let mut returning = self.0.residence.returning();
        if let Some(under_way) = returning.get(&family) {
            return under_way.clone();
        }
        let over = Over {
            app: self.clone(),
            family,
        };
        let engine = Arc::clone(engine);
        let job = tokio::spawn(async move {
            let over = over;
            let place = over.app.0.residence.places.acquire().await;
            let came = tokio::task::spawn_blocking(move || engine.bring_back(key)).await;
            drop(place);
            match came {
                Ok(Ok(came)) => Ok(Arc::from(came)),
                Ok(Err(error)) => Err(Arc::from(error.to_string())),
                Err(panic) => Err(Arc::from(panic.to_string())),
            }
        });
        let came = async move {
            job.await
                .unwrap_or_else(|panic| Err(panic.to_string().into()))
        };
        let came = came.boxed().shared();
        returning.insert(family, came.clone());
        came
    }

    /// Looks at what memory is used, and lets go of mapped files where they are too much.
    pub async fn look_at_memory(&self) {
        let over = self.memory().look();
        let Ok(Some(store)) = self.served().map(|served| served.store.clone()) else {
            return;
        };
        if over {
            // It takes a lock of the whole process's memory: off the threads that serve.
            let _ = tokio::task::spawn_blocking(move || store.release_pages()).await;
        }
    }

    /// Waits until somebody came back.
    pub async fn somebody_came_back(&self) {
        self.0.residence.came_back.notified().await;
    }

    /// Lets repositories leave memory while there are more than are allowed, or memory is short:
    /// then first what is only kept because it may be asked for again.
    ///
    /// # Errors
    /// [`AppError::Unavailable`] while the server is starting.
    pub async fn make_room(&self) -> Result<(), AppError> {
        let most = self.config().storage.max_memory_repos;
        let too_much = self.memory().too_much();
        if most == 0 && too_much == 0 {
            return Ok(());
        }
        let engine = Arc::clone(self.engine()?);
        // Not by `offload`: it must not wait for those who need the room.
        tokio::task::spawn_blocking(move || make_room(&engine, most, too_much))
            .await
            .map_err(AppError::internal)
    }
}

fn make_room(engine: &Engine, most: usize, too_much: u64) {
    let mut too_many = match most {
        0 => 0,
        most => engine.residents().saturating_sub(most),
    };
    let mut freed = 0;
    if too_much > 0 {
        let here = engine.all().into_iter().filter_map(Found::here);
        for repository in here {
            freed += repository.pool().shed_caches();
            repository.forget_ready();
        }
    }
    if too_many == 0 && freed >= too_much {
        return;
    }
    let mut left = 0;
    for (family, count) in engine.leavers() {
        if too_many == 0 && freed >= too_much {
            break;
        }
        match engine.lay_to_rest(family) {
            Ok(Some(bytes)) => {
                freed += bytes;
                left += count;
                too_many = too_many.saturating_sub(count);
            }
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(%family, %error, "repositories cannot leave memory");
            }
        }
    }
    if left > 0 {
        tracing::debug!(repositories = left, bytes = freed, "left memory");
    }
}
