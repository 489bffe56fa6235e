//! Work that is too long for the threads that serve connections.

use crate::app::error::AppError;

/// More refs than this are not listed on a thread that serves connections.
pub(super) const REFS_MAX: usize = 2_000;

/// Runs `work`, on a thread of its own when it is `long`.
///
/// # Errors
/// [`AppError::Internal`] when it panicked.
pub(super) async fn run<T: Send + 'static>(
    long: bool,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, AppError> {
    if !long {
        return Ok(work());
    }
    tokio::task::spawn_blocking(work)
        .await
        .map_err(AppError::internal)
}
