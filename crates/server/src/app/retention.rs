//! What is past and no longer kept.

use std::sync::Arc;
use std::time::Duration;

use govc_engine::{Engine, Found, RepoKey, Storage};

use super::App;
use super::error::AppError;

/// A deleted repository that somebody holds is looked at so often, and as far apart, before it is
/// left for the next time.
const LOOKS_MAX: u32 = 20;
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Whether nobody works with any repository of a family: none is in memory.
fn rests(engine: &Engine, family: RepoKey) -> bool {
    let all = engine.all();
    let mut members = all.iter().filter(|found| found.record().family == family);
    members.all(|found| matches!(found, Found::Resting(_)))
}

impl App {
    /// Lets go of what nobody keeps any more: past states, objects that only they had, repositories
    /// that were deleted. What cannot go now is told to the log, and tried again the next time.
    ///
    /// # Errors
    /// [`AppError::Unavailable`] while the server is starting.
    pub async fn collect_the_past(&self) -> Result<(), AppError> {
        let engine = Arc::clone(self.engine()?);
        self.forget_deleted(&engine).await;
        let Some(store) = self.served()?.store.clone() else {
            return Ok(());
        };
        // Not by `offload`: it takes as long as writing packs again, and nobody waits for it.
        let hub = Arc::clone(self.hub());
        let collecting = tokio::task::spawn_blocking(move || {
            let gone = store.purge_due(&engine);
            gone.into_iter().for_each(|key| hub.gone(key));
            for family in store.families_to_collect(&engine) {
                let rested = rests(&engine, family);
                let collected = store.collect(&engine, family);
                if rested && let Err(error) = engine.lay_to_rest(family) {
                    tracing::warn!(%family, %error, "repositories cannot leave memory");
                }
                match collected {
                    Ok(Some(done)) if done.objects > 0 => tracing::info!(
                        %family,
                        objects = done.objects,
                        bytes = done.bytes,
                        packs = done.packs,
                        "what nobody keeps is gone"
                    ),
                    Ok(_) => {}
                    Err(error) if error.kind() == std::io::ErrorKind::Interrupted => return,
                    Err(error) => {
                        tracing::warn!(%family, %error, "what nobody keeps stays for now");
                    }
                }
            }
        });
        collecting.await.map_err(AppError::internal)
    }

    /// Forgets repositories in memory that were deleted longer ago than they are kept.
    async fn forget_deleted(&self, engine: &Engine) {
        let default = self.config().retention.deleted_repositories.get();
        let now = engine.clock().now();
        for found in engine.all() {
            let record = found.record();
            let (Storage::Memory, Some(deleted)) = (record.storage, record.deleted_at) else {
                continue;
            };
            let said = record.settings.retention.deleted_seconds;
            let keep = said.map_or(default, Duration::from_secs);
            let passed = u64::try_from(now.0.saturating_sub(deleted.0)).unwrap_or(0);
            if keep.is_zero() || Duration::from_micros(passed) < keep {
                continue;
            }
            let key = found.key();
            drop(found);
            for _ in 0..LOOKS_MAX {
                if engine.let_go(key) {
                    self.hub().gone(key);
                    tracing::info!(repository = %record.id, %key, "removed for good");
                    break;
                }
                // Who has just been answered may hold it for a moment longer.
                tokio::time::sleep(LOOK_EVERY).await;
            }
        }
    }
}
