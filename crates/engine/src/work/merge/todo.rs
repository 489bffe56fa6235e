//! The steps of a rebase, and how commits find those that they mend: `git rebase --autosquash`.

use govc_git::ObjectId;

/// One step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// The commit is made again.
    Pick(ObjectId),
    /// It becomes part of the one before it.
    Fixup(ObjectId),
    /// So does its message.
    Squash(ObjectId),
    /// Its message takes the other's place.
    Amend(ObjectId),
}

impl Step {
    pub(super) fn is_part_of_another(&self) -> bool {
        !matches!(self, Step::Pick(_))
    }
}

/// How a subject begins, and what that makes of its commit.
type Kind = (&'static [u8], fn(ObjectId) -> Step);

const KINDS: [Kind; 3] = [
    (b"fixup! ", Step::Fixup),
    (b"squash! ", Step::Squash),
    (b"amend! ", Step::Amend),
];

/// The steps for `commits`, which have these subjects: those that mend others stand behind them.
pub(super) fn rearranged(commits: &[ObjectId], subjects: &[Vec<u8>]) -> Vec<Step> {
    let kind = |subject: &[u8]| KINDS.iter().find(|(prefix, _)| subject.starts_with(prefix));
    let mut steps: Vec<Step> = commits.iter().map(|commit| Step::Pick(*commit)).collect();
    // The commit that stands directly behind each, and the last that was put behind it.
    let mut next: Vec<Option<usize>> = vec![None; commits.len()];
    let mut last: Vec<Option<usize>> = vec![None; commits.len()];
    for (at, subject) in subjects.iter().enumerate() {
        let Some((_, step)) = kind(subject) else {
            continue;
        };
        let mut wanted: &[u8] = subject;
        while let Some((prefix, _)) = kind(wanted) {
            wanted = wanted[prefix.len()..].trim_ascii_start();
        }
        let is_same =
            |other: &usize| !steps[*other].is_part_of_another() && subjects[*other] == wanted;
        let is_id = |other: &usize| {
            let hex = commits[*other].to_string();
            wanted.len() >= 4 && hex.as_bytes().starts_with(wanted)
        };
        let begins = |other: &usize| subjects[*other].starts_with(wanted);
        let mut before = 0..at;
        let found = before
            .clone()
            .find(is_same)
            .or_else(|| before.clone().find(is_id))
            .or_else(|| before.find(begins));
        if let Some(found) = found.filter(|_| !wanted.is_empty()) {
            steps[at] = step(commits[at]);
            let before = last[found].unwrap_or(found);
            next[at] = next[before];
            next[before] = Some(at);
            last[found] = Some(at);
        }
    }
    let mut ordered = Vec::with_capacity(commits.len());
    for at in 0..commits.len() {
        let mut found = Some(at).filter(|at| !steps[*at].is_part_of_another());
        while let Some(at) = found {
            ordered.push(steps[at]);
            found = next[at];
        }
    }
    ordered
}

/// A message without its first paragraph.
pub(super) fn without_subject(message: &[u8]) -> &[u8] {
    let mut rest = message;
    let mut has_begun = false;
    while !rest.is_empty() {
        let end = memchr::memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
        let is_blank = rest[..end].trim_ascii().is_empty();
        if is_blank && has_begun {
            break;
        }
        has_begun |= !is_blank;
        rest = &rest[end..];
    }
    let blank = rest.iter().take_while(|byte| **byte == b'\n').count();
    &rest[blank..]
}
