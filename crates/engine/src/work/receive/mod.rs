//! A push, from its pack to a change.
//!
//! The pack is taken apart beside the repository: objects are made whole, named, checked as git's
//! `receive.fsckObjects` does, and everything they refer to is looked for. What is left for the
//! repository's turn is whether each ref still is what the client saw. A small push travels in
//! the entry itself, a larger one as a pack that was made safe before it.

mod connect;
mod connectivity;
mod inspect;
mod large;
mod links;
mod proposal;
mod small;
mod sound_trees;
mod take_error;

use std::collections::HashSet;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use govc_git::object::check;
use govc_git::object_id::hash_object;
use govc_git::pack::{self, IndexLimits, Pack, PackError, PackIndex, Stage};
use govc_git::wire::push_cert::PushCertificate;
use govc_git::wire::receive::PushRequest;
use govc_git::{ObjectFormat, ObjectId, ObjectKind, oid, refname};

pub use proposal::{Decision, PushProposal};

use super::hidden::HiddenRefs;
use crate::journal::{PackId, PackSpool};
use crate::pool::GraphSource;
use crate::{
    Cause, FsckSeverity, NewObject, NewObjects, ObjectBody, Quarantined, Repository,
    RepositoryRecord,
};
use connectivity::Arrived;
use inspect::{Fsck, Inspector};
use large::{Completed, Large};
use small::Small;
use take_error::TakeError;

/// What a push may bring.
#[derive(Debug, Clone)]
pub struct ReceiveLimits {
    /// Bytes of its pack.
    pub pack_bytes: u64,
    /// Bytes of one object.
    pub object_bytes: u64,
    /// Deltas that follow each other.
    pub delta_chain: u32,
    /// Up to so many bytes of objects travel in the entry; more are kept as a pack.
    pub inline_bytes: usize,
    /// Bytes of objects that are held while a pack is taken apart.
    pub memory_bytes: usize,
}

impl Default for ReceiveLimits {
    fn default() -> ReceiveLimits {
        ReceiveLimits {
            pack_bytes: 16 << 30,
            object_bytes: 2 << 30,
            delta_chain: 4_095,
            inline_bytes: 1 << 20,
            memory_bytes: 32 << 20,
        }
    }
}

/// How far taking a pack apart is.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// What is done.
    pub stage: Stage,
    /// How many objects were done.
    pub done: u32,
    /// How many there are.
    pub total: u32,
}

/// The pack of a push, as it arrived.
pub enum Incoming {
    /// None came: refs are deleted only.
    Nothing,
    /// All of it, in memory.
    Memory(Bytes),
    /// Larger: written aside.
    Spool(Box<dyn PackSpool>),
}

/// A push that is ready for its turn, or was refused before.
pub struct Prepared {
    /// Why the pack was not taken.
    pub unpack_error: Option<String>,
    /// For each command why it is refused, so far.
    pub refusals: Vec<Option<String>>,
    /// Text for whoever pushes.
    pub messages: String,
    /// What is to be published; `None` where every command was refused.
    pub proposal: Option<PushProposal>,
}

/// Does all of a push that can be done before its turn. It blocks: for as long as hashing,
/// inflating and writing the pack take.
pub fn prepare(
    repository: &Arc<Repository>,
    request: &PushRequest,
    incoming: Incoming,
    cause: Cause,
    limits: &ReceiveLimits,
    progress: &dyn Fn(Progress),
) -> Prepared {
    let mut push = Push {
        repository,
        record: Arc::clone(&repository.snapshot().record),
        request,
        limits,
        progress,
        refusals: vec![None; request.commands.len()],
        messages: String::new(),
    };
    if !request.has_signed_options() {
        push.refuse_all("inconsistent push options");
    }
    push.refuse_names();
    let taken = push.look_at_rules().and_then(|()| push.take(incoming));
    let (mut objects, quarantined) = match taken {
        Ok(taken) => taken,
        Err(error) => {
            push.messages.push_str(&error.message());
            push.refuse_all("unpacker error");
            return Prepared {
                unpack_error: Some(error.report()),
                refusals: push.refusals,
                messages: push.messages,
                proposal: None,
            };
        }
    };
    let any = push.refusals.iter().any(Option::is_none);
    if any && let Some(certificate) = &request.certificate {
        keep_certificate(repository, certificate, &mut objects);
    }
    let proposal = any.then(|| {
        PushProposal::new(
            request.commands.clone(),
            request.capabilities.atomic && push.record.settings.atomic_pushes,
            push.refusals.clone(),
            objects,
            quarantined,
            cause,
        )
    });
    Prepared {
        unpack_error: None,
        refusals: push.refusals,
        messages: push.messages,
        proposal,
    }
}

/// Puts the certificate of a signed push among what it brings, as a blob that no ref reaches: as
/// git's server does, for hooks to look at and to keep.
fn keep_certificate(
    repository: &Repository,
    certificate: &PushCertificate,
    objects: &mut NewObjects,
) {
    let (text, kind) = (certificate.text(), ObjectKind::Blob);
    let Ok(id) = hash_object(repository.pool().format(), kind, text) else {
        return;
    };
    if matches!(repository.pool().find(&id), Ok(Some(_)))
        || objects.inline.iter().any(|object| object.id == id)
    {
        return;
    }
    let body = ObjectBody::Whole(Bytes::copy_from_slice(text));
    objects.inline.push(NewObject { id, kind, body });
}

/// Where a pack is reached through more tips than this, nobody remembers which they are.
const SOURCES_MAX: usize = 4096;

/// A push while it is worked on.
struct Push<'a> {
    repository: &'a Arc<Repository>,
    /// What its owner set, as it was when the push was looked at first.
    record: Arc<RepositoryRecord>,
    request: &'a PushRequest,
    limits: &'a ReceiveLimits,
    progress: &'a dyn Fn(Progress),
    refusals: Vec<Option<String>>,
    messages: String,
}

type Taken = (NewObjects, Option<Quarantined>);

impl Push<'_> {
    fn format(&self) -> ObjectFormat {
        self.repository.pool().format()
    }

    fn refuse_all(&mut self, why: &str) {
        for refusal in &mut self.refusals {
            refusal.get_or_insert_with(|| why.to_owned());
        }
    }

    /// Refuses what can be refused by its name.
    fn refuse_names(&mut self) {
        let hidden = HiddenRefs::from_pushes(&self.record.settings);
        let mut names = HashSet::with_capacity(self.request.commands.len());
        for (command, refusal) in self.request.commands.iter().zip(&mut self.refusals) {
            let name = String::from_utf8_lossy(&command.name);
            if hidden.hides(&command.name) {
                let what = if command.is_delete() {
                    "deleting"
                } else {
                    "updating"
                };
                *refusal = Some(format!("deny {what} a hidden ref"));
            } else if let Err(error) = refname::check_push(&command.name, command.is_delete()) {
                self.messages.push_str(&format!(
                    "error: refusing to create funny ref '{name}' remotely: {error}\n"
                ));
                *refusal = Some("funny refname".to_owned());
            } else if !names.insert(&command.name) {
                self.messages.push_str(&format!(
                    "error: multiple updates for ref '{name}' not allowed\n"
                ));
                *refusal = Some("failed to update ref".to_owned());
            }
        }
    }

    /// Whether the rules by which objects are checked are ones that git knows.
    fn look_at_rules(&mut self) -> Result<(), TakeError> {
        let settings = &self.record.settings;
        if !settings.fsck_objects || !self.request.has_pack() {
            return Ok(());
        }
        for (finding, severity) in &settings.fsck_severities {
            if check::is_fatal(finding) && *severity != FsckSeverity::Error {
                return Err(TakeError::Rule {
                    finding: finding.clone(),
                    severity: *severity,
                });
            }
            if !check::is_known(finding) {
                let text = format!("warning: skipping unknown msg id '{finding}'\n");
                self.messages.push_str(&text);
            }
        }
        Ok(())
    }

    /// Takes what came with the push.
    fn take(&mut self, incoming: Incoming) -> Result<Taken, TakeError> {
        match incoming {
            Incoming::Nothing => {
                self.connect(&Small::default(), &[])?;
                Ok((NewObjects::default(), None))
            }
            Incoming::Memory(pack) => match self.take_small(&pack) {
                Err(TakeError::Pack(PackError::TotalTooLarge { .. })) => {
                    let key = self.repository.key();
                    let mut spool = self.repository.packs().receive(key)?;
                    spool.write(&pack)?;
                    self.take_large(spool)
                }
                taken => taken,
            },
            Incoming::Spool(spool) => self.take_large(spool),
        }
    }

    fn index_limits(&self) -> IndexLimits {
        IndexLimits {
            max_object_bytes: self.limits.object_bytes,
            max_chain: self.limits.delta_chain,
            memory_bytes: self.limits.memory_bytes,
            ..IndexLimits::default()
        }
    }

    /// Takes a pack whose objects travel in the entry.
    fn take_small(&mut self, pack: &Bytes) -> Result<Taken, TakeError> {
        let limits = IndexLimits {
            memory_bytes: self.limits.inline_bytes,
            max_total_bytes: self.limits.inline_bytes as u64,
            ..self.index_limits()
        };
        let pool = self.repository.pool();
        let external = |id: &oid| pool.find(id).ok().flatten();
        let objects = pack::parse_small(pack, self.format(), &limits, &external)?;
        let nothing = |_| {};
        let record = Arc::clone(&self.record);
        let fsck = Fsck::of(&record.settings);
        let mut inspector = Inspector::new(self.format(), fsck, false, &nothing);
        for object in &objects {
            inspector
                .look_at(&object.id, object.kind, &object.data)
                .map_err(|reason| refused(object.id, object.kind, reason))?;
        }
        let small = Small::new(objects);
        let bases = small.outside_bases();
        let connected = self.connect(&small, &bases)?;
        self.look_at_special(&mut inspector, &small, &connected)?;
        if inspector.refused {
            return Err(TakeError::Fsck(inspector.messages));
        }
        self.messages.push_str(&inspector.messages);
        let inline = small.into_new_objects(pool);
        let packs = Vec::new();
        Ok((NewObjects { inline, packs }, None))
    }

    /// Takes a pack that is kept as one.
    fn take_large(&mut self, mut spool: Box<dyn PackSpool>) -> Result<Taken, TakeError> {
        if spool.len() > self.limits.pack_bytes {
            return Err(TakeError::TooLarge(self.limits.pack_bytes));
        }
        let format = self.format();
        let pool = self.repository.pool();
        let external = |id: &oid| pool.find(id).ok().flatten();
        let record = Arc::clone(&self.record);
        let fsck = Fsck::of(&record.settings);
        let mut inspector = Inspector::new(format, fsck, true, self.progress);
        let limits = self.index_limits();
        let bytes = spool.bytes()?;
        let mut indexed = pack::index_pack(&bytes, format, &limits, &external, &mut inspector)?;
        let bases = indexed.missing_bases.clone();
        let mut completed = Completed(&mut *spool);
        pack::complete(&bytes, format, &mut indexed, &external, &mut completed)?;
        drop(bytes);
        let index = Bytes::from(indexed.entries.write_index(&indexed.checksum));
        let parsed = PackIndex::parse(index.clone(), format).map_err(|error| {
            TakeError::Io(io::Error::other(format!("the index just written: {error}")))
        })?;
        let links = inspector.links.take();
        let links = links.filter(|links| bases.is_empty() && links.are_all_in(&parsed));
        let is_whole = links.is_some();
        let sources = links.and_then(|links| links.sources(&parsed, SOURCES_MAX));
        let pack = Pack::new(indexed.checksum, spool.bytes()?, parsed)?;
        let large = Large::new(&pack, &bases);
        let connected = if is_whole {
            self.connect_whole(&large)?;
            HashSet::new()
        } else {
            self.connect(&large, &bases)?
        };
        self.look_at_special(&mut inspector, &large, &connected)?;
        if inspector.refused {
            return Err(TakeError::Fsck(inspector.messages));
        }
        self.messages.push_str(&inspector.messages);
        if self.refusals.iter().all(Option::is_some) {
            return Ok((NewObjects::default(), None));
        }
        let id = PackId(indexed.checksum);
        drop(pack);
        let graph = GraphSource::Commits(std::mem::take(&mut inspector.commits));
        let quarantined = self.repository.keep(spool, id, &index, graph)?;
        if let Some(sources) = sources {
            self.repository.pool().note_sources(id, sources);
        }
        let objects = NewObjects {
            inline: Vec::new(),
            packs: vec![id],
        };
        Ok((objects, Some(quarantined)))
    }

    /// The commands that are not refused and bring something, by their place.
    fn open(&self) -> Vec<usize> {
        let commands = self.request.commands.iter().zip(&self.refusals);
        commands
            .enumerate()
            .filter(|(_, (command, refusal))| refusal.is_none() && !command.is_delete())
            .map(|(at, _)| at)
            .collect()
    }

    /// Looks at the files that Git itself reads, where a tree of the push names one. What came
    /// before is looked at too, where it may be seen: the trees that are `connected` name nothing
    /// else, and for others it is asked. What may not be seen is missing, whatever it is.
    fn look_at_special(
        &self,
        inspector: &mut Inspector<'_>,
        arrived: &dyn Arrived,
        connected: &HashSet<ObjectId>,
    ) -> Result<(), TakeError> {
        let repository = Arc::clone(self.repository);
        let mut seen = self.seen_in(&repository);
        inspector.look_at_special(|id, trees| {
            if let Some(object) = arrived.find(id)? {
                return Ok(Some(object));
            }
            let is_connected = trees.iter().any(|tree| connected.contains(tree));
            if is_connected || seen.sees(id)? {
                return Ok(repository.pool().find(id)?);
            }
            Ok(None)
        })
    }
}

fn refused(id: ObjectId, kind: ObjectKind, reason: String) -> PackError {
    PackError::Refused { id, kind, reason }
}
