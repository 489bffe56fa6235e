//! A push, from its pack to a change.
//!
//! The pack is taken apart beside the repository: objects are made whole, named, checked as git's
//! `receive.fsckObjects` does, and everything they refer to is looked for. What is left for the
//! repository's turn is whether each ref still is what the client saw. A small push travels in
//! the entry itself, a larger one as a pack that was made safe before it.

mod connectivity;
mod inspect;
mod links;
mod proposal;
mod sound_trees;

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use govc_git::object::{check, commit};
use govc_git::pack::{
    self, DeltaBaseCache, IndexLimits, Pack, PackError, PackIndex, PackSpool as CompletedSpool,
    ParsedObject, Stage,
};
use govc_git::wire::receive::{Command, PushRequest};
use govc_git::{Object, ObjectFormat, ObjectId, ObjectKind, oid, refname};

pub use proposal::{Decision, PushProposal};

use super::hidden::HiddenRefs;
use crate::journal::{PackId, PackSpool};
use crate::pool::{GraphSource, PoolError};
use crate::{
    Cause, FsckSeverity, NewObject, NewObjects, ObjectBody, QuarantineError, Quarantined,
    Repository, RepositoryRecord,
};
use connectivity::{Arrived, Broken, Seen, Walk};
use inspect::{Fsck, Inspector};

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
    push.refuse_names();
    let taken = push.look_at_rules().and_then(|()| push.take(incoming));
    let (objects, quarantined) = match taken {
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

/// Why a pack is not taken.
enum TakeError {
    /// It is malformed or over a limit.
    Pack(PackError),
    /// It is good, and what is in it is not.
    Fsck(String),
    /// A delta starts from something that is not there, or not for this repository.
    Base(ObjectId),
    /// Objects are to be checked by a rule that there cannot be.
    Rule {
        finding: String,
        severity: FsckSeverity,
    },
    /// It names what is neither in it nor there. Only where objects are checked the whole push is
    /// refused for that, as git does.
    Missing(String),
    /// It has more bytes than is allowed.
    TooLarge(u64),
    /// It could not be written.
    Io(io::Error),
    /// Something that it builds on cannot be read.
    Pool(PoolError),
}

impl TakeError {
    /// What the report says behind `unpack`.
    fn report(&self) -> String {
        match self {
            TakeError::Pack(error) => error.to_string(),
            TakeError::Fsck(_) => "fsck error in packed object".to_owned(),
            TakeError::Base(_) => "unresolved deltas".to_owned(),
            TakeError::Rule { finding, severity } => {
                format!("Cannot demote {finding} to {}", severity.name())
            }
            TakeError::Missing(_) => "missing necessary objects".to_owned(),
            TakeError::TooLarge(limit) => {
                format!("the pack exceeds the maximum allowed size of {limit} bytes")
            }
            TakeError::Io(error) if error.kind() == io::ErrorKind::StorageFull => {
                "there is no room for the pack".to_owned()
            }
            TakeError::Io(_) | TakeError::Pool(_) => {
                "the server could not take the pack".to_owned()
            }
        }
    }

    /// What whoever pushes is told besides.
    fn message(&self) -> String {
        match self {
            TakeError::Fsck(findings) => format!("{findings}fatal: fsck error in packed object\n"),
            TakeError::Base(base) => format!(
                "error: the pack builds on {base}, which is not in this repository\n\
                 fatal: unresolved deltas\n"
            ),
            TakeError::Io(error) => {
                tracing::error!(%error, "a pushed pack could not be written");
                format!("fatal: {}\n", self.report())
            }
            TakeError::Pool(error) => {
                tracing::error!(%error, "what a push builds on could not be read");
                format!("fatal: {}\n", self.report())
            }
            TakeError::Missing(what) => format!("{what}fatal: {}\n", self.report()),
            TakeError::Pack(_) | TakeError::TooLarge(_) | TakeError::Rule { .. } => {
                format!("fatal: {}\n", self.report())
            }
        }
    }
}

impl From<PackError> for TakeError {
    fn from(error: PackError) -> TakeError {
        match error {
            PackError::MissingBase { base, .. } => TakeError::Base(base),
            PackError::Io(error) => TakeError::Io(error),
            error => TakeError::Pack(error),
        }
    }
}

impl From<QuarantineError> for TakeError {
    fn from(error: QuarantineError) -> TakeError {
        match error {
            QuarantineError::Write(error) => TakeError::Io(error),
            QuarantineError::Pack(error) => error.into(),
            QuarantineError::Pool(error) => TakeError::Pool(error),
        }
    }
}

impl From<io::Error> for TakeError {
    fn from(error: io::Error) -> TakeError {
        TakeError::Io(error)
    }
}

impl From<PoolError> for TakeError {
    fn from(error: PoolError) -> TakeError {
        TakeError::Pool(error)
    }
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

    /// Looks for all that the pushed tips reach, and refuses those that reach something that is
    /// not there. `bases` are what the pack's deltas start from, outside it. Returns the objects
    /// of the push that name nothing which is not there.
    fn connect(
        &mut self,
        arrived: &dyn Arrived,
        bases: &[ObjectId],
    ) -> Result<HashSet<ObjectId>, TakeError> {
        let repository = Arc::clone(self.repository);
        let mut seen = self.seen_in(&repository);
        let format = self.format();
        let open = self.open();
        let tips = || open.iter().map(|at| self.request.commands[*at].new);
        let mut connected = HashSet::new();
        let mut walk = Walk::new(arrived, &mut seen, format);
        match walk.check(tips()) {
            Ok(()) => {
                for base in bases {
                    if !walk.sees(base)? {
                        return Err(TakeError::Base(*base));
                    }
                }
                connected = walk.into_done();
            }
            Err(Broken::Pool(error)) => return Err(error.into()),
            Err(_) => {
                let broken = self.find_broken(arrived, &mut seen, &open)?;
                for base in bases {
                    if !seen.sees(base)? {
                        return Err(TakeError::Base(*base));
                    }
                }
                let (mut told, mut refusals) = (String::new(), Vec::new());
                let mut incomplete = false;
                for (at, error) in broken {
                    let name = String::from_utf8_lossy(&self.request.commands[at].name);
                    told.push_str(&format!("error: {name}: {error}\n"));
                    // Where the client's history is cut, and ours would have to be.
                    let at_cut = match error {
                        Broken::Missing { of, .. } => self.request.shallow.contains(&of),
                        _ => false,
                    };
                    let why = if at_cut {
                        "shallow update not allowed"
                    } else {
                        "missing necessary objects"
                    };
                    incomplete |= !at_cut && self.came_incomplete(arrived, &error);
                    refusals.push((at, why));
                }
                if incomplete {
                    return Err(TakeError::Missing(told));
                }
                self.messages.push_str(&told);
                for (at, why) in refusals {
                    self.refusals[at] = Some(why.to_owned());
                }
            }
        }
        self.refuse_targets(arrived)?;
        Ok(connected)
    }

    /// What `repository` may see, where the client's view of its refs is right to begin with.
    fn seen_in<'r>(&self, repository: &'r Repository) -> Seen<'r> {
        let snapshot = repository.snapshot();
        let tips = self.request.commands.iter().filter_map(|command| {
            let now = snapshot.refs.resolve(&command.name);
            now.filter(|now| *now == command.old)
        });
        Seen::new(repository, tips.collect())
    }

    /// Which of the commands reach something that is not there. The first ones are looked at one
    /// by one; behind as many as a person pushes, the rest stands or falls together.
    fn find_broken(
        &self,
        arrived: &dyn Arrived,
        seen: &mut Seen<'_>,
        open: &[usize],
    ) -> Result<Vec<(usize, Broken)>, TakeError> {
        const LOOKED_AT_MAX: usize = 64;
        let mut broken = Vec::new();
        let (single, rest) = open.split_at(open.len().min(LOOKED_AT_MAX));
        for &at in single {
            let tip = self.request.commands[at].new;
            match Walk::new(arrived, seen, self.format()).check([tip]) {
                Ok(()) => {}
                Err(Broken::Pool(error)) => return Err(error.into()),
                Err(error) => broken.push((at, error)),
            }
        }
        let tips = rest.iter().map(|at| self.request.commands[*at].new);
        match Walk::new(arrived, seen, self.format()).check(tips) {
            Ok(()) => {}
            Err(Broken::Pool(error)) => return Err(error.into()),
            Err(Broken::Missing { id, of }) => {
                broken.extend(rest.iter().map(|at| (*at, Broken::Missing { id, of })));
            }
            Err(error) => {
                let why = error.to_string();
                broken.extend(rest.iter().map(|at| {
                    let id = self.request.commands[*at].new;
                    let why = why.clone();
                    (*at, Broken::Malformed { id, why })
                }));
            }
        }
        Ok(broken)
    }

    /// Whether objects are checked, and one of the pack names what is not there: git's `index-pack
    /// --strict` refuses the pack then, and with it every ref of the push.
    fn came_incomplete(&self, arrived: &dyn Arrived, error: &Broken) -> bool {
        match error {
            Broken::Missing { id, of } if id != of => {
                self.record.settings.fsck_objects && arrived.kind(of).is_some()
            }
            _ => false,
        }
    }

    /// All that the pack refers to is in it: only the tips themselves may be elsewhere.
    fn connect_whole(&mut self, arrived: &dyn Arrived) -> Result<(), TakeError> {
        let repository = Arc::clone(self.repository);
        let mut seen = self.seen_in(&repository);
        for at in self.open() {
            let tip = self.request.commands[at].new;
            if arrived.kind(&tip).is_none() && !seen.sees(&tip)? {
                self.refusals[at] = Some("missing necessary objects".to_owned());
            }
        }
        self.refuse_targets(arrived)
    }

    /// A branch points at a commit, as git has it; and perhaps only moves forwards.
    fn refuse_targets(&mut self, arrived: &dyn Arrived) -> Result<(), TakeError> {
        let pool = self.repository.pool();
        let forwards_only = self.record.settings.deny_non_fast_forwards;
        for at in self.open() {
            let Command { old, new, name } = &self.request.commands[at];
            if !name.starts_with(b"refs/heads/") {
                continue;
            }
            let kind = match arrived.kind(new) {
                Some(kind) => Some(kind),
                None if pool.graph().number(new).is_some() => Some(ObjectKind::Commit),
                None => pool.header(new)?.map(|(kind, _)| kind),
            };
            let name = String::from_utf8_lossy(name);
            if kind == Some(ObjectKind::Commit) {
                if forwards_only && !old.is_null() && !self.is_forwards(arrived, old, new)? {
                    self.messages.push_str(&format!(
                        "error: denying non-fast-forward {name} (you should pull first)\n"
                    ));
                    self.refusals[at] = Some("non-fast-forward".to_owned());
                }
            } else {
                self.messages.push_str(&format!(
                    "error: cannot update ref '{name}': trying to write non-commit object {new} \
                     to branch '{name}'\n"
                ));
                self.refusals[at] = Some("failed to update ref".to_owned());
            }
        }
        Ok(())
    }

    /// Whether the commit `new`, which may have come with the push, continues `old`.
    fn is_forwards(&self, arrived: &dyn Arrived, old: &oid, new: &oid) -> Result<bool, TakeError> {
        let graph = self.repository.pool().graph();
        let (mut next, mut met) = (vec![new.to_owned()], HashSet::new());
        while let Some(id) = next.pop() {
            if id == old {
                return Ok(true);
            }
            if let (Some(old), Some(there)) = (graph.number(old), graph.number(&id)) {
                if graph.is_ancestor(old, there) {
                    return Ok(true);
                }
            } else if let Some(object) = arrived.find(&id)?
                && let Ok(facts) = commit::facts(&object.data, self.format())
            {
                next.extend(
                    facts
                        .parents
                        .into_iter()
                        .filter(|parent| met.insert(*parent)),
                );
            }
        }
        Ok(false)
    }
}

fn refused(id: ObjectId, kind: ObjectKind, reason: String) -> PackError {
    PackError::Refused { id, kind, reason }
}

/// The objects of a small push, in memory.
#[derive(Default)]
struct Small {
    objects: Vec<ParsedObject>,
    places: HashMap<ObjectId, usize>,
}

/// A tree that came as a delta is kept as one if its chain is not longer than this.
const DELTA_DEPTH_MAX: u32 = 32;

impl Small {
    fn new(objects: Vec<ParsedObject>) -> Small {
        let places = objects.iter().enumerate();
        let places = places.map(|(at, object)| (object.id, at)).collect();
        Small { objects, places }
    }

    fn get(&self, id: &oid) -> Option<&ParsedObject> {
        self.objects.get(*self.places.get(id)?)
    }

    /// What its deltas start from that did not come with it, each once.
    fn outside_bases(&self) -> Vec<ObjectId> {
        let bases = self
            .objects
            .iter()
            .filter_map(|object| object.delta.as_ref());
        let mut outside: Vec<ObjectId> = bases
            .map(|(base, _)| *base)
            .filter(|base| !self.places.contains_key(base))
            .collect();
        outside.sort_unstable();
        outside.dedup();
        outside
    }

    /// The objects as the entry takes them. A tree that came as a small delta stays one: a commit
    /// in a folder of ten thousand files then costs tens of bytes, not hundreds of kilobytes.
    fn into_new_objects(self, pool: &crate::pool::Pool) -> Vec<NewObject> {
        let places = self.places;
        let mut depths = vec![0; self.objects.len()];
        let mut new = Vec::with_capacity(self.objects.len());
        for (at, object) in self.objects.into_iter().enumerate() {
            let mut body = ObjectBody::Whole(object.data);
            if let (Some((base, delta)), ObjectKind::Tree, ObjectBody::Whole(data)) =
                (object.delta, object.kind, &body)
            {
                let depth = match places.get(&base) {
                    Some(before) if *before < at => Some(depths[*before]),
                    Some(_) => None,
                    None => Some(pool.delta_depth(&base)),
                };
                if let Some(depth) = depth
                    && depth < DELTA_DEPTH_MAX
                    && delta.len() * 4 < data.len()
                {
                    depths[at] = depth + 1;
                    body = ObjectBody::Delta { base, delta };
                }
            }
            let (id, kind) = (object.id, object.kind);
            new.push(NewObject { id, kind, body });
        }
        new
    }
}

impl Arrived for Small {
    fn kind(&self, id: &oid) -> Option<ObjectKind> {
        self.get(id).map(|object| object.kind)
    }

    fn find(&self, id: &oid) -> Result<Option<Object>, PoolError> {
        Ok(self.get(id).map(|object| Object {
            kind: object.kind,
            data: object.data.clone(),
        }))
    }
}

/// The objects of a large push, in its pack.
struct Large<'a> {
    pack: &'a Pack,
    cache: DeltaBaseCache,
    /// Objects that were appended to a thin pack: they did not come, they were there.
    bases: HashSet<ObjectId>,
}

/// Bytes of delta bases that are kept while the commits of a large push are walked.
const WALK_CACHE_BYTES: usize = 16 << 20;

impl<'a> Large<'a> {
    fn new(pack: &'a Pack, bases: &[ObjectId]) -> Large<'a> {
        Large {
            pack,
            cache: DeltaBaseCache::new(WALK_CACHE_BYTES),
            bases: bases.iter().copied().collect(),
        }
    }

    fn damaged(id: &oid, error: &PackError) -> PoolError {
        PoolError::Damaged {
            id: id.to_owned(),
            pack: None,
            what: error.to_string(),
        }
    }
}

impl Arrived for Large<'_> {
    fn kind(&self, id: &oid) -> Option<ObjectKind> {
        if self.bases.contains(id) || self.pack.index().lookup(id).is_none() {
            return None;
        }
        let (kind, _) = self.pack.header(id, &|_| None).ok()??;
        Some(kind)
    }

    fn find(&self, id: &oid) -> Result<Option<Object>, PoolError> {
        if self.bases.contains(id) {
            return Ok(None);
        }
        let found = self.pack.find(id, &|_| None, &self.cache);
        found.map_err(|error| Large::damaged(id, &error))
    }
}

/// Lets a thin pack be completed where it was written.
struct Completed<'a>(&'a mut dyn PackSpool);

impl CompletedSpool for Completed<'_> {
    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.0.truncate(length)
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write(bytes)
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_at(offset, bytes)
    }
}
