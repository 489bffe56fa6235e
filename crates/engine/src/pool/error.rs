//! What can be wrong with objects and packs.

use govc_git::{ObjectId, ObjectKind};

use crate::journal::PackId;

/// Why something could not be read. It says which object, and of which pack.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum PoolError {
    /// Something refers to an object that is not there.
    #[error("object {id} is missing")]
    Missing {
        /// The object.
        id: ObjectId,
    },
    /// An object is there and cannot be read.
    #[error("object {id} is damaged{}: {what}", of_pack(.pack))]
    Damaged {
        /// The object.
        id: ObjectId,
        /// The pack it is in; `None` for a hot one.
        pack: Option<PackId>,
        /// What is wrong with it.
        what: String,
    },
    /// A delta's base is not there.
    #[error("object {id} is a delta of {base}, which is missing{}", of_pack(.pack))]
    BaseMissing {
        /// The object that is a delta.
        id: ObjectId,
        /// The object that it starts from.
        base: ObjectId,
        /// The pack the delta is in; `None` for a hot one.
        pack: Option<PackId>,
    },
    /// An object is not what refers to it says.
    #[error("object {id} is a {found}, not a {expected}", found = .found.name(), expected = .expected.name())]
    WrongKind {
        /// The object.
        id: ObjectId,
        /// What it is.
        found: ObjectKind,
        /// What it was to be.
        expected: ObjectKind,
    },
    /// A pack or its index cannot be used at all.
    #[error("pack {id} cannot be read: {what}", id = .id.0)]
    PackUnreadable {
        /// The pack.
        id: PackId,
        /// What is wrong with it.
        what: String,
    },
    /// A tree with more files than anybody needs at once.
    #[error("tree {id} has more than {max} files")]
    TooManyFiles {
        /// The tree.
        id: ObjectId,
        /// How many are allowed.
        max: usize,
    },
    /// Trees or tags that lead to each other more often than anybody needs.
    #[error("object {id} is nested more than {max} deep")]
    TooDeep {
        /// Where it was given up.
        id: ObjectId,
        /// How deep is allowed.
        max: usize,
    },
    /// More objects than a pack can hold.
    #[error("{count} objects do not fit into a pack")]
    TooMany {
        /// How many.
        count: u64,
    },
    /// A filter's patterns would have to be compared with more paths than one request may ask for.
    #[error("the filter takes too long: fewer patterns, or fewer commits, are needed")]
    FilterTooCostly,
}

fn of_pack(pack: &Option<PackId>) -> String {
    match pack {
        Some(id) => format!(" in pack {}", id.0),
        None => String::new(),
    }
}
