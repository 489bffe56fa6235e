//! Revisions, as gitrevisions(7) has them, without reflogs and ranges.
//!
//! A revision is read from its right end, as git does: operators are taken off until a name is
//! left, which is looked up with a hint of what the operator beside it needs. Only objects that
//! the view sees count, for full ids as for abbreviated ones.

use std::borrow::Cow;

use govc_git::object::TagRef;
use govc_git::{ObjectId, ObjectKind, refname};

use super::log::Walk;
use super::tree;
use super::view::View;
use crate::pool::{CommitNumber, PoolError};

/// The longest revision that is read, in bytes.
pub const REVISION_BYTES_MAX: usize = 4096;
/// The most operators (`~2`, `^{tree}`, …) that one revision may have.
pub const OPERATORS_MAX: usize = 1000;
/// The shortest abbreviation of an id, in digits.
const ABBREVIATION_MIN: usize = 4;
/// So many objects are looked at to tell which one an abbreviation means.
const CANDIDATES_MAX: usize = 10_000;
/// So many of them are named when it cannot be told.
const CANDIDATES_SHOWN: usize = 100;
/// So many commits are searched for a text, by all operators of one revision together.
const SEARCHED_MAX: usize = 500_000;
/// The memory that a compiled regular expression may take, in bytes.
const REGEX_BYTES_MAX: usize = 1 << 20;

/// Why a text names no object.
#[derive(Debug, thiserror::Error)]
pub enum RevisionError {
    /// It cannot be read.
    #[error("{text:?} is not a revision: {why}")]
    Syntax {
        /// The revision.
        text: String,
        /// What is wrong with it.
        why: String,
    },
    /// Nothing has this name, here.
    #[error("nothing is called {text:?}")]
    NotFound {
        /// The part of the revision that names nothing.
        text: String,
    },
    /// There is something, but no file or folder at the path behind the colon.
    #[error("there is no {path:?} in {text:?}")]
    PathNotFound {
        /// The part before the colon.
        text: String,
        /// The part behind it.
        path: String,
    },
    /// Several objects begin with these digits.
    #[error("{text:?} is ambiguous: more than one object begins so")]
    Ambiguous {
        /// The digits.
        text: String,
        /// What begins with them, sorted, at most 100.
        candidates: Vec<ObjectId>,
    },
    /// It names something of another kind than is needed.
    #[error("{text:?} is a {}, not a {}", found.name(), expected.name())]
    WrongKind {
        /// The part of the revision that names it.
        text: String,
        /// What it is.
        found: ObjectKind,
        /// What it was to be.
        expected: ObjectKind,
    },
    /// Too many commits would have to be searched for a text.
    #[error("{text:?} was not found in the newest {SEARCHED_MAX} commits")]
    SearchTooLong {
        /// The text.
        text: String,
    },
    /// What is stored cannot be read.
    #[error(transparent)]
    Pool(#[from] PoolError),
}

/// The object that `text` names in `view`. A path that leads to a submodule names its commit,
/// which is in another repository.
///
/// # Errors
/// [`RevisionError`].
pub fn resolve(view: &View, text: impl AsRef<[u8]>) -> Result<ObjectId, RevisionError> {
    Resolver::new(view).resolve(text.as_ref(), Hint::Any)
}

/// The commit that `text` names in `view`, itself or through tags.
///
/// # Errors
/// [`RevisionError`].
pub fn resolve_commit(view: &View, text: impl AsRef<[u8]>) -> Result<ObjectId, RevisionError> {
    let text = text.as_ref();
    let mut resolver = Resolver::new(view);
    let id = resolver.resolve(text, Hint::Committish)?;
    resolver.peel(text, id, ObjectKind::Commit)
}

/// What `id` is once tags are followed: its kind and id. `None` when the pool lacks it.
///
/// # Errors
/// What is stored cannot be read.
pub fn peel_tags(view: &View, id: ObjectId) -> Result<Option<(ObjectKind, ObjectId)>, PoolError> {
    let mut id = id;
    loop {
        if view.pool.graph().number(&id).is_some() {
            return Ok(Some((ObjectKind::Commit, id)));
        }
        match view.pool.header(&id)? {
            None => return Ok(None),
            Some((ObjectKind::Tag, _)) => id = tag_target(view, id)?,
            Some((kind, _)) => return Ok(Some((kind, id))),
        }
    }
}

fn tag_target(view: &View, id: ObjectId) -> Result<ObjectId, PoolError> {
    let tag = view.pool.get(&id)?;
    match TagRef::parse(&tag.data, view.pool.format()) {
        Ok(tag) => Ok(tag.target),
        Err(error) => Err(PoolError::Damaged {
            id,
            pack: None,
            what: error.to_string(),
        }),
    }
}

/// Which of the objects that an abbreviation may mean is meant, when only one fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hint {
    /// No preference: two are ambiguous, whatever they are.
    Any,
    Commit,
    /// A commit, or a tag that leads to one.
    Committish,
    /// A tree or a commit, or a tag that leads to either.
    Treeish,
}

/// What stands behind a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator<'a> {
    /// `^n`: the n-th parent; 0 is the commit itself.
    Parent(u64),
    /// `~n`: n first parents back.
    Ancestor(u64),
    /// `^{}`: what tags lead to.
    Untag,
    /// `^{object}`: it exists.
    Exists,
    /// `^{commit}` and the like.
    Peel(ObjectKind),
    /// `^{/text}`: the newest ancestor whose message has the text.
    Search(&'a [u8]),
}

impl Operator<'_> {
    /// What an abbreviation in front of the operator is likely to be.
    fn hint(&self) -> Hint {
        match self {
            Operator::Parent(_) | Operator::Ancestor(_) | Operator::Search(_) => Hint::Committish,
            Operator::Peel(ObjectKind::Commit) => Hint::Committish,
            Operator::Peel(ObjectKind::Tree) => Hint::Treeish,
            Operator::Peel(_) | Operator::Untag | Operator::Exists => Hint::Any,
        }
    }
}

/// One revision's resolution.
struct Resolver<'v> {
    view: &'v View,
    /// How many commits were searched.
    searched: usize,
}

impl<'v> Resolver<'v> {
    fn new(view: &'v View) -> Resolver<'v> {
        Resolver { view, searched: 0 }
    }

    /// A whole revision, `rev:path` and `:/text` included.
    fn resolve(&mut self, text: &[u8], hint: Hint) -> Result<ObjectId, RevisionError> {
        if text.is_empty() {
            return Err(syntax(text, "it is empty"));
        }
        if text.len() > REVISION_BYTES_MAX {
            return Err(syntax(text, "it has more than 4096 bytes"));
        }
        if text.contains(&0) {
            return Err(syntax(text, "it has a NUL"));
        }
        // A colon may also be part of something that is a revision as a whole:
        // `HEAD^{/fix: it}`, or what `git describe` prints.
        let error = match self.without_path(text, hint) {
            Ok(id) => return Ok(id),
            Err(error) => error,
        };
        if let Some(pattern) = text.strip_prefix(b":/") {
            if pattern.is_empty() {
                return Err(syntax(text, "nothing to search for"));
            }
            let mut tips = super::log::LogQuery::all_tips(self.view)?;
            // As git collects them: the last one first where dates are equal.
            tips.reverse();
            return self.search(text, pattern, &tips);
        }
        if text.starts_with(b":") {
            return Err(syntax(text, "there is no index to look into"));
        }
        let Some(colon) = path_colon(text) else {
            return Err(error);
        };
        let (rev, path) = (&text[..colon], &text[colon + 1..]);
        let id = self.without_path(rev, Hint::Treeish)?;
        let root = self.peel(rev, id, ObjectKind::Tree)?;
        if path.starts_with(b"./") || path.starts_with(b"../") || path == b"." || path == b".." {
            return Err(syntax(text, "the path is relative to no folder"));
        }
        let not_found = || RevisionError::PathNotFound {
            text: lossy(rev),
            path: lossy(path),
        };
        let folder = path.strip_suffix(b"/");
        let found =
            tree::lookup(&self.view.pool, &root, folder.unwrap_or(path))?.ok_or_else(not_found)?;
        if folder.is_some() && !found.is_folder() {
            return Err(not_found());
        }
        Ok(found.id)
    }

    /// A name and its operators.
    fn without_path(&mut self, text: &[u8], hint: Hint) -> Result<ObjectId, RevisionError> {
        let mut name = text;
        let mut operators = Vec::new();
        while let Some((rest, operator)) = split_operator(name)? {
            if operators.len() == OPERATORS_MAX {
                return Err(syntax(text, "it has more than 1000 operators"));
            }
            // The text up to and with the operator names what it makes.
            operators.push((operator, name));
            name = rest;
        }
        let hint = operators
            .last()
            .map_or(hint, |(operator, _)| operator.hint());
        let mut id = self.name(name, hint)?;
        let mut so_far = name;
        for (operator, text) in operators.into_iter().rev() {
            id = self.operate(operator, id, so_far, text)?;
            so_far = text;
        }
        Ok(id)
    }

    /// Applies an operator to `id`, which `operand` names; `text` is the two of them.
    fn operate(
        &mut self,
        operator: Operator<'_>,
        id: ObjectId,
        operand: &[u8],
        text: &[u8],
    ) -> Result<ObjectId, RevisionError> {
        let graph = self.view.pool.graph();
        let not_found = || RevisionError::NotFound { text: lossy(text) };
        match operator {
            Operator::Exists => Ok(id),
            Operator::Untag => {
                let (_, id) = peel_tags(self.view, id)?.ok_or_else(not_found)?;
                Ok(id)
            }
            Operator::Peel(kind) => self.peel(operand, id, kind),
            Operator::Parent(nth) => {
                let commit = self.commit(operand, id)?;
                let Some(nth) = nth.checked_sub(1) else {
                    return Ok(graph.id(commit));
                };
                let parents = graph.parents(commit);
                let parent = usize::try_from(nth).ok().and_then(|nth| parents.get(nth));
                Ok(graph.id(*parent.ok_or_else(not_found)?))
            }
            Operator::Ancestor(generations) => {
                let mut commit = self.commit(operand, id)?;
                for _ in 0..generations {
                    commit = graph.first_parent(commit).ok_or_else(not_found)?;
                }
                Ok(graph.id(commit))
            }
            Operator::Search(pattern) => {
                let commit = self.peel(operand, id, ObjectKind::Commit)?;
                if pattern.is_empty() {
                    return Ok(commit);
                }
                self.search(text, pattern, &[commit])
            }
        }
    }

    fn commit(&self, text: &[u8], id: ObjectId) -> Result<CommitNumber, RevisionError> {
        let commit = self.peel(text, id, ObjectKind::Commit)?;
        let number = self.view.pool.graph().number(&commit);
        number.ok_or_else(|| RevisionError::NotFound { text: lossy(text) })
    }

    /// Follows tags, and for trees commits, until there is a `kind`.
    fn peel(&self, text: &[u8], id: ObjectId, kind: ObjectKind) -> Result<ObjectId, RevisionError> {
        let pool = &self.view.pool;
        let mut id = id;
        loop {
            let (found, _) = pool
                .header(&id)?
                .ok_or_else(|| RevisionError::NotFound { text: lossy(text) })?;
            if found == kind {
                return Ok(id);
            }
            id = match found {
                ObjectKind::Tag => tag_target(self.view, id)?,
                ObjectKind::Commit if kind == ObjectKind::Tree => super::commit::tree_of(pool, id)?,
                found => {
                    return Err(RevisionError::WrongKind {
                        text: lossy(text),
                        found,
                        expected: kind,
                    });
                }
            };
        }
    }

    /// A name: a full id, a ref, what `git describe` prints, or an abbreviated id, in this order.
    fn name(&self, name: &[u8], hint: Hint) -> Result<ObjectId, RevisionError> {
        let format = self.view.pool.format();
        if name.len() == format.len_in_hex()
            && let Ok(id) = ObjectId::from_hex(&name.to_ascii_lowercase())
        {
            return match self.view.visibility().sees(&id)? {
                true => Ok(id),
                false => Err(RevisionError::NotFound { text: lossy(name) }),
            };
        }
        if let Some(id) = self.reference(name) {
            return Ok(id);
        }
        let described = described_id(name);
        if let Some(digits) = described
            && let Ok(id) = self.abbreviation(digits, Hint::Commit)
        {
            return Ok(id);
        }
        let error = match self.abbreviation(name, hint) {
            Ok(id) => return Ok(id),
            Err(error) => error,
        };
        let is_name =
            name == b"@" || described.is_some() || refname::check_allow_onelevel(name).is_ok();
        match error {
            RevisionError::NotFound { .. } if !is_name => Err(syntax(name, why_no_name(name))),
            error => Err(error),
        }
    }

    /// What a ref of this name points at, in git's order.
    fn reference(&self, name: &[u8]) -> Option<ObjectId> {
        let name = if name == b"@" { b"HEAD" } else { name };
        let rules: [(&[u8], &[u8]); 6] = [
            (b"", b""),
            (b"refs/", b""),
            (b"refs/tags/", b""),
            (b"refs/heads/", b""),
            (b"refs/remotes/", b""),
            (b"refs/remotes/", b"/HEAD"),
        ];
        rules
            .iter()
            .find_map(|(before, after)| self.view.refs.resolve(&[before, name, after].concat()))
    }

    /// What an abbreviated id means.
    fn abbreviation(&self, digits: &[u8], hint: Hint) -> Result<ObjectId, RevisionError> {
        let not_found = || RevisionError::NotFound {
            text: lossy(digits),
        };
        let is_abbreviation = (ABBREVIATION_MIN..=self.view.pool.format().len_in_hex())
            .contains(&digits.len())
            && digits.iter().all(u8::is_ascii_hexdigit);
        let prefix = std::str::from_utf8(digits).ok().filter(|_| is_abbreviation);
        let prefix = prefix.ok_or_else(not_found)?.to_ascii_lowercase();
        let mut candidates = Vec::new();
        for id in self.view.pool.candidates(&prefix, CANDIDATES_MAX) {
            if self.view.visibility().sees(&id)? {
                candidates.push(id);
            }
        }
        match &candidates[..] {
            [] => return Err(not_found()),
            [id] => return Ok(*id),
            _ => {}
        }
        let mut fitting = Vec::new();
        for id in &candidates {
            if self.fits(*id, hint)? {
                fitting.push(*id);
            }
        }
        match &fitting[..] {
            [id] => Ok(*id),
            _ => {
                candidates.truncate(CANDIDATES_SHOWN);
                Err(RevisionError::Ambiguous {
                    text: prefix,
                    candidates,
                })
            }
        }
    }

    fn fits(&self, id: ObjectId, hint: Hint) -> Result<bool, RevisionError> {
        Ok(match hint {
            Hint::Any => true,
            Hint::Commit => {
                matches!(self.view.pool.header(&id)?, Some((ObjectKind::Commit, _)))
            }
            Hint::Committish => {
                matches!(peel_tags(self.view, id)?, Some((ObjectKind::Commit, _)))
            }
            Hint::Treeish => matches!(
                peel_tags(self.view, id)?,
                Some((ObjectKind::Commit | ObjectKind::Tree, _))
            ),
        })
    }

    /// The newest commit that `tips` reach whose message matches `pattern`: an extended regular
    /// expression; `!-` in front turns it round, `!!` is a `!`.
    fn search(
        &mut self,
        text: &[u8],
        pattern: &[u8],
        tips: &[ObjectId],
    ) -> Result<ObjectId, RevisionError> {
        let (pattern, wanted) = match pattern {
            [b'!', b'-', rest @ ..] => (rest, false),
            [b'!', b'!', ..] => (&pattern[1..], true),
            [b'!', ..] => return Err(syntax(text, "behind ! comes - or !")),
            _ => (pattern, true),
        };
        let regex = regex::bytes::RegexBuilder::new(&lossy(pattern))
            .dot_matches_new_line(true)
            .size_limit(REGEX_BYTES_MAX)
            .dfa_size_limit(REGEX_BYTES_MAX)
            .build()
            .map_err(|error| syntax(text, error.to_string()))?;
        let graph = self.view.pool.graph();
        let numbers = tips.iter().filter_map(|tip| graph.number(tip));
        let mut walk = Walk::new(graph, numbers);
        while let Some(commit) = walk.pop() {
            self.searched += 1;
            if self.searched > SEARCHED_MAX {
                return Err(RevisionError::SearchTooLong {
                    text: lossy(pattern),
                });
            }
            for parent in graph.parents(commit) {
                walk.push(parent);
            }
            let id = graph.id(commit);
            let data = self.view.pool.get(&id)?.data;
            let message = memchr::memmem::find(&data, b"\n\n").map(|at| &data[at + 2..]);
            if message.is_some_and(|message| regex.is_match(message)) == wanted {
                return Ok(id);
            }
        }
        Err(RevisionError::NotFound { text: lossy(text) })
    }
}

/// The last operator of `text` and what is before it; `None` when there is none.
fn split_operator(text: &[u8]) -> Result<Option<(&[u8], Operator<'_>)>, RevisionError> {
    let digits = text
        .iter()
        .rev()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    let before = text.len() - digits;
    if let Some((sign @ (b'~' | b'^'), rest)) = text[..before].split_last() {
        // More generations than this no history has.
        let number = text[before..]
            .iter()
            .try_fold(0u64, |number, digit| {
                let number = number * 10 + u64::from(digit - b'0');
                (number <= i32::MAX as u64).then_some(number)
            })
            .ok_or_else(|| RevisionError::NotFound { text: lossy(text) })?;
        let number = if digits == 0 { 1 } else { number };
        return Ok(Some(match sign {
            b'~' => (rest, Operator::Ancestor(number)),
            _ => (rest, Operator::Parent(number)),
        }));
    }
    if text.last() != Some(&b'}') {
        return Ok(None);
    }
    let Some(open) = memchr::memmem::rfind(text, b"^{").filter(|open| *open > 0) else {
        return Ok(None);
    };
    let what = &text[open + 2..];
    // As git reads it: what comes behind the first closing brace does not count.
    let operator = if what.starts_with(b"/") {
        Operator::Search(&what[1..what.len() - 1])
    } else if what.starts_with(b"}") {
        Operator::Untag
    } else if what.starts_with(b"object}") {
        Operator::Exists
    } else {
        let kind = what
            .iter()
            .position(|byte| *byte == b'}')
            .and_then(|end| ObjectKind::from_name(&what[..end]));
        match kind {
            Some(kind) => Operator::Peel(kind),
            None => return Err(syntax(text, "^{…} has no such kind of object")),
        }
    };
    Ok(Some((&text[..open], operator)))
}

/// Where `rev:path` is to be split: at the first colon that is not inside braces.
fn path_colon(text: &[u8]) -> Option<usize> {
    let mut depth = 0usize;
    text.iter().position(|byte| {
        match byte {
            b'{' => depth += 1,
            b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        *byte == b':' && depth == 0
    })
}

/// The digits in `SOMETHING-gDIGITS`, as `git describe` prints.
fn described_id(name: &[u8]) -> Option<&[u8]> {
    let at = memchr::memmem::rfind(name, b"-g").filter(|at| *at > 0)?;
    let digits = &name[at + 2..];
    digits.iter().all(u8::is_ascii_hexdigit).then_some(digits)
}

fn why_no_name(name: &[u8]) -> &'static str {
    if name.is_empty() {
        "there is no name before the operators"
    } else if memchr::memmem::find(name, b"@{").is_some() {
        "there are no reflogs and no upstreams"
    } else if memchr::memmem::find(name, b"..").is_some() {
        "it is a range"
    } else {
        "no ref can have this name"
    }
}

fn syntax(text: &[u8], why: impl Into<Cow<'static, str>>) -> RevisionError {
    RevisionError::Syntax {
        text: lossy(text),
        why: why.into().into_owned(),
    }
}

fn lossy(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}
