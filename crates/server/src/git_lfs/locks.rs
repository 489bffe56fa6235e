//! `…/locks`: who asks others not to change which files.

use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use govc_api::lfs::{
    Lock, LockAnswer, LockList, LockRequest, UnlockRequest, VerifiedLocks, VerifyLocksRequest,
};
use govc_engine::{LfsLock, Seq};
use http::{HeaderValue, StatusCode};

use super::Asked;
use super::answer::{self, Refused};
use crate::app::Action;
use crate::app::error::AppError;
use crate::app::lfs::locks::LockQuery;
use crate::http::query::Query;
use crate::http::reply::GOVC_SEQ;

/// `GET …/locks`
pub(super) async fn list(asked: &Asked) -> Result<Response, Refused> {
    asked.accepts_json()?;
    let mut query = Query::parse(asked.parts.uri.query())?;
    let limit = query.text("limit")?.filter(|text| !text.is_empty());
    let limit = limit.map(|text| text.parse::<i64>()).transpose();
    let limit = limit.map_err(|_| AppError::query("limit", "`limit` is a number"))?;
    let query = LockQuery {
        path: query.text("path")?.filter(|text| !text.is_empty()),
        id: query.text("id")?.filter(|text| !text.is_empty()),
        cursor: query.text("cursor")?,
        limit,
    };
    let page = asked
        .app
        .lfs_locks(&asked.caller, &asked.repo, Action::Read, &query)
        .await?;
    let body = LockList {
        locks: page.locks.iter().map(|lock| Lock::from(&**lock)).collect(),
        next_cursor: page.next_cursor,
    };
    Ok(answer::answer(StatusCode::OK, &body))
}

/// `POST …/locks/verify`: who is about to push asks this.
pub(super) async fn verify(asked: &Asked, body: Body) -> Result<Response, Refused> {
    let body: VerifyLocksRequest = asked.json(body).await?;
    let query = LockQuery {
        cursor: body.cursor,
        limit: body.limit,
        ..LockQuery::default()
    };
    let page = asked
        .app
        .lfs_locks(&asked.caller, &asked.repo, Action::Write, &query)
        .await?;
    let us = asked.owner();
    let (ours, theirs): (Vec<_>, Vec<_>) = page.locks.iter().partition(|lock| lock.owner == us);
    let spell = |locks: Vec<&Arc<LfsLock>>| locks.into_iter().map(|l| Lock::from(&**l)).collect();
    let body = VerifiedLocks {
        ours: spell(ours),
        theirs: spell(theirs),
        next_cursor: page.next_cursor,
    };
    Ok(answer::answer(StatusCode::OK, &body))
}

/// `POST …/locks`
pub(super) async fn create(asked: &Asked, body: Body) -> Result<Response, Refused> {
    let body: LockRequest = asked.json(body).await?;
    let (lock, seq) = asked
        .app
        .lfs_lock(&asked.caller, &asked.repo, asked.owner(), &body.path)
        .await?;
    Ok(written(StatusCode::CREATED, &lock, seq))
}

/// `POST …/locks/{id}/unlock`
pub(super) async fn unlock(asked: &Asked, id: &str, body: Body) -> Result<Response, Refused> {
    let body: UnlockRequest = asked.json(body).await?;
    let (lock, seq) = asked
        .app
        .lfs_unlock(&asked.caller, &asked.repo, asked.owner(), id, body.force)
        .await?;
    Ok(written(StatusCode::OK, &lock, seq))
}

fn written(status: StatusCode, lock: &LfsLock, seq: Seq) -> Response {
    let lock = Lock::from(lock);
    let mut response = answer::answer(status, &LockAnswer { lock });
    response
        .headers_mut()
        .insert(GOVC_SEQ, HeaderValue::from(seq));
    response
}
