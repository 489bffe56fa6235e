//! A repository's past, as far as it is kept in memory.

use std::sync::Arc;

use crate::journal::{Moment, PastRefs};
use crate::{Entry, EntryEdit, NewObjects, Refs, Seq};

/// How many entries lie between two whole ref tables: `at` reads one table and fewer entries
/// than this.
pub const ENTRIES_PER_TABLE: usize = 1024;

/// Entries of one repository in order, without the bytes of their objects, and every
/// [`ENTRIES_PER_TABLE`] of them the refs as they were. A table costs what it does not share with
/// the refs of now.
#[derive(Debug, Clone, Default)]
pub struct History {
    entries: Vec<Arc<Entry>>,
    /// `tables[n]` holds the refs before `entries[n * ENTRIES_PER_TABLE]`.
    tables: Vec<Refs>,
    /// The refs after the last entry.
    now: Refs,
}

impl History {
    /// A history that begins after a state with these refs.
    pub fn starting_from(refs: Refs) -> History {
        History {
            entries: Vec::new(),
            tables: Vec::new(),
            now: refs,
        }
    }

    /// Takes the next entry. Its objects' bytes are not kept, and neither are steps of staging:
    /// history knows numbers only.
    pub fn push(&mut self, entry: &Arc<Entry>) {
        if entry.step > 0 {
            return;
        }
        if self.entries.len().is_multiple_of(ENTRIES_PER_TABLE) {
            self.tables.push(self.now.clone());
        }
        apply(&mut self.now, entry);
        self.entries.push(without_objects(entry));
    }

    /// All entries, oldest first.
    pub fn all(&self) -> &[Arc<Entry>] {
        &self.entries
    }

    /// Up to `limit` entries with numbers greater than `after`; from the first where it is `None`.
    pub fn after(&self, after: Option<Seq>, limit: usize) -> &[Arc<Entry>] {
        let start = after.map_or(0, |seq| {
            self.entries.partition_point(|entry| entry.seq <= seq)
        });
        let end = start.saturating_add(limit).min(self.entries.len());
        &self.entries[start..end]
    }

    /// The refs after the newest entry that `moment` includes; `None` when it includes none.
    pub fn refs_at(&self, moment: Moment) -> Option<PastRefs> {
        let count = match moment {
            Moment::Seq(seq) => self.entries.partition_point(|entry| entry.seq <= seq),
            Moment::Time(time) => self.entries.partition_point(|entry| entry.time <= time),
        };
        let last = self.entries.get(count.checked_sub(1)?)?;
        let table = (count - 1) / ENTRIES_PER_TABLE;
        let mut refs = self.tables[table].clone();
        for entry in &self.entries[table * ENTRIES_PER_TABLE..count] {
            apply(&mut refs, entry);
        }
        Some(PastRefs {
            seq: last.seq,
            time: last.time,
            refs,
        })
    }
}

fn apply(refs: &mut Refs, entry: &Entry) {
    for edit in &entry.edits {
        if let EntryEdit::Ref { name, after, .. } = edit {
            refs.set(name.clone(), after.clone());
        }
    }
}

/// The entry as history keeps it.
fn without_objects(entry: &Arc<Entry>) -> Arc<Entry> {
    if entry.objects.inline.is_empty() {
        return Arc::clone(entry);
    }
    let objects = NewObjects {
        inline: Vec::new(),
        packs: entry.objects.packs.clone(),
    };
    Arc::new(Entry {
        repo: entry.repo,
        host: entry.host,
        seq: entry.seq,
        step: entry.step,
        time: entry.time,
        cause: entry.cause.clone(),
        edits: entry.edits.clone(),
        objects,
    })
}
