//! A repository's record: fields with numbers, so that later versions can add some.

use govc_engine::repository::record::{Quotas, Retention};
use govc_engine::{
    FetchRules, ForkedFrom, FsckSeverity, RepoId, RepositoryRecord, Settings, Storage, Time,
};

use govc_git::ObjectId;

use super::codec::{Decoder, Encoder, FormatError, format_byte, format_of};

mod field {
    pub(super) const ID: u64 = 1;
    pub(super) const DESCRIPTION: u64 = 2;
    pub(super) const STORAGE: u64 = 3;
    pub(super) const OBJECT_FORMAT: u64 = 4;
    pub(super) const FAMILY: u64 = 5;
    pub(super) const FORKED_FROM: u64 = 6;
    pub(super) const CREATED_AT: u64 = 7;
    pub(super) const DELETED_AT: u64 = 8;
    pub(super) const EXPIRES_AT: u64 = 9;
    pub(super) const DENY_NON_FAST_FORWARDS: u64 = 20;
    pub(super) const DENY_DELETES: u64 = 21;
    pub(super) const FSCK_OBJECTS: u64 = 22;
    pub(super) const HIDE_REF: u64 = 23;
    pub(super) const QUOTA_BYTES: u64 = 24;
    pub(super) const QUOTA_OBJECTS: u64 = 25;
    pub(super) const QUOTA_REFS: u64 = 26;
    pub(super) const QUOTA_PUSH_BYTES: u64 = 27;
    pub(super) const RETENTION_REFS_SECONDS: u64 = 28;
    pub(super) const HIDE_REF_FROM_FETCHES: u64 = 29;
    pub(super) const HIDE_REF_FROM_PUSHES: u64 = 30;
    pub(super) const FSCK_SEVERITY: u64 = 31;
    pub(super) const FSCK_SKIP: u64 = 32;
    pub(super) const DENY_DELETE_CURRENT: u64 = 33;
    pub(super) const ATOMIC_PUSHES: u64 = 34;
    pub(super) const PUSH_OPTIONS: u64 = 35;
    pub(super) const FETCH_FILTER: u64 = 40;
    pub(super) const FETCH_FILTER_KIND: u64 = 41;
    pub(super) const FETCH_OTHER_FILTERS: u64 = 42;
    pub(super) const FETCH_TREE_FILTER_DEPTH: u64 = 43;
    pub(super) const FETCH_REF_IN_WANT: u64 = 44;
    pub(super) const FETCH_SIDEBAND_ALL: u64 = 45;
    pub(super) const FETCH_SESSION_ID: u64 = 46;
    pub(super) const FETCH_UNBORN_HEAD: u64 = 47;
    pub(super) const FETCH_TIP_WANTS: u64 = 48;
    pub(super) const FETCH_REACHABLE_WANTS: u64 = 49;
    pub(super) const RETENTION_REALITIES_SECONDS: u64 = 50;
    pub(super) const RETENTION_DELETED_SECONDS: u64 = 51;
}

/// Fields as number, length, content. What is the default is left out.
pub(crate) fn encode_record(
    out: &mut Encoder,
    record: &RepositoryRecord,
) -> Result<(), FormatError> {
    let defaults = Settings::default();
    let format = format_byte(record.object_format)?;
    let mut write = |number: u64, content: &dyn Fn(&mut Encoder)| {
        out.number(number);
        out.nested(|inner| content(inner));
    };
    write(field::ID, &|o| o.raw(record.id.as_str().as_bytes()));
    if !record.description.is_empty() {
        write(field::DESCRIPTION, &|o| {
            o.raw(record.description.as_bytes())
        });
    }
    write(field::STORAGE, &|o| {
        o.byte(match record.storage {
            Storage::Memory => 1,
            Storage::Hybrid => 2,
            Storage::Disk => 3,
        });
    });
    write(field::OBJECT_FORMAT, &|o| o.byte(format));
    write(field::FAMILY, &|o| o.raw(&record.family.0));
    if let Some(from) = &record.forked_from {
        write(field::FORKED_FROM, &|o| {
            o.raw(&from.key.0);
            o.number(from.seq);
            o.string(from.id.as_str().as_bytes());
        });
    }
    write(field::CREATED_AT, &|o| o.time(record.created_at));
    for (number, time) in [
        (field::DELETED_AT, record.deleted_at),
        (field::EXPIRES_AT, record.expires_at),
    ] {
        if let Some(time) = time {
            write(number, &|o| o.time(time));
        }
    }
    let settings = &record.settings;
    for (number, value, default) in [
        (
            field::DENY_NON_FAST_FORWARDS,
            settings.deny_non_fast_forwards,
            defaults.deny_non_fast_forwards,
        ),
        (
            field::DENY_DELETES,
            settings.deny_deletes,
            defaults.deny_deletes,
        ),
        (
            field::FSCK_OBJECTS,
            settings.fsck_objects,
            defaults.fsck_objects,
        ),
        (
            field::DENY_DELETE_CURRENT,
            settings.deny_delete_current,
            defaults.deny_delete_current,
        ),
        (
            field::ATOMIC_PUSHES,
            settings.atomic_pushes,
            defaults.atomic_pushes,
        ),
        (
            field::PUSH_OPTIONS,
            settings.push_options,
            defaults.push_options,
        ),
    ] {
        if value != default {
            write(number, &|o| o.byte(u8::from(value)));
        }
    }
    for (number, prefixes) in [
        (field::HIDE_REF, &settings.hide_refs),
        (
            field::HIDE_REF_FROM_FETCHES,
            &settings.hide_refs_from_fetches,
        ),
        (field::HIDE_REF_FROM_PUSHES, &settings.hide_refs_from_pushes),
    ] {
        for prefix in prefixes {
            write(number, &|o| o.raw(prefix.as_bytes()));
        }
    }
    for (finding, severity) in &settings.fsck_severities {
        write(field::FSCK_SEVERITY, &|o| {
            o.byte(match severity {
                FsckSeverity::Ignore => 1,
                FsckSeverity::Warn => 2,
                FsckSeverity::Error => 3,
            });
            o.string(finding.as_bytes());
        });
    }
    for id in &settings.fsck_skip {
        write(field::FSCK_SKIP, &|o| o.raw(id.as_bytes()));
    }
    let rules = &settings.fetch;
    for (number, value) in [
        (field::FETCH_FILTER, rules.filter),
        (field::FETCH_OTHER_FILTERS, rules.other_filters),
        (field::FETCH_REF_IN_WANT, rules.ref_in_want),
        (field::FETCH_SIDEBAND_ALL, rules.sideband_all),
        (field::FETCH_SESSION_ID, rules.session_id),
        (field::FETCH_UNBORN_HEAD, rules.unborn_head),
        (field::FETCH_TIP_WANTS, rules.tip_wants),
        (field::FETCH_REACHABLE_WANTS, rules.reachable_wants),
    ] {
        if let Some(value) = value {
            write(number, &|o| o.byte(u8::from(value)));
        }
    }
    for (kind, taken) in &settings.fetch.filters {
        write(field::FETCH_FILTER_KIND, &|o| {
            o.byte(u8::from(*taken));
            o.string(kind.as_bytes());
        });
    }
    for (number, value) in [
        (
            field::FETCH_TREE_FILTER_DEPTH,
            settings.fetch.tree_filter_depth,
        ),
        (field::QUOTA_BYTES, settings.quotas.bytes),
        (field::QUOTA_OBJECTS, settings.quotas.objects),
        (field::QUOTA_REFS, settings.quotas.refs),
        (field::QUOTA_PUSH_BYTES, settings.quotas.push_bytes),
        (
            field::RETENTION_REFS_SECONDS,
            settings.retention.refs_seconds,
        ),
        (
            field::RETENTION_REALITIES_SECONDS,
            settings.retention.discarded_realities_seconds,
        ),
        (
            field::RETENTION_DELETED_SECONDS,
            settings.retention.deleted_seconds,
        ),
    ] {
        if let Some(value) = value {
            write(number, &|o| o.number(value));
        }
    }
    Ok(())
}

/// Reads what [`encode_record`] wrote, to the end of `input`.
pub(crate) fn decode_record(input: &mut Decoder) -> Result<RepositoryRecord, FormatError> {
    const WHAT: &str = "a repository's record";
    let invalid = FormatError::Invalid(WHAT);
    let mut id = None;
    let mut description = String::new();
    let mut storage = None;
    let mut object_format = None;
    let mut family = None;
    let mut forked_from = None;
    let mut created_at = Time::default();
    let (mut deleted_at, mut expires_at) = (None, None);
    let mut settings = Settings::default();
    let (mut quotas, mut retention) = (Quotas::default(), Retention::default());
    let mut rules = FetchRules::default();

    while !input.is_empty() {
        let number = input.number(WHAT)?;
        let mut content = input.nested(WHAT)?;
        let all = content.remaining();
        let flag = |content: &mut Decoder| match content.byte(WHAT)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(FormatError::Invalid(WHAT)),
        };
        let text = |content: &mut Decoder| {
            String::from_utf8(content.raw(all, WHAT)?.to_vec())
                .map_err(|_| FormatError::Invalid(WHAT))
        };
        match number {
            field::ID => id = Some(parse_id(&text(&mut content)?)?),
            field::DESCRIPTION => description = text(&mut content)?,
            field::STORAGE => {
                storage = Some(match content.byte(WHAT)? {
                    1 => Storage::Memory,
                    2 => Storage::Hybrid,
                    3 => Storage::Disk,
                    _ => return Err(invalid),
                });
            }
            field::OBJECT_FORMAT => object_format = Some(format_of(content.byte(WHAT)?)?),
            field::FAMILY => family = Some(content.key()?),
            field::FORKED_FROM => {
                forked_from = Some(ForkedFrom {
                    key: content.key()?,
                    seq: content.number(WHAT)?,
                    id: parse_id(&content.text(WHAT)?)?,
                });
            }
            field::CREATED_AT => created_at = content.time(WHAT)?,
            field::DELETED_AT => deleted_at = Some(content.time(WHAT)?),
            field::EXPIRES_AT => expires_at = Some(content.time(WHAT)?),
            field::DENY_NON_FAST_FORWARDS => settings.deny_non_fast_forwards = flag(&mut content)?,
            field::DENY_DELETES => settings.deny_deletes = flag(&mut content)?,
            field::FSCK_OBJECTS => settings.fsck_objects = flag(&mut content)?,
            field::DENY_DELETE_CURRENT => settings.deny_delete_current = flag(&mut content)?,
            field::ATOMIC_PUSHES => settings.atomic_pushes = flag(&mut content)?,
            field::PUSH_OPTIONS => settings.push_options = flag(&mut content)?,
            field::FSCK_SKIP => {
                let id = ObjectId::try_from(&content.raw(all, WHAT)?[..]);
                settings.fsck_skip.insert(id.map_err(|_| invalid.clone())?);
            }
            field::FETCH_FILTER => rules.filter = Some(flag(&mut content)?),
            field::FETCH_OTHER_FILTERS => rules.other_filters = Some(flag(&mut content)?),
            field::FETCH_REF_IN_WANT => rules.ref_in_want = Some(flag(&mut content)?),
            field::FETCH_SIDEBAND_ALL => rules.sideband_all = Some(flag(&mut content)?),
            field::FETCH_SESSION_ID => rules.session_id = Some(flag(&mut content)?),
            field::FETCH_UNBORN_HEAD => rules.unborn_head = Some(flag(&mut content)?),
            field::FETCH_TIP_WANTS => rules.tip_wants = Some(flag(&mut content)?),
            field::FETCH_REACHABLE_WANTS => rules.reachable_wants = Some(flag(&mut content)?),
            field::FETCH_FILTER_KIND => {
                let taken = flag(&mut content)?;
                let kind = content.text(WHAT)?;
                rules.filters.insert(kind, taken);
            }
            field::FETCH_TREE_FILTER_DEPTH => {
                rules.tree_filter_depth = Some(content.number(WHAT)?);
            }
            field::HIDE_REF => settings.hide_refs.push(text(&mut content)?),
            field::HIDE_REF_FROM_FETCHES => {
                settings.hide_refs_from_fetches.push(text(&mut content)?);
            }
            field::HIDE_REF_FROM_PUSHES => {
                settings.hide_refs_from_pushes.push(text(&mut content)?);
            }
            field::FSCK_SEVERITY => {
                let severity = match content.byte(WHAT)? {
                    1 => FsckSeverity::Ignore,
                    2 => FsckSeverity::Warn,
                    3 => FsckSeverity::Error,
                    _ => return Err(invalid),
                };
                let finding = content.text(WHAT)?;
                settings.fsck_severities.insert(finding, severity);
            }
            field::QUOTA_BYTES => quotas.bytes = Some(content.number(WHAT)?),
            field::QUOTA_OBJECTS => quotas.objects = Some(content.number(WHAT)?),
            field::QUOTA_REFS => quotas.refs = Some(content.number(WHAT)?),
            field::QUOTA_PUSH_BYTES => quotas.push_bytes = Some(content.number(WHAT)?),
            field::RETENTION_REFS_SECONDS => {
                retention.refs_seconds = Some(content.number(WHAT)?);
            }
            field::RETENTION_REALITIES_SECONDS => {
                retention.discarded_realities_seconds = Some(content.number(WHAT)?);
            }
            field::RETENTION_DELETED_SECONDS => {
                retention.deleted_seconds = Some(content.number(WHAT)?);
            }
            _ => {
                return Err(FormatError::Unknown {
                    what: "field of a repository's record",
                    number,
                    version: 1,
                });
            }
        }
        content.end(WHAT)?;
    }
    settings.quotas = quotas;
    settings.retention = retention;
    settings.fetch = rules;
    Ok(RepositoryRecord {
        id: id.ok_or(invalid.clone())?,
        description,
        storage: storage.ok_or(invalid.clone())?,
        object_format: object_format.ok_or(invalid.clone())?,
        family: family.ok_or(invalid)?,
        forked_from,
        created_at,
        deleted_at,
        expires_at,
        settings,
    })
}

fn parse_id(text: &str) -> Result<RepoId, FormatError> {
    RepoId::parse(text).map_err(|_| FormatError::Invalid("a repository id"))
}
