//! What a merge tells rename detection of its sources and folders, and what it is told of folders
//! in return: git's `dir_rename_info`.

use hashbrown::{HashMap, HashSet};

/// What a merge wants of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceRelevance {
    /// Nothing any more: other files have said where its folder went.
    NoMore,
    /// Its content: the other side changed it.
    Content,
    /// Where it went, for its folder may have gone there.
    Location,
}

/// What a merge wants of a folder that is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DirectoryRelevance {
    /// Nothing.
    NotRelevant,
    /// Only what it says of the folders around it.
    ForAncestor,
    /// Where it went.
    ForSelf,
}

/// For each folder how many files went from it into which others.
pub type DirectoryCounts = HashMap<Vec<u8>, HashMap<Vec<u8>, usize>>;

/// What a merge knows beside the files, and what it learns beside the pairs.
#[derive(Debug, Default)]
pub struct MergeGuide<'a> {
    /// The sources that matter; `None` when all do.
    pub sources: Option<HashMap<Vec<u8>, SourceRelevance>>,
    /// The folders that are gone; `None` when nobody asks for folders.
    pub directories: Option<HashMap<Vec<u8>, DirectoryRelevance>>,
    /// Pairs that are known from before; without a second path the file was deleted.
    pub known: Option<&'a HashMap<Vec<u8>, Option<Vec<u8>>>>,
    /// Where files of the folders that matter went. Filled by the detection.
    pub counts: DirectoryCounts,
}

impl MergeGuide<'_> {
    fn relevance(&self, folder: &[u8]) -> DirectoryRelevance {
        let found = self.directories.as_ref().and_then(|all| all.get(folder));
        found.copied().unwrap_or(DirectoryRelevance::NotRelevant)
    }
}

/// Where files go that nobody has looked for yet: no folder is called so.
const UNKNOWN: &[u8] = b"/";

/// What is known of folders while files are paired.
pub(super) struct Directories {
    counts: DirectoryCounts,
    /// Where each folder most likely went.
    guesses: HashMap<Vec<u8>, Vec<u8>>,
    /// The destinations that are still free, by path.
    free: HashMap<Vec<u8>, usize>,
    /// Only these folders are looked at; `None` for all.
    relevant: Option<HashSet<Vec<u8>>>,
    is_active: bool,
}

impl Directories {
    /// `pairs`: each destination's place and path, and where it came from if that is known.
    pub(super) fn new<'p>(
        guide: &MergeGuide<'_>,
        pairs: impl Iterator<Item = (usize, &'p [u8], Option<&'p [u8]>)>,
    ) -> Directories {
        let relevant = match (&guide.directories, &guide.sources) {
            (Some(gone), _) => Some(gone.keys().cloned().collect()),
            (None, Some(sources)) => {
                Some(sources.keys().map(|path| folder(path).to_vec()).collect())
            }
            (None, None) => None,
        };
        let mut directories = Directories {
            counts: DirectoryCounts::new(),
            guesses: HashMap::new(),
            free: HashMap::new(),
            is_active: guide.directories.is_some() || guide.sources.is_some(),
            relevant,
        };
        if !directories.is_active {
            return directories;
        }
        for (at, path, from) in pairs {
            match from {
                None => {
                    directories.free.insert(path.to_vec(), at);
                }
                Some(from) => directories.count(guide, from, path),
            }
        }
        for (from, to) in guide.known.into_iter().flatten() {
            if let Some(to) = to {
                directories.count(guide, from, to);
            }
        }
        let best = |(from, to): (&Vec<u8>, &HashMap<Vec<u8>, usize>)| {
            // Of equally many git takes the one that its table has first, which is as good as any:
            // the first by name.
            let best = to.iter().max_by(|a, b| a.1.cmp(b.1).then(b.0.cmp(a.0)))?;
            Some((from.clone(), best.0.clone()))
        };
        directories.guesses = directories.counts.iter().filter_map(best).collect();
        directories
    }

    /// The free destination that `path` has if its folder went where others of it did.
    pub(super) fn guess(&self, path: &[u8]) -> Option<usize> {
        let to = self.guesses.get(folder(path))?;
        let name = path.rsplit(|byte| *byte == b'/').next()?;
        self.free.get(&[to, &b"/"[..], name].concat()).copied()
    }

    /// Counts that a file went from `old` to `new`, for its folder and for those around it while
    /// the names in between stay the same.
    pub(super) fn count(&mut self, guide: &MergeGuide<'_>, old: &[u8], new: &[u8]) {
        if !self.is_active {
            return;
        }
        let (mut old, mut new) = (old, new);
        let mut is_first = true;
        loop {
            let (old_folder, old_name) = split(old);
            let is_known = |all: &HashSet<Vec<u8>>| all.contains(old_folder);
            if !self.relevant.as_ref().is_none_or(is_known) {
                break;
            }
            let (new_folder, new_name) = split(new);
            if !is_first && old_name != new_name {
                break;
            }
            let relevance = guide.relevance(old_folder);
            if is_first || relevance == DirectoryRelevance::ForSelf {
                self.add(old_folder, new_folder);
            }
            is_first = false;
            if relevance == DirectoryRelevance::NotRelevant
                || old_folder.is_empty()
                || new_folder.is_empty()
            {
                break;
            }
            (old, new) = (old_folder, new_folder);
        }
    }

    fn add(&mut self, from: &[u8], to: &[u8]) {
        let counts = self.counts.entry_ref(from).or_default();
        *counts.entry_ref(to).or_default() += 1;
    }

    /// Which of the sources are still to be looked at: not those that were wanted for the sake of
    /// folders about which enough is known.
    pub(super) fn leave_out_known(
        &mut self,
        guide: &mut MergeGuide<'_>,
        sources: Vec<&[u8]>,
    ) -> Vec<bool> {
        if guide.directories.is_none() || guide.sources.is_none() {
            return vec![true; sources.len()];
        }
        for source in &sources {
            let mut at = folder(source);
            while !at.is_empty() && guide.relevance(at) != DirectoryRelevance::NotRelevant {
                self.add(at, UNKNOWN);
                at = folder(at);
            }
        }
        for (from, counts) in &self.counts {
            if guide.relevance(from) == DirectoryRelevance::ForSelf
                && is_decided(counts)
                && let Some(gone) = &mut guide.directories
            {
                gone.insert(from.clone(), DirectoryRelevance::ForAncestor);
            }
        }
        let mut kept = Vec::with_capacity(sources.len());
        for source in sources {
            let wanted = guide.sources.as_ref().and_then(|all| all.get(source));
            let is_done = wanted == Some(&SourceRelevance::Location) && {
                let mut at = folder(source);
                loop {
                    match guide.relevance(at) {
                        DirectoryRelevance::NotRelevant => break true,
                        DirectoryRelevance::ForSelf => break false,
                        // The root is around itself.
                        DirectoryRelevance::ForAncestor if at.is_empty() => break true,
                        DirectoryRelevance::ForAncestor => at = folder(at),
                    }
                }
            };
            if is_done && let Some(all) = &mut guide.sources {
                all.insert(source.to_vec(), SourceRelevance::NoMore);
            }
            kept.push(!is_done);
        }
        kept
    }

    /// Tells the merge where files went, of the folders that it asked for.
    pub(super) fn hand_over(self, guide: &mut MergeGuide<'_>) {
        let mut counts = self.counts;
        counts.retain(|from, to| {
            to.remove(UNKNOWN);
            guide.relevance(from) != DirectoryRelevance::NotRelevant
        });
        guide.counts = counts;
    }
}

/// Whether no file that is not found yet could change which folder most of them went to.
fn is_decided(counts: &HashMap<Vec<u8>, usize>) -> bool {
    let (mut first, mut second, mut unknown) = (0, 0, 0);
    for (to, &count) in counts {
        if to == UNKNOWN {
            unknown = count;
        } else if count >= first {
            (second, first) = (first, count);
        } else if count >= second {
            second = count;
        }
    }
    first > second + unknown
}

/// A path's folder and last name.
fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (&[], path),
    }
}

fn folder(path: &[u8]) -> &[u8] {
    split(path).0
}
