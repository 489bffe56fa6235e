//! What is past and no longer kept.

use std::sync::Arc;

use super::App;
use super::error::AppError;

impl App {
    /// Lets go of what nobody keeps any more: past states, objects that only they had, repositories
    /// that were deleted. What cannot go now is told to the log, and tried again the next time.
    ///
    /// # Errors
    /// [`AppError::Unavailable`] while the server is starting.
    pub async fn collect_the_past(&self) -> Result<(), AppError> {
        let engine = Arc::clone(self.engine()?);
        let Some(store) = self.served()?.store.clone() else {
            return Ok(());
        };
        // Not by `offload`: it takes as long as writing packs again, and nobody waits for it.
        let collecting = tokio::task::spawn_blocking(move || {
            store.purge_due(&engine);
            for family in store.families_to_collect(&engine) {
                match store.collect(&engine, family) {
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
}
