//! Parents before children: sorting commits that came in any order, and mending the graph when
//! parents come late.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use govc_git::ObjectId;
use hashbrown::HashMap;

use super::{CommitFacts, Graph, MISSING, MORE, NONE};

/// The places in `commits`, parents before their children. The sort is stable where it can be: a
/// list that is in order already comes out as it is.
pub(in crate::pool) fn parents_first(commits: &[(ObjectId, CommitFacts)]) -> Vec<u32> {
    let mut places = HashMap::with_capacity(commits.len());
    for (place, (id, _)) in commits.iter().enumerate() {
        places.insert(*id, place as u32);
    }
    let mut order = Vec::with_capacity(commits.len());
    let mut entered = vec![false; commits.len()];
    // A commit, and which of its parents is looked at next.
    let mut path: Vec<(u32, usize)> = Vec::new();
    for start in 0..commits.len() as u32 {
        if entered[start as usize] {
            continue;
        }
        entered[start as usize] = true;
        path.push((start, 0));
        while let Some((place, next)) = path.last_mut() {
            let parent = commits[*place as usize].1.parents.get(*next);
            *next += 1;
            match parent.map(|id| places.get(id).copied()) {
                Some(Some(parent)) if !entered[parent as usize] => {
                    entered[parent as usize] = true;
                    path.push((parent, 0));
                }
                Some(_) => {}
                None => {
                    order.push(*place);
                    path.pop();
                }
            }
        }
    }
    order
}

impl Graph {
    /// Joins children with parents that came after them: each entry is a parent's number and id
    /// and the children that waited for it. The writer's lock is held.
    pub(super) fn mend(&self, arrived: &[(u32, ObjectId, Vec<u32>)]) {
        // What waits in places that parents will take: (child, index among its missing) → parent.
        let mut edges: HashMap<u32, Vec<(usize, u32)>> = HashMap::new();
        {
            let missing = self.missing.read().unwrap_or_else(PoisonError::into_inner);
            for (parent, id, children) in arrived {
                for child in children {
                    let ids = missing.get(child).map(Vec::as_slice).unwrap_or_default();
                    let places = ids.iter().enumerate().filter(|(_, missing)| *missing == id);
                    let known = edges.entry(*child).or_default();
                    known.extend(places.map(|(place, _)| (place, *parent)));
                }
            }
        }
        self.raise_generations(&edges);
        for (child, parents) in &edges {
            self.place_parents(*child, parents);
        }
    }

    /// Makes the generations right for the edges that will appear.
    fn raise_generations(&self, edges: &HashMap<u32, Vec<(usize, u32)>>) {
        const IN_PROGRESS: u32 = u32::MAX;
        let len = self.len.load(Ordering::Relaxed);
        let mut levels = vec![0u32; len as usize];
        let mut path: Vec<u32> = Vec::new();
        let mut parents = Vec::new();
        for start in 0..len {
            if levels[start as usize] != 0 {
                continue;
            }
            path.push(start);
            while let Some(&n) = path.last() {
                parents.clear();
                self.each_parent(n, |p| parents.push(p));
                if let Some(more) = edges.get(&n) {
                    parents.extend(more.iter().map(|(_, parent)| *parent));
                }
                if levels[n as usize] == 0 {
                    levels[n as usize] = IN_PROGRESS;
                    let before = path.len();
                    path.extend(parents.iter().filter(|&&p| levels[p as usize] == 0));
                    if path.len() > before {
                        continue;
                    }
                }
                path.pop();
                if levels[n as usize] == IN_PROGRESS {
                    let known = |p: &u32| match levels[*p as usize] {
                        // Hashes leave no way to make a ring; were there one, it is cut here.
                        IN_PROGRESS => 0,
                        level => level,
                    };
                    levels[n as usize] = 1 + parents.iter().map(known).max().unwrap_or(0);
                }
            }
        }
        let mut raised: Vec<(u32, u32)> = (0..len)
            .map(|n| (levels[n as usize], n))
            .filter(|&(level, n)| level > self.generation(super::CommitNumber(n)))
            .collect();
        raised.sort_unstable_by(|a, b| b.cmp(a));
        for (level, n) in raised {
            if let Some((chunk, place)) = self.chunks.get(n) {
                chunk.generations[place].store(level, Ordering::Release);
            }
        }
    }

    /// Puts parents into the places that were kept for them.
    fn place_parents(&self, child: u32, parents: &[(usize, u32)]) {
        let Some((chunk, place)) = self.chunks.get(child) else {
            return;
        };
        let parent_at = |index: usize| {
            parents
                .iter()
                .find(|(place, _)| *place == index)
                .map(|(_, parent)| *parent)
        };
        // The index of the next missing one, counted in the order of the parents.
        let mut index = 0;
        let mut filled = |slot: u32| {
            if slot & !MORE != MISSING {
                return slot;
            }
            let found = parent_at(index);
            index += 1;
            found.map_or(slot, |parent| parent | (slot & MORE))
        };
        let slots = &chunk.parents[place];
        let first = slots[0].load(Ordering::Relaxed);
        if first != NONE {
            slots[0].store(filled(first), Ordering::Release);
        }
        let second = slots[1].load(Ordering::Relaxed);
        if second == NONE {
        } else if second & MORE == 0 {
            slots[1].store(filled(second), Ordering::Release);
        } else {
            let mut more = self
                .more_parents
                .write()
                .unwrap_or_else(PoisonError::into_inner);
            for slot in more.iter_mut().skip((second & !MORE) as usize) {
                *slot = filled(*slot);
                if *slot & MORE != 0 {
                    break;
                }
            }
        }
        let mut missing = self.missing.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(ids) = missing.get_mut(&child) {
            let mut index = 0;
            ids.retain(|_| {
                index += 1;
                parent_at(index - 1).is_none()
            });
            if ids.is_empty() {
                missing.remove(&child);
            }
        }
    }
}
