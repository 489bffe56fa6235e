//! Names of refs: which of them Git takes.

/// The longest name that is taken, in bytes.
pub const REF_NAME_BYTES_MAX: usize = 1024;

/// Why Git would not take a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RefNameError {
    /// `""`, `a//b`, `/a`, `a/`.
    #[error("a ref name has no empty part: no slash at its ends, no two in a row")]
    EmptyPart,
    /// `main`, where a full name is asked for.
    #[error("a full ref name has a slash in it, as in refs/heads/main")]
    OneLevel,
    /// A space, a control character, or one of `~ ^ : ? * [ \`.
    #[error("a ref name has no {:?}", char::from(*byte))]
    Forbidden {
        /// The first such byte.
        byte: u8,
    },
    /// `a..b`.
    #[error("a ref name has no two dots in a row")]
    TwoDots,
    /// `a@{b`, which means the reflog.
    #[error("a ref name has no \"@{{\"")]
    Reflog,
    /// `@` alone, which means HEAD.
    #[error("\"@\" alone is no ref name")]
    At,
    /// `a/.b`.
    #[error("no part of a ref name begins with a dot")]
    LeadingDot,
    /// `a/b.`.
    #[error("a ref name does not end in a dot")]
    TrailingDot,
    /// `a.lock/b`.
    #[error("no part of a ref name ends in \".lock\"")]
    Lock,
    /// Longer than [`REF_NAME_BYTES_MAX`].
    #[error("a ref name has at most {REF_NAME_BYTES_MAX} bytes, this one has {length}")]
    TooLong {
        /// How long it is.
        length: usize,
    },
    /// Not below `refs/`.
    #[error("only refs below \"refs/\" can be pushed")]
    OutsideRefs,
    /// A branch called `HEAD`, or one that begins with a dash.
    #[error("a branch is not called \"HEAD\" and does not begin with a dash")]
    BranchName,
}

/// Whether Git takes `name` for a full ref name: `git check-ref-format <name>`.
///
/// # Errors
/// [`RefNameError`] says which rule it breaks.
pub fn check(name: &[u8]) -> Result<(), RefNameError> {
    if parts(name)? < 2 {
        return Err(RefNameError::OneLevel);
    }
    Ok(())
}

/// The same, and names of one part too (`HEAD`, `main`): `--allow-onelevel`.
///
/// # Errors
/// [`RefNameError`] says which rule it breaks.
pub fn check_allow_onelevel(name: &[u8]) -> Result<(), RefNameError> {
    parts(name).map(|_| ())
}

/// Whether a push may write the ref `name`: below `refs/`, at least two parts behind it. To
/// delete, one part behind it is enough, as for Git.
///
/// # Errors
/// [`RefNameError`] says which rule it breaks.
pub fn check_push(name: &[u8], deletes: bool) -> Result<(), RefNameError> {
    let below = name
        .strip_prefix(b"refs/")
        .ok_or(RefNameError::OutsideRefs)?;
    check(name)?;
    if deletes {
        check_allow_onelevel(below)
    } else {
        check(below)
    }
}

/// Whether a branch may be called `short`: `git check-ref-format --branch`, without its `@{-1}`.
///
/// # Errors
/// [`RefNameError`] says which rule it breaks.
pub fn check_branch(short: &[u8]) -> Result<(), RefNameError> {
    if short == b"HEAD" || short.starts_with(b"-") {
        return Err(RefNameError::BranchName);
    }
    check(&[b"refs/heads/", short].concat())
}

/// Whether a tag may be called `short`: as `git tag` has it.
///
/// # Errors
/// [`RefNameError`] says which rule it breaks.
pub fn check_tag(short: &[u8]) -> Result<(), RefNameError> {
    if short.starts_with(b"-") {
        return Err(RefNameError::BranchName);
    }
    check(&[b"refs/tags/", short].concat())
}

/// The name without `refs/heads/`, `refs/tags/`, `refs/remotes/`, or else `refs/`.
pub fn short(name: &[u8]) -> &[u8] {
    [
        &b"refs/heads/"[..],
        b"refs/tags/",
        b"refs/remotes/",
        b"refs/",
    ]
    .iter()
    .find_map(|prefix| name.strip_prefix(*prefix))
    .unwrap_or(name)
}

/// Whether `name` is well made below a prefix like `refs/tags/`, however long it is: what a tag
/// says its name is.
pub(crate) fn is_well_made_below(name: &[u8]) -> bool {
    well_made_parts(name).is_ok()
}

/// How many parts the name has, if every one of them is well made and all of it not too long.
fn parts(name: &[u8]) -> Result<usize, RefNameError> {
    if name.len() > REF_NAME_BYTES_MAX {
        return Err(RefNameError::TooLong { length: name.len() });
    }
    if name == b"@" {
        return Err(RefNameError::At);
    }
    well_made_parts(name)
}

fn well_made_parts(name: &[u8]) -> Result<usize, RefNameError> {
    let mut count = 0;
    for part in name.split(|&b| b == b'/') {
        check_part(part)?;
        count += 1;
    }
    if name.ends_with(b".") {
        return Err(RefNameError::TrailingDot);
    }
    Ok(count)
}

fn check_part(part: &[u8]) -> Result<(), RefNameError> {
    let mut last = 0;
    for &byte in part {
        match byte {
            0..=b' ' | 0x7f | b'~' | b'^' | b':' | b'?' | b'*' | b'[' | b'\\' => {
                return Err(RefNameError::Forbidden { byte });
            }
            b'.' if last == b'.' => return Err(RefNameError::TwoDots),
            b'{' if last == b'@' => return Err(RefNameError::Reflog),
            _ => last = byte,
        }
    }
    if part.is_empty() {
        return Err(RefNameError::EmptyPart);
    }
    if part.starts_with(b".") {
        return Err(RefNameError::LeadingDot);
    }
    if part.ends_with(b".lock") {
        return Err(RefNameError::Lock);
    }
    Ok(())
}
