//! `POST …/objects/batch`: what is to be transferred, and by which requests.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::response::Response;
use govc_api::lfs::{Action, BASIC, BatchAnswer, BatchObject, BatchRequest, ObjectRef, SHA256};
use http::{StatusCode, header};

use super::Asked;
use super::answer::{self, Refused};
use crate::app::lfs::LfsError;
use crate::app::lfs::objects::{Operation, Verdict};

/// Answers one batch.
pub(super) async fn answer(asked: &Asked, body: Body) -> Result<Response, Refused> {
    let batch: BatchRequest = asked.json(body).await?;
    if let Some(other) = batch.hash_algo.filter(|name| name != SHA256) {
        return Err(LfsError::HashAlgorithm(other).into());
    }
    if !batch.transfers.is_empty() && !batch.transfers.iter().any(|name| name == BASIC) {
        let why = "the only transfer that there is is `basic`".to_owned();
        return Err(LfsError::Invalid(why).into());
    }
    let operation = match batch.operation.as_str() {
        "upload" => Operation::Upload,
        "download" => Operation::Download,
        other => {
            let why = format!("the operation is `upload` or `download`, not {other:?}");
            return Err(LfsError::Invalid(why).into());
        }
    };
    if operation == Operation::Upload {
        asked.writes()?;
    }
    let judged = asked
        .app
        .lfs_batch(&asked.caller, &asked.repo, operation, batch.objects)
        .await?;
    let links = Links::of(asked);
    let objects = judged.into_iter();
    let objects = objects.map(|(object, verdict)| links.object(object, verdict));
    let body = BatchAnswer {
        transfer: BASIC,
        objects: objects.collect(),
        hash_algo: SHA256,
    };
    Ok(answer::answer(StatusCode::OK, &body))
}

/// Where transfers go, and what they show.
struct Links {
    here: String,
    header: BTreeMap<&'static str, String>,
}

impl Links {
    /// Who asked shows the same in transfers.
    fn of(asked: &Asked) -> Links {
        let shown = asked.parts.headers.get(header::AUTHORIZATION);
        let shown = shown.and_then(|value| value.to_str().ok());
        Links {
            here: asked.here(),
            header: shown
                .map(|value| ("Authorization", value.to_owned()))
                .into_iter()
                .collect(),
        }
    }

    fn action(&self, href: String) -> Action {
        Action {
            href,
            header: self.header.clone(),
        }
    }

    fn object(&self, object: ObjectRef, verdict: Verdict) -> BatchObject {
        let mut error = None;
        let href = format!("{}/objects/{}", self.here, object.oid);
        let actions = match verdict {
            Verdict::Download => Some(BTreeMap::from([("download", self.action(href))])),
            Verdict::Upload => Some(BTreeMap::from([
                (
                    "upload",
                    self.action(format!("{href}?size={}", object.size)),
                ),
                ("verify", self.action(format!("{}/verify", self.here))),
            ])),
            Verdict::There => None,
            Verdict::Refused(why) => {
                error = Some(why);
                None
            }
        };
        BatchObject {
            object,
            authenticated: actions.is_some().then_some(true),
            actions,
            error,
        }
    }
}
