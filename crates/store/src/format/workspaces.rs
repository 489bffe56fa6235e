//! Workspaces, as entries and checkpoints have them.

use std::sync::Arc;

use govc_engine::{Operation, OperationKind, RefName, Unmerged, Workspace, Workspaces};
use govc_git::{ObjectFormat, ObjectId};

use super::codec::{Decoder, Encoder, FormatError};

const WHAT: &str = "a workspace";

const HAS_BRANCH: u8 = 1;
const HAS_BASE: u8 = 2;
const HAS_OPERATION: u8 = 4;
const HAS_ORIGINAL: u8 = 1;
const HAS_OWN_BRANCH: u8 = 2;

/// Every kind of operation and its number. None is ever used for something else.
const OPERATIONS: &[(u8, OperationKind)] = &[
    (1, OperationKind::Merge),
    (2, OperationKind::CherryPick),
    (3, OperationKind::Revert),
    (4, OperationKind::Rebase),
];

/// One workspace: flags, branch and base where it has them, index, files, times, unmerged paths
/// with their stages, stashes, the operation in progress.
pub(super) fn encode_workspace(
    out: &mut Encoder,
    workspace: &Workspace,
    format: ObjectFormat,
) -> Result<(), FormatError> {
    let flag = |is_there: bool, flag: u8| if is_there { flag } else { 0 };
    out.byte(
        flag(workspace.branch.is_some(), HAS_BRANCH)
            | flag(workspace.base.is_some(), HAS_BASE)
            | flag(workspace.operation.is_some(), HAS_OPERATION),
    );
    if let Some(branch) = &workspace.branch {
        out.string(branch.as_bytes());
    }
    if let Some(base) = &workspace.base {
        out.id(base, format)?;
    }
    out.id(&workspace.index, format)?;
    out.id(&workspace.files, format)?;
    out.time(workspace.created_at);
    out.time(workspace.used_at);
    out.number(workspace.unmerged.len() as u64);
    for path in workspace.unmerged.iter() {
        out.string(&path.path);
        let there = |stage: usize| path.stages[stage].is_some();
        out.byte(flag(there(0), 1) | flag(there(1), 2) | flag(there(2), 4));
        for (mode, id) in path.stages.iter().flatten() {
            out.number(u64::from(*mode));
            out.id(id, format)?;
        }
    }
    out.number(workspace.stashes.len() as u64);
    for id in workspace.stashes.iter() {
        out.id(id, format)?;
    }
    if let Some(operation) = &workspace.operation {
        out.nested(|out| encode_operation(out, operation, format))?;
    }
    Ok(())
}

/// Reads what [`encode_workspace`] wrote, to the end of `input`.
pub(super) fn decode_workspace(
    input: &mut Decoder,
    format: ObjectFormat,
) -> Result<Workspace, FormatError> {
    let flags = input.byte(WHAT)?;
    if flags & !(HAS_BRANCH | HAS_BASE | HAS_OPERATION) != 0 {
        return Err(FormatError::Invalid(WHAT));
    }
    let branch = match flags & HAS_BRANCH {
        0 => None,
        _ => Some(RefName::new(input.string(WHAT)?)),
    };
    let base = match flags & HAS_BASE {
        0 => None,
        _ => Some(input.id(format)?),
    };
    let (index, files) = (input.id(format)?, input.id(format)?);
    let (created_at, used_at) = (input.time(WHAT)?, input.time(WHAT)?);
    const UNMERGED_LEAST_BYTES: usize = 2;
    let count = input.count(UNMERGED_LEAST_BYTES, WHAT)?;
    let mut unmerged = Vec::with_capacity(count);
    for _ in 0..count {
        let path: Arc<[u8]> = Arc::from(&input.string(WHAT)?[..]);
        let there = input.byte(WHAT)?;
        if there & !7 != 0 {
            return Err(FormatError::Invalid(WHAT));
        }
        let mut stages = [None; 3];
        for (number, stage) in stages.iter_mut().enumerate() {
            if there >> number & 1 == 1 {
                let mode = u32::try_from(input.number(WHAT)?);
                let mode = mode.map_err(|_| FormatError::Invalid(WHAT))?;
                *stage = Some((mode, input.id(format)?));
            }
        }
        unmerged.push(Unmerged { path, stages });
    }
    let count = input.count(format.len_in_bytes(), WHAT)?;
    let stashes: Result<Vec<ObjectId>, FormatError> =
        (0..count).map(|_| input.id(format)).collect();
    let operation = match flags & HAS_OPERATION {
        0 => None,
        _ => Some(Arc::new(decode_operation(
            &mut input.nested(WHAT)?,
            format,
        )?)),
    };
    input.end(WHAT)?;
    Ok(Workspace {
        branch,
        base,
        index,
        files,
        unmerged: unmerged.into(),
        operation,
        stashes: stashes?.into(),
        created_at,
        used_at,
    })
}

fn encode_operation(
    out: &mut Encoder,
    operation: &Operation,
    format: ObjectFormat,
) -> Result<(), FormatError> {
    let known = OPERATIONS.iter().find(|known| known.1 == operation.kind);
    let (number, _) = known.ok_or(FormatError::Unwritable("this kind of operation"))?;
    out.byte(*number);
    let original = operation.original.map_or(0, |_| HAS_ORIGINAL);
    let branch = operation.branch.as_ref().map_or(0, |_| HAS_OWN_BRANCH);
    out.byte(original | branch);
    if let Some(original) = &operation.original {
        out.id(original, format)?;
    }
    if let Some(branch) = &operation.branch {
        out.string(branch.as_bytes());
    }
    out.id(&operation.commit, format)?;
    for commits in [&operation.todo, &operation.done] {
        out.number(commits.len() as u64);
        for id in commits.iter() {
            out.id(id, format)?;
        }
    }
    out.number(u64::from(operation.mainline));
    out.string(&operation.message);
    Ok(())
}

fn decode_operation(input: &mut Decoder, format: ObjectFormat) -> Result<Operation, FormatError> {
    const WHAT: &str = "an operation in progress";
    let number = input.byte(WHAT)?;
    let known = OPERATIONS.iter().find(|known| known.0 == number);
    let (_, kind) = known.ok_or(FormatError::Unknown {
        what: "kind of operation",
        number: u64::from(number),
        version: 1,
    })?;
    let flags = input.byte(WHAT)?;
    if flags & !(HAS_ORIGINAL | HAS_OWN_BRANCH) != 0 {
        return Err(FormatError::Invalid(WHAT));
    }
    let original = match flags & HAS_ORIGINAL {
        0 => None,
        _ => Some(input.id(format)?),
    };
    let branch = match flags & HAS_OWN_BRANCH {
        0 => None,
        _ => Some(RefName::new(input.string(WHAT)?)),
    };
    let commit = input.id(format)?;
    let mut lists: [Arc<[ObjectId]>; 2] = [Arc::default(), Arc::default()];
    for list in &mut lists {
        let count = input.count(format.len_in_bytes(), WHAT)?;
        let ids: Result<Vec<ObjectId>, FormatError> =
            (0..count).map(|_| input.id(format)).collect();
        *list = ids?.into();
    }
    let mainline = u32::try_from(input.number(WHAT)?).map_err(|_| FormatError::Invalid(WHAT))?;
    let message = input.string(WHAT)?;
    input.end(WHAT)?;
    let [todo, done] = lists;
    Ok(Operation {
        kind: *kind,
        original,
        branch,
        commit,
        todo,
        done,
        mainline,
        message,
    })
}

/// All workspaces with their names.
pub(super) fn encode_workspaces(
    out: &mut Encoder,
    workspaces: &Workspaces,
    format: ObjectFormat,
) -> Result<(), FormatError> {
    out.number(workspaces.len() as u64);
    for (name, workspace) in workspaces.iter() {
        out.string(name.as_bytes());
        out.nested(|out| encode_workspace(out, workspace, format))?;
    }
    Ok(())
}

/// Reads what [`encode_workspaces`] wrote, to the end of `input`.
pub(super) fn decode_workspaces(
    input: &mut Decoder,
    format: ObjectFormat,
) -> Result<Workspaces, FormatError> {
    const LEAST_BYTES: usize = 2;
    let count = input.count(LEAST_BYTES, WHAT)?;
    let mut workspaces = Workspaces::default();
    for _ in 0..count {
        let name: Arc<str> = input.text(WHAT)?.into();
        let workspace = decode_workspace(&mut input.nested(WHAT)?, format)?;
        workspaces.set(&name, Some(Arc::new(workspace)));
    }
    input.end(WHAT)?;
    Ok(workspaces)
}
