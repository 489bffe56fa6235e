//! Repositories.

use std::collections::BTreeMap;

use govc_engine::journal::Moment;
use govc_engine::repository::record::{Quotas, RepoIdError, Retention};
use govc_engine::{FsckSeverity, RefName, RepoId, RepositoryRecord, Seq, Settings, Storage, Time};
use govc_git::object::check;
use govc_git::{ObjectFormat, ObjectId, refname};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fetch_rules::{FetchRulesBody, PatchFetchRules};
use crate::rfc3339::{self, server_time};
use crate::{Invalid, present, ref_name};

/// A repository.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Repository {
    /// Its name among users.
    pub id: String,
    /// A sentence for people.
    pub description: String,
    /// The branch that HEAD names, which need not exist; `null` where HEAD names none.
    pub default_branch: Option<String>,
    /// `memory`, `hybrid` or `disk`.
    pub storage: &'static str,
    /// `sha1` or `sha256`.
    pub object_format: &'static str,
    /// The commit that HEAD leads to.
    pub head: Option<String>,
    /// The number of its newest change.
    pub seq: Seq,
    /// Where it was forked from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forked_from: Option<ForkedFrom>,
    /// How large it is.
    pub size: Size,
    /// What its owner set.
    pub settings: SettingsBody,
    /// When it was made.
    pub created_at: String,
    /// When its newest change was.
    pub updated_at: String,
    /// When it goes by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    /// What `git clone` takes.
    pub clone_url: String,
}

/// Where a fork came from.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ForkedFrom {
    /// The parent's id when the fork was made.
    pub id: String,
    /// The parent's change after which its state was copied.
    pub seq: Seq,
}

/// How large a repository is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Size {
    /// Objects of its own changes, and those that it was forked with.
    pub objects: u64,
    /// Bytes of the packs that they are in.
    pub packed_bytes: u64,
    /// Bytes in memory, with all that its fork family shares.
    pub memory_bytes: u64,
}

/// All that a [`Repository`] is made of.
pub struct Facts<'a> {
    /// What the catalogue knows of it.
    pub record: &'a RepositoryRecord,
    /// The branch that HEAD names.
    pub default_branch: Option<&'a RefName>,
    /// The commit that HEAD leads to.
    pub head: Option<ObjectId>,
    /// The number of its newest change.
    pub seq: Seq,
    /// When that was.
    pub updated_at: Time,
    /// How large it is.
    pub size: Size,
    /// What `git clone` takes.
    pub clone_url: String,
}

impl From<Facts<'_>> for Repository {
    fn from(facts: Facts<'_>) -> Repository {
        let record = facts.record;
        let short = |name: &RefName| {
            let name = name.branch_name().unwrap_or(name.as_bytes());
            String::from_utf8_lossy(name).into_owned()
        };
        Repository {
            id: record.id.to_string(),
            description: record.description.clone(),
            default_branch: facts.default_branch.map(short),
            storage: storage_name(record.storage),
            object_format: format_name(record.object_format),
            head: facts.head.map(|id| id.to_string()),
            seq: facts.seq,
            forked_from: record.forked_from.as_ref().map(|from| ForkedFrom {
                id: from.id.to_string(),
                seq: from.seq,
            }),
            size: facts.size,
            settings: SettingsBody::from(&record.settings),
            created_at: server_time(record.created_at),
            updated_at: server_time(facts.updated_at),
            expires_at: record.expires_at.map(server_time),
            clone_url: facts.clone_url,
        }
    }
}

fn storage_name(storage: Storage) -> &'static str {
    match storage {
        Storage::Memory => "memory",
        Storage::Hybrid => "hybrid",
        Storage::Disk => "disk",
    }
}

fn format_name(format: ObjectFormat) -> &'static str {
    match format {
        ObjectFormat::Sha256 => "sha256",
        _ => "sha1",
    }
}

/// What an owner may set, as answers have it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct SettingsBody {
    deny_non_fast_forwards: bool,
    deny_deletes: bool,
    deny_delete_current: bool,
    atomic_pushes: bool,
    push_options: bool,
    fsck_objects: bool,
    fsck_severities: BTreeMap<String, &'static str>,
    fsck_skip: Vec<String>,
    fetch: FetchRulesBody,
    hide_refs: Vec<String>,
    hide_refs_from_fetches: Vec<String>,
    hide_refs_from_pushes: Vec<String>,
    quotas: QuotasBody,
    retention: RetentionBody,
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
struct QuotasBody {
    bytes: Option<u64>,
    objects: Option<u64>,
    refs: Option<u64>,
    push_bytes: Option<u64>,
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
struct RetentionBody {
    refs_seconds: Option<u64>,
    discarded_realities_seconds: Option<u64>,
    deleted_seconds: Option<u64>,
}

impl From<&Settings> for SettingsBody {
    fn from(settings: &Settings) -> SettingsBody {
        SettingsBody {
            deny_non_fast_forwards: settings.deny_non_fast_forwards,
            deny_deletes: settings.deny_deletes,
            deny_delete_current: settings.deny_delete_current,
            atomic_pushes: settings.atomic_pushes,
            push_options: settings.push_options,
            fsck_objects: settings.fsck_objects,
            fsck_skip: settings.fsck_skip.iter().map(ToString::to_string).collect(),
            fetch: FetchRulesBody::from(&settings.fetch),
            fsck_severities: settings
                .fsck_severities
                .iter()
                .map(|(finding, severity)| (finding.clone(), severity.name()))
                .collect(),
            hide_refs: settings.hide_refs.clone(),
            hide_refs_from_fetches: settings.hide_refs_from_fetches.clone(),
            hide_refs_from_pushes: settings.hide_refs_from_pushes.clone(),
            quotas: QuotasBody {
                bytes: settings.quotas.bytes,
                objects: settings.quotas.objects,
                refs: settings.quotas.refs,
                push_bytes: settings.quotas.push_bytes,
            },
            retention: RetentionBody {
                refs_seconds: settings.retention.refs_seconds,
                discarded_realities_seconds: settings.retention.discarded_realities_seconds,
                deleted_seconds: settings.retention.deleted_seconds,
            },
        }
    }
}

/// The body of `POST /repos`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRepository {
    /// One to three segments with slashes between them: `group/project`.
    #[schemars(extend("format" = "repository-id"))]
    id: String,
    /// A sentence for people.
    #[schemars(extend("maxLength" = 4096))]
    #[serde(default)]
    description: Option<String>,
    /// The branch that HEAD names, short; `main`, where it is absent.
    #[schemars(extend("format" = "branch-name"))]
    default_branch: Option<String>,
    /// Where it is kept; as the server's configuration says, where it is absent.
    storage: Option<StorageName>,
    /// `true` is `storage: memory`.
    memory_only: Option<bool>,
    /// The hash that names its objects; `sha1`, where it is absent.
    object_format: Option<FormatName>,
    /// After how many seconds it is deleted by itself.
    #[schemars(extend("minimum" = 1, "maximum" = 3162240000_u64))]
    ttl_seconds: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum StorageName {
    Memory,
    Hybrid,
    Disk,
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum FormatName {
    Sha1,
    Sha256,
}

/// A repository that was asked for.
#[derive(Debug)]
pub struct RepositoryOrder {
    /// Its id.
    pub id: RepoId,
    /// A sentence for people.
    pub description: String,
    /// The full name of the branch that HEAD is to name.
    pub default_branch: RefName,
    /// Where it is to live; `None`: where the server puts new ones.
    pub storage: Option<Storage>,
    /// Which hash names its objects.
    pub object_format: ObjectFormat,
    /// After how many seconds it goes by itself.
    pub ttl_seconds: Option<u64>,
}

/// The longest description, in bytes.
const DESCRIPTION_BYTES_MAX: usize = 4096;
/// The longest time to live: a hundred years.
pub(crate) const TTL_SECONDS_MAX: u64 = 100 * 366 * 24 * 60 * 60;

impl TryFrom<NewRepository> for RepositoryOrder {
    type Error = Invalid;

    fn try_from(new: NewRepository) -> Result<RepositoryOrder, Invalid> {
        let storage = match (new.memory_only, new.storage) {
            (Some(true), None | Some(StorageName::Memory)) => Some(Storage::Memory),
            (Some(true), Some(_)) => {
                return Err(Invalid::field("memory_only", "contradicts `storage`"));
            }
            (_, None) => None,
            (Some(false), Some(StorageName::Memory)) => {
                return Err(Invalid::field("memory_only", "contradicts `storage`"));
            }
            (_, Some(StorageName::Memory)) => Some(Storage::Memory),
            (_, Some(StorageName::Hybrid)) => Some(Storage::Hybrid),
            (_, Some(StorageName::Disk)) => Some(Storage::Disk),
        };
        if let Some(seconds) = new.ttl_seconds
            && !(1..=TTL_SECONDS_MAX).contains(&seconds)
        {
            return Err(Invalid::field("ttl_seconds", "1 second to 100 years"));
        }
        Ok(RepositoryOrder {
            id: repo_id("id", &new.id)?,
            description: description(new.description.unwrap_or_default())?,
            default_branch: default_branch(new.default_branch.as_deref().unwrap_or("main"))?,
            storage,
            object_format: match new.object_format {
                Some(FormatName::Sha256) => ObjectFormat::Sha256,
                _ => ObjectFormat::Sha1,
            },
            ttl_seconds: new.ttl_seconds,
        })
    }
}

fn repo_id(field: &str, text: &str) -> Result<RepoId, Invalid> {
    RepoId::parse(text).map_err(|error| match error {
        RepoIdError::Invalid(why) => Invalid::field(field, why),
        RepoIdError::Reserved(_) => Invalid::RepoIdReserved {
            id: text.to_owned(),
            why: error.to_string(),
        },
    })
}

fn description(text: String) -> Result<String, Invalid> {
    if text.len() > DESCRIPTION_BYTES_MAX || text.contains('\0') {
        let why = format!("at most {DESCRIPTION_BYTES_MAX} bytes, without NUL");
        return Err(Invalid::field("description", why));
    }
    Ok(text)
}

fn default_branch(short: &str) -> Result<RefName, Invalid> {
    ref_name(short, refname::check_branch)?;
    Ok(RefName::branch(short))
}

/// The body of `PATCH /repos/{repo}`: what is in it is changed.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PatchRepository {
    /// Its new id.
    #[schemars(extend("format" = "repository-id"))]
    id: Option<String>,
    /// Its new description.
    #[schemars(extend("maxLength" = 4096))]
    description: Option<String>,
    /// Its new default branch, short, which need not exist yet.
    #[schemars(extend("format" = "branch-name"))]
    default_branch: Option<String>,
    /// Settings that are to be changed.
    settings: Option<PatchSettings>,
}

/// What an owner may set, as far as it is to be changed. A quota of `null` is the server's.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PatchSettings {
    deny_non_fast_forwards: Option<bool>,
    deny_deletes: Option<bool>,
    deny_delete_current: Option<bool>,
    atomic_pushes: Option<bool>,
    push_options: Option<bool>,
    fsck_objects: Option<bool>,
    fsck_severities: Option<BTreeMap<String, String>>,
    fsck_skip: Option<Vec<String>>,
    fetch: Option<PatchFetchRules>,
    hide_refs: Option<Vec<String>>,
    hide_refs_from_fetches: Option<Vec<String>>,
    hide_refs_from_pushes: Option<Vec<String>>,
    quotas: Option<PatchQuotas>,
    retention: Option<PatchRetention>,
}

#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PatchQuotas {
    #[serde(default, deserialize_with = "present")]
    bytes: Option<Option<u64>>,
    #[serde(default, deserialize_with = "present")]
    objects: Option<Option<u64>>,
    #[serde(default, deserialize_with = "present")]
    refs: Option<Option<u64>>,
    #[serde(default, deserialize_with = "present")]
    push_bytes: Option<Option<u64>>,
}

#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PatchRetention {
    #[serde(default, deserialize_with = "present")]
    refs_seconds: Option<Option<u64>>,
    #[serde(default, deserialize_with = "present")]
    discarded_realities_seconds: Option<Option<u64>>,
    #[serde(default, deserialize_with = "present")]
    deleted_seconds: Option<Option<u64>>,
}

/// What is to be changed of a repository.
#[derive(Debug, Clone, Default)]
pub struct RepositoryPatch {
    /// Its new id.
    pub id: Option<RepoId>,
    /// Its new description.
    pub description: Option<String>,
    /// The full name of its new default branch.
    pub default_branch: Option<RefName>,
    /// Its new settings.
    pub settings: PatchSettings,
}

impl TryFrom<PatchRepository> for RepositoryPatch {
    type Error = Invalid;

    fn try_from(patch: PatchRepository) -> Result<RepositoryPatch, Invalid> {
        let settings = patch.settings.unwrap_or_default();
        const HIDE_REFS_MAX: usize = 100;
        for (field, hidden) in [
            ("hide_refs", &settings.hide_refs),
            ("hide_refs_from_fetches", &settings.hide_refs_from_fetches),
            ("hide_refs_from_pushes", &settings.hide_refs_from_pushes),
        ] {
            let Some(hidden) = hidden else { continue };
            if hidden.len() > HIDE_REFS_MAX {
                return Err(Invalid::field(
                    format!("settings.{field}"),
                    "at most 100 prefixes",
                ));
            }
            for (number, prefix) in hidden.iter().enumerate() {
                // As git's transfer.hideRefs has them: `!` takes back, `^` means unstripped names.
                let name = prefix.trim_start_matches(['!', '^']).trim_end_matches('/');
                if !name.starts_with("refs") || name.len() > refname::REF_NAME_BYTES_MAX {
                    return Err(Invalid::field(
                        format!("settings.{field}[{number}]"),
                        "the beginning of a full ref name, refs/…",
                    ));
                }
            }
        }
        settings.check_severities()?;
        settings.check_skip()?;
        if let Some(fetch) = &settings.fetch {
            fetch.check()?;
        }
        Ok(RepositoryPatch {
            id: patch.id.map(|text| repo_id("id", &text)).transpose()?,
            description: patch.description.map(description).transpose()?,
            default_branch: patch
                .default_branch
                .as_deref()
                .map(default_branch)
                .transpose()?,
            settings,
        })
    }
}

impl RepositoryPatch {
    /// Changes `record` as far as it is in the record; the default branch is a ref.
    pub fn apply(&self, record: &mut RepositoryRecord) {
        if let Some(id) = &self.id {
            record.id = id.clone();
        }
        if let Some(description) = &self.description {
            record.description.clone_from(description);
        }
        self.settings.apply(&mut record.settings);
    }
}

impl PatchSettings {
    fn check_severities(&self) -> Result<(), Invalid> {
        const FINDINGS_MAX: usize = 200;
        let severities = self.fsck_severities.iter().flatten();
        for (number, (finding, severity)) in severities.enumerate() {
            let field = || format!("settings.fsck_severities.{finding}");
            let sound = (1..=64).contains(&finding.len())
                && finding.bytes().all(|byte| byte.is_ascii_alphanumeric());
            if !sound || number >= FINDINGS_MAX {
                return Err(Invalid::field(
                    "settings.fsck_severities",
                    "names as in git's receive.fsck.<msg-id>, at most 200",
                ));
            }
            if FsckSeverity::from_name(severity).is_none() {
                return Err(Invalid::field(field(), "\"ignore\", \"warn\" or \"error\""));
            }
            if check::is_fatal(&finding.to_ascii_lowercase()) && severity != "error" {
                return Err(Invalid::field(field(), "is always an error"));
            }
        }
        Ok(())
    }

    fn check_skip(&self) -> Result<(), Invalid> {
        const IDS_MAX: usize = 10_000;
        let ids = self.fsck_skip.iter().flatten();
        for (number, id) in ids.enumerate() {
            if number >= IDS_MAX || ObjectId::from_hex(id.as_bytes()).is_err() {
                let why = "full object ids, at most 10,000";
                return Err(Invalid::field("settings.fsck_skip", why));
            }
        }
        Ok(())
    }

    fn apply(&self, settings: &mut Settings) {
        let set = |place: &mut bool, value: Option<bool>| {
            if let Some(value) = value {
                *place = value;
            }
        };
        set(
            &mut settings.deny_non_fast_forwards,
            self.deny_non_fast_forwards,
        );
        set(&mut settings.deny_deletes, self.deny_deletes);
        set(&mut settings.deny_delete_current, self.deny_delete_current);
        set(&mut settings.atomic_pushes, self.atomic_pushes);
        set(&mut settings.push_options, self.push_options);
        set(&mut settings.fsck_objects, self.fsck_objects);
        if let Some(ids) = &self.fsck_skip {
            let ids = ids.iter();
            let ids = ids.filter_map(|id| ObjectId::from_hex(id.as_bytes()).ok());
            settings.fsck_skip = ids.collect();
        }
        if let Some(fetch) = &self.fetch {
            fetch.apply(&mut settings.fetch);
        }
        if let Some(severities) = &self.fsck_severities {
            let severities = severities.iter().filter_map(|(finding, severity)| {
                Some((
                    finding.to_ascii_lowercase(),
                    FsckSeverity::from_name(severity)?,
                ))
            });
            settings.fsck_severities = severities.collect();
        }
        for (place, hidden) in [
            (&mut settings.hide_refs, &self.hide_refs),
            (
                &mut settings.hide_refs_from_fetches,
                &self.hide_refs_from_fetches,
            ),
            (
                &mut settings.hide_refs_from_pushes,
                &self.hide_refs_from_pushes,
            ),
        ] {
            if let Some(hidden) = hidden {
                place.clone_from(hidden);
            }
        }
        if let Some(quotas) = &self.quotas {
            let Quotas {
                bytes,
                objects,
                refs,
                push_bytes,
            } = &mut settings.quotas;
            *bytes = quotas.bytes.unwrap_or(*bytes);
            *objects = quotas.objects.unwrap_or(*objects);
            *refs = quotas.refs.unwrap_or(*refs);
            *push_bytes = quotas.push_bytes.unwrap_or(*push_bytes);
        }
        if let Some(retention) = &self.retention {
            let Retention {
                refs_seconds,
                discarded_realities_seconds,
                deleted_seconds,
            } = &mut settings.retention;
            for (place, given) in [
                (refs_seconds, retention.refs_seconds),
                (
                    discarded_realities_seconds,
                    retention.discarded_realities_seconds,
                ),
                (deleted_seconds, retention.deleted_seconds),
            ] {
                *place = given.unwrap_or(*place);
            }
        }
    }
}

/// The body of `POST /repos/{repo}/restore`; it may be missing.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Restore {
    /// Another id than it had.
    #[schemars(extend("format" = "repository-id"))]
    r#as: Option<String>,
}

impl Restore {
    /// The id under which it is to come back, if another.
    ///
    /// # Errors
    /// [`Invalid`] when it is none.
    pub fn id(&self) -> Result<Option<RepoId>, Invalid> {
        self.r#as
            .as_deref()
            .map(|text| repo_id("as", text))
            .transpose()
    }
}

/// The body of `POST /repos/{repo}/fork`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fork {
    /// The id of the fork.
    #[schemars(extend("format" = "repository-id"))]
    id: String,
    /// The moment that is copied; now, where it is absent.
    at: Option<At>,
}

/// A moment in a body: a number is a change's, a text is a time.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "the number of a change, or a time as of RFC 3339"
)]
pub enum At {
    /// The number of a change.
    Seq(u64),
    /// A time, or a date.
    #[schemars(extend("format" = "moment"))]
    Time(String),
}

impl At {
    /// The moment.
    ///
    /// # Errors
    /// [`Invalid::Field`] when the text is no time.
    pub fn moment(&self, field: &str) -> Result<Moment, Invalid> {
        match self {
            At::Seq(seq) => Ok(Moment::Seq(*seq)),
            At::Time(text) => rfc3339::parse_day(text)
                .or_else(|| rfc3339::parse(text).map(rfc3339::Moment::time))
                .map(Moment::Time)
                .ok_or_else(|| {
                    Invalid::field(
                        field,
                        "the number of a change, a time as of RFC 3339, or a date",
                    )
                }),
        }
    }
}

impl std::fmt::Display for At {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            At::Seq(seq) => seq.fmt(f),
            At::Time(text) => text.fmt(f),
        }
    }
}

/// A fork that was asked for.
#[derive(Debug)]
pub struct ForkOrder {
    /// Its id.
    pub id: RepoId,
    /// The moment that it copies, and how that was said; `None`: now.
    pub at: Option<(Moment, String)>,
}

impl TryFrom<Fork> for ForkOrder {
    type Error = Invalid;

    fn try_from(fork: Fork) -> Result<ForkOrder, Invalid> {
        Ok(ForkOrder {
            id: repo_id("id", &fork.id)?,
            at: fork
                .at
                .map(|at| Ok((at.moment("at")?, at.to_string())))
                .transpose()?,
        })
    }
}
