//! A merge as git shows it.

use super::TreeMerge;
use super::conflict::Message;

impl TreeMerge {
    /// Writes what `git merge-tree --write-tree -z --stdin` prints of it, without the advice about
    /// submodules: whether it is clean, the tree, and where it is not clean the stages and
    /// what git says. Each is ended by a NUL.
    pub fn write_as_git(&self, out: &mut Vec<u8>) {
        let mut field = |text: &[u8]| {
            out.extend_from_slice(text);
            out.push(0);
        };
        field(if self.is_clean { b"1" } else { b"0" });
        field(self.tree.to_string().as_bytes());
        if self.is_clean {
            field(b"");
            return;
        }
        for conflict in &self.conflicts {
            for (at, stage) in conflict.stages.iter().enumerate() {
                if let Some(stage) = stage {
                    let mut line =
                        format!("{:06o} {} {}\t", stage.mode, stage.id, at + 1).into_bytes();
                    line.extend_from_slice(&conflict.path);
                    field(&line);
                }
            }
        }
        field(b"");
        for Message { kind, paths, text } in &self.messages {
            field(paths.len().to_string().as_bytes());
            for path in paths {
                field(path);
            }
            field(kind.name().as_bytes());
            let mut line = text.clone();
            line.push(b'\n');
            field(&line);
        }
        field(b"");
    }
}
