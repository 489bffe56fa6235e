//! The one place where errors become a status, a code and facts.

use axum::response::{IntoResponse, Response};
use govc_api::{Problem, problem::MEDIA_TYPE};
use govc_git::ObjectId;
use http::{HeaderValue, StatusCode, header};
use serde_json::Value;

use crate::app::error::{AppError, SaidIn};

/// An error on its way out.
#[derive(Debug)]
pub struct ApiError(pub AppError);

impl<E: Into<AppError>> From<E> for ApiError {
    fn from(error: E) -> ApiError {
        ApiError(error.into())
    }
}

/// Seconds after which it is worth asking again.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let error = self.0;
        if let AppError::Internal(cause) = &error {
            tracing::error!(error = %cause, "a request failed by our own fault");
        }
        respond(problem(&error))
    }
}

/// The answer that is `problem`; the outermost layer adds which request it was.
pub fn respond(problem: Problem) -> Response {
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = status.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    match status {
        StatusCode::UNAUTHORIZED => {
            headers.append(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Bearer realm=\"govc\""),
            );
            headers.append(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Basic realm=\"govc\", charset=\"UTF-8\""),
            );
        }
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
            headers.insert(header::RETRY_AFTER, RETRY_AFTER);
        }
        StatusCode::RANGE_NOT_SATISFIABLE => {
            let size = problem
                .facts
                .get("size")
                .and_then(Value::as_u64)
                .unwrap_or(0);
            if let Ok(value) = HeaderValue::from_str(&format!("bytes */{size}")) {
                headers.insert(header::CONTENT_RANGE, value);
            }
        }
        _ => {}
    }
    response.extensions_mut().insert(Pending(Box::new(problem)));
    response
}

/// A problem that has no body yet: what is written into it depends on the request, which only the
/// outermost layer still has.
#[derive(Clone)]
pub struct Pending(pub Box<Problem>);

fn id_or_null(id: &Option<ObjectId>) -> Value {
    id.map_or(Value::Null, |id| Value::from(id.to_string()))
}

/// Status, code and facts of every error there is.
pub fn problem(error: &AppError) -> Problem {
    let detail = error.to_string();
    let new = |status, code, title| Problem::new(status, code, title, detail.clone());
    match error {
        AppError::Body { field, .. } => {
            let problem = new(400, "BODY_INVALID", "The body cannot be read");
            if field.is_empty() {
                problem
            } else {
                problem.with("field", field.as_str())
            }
        }
        AppError::Query { parameter, .. } => new(400, "QUERY_INVALID", "The query cannot be read")
            .with("parameter", parameter.as_str()),
        AppError::PathInvalid { path, why } => new(400, "PATH_INVALID", "No such path can be")
            .with("path", path.as_str())
            .with("reason", why.as_str()),
        AppError::RefInvalid { name, why } => new(400, "REF_INVALID", "No such ref can be")
            .with("ref", name.as_str())
            .with("reason", why.as_str()),
        AppError::RepoIdReserved { id, .. } => {
            new(422, "REPO_ID_RESERVED", "The id is reserved").with("id", id.as_str())
        }
        AppError::Unauthenticated => new(401, "UNAUTHENTICATED", "Who is asking?"),
        AppError::RepoNotFound { repo } => {
            new(404, "REPO_NOT_FOUND", "No such repository").with("repo", repo.as_str())
        }
        AppError::RealityNotFound { name } => {
            new(404, "REALITY_NOT_FOUND", "No such reality").with("reality", name.as_str())
        }
        AppError::RealityExists { name } => {
            new(409, "REALITY_EXISTS", "It exists already").with("reality", name.as_str())
        }
        AppError::RealityClosed => new(409, "REALITY_CLOSED", "It was promoted"),
        AppError::RealityDiscarded => new(409, "REALITY_DISCARDED", "It was discarded"),
        AppError::RefNotFound { name } => {
            new(404, "REF_NOT_FOUND", "No such ref or revision").with("ref", name.as_str())
        }
        AppError::RefWrongKind {
            name,
            found,
            wanted,
        } => new(422, "REF_WRONG_KIND", "The revision names something else")
            .with("ref", name.as_str())
            .with("found", *found)
            .with("wanted", *wanted),
        AppError::RefAmbiguous { name, candidates } => {
            let candidates: Vec<String> = candidates.iter().map(ToString::to_string).collect();
            new(422, "REF_AMBIGUOUS", "The abbreviation is ambiguous")
                .with("ref", name.as_str())
                .with("candidates", candidates)
        }
        AppError::PathNotFound { path } | AppError::PathOfOtherKind { path, .. } => {
            new(404, "PATH_NOT_FOUND", "No such path").with("path", path.as_str())
        }
        AppError::SeqNotFound { at } => {
            new(404, "SEQ_NOT_FOUND", "No such moment").with("at", at.as_str())
        }
        AppError::HistoryExpired { at, oldest } => {
            new(410, "HISTORY_EXPIRED", "That is no longer kept")
                .with("at", at.as_str())
                .with("oldest", *oldest)
        }
        AppError::RouteNotFound { .. } => new(404, "NOT_FOUND", "Not found"),
        AppError::RepoExists { id } => {
            new(409, "REPO_EXISTS", "The id is taken").with("id", id.as_str())
        }
        AppError::RefExists { name, current } => new(409, "REF_EXISTS", "The ref exists already")
            .with("ref", name.as_str())
            .with("current", id_or_null(current)),
        AppError::RefMoved {
            name,
            expected,
            current,
            said_in,
        } => {
            let status = match said_in {
                SaidIn::Request => 409,
                SaidIn::IfMatch => 412,
            };
            new(status, "REF_MOVED", "The ref was moved")
                .with("ref", name.as_str())
                .with("expected", id_or_null(expected))
                .with("current", id_or_null(current))
        }
        AppError::MergeConflict { commit, conflicts } => {
            new(409, "MERGE_CONFLICT", "Both sides changed the same")
                .with("commit", commit.to_string())
                .with(
                    "conflicts",
                    serde_json::to_value(conflicts).unwrap_or_default(),
                )
        }
        AppError::RaceLost { name, current } => new(409, "REF_MOVED", "The ref was moved")
            .with("ref", name.as_str())
            .with("current", id_or_null(current)),
        AppError::RefConflict { name, other } => {
            new(409, "REF_CONFLICT", "A ref's name is in the way")
                .with("ref", name.as_str())
                .with("other", other.as_str())
        }
        AppError::DefaultBranch { name } => {
            new(422, "DEFAULT_BRANCH", "The default branch stays").with("ref", name.as_str())
        }
        AppError::Denied { name, code, .. } => {
            new(422, code, "The repository's settings do not allow it").with("ref", name.as_str())
        }
        AppError::EditNotFound {
            path,
            edit,
            expected,
            found,
        } => new(422, "EDIT_NOT_FOUND", "The text to replace is not there")
            .with("path", path.as_str())
            .with("edit", *edit)
            .with("expected", *expected)
            .with("found", *found),
        AppError::NothingToCommit => new(422, "NOTHING_TO_COMMIT", "Nothing would change"),
        AppError::PathConflict { path, with } => new(
            422,
            "PATH_CONFLICT",
            "A file and a folder are in each other's way",
        )
        .with("path", path.as_str())
        .with("with", with.as_str()),
        AppError::Impossible { code, .. } => new(422, code, "Understood, and impossible"),
        AppError::TooLarge { limit, setting, .. } => new(413, "TOO_LARGE", "Too large")
            .with("limit", *limit)
            .with("setting", *setting),
        AppError::HeadTooLarge { limit } => {
            new(431, "HEAD_TOO_LARGE", "The request's head is too large")
                .with("limit", *limit)
                .with("setting", "limits.request_head")
        }
        AppError::Quota { limit, setting, .. } => new(422, "QUOTA_EXCEEDED", "Over the quota")
            .with("limit", *limit)
            .with("setting", *setting),
        AppError::WorkspaceExists { name } => {
            new(409, "WORKSPACE_EXISTS", "The name is taken").with("workspace", name.as_str())
        }
        AppError::WorkspaceDirty { paths } => {
            new(409, "WORKSPACE_DIRTY", "Uncommitted changes would be lost")
                .with("paths", paths.clone())
        }
        AppError::Unmerged { paths } => {
            let conflicts = paths.iter().map(|path| serde_json::json!({ "path": path }));
            new(409, "MERGE_CONFLICT", "There are conflicts")
                .with("conflicts", conflicts.collect::<Vec<Value>>())
        }
        AppError::InProgress { operation } => new(
            409,
            "OPERATION_IN_PROGRESS",
            "Something is to be finished first",
        )
        .with("operation", *operation),
        AppError::NotInProgress => new(409, "NOTHING_IN_PROGRESS", "Nothing is in progress"),
        AppError::ScopeNotFound { what, name } => {
            let code = match *what {
                "workspace" => "WORKSPACE_NOT_FOUND",
                "transaction" => "TRANSACTION_NOT_FOUND",
                "stash" => "STASH_NOT_FOUND",
                _ => "REALITY_NOT_FOUND",
            };
            new(404, code, "Not found").with(what, name.as_str())
        }
        AppError::TransactionExpired { id } => {
            new(410, "TRANSACTION_EXPIRED", "Its time is over").with("transaction", id.as_str())
        }
        AppError::TransactionOver { id, state } => {
            new(409, "TRANSACTION_OVER", "Nothing more can be done in it")
                .with("transaction", id.as_str())
                .with("state", *state)
        }
        AppError::MediaType { found, wanted } => new(
            415,
            "MEDIA_TYPE_UNSUPPORTED",
            "Another content type is needed",
        )
        .with("found", found.as_str())
        .with("wanted", *wanted),
        AppError::Range { size } => {
            new(416, "RANGE_NOT_SATISFIABLE", "No such bytes").with("size", *size)
        }
        AppError::Method { method } => new(405, "METHOD_NOT_ALLOWED", "Another method is needed")
            .with("method", method.as_str()),
        AppError::Misdirected { host } => {
            new(421, "HOST_NOT_SERVED", "Not the name of this server").with("host", host.as_str())
        }
        AppError::TimedOut { .. } => new(408, "TIMED_OUT", "The request did not arrive"),
        AppError::BodyCutOff => new(400, "BODY_INVALID", "The body cannot be read"),
        AppError::IdempotencyKeyReused => new(
            422,
            "IDEMPOTENCY_KEY_REUSED",
            "The key was used for something else",
        ),
        AppError::HookNotFound { id } => {
            new(404, "HOOK_NOT_FOUND", "No such hook").with("hook", id.as_str())
        }
        AppError::DeliveryNotFound { id } => {
            new(404, "DELIVERY_NOT_FOUND", "No such delivery").with("delivery", id.as_str())
        }
        AppError::HookRefused { id, .. } => {
            new(422, "HOOK_REFUSED", "A hook refused the change").with("hook", id.as_str())
        }
        AppError::ProgramRefused { name, .. } => {
            new(422, "HOOK_REFUSED", "A hook refused the change").with("hook", name.as_str())
        }
        AppError::HookUnreachable { id, .. } => {
            new(503, "HOOK_UNREACHABLE", "A hook could not be asked").with("hook", id.as_str())
        }
        AppError::Lfs(error) => new(error.status(), error.code(), "Git LFS says no"),
        AppError::SeqNotReached { wanted, current } => new(503, "SEQ_NOT_REACHED", "Not there yet")
            .with("wanted", *wanted)
            .with("current", *current),
        AppError::OutOfSpace => new(507, "OUT_OF_SPACE", "No room"),
        AppError::OverBudget { limit } => new(507, "OUT_OF_SPACE", "No room")
            .with("limit", *limit)
            .with("setting", "storage.memory_budget"),
        AppError::Unavailable { .. } => new(503, "UNAVAILABLE", "Not now"),
        AppError::Unknown => new(503, "OUTCOME_UNKNOWN", "It may have happened"),
        // What went wrong inside is for the log, not for strangers.
        AppError::Internal(_) => Problem::new(
            500,
            "INTERNAL",
            "Our own fault",
            "the server made a mistake; its log has more, under this request_id".to_owned(),
        ),
    }
}
