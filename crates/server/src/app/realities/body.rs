//! Realities as answers have them.

use std::sync::Arc;

use bytes::Bytes;
use govc_api::realities::{Base, PromotedTo, Reality as Body};
use govc_api::rfc3339::server_time;
use govc_engine::{
    Engine, Fate, Realities, Reality, RealityBatch, RealityId, RefName, RepoId, Seq, Time,
};
use serde::Serialize;
use serde::ser::{SerializeSeq, Serializer};

use crate::app::error::AppError;

/// What all realities of a repository have in common in answers.
pub struct Bodies {
    /// `http://host:port/repo/realities/`
    remotes: String,
}

impl Bodies {
    /// Those of the repository `id`, to somebody who sees this server as `origin`.
    pub fn of(id: &RepoId, origin: &str) -> Bodies {
        Bodies {
            remotes: format!("{origin}/{id}/realities/"),
        }
    }

    /// The answer to making a batch.
    ///
    /// # Errors
    /// None that is known: the values are plain.
    pub fn made(
        &self,
        there: &Realities,
        (seq, _, batch): (Seq, Time, &Arc<RealityBatch>),
        elapsed_us: impl FnOnce() -> u64,
    ) -> Result<Bytes, AppError> {
        let items = Items {
            bodies: self,
            there,
            batch,
        };
        // Each has its name twice, and what they share.
        const ITEM_BYTES: usize = 240;
        let count = batch.names.len();
        let mut out = Vec::with_capacity(ITEM_BYTES * count as usize + 256);
        let answer = Made {
            items,
            count,
            seq,
            elapsed_us: 0,
        };
        serde_json::to_writer(&mut out, &answer).map_err(AppError::internal)?;
        // How long it took is known when all of it is there.
        let end = b"\"elapsed_us\":0}";
        if out.ends_with(end) {
            out.truncate(out.len() - 2);
            out.extend_from_slice(format!("{}}}", elapsed_us()).as_bytes());
        }
        Ok(out.into())
    }

    /// One that is there.
    pub fn one(&self, engine: &Engine, reality: &Reality) -> serde_json::Value {
        let batch = &reality.made.batch;
        let (head, seq) = engine.reality_head(reality);
        let head = head.map(|id| id.to_string());
        let oid = batch.oid.map(|id| id.to_string());
        let parent = parent(&reality.host.snapshot().realities, batch);
        let expires_at = batch.expires_at.map(server_time);
        let promoted = match &reality.fate {
            Fate::Promoted(promotion) => Some(promotion),
            _ => None,
        };
        let body = serde_json::to_value(Body {
            name: &reality.name,
            head: head.as_deref(),
            branch: &short(&batch.head),
            base: Base {
                seq: batch.base,
                oid: oid.as_deref(),
            },
            parent: parent.as_deref(),
            state: Some(match promoted {
                Some(_) => "closed",
                None => "open",
            }),
            durability: Some(durability(batch)),
            clone_url: &self.remote(&reality.name),
            created_at: Some(&server_time(reality.made.time)),
            expires_at: expires_at.as_deref(),
            promoted_at: promoted.map(|promotion| server_time(promotion.at)),
            promoted_to: promoted.map(|promotion| PromotedTo {
                branch: short(&promotion.into),
                oid: promotion.commit.to_string(),
                seq: promotion.seq,
            }),
            seq: Some(seq),
        });
        // Plain values always become JSON.
        body.unwrap_or_default()
    }

    fn remote(&self, name: &str) -> String {
        format!("{}{name}.git", self.remotes)
    }
}

fn short(name: &RefName) -> String {
    let short = name.branch_name().unwrap_or(name.as_bytes());
    String::from_utf8_lossy(short).into_owned()
}

fn durability(batch: &RealityBatch) -> &'static str {
    match batch.in_memory {
        true => "memory",
        false => "parent",
    }
}

/// What the parent of a batch is called, if that is a reality.
fn parent(there: &Realities, batch: &RealityBatch) -> Option<String> {
    let RealityId { made, index } = batch.parent?;
    let parent = there.batch(made)?;
    parent.batch.names.get(index).map(|name| name.into_owned())
}

#[derive(Serialize)]
struct Made<'a> {
    items: Items<'a>,
    count: u32,
    seq: Seq,
    elapsed_us: u64,
}

/// All of a batch, each made when it is written.
struct Items<'a> {
    bodies: &'a Bodies,
    there: &'a Realities,
    batch: &'a RealityBatch,
}

impl Serialize for Items<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let batch = self.batch;
        let oid = batch.oid.map(|id| id.to_string());
        let branch = short(&batch.head);
        let parent = parent(self.there, batch);
        let expires_at = batch.expires_at.map(server_time);
        let mut url = self.bodies.remotes.clone();
        let url_start = url.len();
        let mut items = serializer.serialize_seq(Some(batch.names.len() as usize))?;
        for index in 0..batch.names.len() {
            let Some(name) = batch.names.get(index) else {
                continue;
            };
            url.truncate(url_start);
            url.push_str(&name);
            url.push_str(".git");
            items.serialize_element(&Body {
                name: &name,
                head: oid.as_deref(),
                branch: &branch,
                base: Base {
                    seq: batch.base,
                    oid: oid.as_deref(),
                },
                parent: parent.as_deref(),
                state: None,
                durability: None,
                clone_url: &url,
                created_at: None,
                expires_at: expires_at.as_deref(),
                promoted_at: None,
                promoted_to: None,
                seq: None,
            })?;
        }
        items.end()
    }
}
