//! Learning the commits of a pack, or of some tips, from the objects themselves.

use govc_git::object::commit;
use govc_git::pack::commit_graph::{CommitGraph, CommitGraphError};
use govc_git::pack::reader::Base;
use govc_git::pack::{BaseCache, entry};
use govc_git::{ObjectId, ObjectKind};

use super::graph::{CommitFacts, Graph, parents_first};
use super::pack_list::PoolPack;
use super::{Pool, PoolError};
use crate::journal::PackId;

/// All commits of `pack` that can be read and that `graph` lacks; a damaged one is its readers'
/// business.
pub(super) fn commits(
    pack: &PoolPack,
    graph: &Graph,
    cache: &dyn BaseCache,
) -> Vec<(ObjectId, CommitFacts)> {
    let format = pack.pack.index().format();
    let mut found = Vec::new();
    for (position, kind) in kinds(pack).into_iter().enumerate() {
        if kind != Some(ObjectKind::Commit) {
            continue;
        }
        let position = position as u32;
        let id = pack.object_id(position);
        if graph.number(&id).is_some() {
            continue;
        }
        let read = pack.pack.object_at(position, &|_| None, cache);
        match read.map(|object| commit::facts(&object.data, format)) {
            Ok(Ok(facts)) => found.push((id, facts)),
            Ok(Err(error)) => {
                tracing::warn!(%id, pack = %pack.id.0, %error, "a commit is malformed")
            }
            Err(error) => tracing::warn!(%id, pack = %pack.id.0, %error, "a commit is damaged"),
        }
    }
    found
}

/// The kind of the object at each position: bases are followed, nothing is inflated.
pub(super) fn kinds(pack: &PoolPack) -> Vec<Option<ObjectKind>> {
    let index = pack.pack.index();
    let data = pack.pack.bytes();
    let mut kinds = vec![None; index.len() as usize];
    let mut looked_at = vec![false; kinds.len()];
    let mut chain = Vec::new();
    for &start in index.positions_in_pack_order() {
        let mut at = start;
        let mut kind = None;
        while let Some(seen) = looked_at.get_mut(at as usize) {
            if std::mem::replace(seen, true) {
                kind = kinds[at as usize];
                break;
            }
            chain.push(at);
            let bytes = usize::try_from(index.offset(at))
                .ok()
                .and_then(|from| data.get(from..));
            let header = bytes.and_then(|bytes| entry::parse_header(bytes, index.format()).ok());
            match header.map(|header| header.kind) {
                Some(entry::EntryKind::Whole(whole)) => {
                    kind = Some(whole);
                    break;
                }
                Some(_) => match pack.pack.base_of(at) {
                    Ok(Some(Base::Position(base))) => at = base,
                    _ => break,
                },
                None => break,
            }
        }
        for position in chain.drain(..) {
            kinds[position as usize] = kind;
        }
    }
    kinds
}

impl Pool {
    /// Brings `tips` and all their ancestors into the graph, as far as they are here and not in it
    /// yet: a commit-graph file may be older than the packs beside it. Tips that are no commits
    /// are passed over.
    ///
    /// # Errors
    /// [`PoolError::Damaged`] for a commit that cannot be read.
    pub fn learn(&self, tips: &[ObjectId]) -> Result<(), PoolError> {
        let unknown = |id: &ObjectId| self.graph.number(id).is_none();
        let mut open: Vec<ObjectId> = tips.iter().copied().filter(unknown).collect();
        if open.is_empty() {
            return Ok(());
        }
        let mut seen: hashbrown::HashSet<ObjectId> = open.iter().copied().collect();
        let mut learnt = Vec::new();
        while let Some(id) = open.pop() {
            if !matches!(self.header(&id)?, Some((ObjectKind::Commit, _))) {
                continue;
            }
            let Some(object) = self.find(&id)? else {
                continue;
            };
            let facts = self.facts(&id, &object.data)?;
            for parent in &facts.parents {
                if unknown(parent) && seen.insert(*parent) {
                    open.push(*parent);
                }
            }
            learnt.push((id, facts));
        }
        self.append_commits(&learnt);
        Ok(())
    }

    pub(super) fn append_commits(&self, commits: &[(ObjectId, CommitFacts)]) {
        let order = parents_first(commits);
        let in_order = order
            .iter()
            .filter_map(|&place| commits.get(place as usize));
        self.graph.append(in_order.map(|(id, facts)| (*id, facts)));
    }
}

impl Pool {
    /// Takes the commits of a commit-graph file in.
    ///
    /// # Errors
    /// When the file is damaged; nothing of it was taken in then.
    pub(super) fn load_commit_graph(&self, file: bytes::Bytes) -> Result<(), CommitGraphError> {
        let file = CommitGraph::parse(file, self.format)?;
        file.verify()?;
        // Parents first, as far as the file knows; the graph gets over the rest.
        let mut order: Vec<u32> = (0..file.len()).collect();
        order.sort_by_key(|&position| file.generation(position));
        let mut failed = None;
        let commits = order
            .into_iter()
            .map_while(|position| match file.parents(position) {
                Ok(parents) => {
                    let facts = CommitFacts {
                        tree: file.tree(position).to_owned(),
                        parents: parents
                            .iter()
                            .map(|&parent| file.id(parent).to_owned())
                            .collect(),
                        committer_time: file.time(position),
                    };
                    Some((file.id(position).to_owned(), facts))
                }
                Err(error) => {
                    failed = Some(error);
                    None
                }
            });
        self.graph.append(commits);
        if let Some(failed) = failed {
            return Err(failed);
        }
        let packs = file.packs().map(|checksum| PackId(checksum.to_owned()));
        self.graphed().extend(packs);
        Ok(())
    }
}
