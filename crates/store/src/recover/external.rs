//! What other programs did to the directories while the server was down.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use govc_engine::journal::PackId;
use govc_engine::{
    Cause, CauseKind, Entry, EntryEdit, NewObjects, RefName, Refs, RepoId, RepoKey,
    RepositoryRecord, Target, Via,
};

use govc_git::pack::{IndexLimits, index_pack};
use govc_git::{ObjectFormat, ObjectId};

use super::loading::Projected;
use super::scan::id_of;
use super::{next_number, packs_in};
use crate::disk::{self, Disk, FileKind, Open};
use crate::holdings::REALITY_REFS;
use crate::objects::{Objects, open_pack, pack_path};
use crate::projection::OnDisk;
use crate::repo::{Repo, RepoState};
use crate::store::{Recovered, StoppedRepository, Store};
use crate::{config, directory, history, loose};

/// Who is said to have done it.
const ACTOR: &str = "external";

impl Store {
    /// Compares what git would see with what we left, and takes in what others changed.
    pub(super) fn take_in_changes(
        &self,
        outside: Vec<(Arc<Repo>, Projected)>,
        refs: &mut HashMap<RepoKey, Refs>,
        recovered: &mut Recovered,
    ) {
        for (repo, projected) in outside {
            if repo.state().damage.is_some() {
                continue;
            }
            let Some(dir) = repo.where_now() else {
                continue;
            };
            let Some(refs) = refs.get_mut(&repo.key) else {
                continue;
            };
            let taken = self.take_in(&repo, &dir, &projected, refs, &mut recovered.notes);
            if let Err(error) = taken {
                let why = format!("what is in {} cannot be taken in: {error}", dir.display());
                repo.state().damage.get_or_insert(why);
            }
        }
    }

    fn take_in(
        &self,
        repo: &Repo,
        dir: &Path,
        projected: &Projected,
        refs: &mut Refs,
        notes: &mut Vec<String>,
    ) -> io::Result<()> {
        let disk = &*self.disk;
        let format = repo.state().record.object_format;
        let mut there = OnDisk::read(disk, dir)?;
        let seen = there.seen();
        {
            let mut state = repo.state();
            state.projection_due = seen != projected.to_come;
            if let Some(saved) = &mut state.saved {
                saved.on_disk = seen.clone();
            }
        }
        let packed = loose::pack(disk, dir, format)?;
        notes.extend(
            packed
                .broken
                .iter()
                .map(|file| format!("{file} is no object")),
        );
        let (listed, replaced) = {
            let state = repo.state();
            (state.packs.clone(), state.replaced.clone())
        };
        let mut new_packs: Vec<PackId> = packs_in(disk, dir)?;
        // What was merged into others stays for a while.
        let is_replaced = |pack: &PackId| replaced.iter().any(|(old, _)| old == pack);
        new_packs.retain(|pack| !listed.contains(pack) && !is_replaced(pack));
        new_packs.retain(|pack| match open_pack(disk, dir, *pack) {
            Ok(_) => true,
            Err(error) => {
                notes.push(format!("{}: {error}", dir.display()));
                false
            }
        });

        let mut edits = Vec::new();
        if seen.is_mixture_of([&projected.to_come, &projected.before]) {
            // Nobody else was there.
        } else if let Some(damage) = there.damage(format) {
            notes.push(format!(
                "{} shows no refs that could be believed, and is written again: {damage}",
                dir.display()
            ));
        } else {
            let found = there.refs(format);
            // Those of realities are shown there, and are not this repository's.
            let is_own =
                |name: &[u8]| !name.starts_with(REALITY_REFS) || projected.refs.get(name).is_some();
            let own = found.iter().filter(|(name, _)| is_own(name.as_bytes()));
            let found =
                Refs::from_entries(own.map(|(name, target)| (name.clone(), target.clone())));
            notes.extend(there.broken.iter().map(|what| {
                format!(
                    "in {} \"{what}\" is no ref, and is passed over",
                    dir.display()
                )
            }));
            let packs = listed.iter().chain(&new_packs).copied().collect();
            let mut objects = Objects::new(disk, dir, packs);
            for recent in &repo.state().recent {
                recent
                    .entry
                    .objects
                    .inline
                    .iter()
                    .for_each(|object| objects.add(object));
            }
            edits = changes(&projected.refs, &found, refs, &objects, dir, notes)?;
        }
        if edits.is_empty() {
            let mut state = repo.state();
            state.packs_due |= !new_packs.is_empty();
            state.packs.extend(new_packs);
        } else {
            let entry = {
                let state = repo.state();
                Arc::new(Entry {
                    repo: repo.key,
                    host: None,
                    seq: next_number(&state, self.epoch),
                    step: 0,
                    time: self.options.clock.now().max(state.time),
                    cause: cause(
                        CauseKind::External,
                        "changed on the disk by another program",
                    ),
                    edits,
                    objects: NewObjects {
                        inline: Vec::new(),
                        packs: new_packs,
                    },
                })
            };
            notes.push(format!(
                "{} was changed by another program: {} refs moved, as change {}",
                dir.display(),
                entry.edits.len(),
                entry.seq
            ));
            self.append_now(&[Arc::clone(&entry)])
                .map_err(io::Error::other)?;
            history::apply(refs, &entry);
        }
        // Their packs are durable and found again whatever happens now.
        packed.remove_files(disk)
    }

    /// Takes in bare repositories that somebody has put below the data directory.
    pub(super) fn adopt(
        &self,
        foreign: Vec<PathBuf>,
        refs: &mut HashMap<RepoKey, Refs>,
        recovered: &mut Recovered,
    ) {
        for dir in foreign {
            match self.adopt_one(&dir, &mut recovered.notes) {
                Ok(Some((key, found))) => {
                    recovered
                        .notes
                        .push(format!("{} was adopted", dir.display()));
                    refs.insert(key, found);
                }
                Ok(None) => {
                    let note =
                        format!("{} is no bare repository, and is left alone", dir.display());
                    recovered.notes.push(note);
                }
                Err(error) => recovered.stopped.push(StoppedRepository {
                    key: None,
                    id: id_of(&dir),
                    why: format!("{} cannot be adopted: {error}", dir.display()),
                }),
            }
        }
    }

    fn adopt_one(
        &self,
        dir: &Path,
        notes: &mut Vec<String>,
    ) -> io::Result<Option<(RepoKey, Refs)>> {
        let disk = &*self.disk;
        for (name, kind) in [
            ("HEAD", FileKind::File),
            ("objects", FileKind::Dir),
            ("refs", FileKind::Dir),
        ] {
            if disk.kind(&dir.join(name))? != Some(kind) {
                return Ok(None);
            }
        }
        let id = self.free_id(dir)?;
        let config_path = dir.join("config");
        let config = disk::read_if_any(disk, &config_path, 1 << 20)?.unwrap_or_default();
        let config = String::from_utf8(config).map_err(|_| refused("its config is not UTF-8"))?;
        let format = config::object_format(&config).map_err(refused)?;
        // As git reads it, which stands in the repository then.
        let read_list = |path: &Path| disk::read(disk, &dir.join(path), 1 << 20);
        let (settings, left) = config::settings(config.as_bytes(), &read_list);
        notes.extend(
            left.iter()
                .map(|what| format!("in {}: {what}", dir.display())),
        );
        for (file, why) in [
            (
                "objects/info/alternates",
                "it borrows objects by objects/info/alternates: `git repack -a -d` and removing that file make it whole",
            ),
            ("shallow", "it is a shallow clone"),
        ] {
            if disk.kind(&dir.join(file))?.is_some() {
                return Err(refused(why));
            }
        }
        check_links(disk, dir)?;
        disk::create_dirs(disk, &dir.join("objects/info"))?;
        disk::create_dirs(disk, &dir.join(directory::PACKS))?;

        let mut there = OnDisk::read(disk, dir)?;
        let packed = loose::pack(disk, dir, format)?;
        notes.extend(
            packed
                .broken
                .iter()
                .map(|file| format!("{file} is no object")),
        );
        index_packs(disk, dir, format, notes)?;
        let packs = packs_in(disk, dir)?;
        for pack in &packs {
            open_pack(disk, dir, *pack)?;
        }
        if let Some(line) = there.unreadable_line(format) {
            return Err(refused(format!("in packed-refs \"{line}\" is no ref")));
        }
        let found = there.refs(format);
        notes.extend(there.broken.iter().map(|what| {
            format!(
                "in {} \"{what}\" is no ref, and is passed over",
                dir.display()
            )
        }));
        let objects = Objects::new(disk, dir, packs.clone());
        check_targets(&found, &objects)?;
        let nothing = Refs::default();
        let mut edits = changes(&nothing, &found, &nothing, &objects, dir, notes)?;
        let has_head = |edit: &EntryEdit| matches!(edit, EntryEdit::Ref { name, .. } if name.as_bytes() == b"HEAD");
        if !edits.iter().any(has_head) {
            edits.push(EntryEdit::Ref {
                name: RefName::head(),
                before: Target::Gone,
                after: Target::Symbolic(RefName::branch("main")),
            });
        }

        let key = (self.options.new_key)();
        let now = self.options.clock.now();
        let record = RepositoryRecord {
            id,
            description: self.description(dir)?,
            storage: self.options.storage,
            object_format: format,
            family: key,
            forked_from: None,
            created_at: now,
            deleted_at: None,
            expires_at: None,
            settings,
        };
        edits.insert(
            0,
            EntryEdit::Repository {
                before: None,
                after: Box::new(record.clone()),
            },
        );
        let entry = Arc::new(Entry {
            repo: key,
            host: None,
            seq: 0,
            step: 0,
            time: now,
            cause: cause(CauseKind::External, "adopted from the disk"),
            edits,
            objects: NewObjects {
                inline: Vec::new(),
                packs,
            },
        });
        let mut refs = Refs::default();
        history::apply(&mut refs, &entry);

        // Its checkpoint is what makes it ours: until that is there it is adopted anew.
        disk::create_dirs(disk, &dir.join("govc"))?;
        disk::replace(disk, &config_path, directory::protect(&config).as_bytes())?;
        let mut state = RepoState::new(Arc::new(record));
        state.push(entry, self.log().newest_segment(), self.epoch);
        self.add(Repo::new(key, state, Some(dir.to_owned())));
        let saved = self.checkpoint(key).and_then(|_| {
            let path = dir.join(directory::KEY);
            disk::replace(disk, &path, directory::key_text(key).as_bytes())
        });
        if let Err(error) = saved {
            self.forget(key);
            return Err(error);
        }
        packed.remove_files(disk)?;
        Ok(Some((key, refs)))
    }

    /// The id that the directory's name gives, if no other repository has it.
    fn free_id(&self, dir: &Path) -> io::Result<RepoId> {
        let text = dir.to_str().and_then(|text| text.strip_suffix(".git"));
        let text = text.ok_or_else(|| refused("its name is not UTF-8"))?;
        let id = RepoId::parse(text).map_err(|error| refused(error.to_string()))?;
        let has_it = |repo: &Arc<Repo>| {
            let record = Arc::clone(&repo.state().record);
            record.deleted_at.is_none() && record.id.folded() == id.folded()
        };
        if self.all().iter().any(has_it) {
            return Err(refused(format!("another repository is called {id}")));
        }
        Ok(id)
    }

    fn description(&self, dir: &Path) -> io::Result<String> {
        let text = disk::read_if_any(&*self.disk, &dir.join("description"), 64 << 10);
        let text = text?.unwrap_or_default();
        let text = String::from_utf8_lossy(&text).trim().to_owned();
        let is_gits = text.starts_with("Unnamed repository; edit this file");
        Ok(if is_gits { String::new() } else { text })
    }
}

/// Makes the indexes of packs that have none: git does not see those, and neither would we. A pack
/// that cannot be indexed is told of, and left alone.
fn index_packs(
    disk: &dyn Disk,
    dir: &Path,
    format: ObjectFormat,
    notes: &mut Vec<String>,
) -> io::Result<()> {
    let there = disk.list(&dir.join(directory::PACKS))?;
    let names: BTreeSet<&str> = there
        .iter()
        .filter_map(|entry| entry.name.to_str())
        .collect();
    for name in &names {
        let id = name
            .strip_prefix("pack-")
            .and_then(|rest| ObjectId::from_hex(rest.strip_suffix(".pack")?.as_bytes()).ok());
        let Some(id) = id.map(PackId) else { continue };
        if names.contains(&*format!("pack-{}.idx", id.0)) {
            continue;
        }
        let path = pack_path(dir, id, "pack");
        let bytes = disk.open(&path, Open::Read)?.map()?;
        let indexed = index_pack(&bytes, format, &IndexLimits::default(), &|_| None, &mut ());
        match indexed {
            Ok(indexed) if indexed.missing_bases.is_empty() => {
                let index = indexed.entries.write_index(&indexed.checksum);
                disk::replace(disk, &pack_path(dir, id, "idx"), &index)?;
                notes.push(format!("{} had no index, which was made", path.display()));
            }
            Ok(_) => notes.push(format!(
                "{} is a thin pack, and is passed over",
                path.display()
            )),
            Err(error) => notes.push(format!("{} is passed over: {error}", path.display())),
        }
    }
    Ok(())
}

/// Refs and objects behind symbolic links are not seen: a repository that has some would lose them.
fn check_links(disk: &dyn Disk, dir: &Path) -> io::Result<()> {
    let mut folders = vec![PathBuf::from("refs"), PathBuf::from("objects")];
    while let Some(folder) = folders.pop() {
        for entry in disk.list(&dir.join(&folder))? {
            let path = folder.join(&entry.name);
            match entry.kind {
                FileKind::Other => {
                    return Err(refused(format!(
                        "{} is a symbolic link: what it leads to has to be there itself",
                        path.display()
                    )));
                }
                FileKind::Dir if path.components().count() < LINKS_DEPTH_MAX => folders.push(path),
                _ => {}
            }
        }
    }
    Ok(())
}

/// Nobody has refs in so many folders.
const LINKS_DEPTH_MAX: usize = 32;

/// A ref whose object is not there would be lost with the first change.
fn check_targets(found: &Refs, objects: &Objects<'_>) -> io::Result<()> {
    for (name, target) in found.iter() {
        if let Target::At(id) = target
            && objects.kind(id)?.is_none()
        {
            return Err(refused(format!(
                "{name} names {id}, which is not there: `git fsck` says what else is missing, and \
                 `git update-ref -d {name}` gives the ref up"
            )));
        }
    }
    Ok(())
}

fn refused(why: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.into())
}

fn cause(kind: CauseKind, reason: &str) -> Cause {
    Cause {
        kind,
        actor: ACTOR.into(),
        via: Via::External,
        request_id: "".into(),
        reason: Some(reason.into()),
        idempotency: None,
    }
}

/// The edits that bring `now` what somebody made of `shown` when they left `found`. Where we had
/// moved on from what was shown, ours stays: it was answered for.
fn changes(
    shown: &Refs,
    found: &Refs,
    now: &Refs,
    objects: &Objects<'_>,
    dir: &Path,
    notes: &mut Vec<String>,
) -> io::Result<Vec<EntryEdit>> {
    let names: BTreeSet<&RefName> = shown
        .iter()
        .chain(found.iter())
        .map(|(name, _)| name)
        .collect();
    let target = |refs: &Refs, name: &RefName| {
        let target = refs.get(name.as_bytes());
        target.cloned().unwrap_or(Target::Gone)
    };
    let mut edits = Vec::new();
    for name in names {
        let (was, is, ours) = (target(shown, name), target(found, name), target(now, name));
        if is == was || is == ours {
            continue;
        }
        if ours != was {
            notes.push(format!(
                "in {} another program made {name} {is:?}, but it had moved to {ours:?} already, \
                 which stays",
                dir.display()
            ));
            continue;
        }
        if name.as_bytes() == b"HEAD" && is == Target::Gone {
            notes.push(format!("{} has no HEAD; the old one stays", dir.display()));
            continue;
        }
        if let Target::At(id) = &is
            && objects.kind(id)?.is_none()
        {
            notes.push(format!(
                "in {} {name} names {id}, which is not there, and is passed over",
                dir.display()
            ));
            continue;
        }
        edits.push(EntryEdit::Ref {
            name: name.clone(),
            before: ours,
            after: is,
        });
    }
    Ok(edits)
}
