//! What a merge leaves to be solved, and what it says.

use govc_git::ObjectId;

/// Why a path is to be solved. The worst of several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConflictKind {
    /// Both changed the same lines.
    Content,
    /// Both added a file there, and not the same one.
    AddAdd,
    /// One changed what the other deleted.
    ModifyDelete,
    /// Both renamed it, to different names.
    RenameRename,
    /// One renamed what the other deleted.
    RenameDelete,
    /// One renamed a file to where the other added one, or renamed another to.
    RenameAdd,
    /// A folder is where a file is to be.
    DirectoryFile,
    /// Both changed it, and it is no text.
    Binary,
    /// Both moved the submodule.
    Submodule,
    /// Both changed its mode, or what kind of thing it is.
    Mode,
    /// It is new in a folder that the other side moved: perhaps it belongs there.
    FileLocation,
}

impl ConflictKind {
    /// The word that leaves the process.
    pub fn name(self) -> &'static str {
        match self {
            ConflictKind::Content => "content",
            ConflictKind::AddAdd => "add_add",
            ConflictKind::ModifyDelete => "modify_delete",
            ConflictKind::RenameRename => "rename_rename",
            ConflictKind::RenameDelete => "rename_delete",
            ConflictKind::RenameAdd => "rename_add",
            ConflictKind::DirectoryFile => "directory_file",
            ConflictKind::Binary => "binary",
            ConflictKind::Submodule => "submodule",
            ConflictKind::Mode => "mode",
            ConflictKind::FileLocation => "file_location",
        }
    }
}

/// A file as one of the three trees has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathVersion {
    /// Its path there: before or after a rename it is another one.
    pub path: Vec<u8>,
    /// Its mode.
    pub mode: u32,
    /// What it is. For what was merged once already, the result of that.
    pub id: ObjectId,
}

/// An entry of the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stage {
    /// Its mode.
    pub mode: u32,
    /// What it is.
    pub id: ObjectId,
}

/// A path that is to be solved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The path in the tree that was made, and in the index.
    pub path: Vec<u8>,
    /// Why.
    pub kind: ConflictKind,
    /// What git's index would have for the path in stages 1, 2 and 3: base, ours, theirs.
    pub stages: [Option<Stage>; 3],
    /// The same with the paths that they have in their own trees.
    pub versions: [Option<PathVersion>; 3],
    /// What the tree that was made has there.
    pub merged: Option<Stage>,
}

/// What kind of thing a merge says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageKind {
    /// Both sides changed the file.
    AutoMerging,
    /// Both changed the same lines.
    Contents,
    /// Both changed what is no text.
    Binary,
    /// A folder is in the way of a file.
    FileDirectory,
    /// It became different kinds of things.
    DistinctModes,
    /// One changed what the other deleted.
    ModifyDelete,
    /// Both renamed it, to different names.
    RenameRename,
    /// A rename's content conflicts, and something else is where it leads.
    RenameCollides,
    /// One renamed what the other deleted.
    RenameDelete,
    /// A file is new in a folder that was moved.
    DirectoryRenameSuggested,
    /// A folder that was moved moved again on the other side.
    DirectoryRenameSkipped,
    /// Something is where a file would follow its folder to.
    DirectoryRenameInWay,
    /// Several files would follow their folders to one path.
    DirectoryRenameCollision,
    /// A folder went to several places, equally much.
    DirectoryRenameSplit,
    /// Submodules are not merged.
    SubmoduleNotInitialized,
}

impl MessageKind {
    /// The words that `git merge-tree -z` has for it.
    pub fn name(self) -> &'static str {
        match self {
            MessageKind::AutoMerging => "Auto-merging",
            MessageKind::Contents => "CONFLICT (contents)",
            MessageKind::Binary => "CONFLICT (binary)",
            MessageKind::FileDirectory => "CONFLICT (file/directory)",
            MessageKind::DistinctModes => "CONFLICT (distinct modes)",
            MessageKind::ModifyDelete => "CONFLICT (modify/delete)",
            MessageKind::RenameRename => "CONFLICT (rename/rename)",
            MessageKind::RenameCollides => "CONFLICT (rename involved in collision)",
            MessageKind::RenameDelete => "CONFLICT (rename/delete)",
            MessageKind::DirectoryRenameSuggested => "CONFLICT (directory rename suggested)",
            MessageKind::DirectoryRenameSkipped => {
                "Directory rename skipped since directory was renamed on both sides"
            }
            MessageKind::DirectoryRenameInWay => "CONFLICT (file in way of directory rename)",
            MessageKind::DirectoryRenameCollision => "CONFLICT(directory rename collision)",
            MessageKind::DirectoryRenameSplit => "CONFLICT(directory rename unclear split)",
            MessageKind::SubmoduleNotInitialized => "CONFLICT (submodule not initialized)",
        }
    }
}

/// Something that git says while it merges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// What kind of thing.
    pub kind: MessageKind,
    /// The path that it is about, and then others that are part of it.
    pub paths: Vec<Vec<u8>>,
    /// What git prints, without a newline.
    pub text: Vec<u8>,
}
