//! Answers that are found again in the log: a write with an `Idempotency-Key` has in its entry
//! what gives the same answer again.

use super::App;
use super::error::AppError;
use crate::http::idempotency::{Answer, Key};

impl App {
    /// The answer of a write that was logged, by this run of the server or one before.
    #[expect(clippy::unused_async, reason = "reading the log will be awaited")]
    pub async fn logged_answer(&self, _key: &Key, _path: &str) -> Option<Result<Answer, AppError>> {
        None
    }
}
