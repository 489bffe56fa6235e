//! What one route takes and answers.

use govc_api::page::PageOf;
use http::StatusCode;
use schemars::JsonSchema;
use serde_json::{Value, json};

use super::{SchemaOf, schema_of};

/// One operation of the API: what it does, takes and answers.
pub struct Operation {
    pub(super) summary: &'static str,
    pub(super) parameters: Vec<Parameter>,
    pub(super) body: Option<Body>,
    pub(super) answers: Vec<Answer>,
    /// The codes of the problems that it answers with.
    pub(super) codes: Vec<&'static str>,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Answers anybody.
    Opens,
    Reads,
    Writes,
    /// Neither: nothing to rehearse, and nothing to keep.
    Asks,
}

/// Where a parameter is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum In {
    Path,
    Query,
    Header,
}

/// Something beside the body that a request says.
pub(super) struct Parameter {
    pub(super) name: &'static str,
    pub(super) place: In,
    pub(super) says: &'static str,
    pub(super) schema: Value,
    pub(super) required: bool,
    pub(super) example: Option<Value>,
}

/// The body of a request.
pub(super) struct Body {
    pub(super) schema: SchemaOf,
    pub(super) required: bool,
    pub(super) example: Option<Value>,
}

/// An answer.
pub(super) struct Answer {
    pub(super) status: &'static str,
    pub(super) says: &'static str,
    /// Media types, each with the schema of what has it.
    pub(super) content: Vec<(&'static str, Content)>,
    /// Headers, by what the components call them.
    pub(super) headers: Vec<&'static str>,
}

pub(super) enum Content {
    Of(SchemaOf),
    Json(Value),
}

const JSON: &str = "application/json";
/// What can be wrong with a body.
const BODY: &[&str] = &[
    "BODY_INVALID",
    "TOO_LARGE",
    "MEDIA_TYPE_UNSUPPORTED",
    "TIMED_OUT",
];

/// A read of a repository.
pub fn reads(summary: &'static str) -> Operation {
    reads_node(summary).waits()
}

/// A read of what is in no repository.
pub fn reads_node(summary: &'static str) -> Operation {
    Operation::new(summary, Kind::Reads)
        .parameter(In::Header, "If-None-Match", "ETags that are known.", text())
        .status("304", "It is as the request knows it.")
}

/// A write: every one can be rehearsed, and done once.
pub fn writes(summary: &'static str) -> Operation {
    Operation::new(summary, Kind::Writes)
        .parameter(
            In::Query,
            "dry_run",
            "Answer as if, and change nothing.",
            flag(),
        )
        .parameter(In::Header, "Idempotency-Key", IDEMPOTENCY, key())
        .fails(&[
            "IDEMPOTENCY_KEY_REUSED",
            "BODY_INVALID",
            "TOO_LARGE",
            "TIMED_OUT",
        ])
        .fails(&["QUOTA_EXCEEDED", "HOOK_REFUSED", "HOOK_UNREACHABLE"])
        .fails(&["OUT_OF_SPACE", "OUTCOME_UNKNOWN"])
}

/// What changes nothing here and is asked by POST.
pub fn asks(summary: &'static str) -> Operation {
    Operation::new(summary, Kind::Asks)
}

/// What answers anybody.
pub fn opens(summary: &'static str) -> Operation {
    Operation::new(summary, Kind::Opens)
}

/// A stream of events.
pub fn streams(summary: &'static str) -> Operation {
    let events = ("text/event-stream", Content::Json(text()));
    Operation::new(summary, Kind::Asks)
        .parameter(
            In::Header,
            "Last-Event-ID",
            "Resume after this event.",
            text(),
        )
        .parameter(
            In::Query,
            "types",
            "Types of events, or the parts before their dots, with commas between them.",
            text(),
        )
        .fails(&["HISTORY_EXPIRED"])
        .with(Answer {
            status: "200",
            says: "Events as they happen.",
            content: vec![events],
            headers: Vec::new(),
        })
}

const SEQ_TO_WAIT_FOR: &str = "Wait until the repository has this number, for at most 10 s.";
const IF_MATCH: &str = "What the ref that is moved points at, as an ETag.";
const IF_NONE_MATCH: &str = "`*`: the ref that is moved must not exist yet.";
const IDEMPOTENCY: &str = "The same key, for the same request, gives the same answer for 24 hours.";
const REVISION: &str = "A revision, as gitrevisions(7) has it; HEAD without it.";

fn text() -> Value {
    json!({ "type": "string" })
}

/// Text of a format. Those that are not in JSON Schema's list are ours: `repository-id`,
/// `ref-name`, `full-ref-name`, `branch-name`, `revision`, `file-path`, `moment` and more: what
/// they take is in the words beside them.
fn text_as(format: &str) -> Value {
    json!({ "type": "string", "format": format })
}

fn flag() -> Value {
    json!({ "type": "boolean" })
}

fn number(least: u64) -> Value {
    json!({ "type": "integer", "format": "uint64", "minimum": least, "maximum": u64::MAX })
}

fn key() -> Value {
    json!({ "type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$" })
}

impl Operation {
    fn new(summary: &'static str, kind: Kind) -> Operation {
        let operation = Operation {
            summary,
            parameters: Vec::new(),
            body: None,
            answers: Vec::new(),
            codes: Vec::new(),
            kind,
        };
        let operation = operation.fails(&["HOST_NOT_SERVED", "HEAD_TOO_LARGE"]);
        if kind == Kind::Opens {
            return operation;
        }
        operation.fails(&["QUERY_INVALID", "UNAUTHENTICATED", "UNAVAILABLE"])
    }

    /// It can wait for a change.
    #[must_use]
    pub fn waits(self) -> Operation {
        self.parameter(In::Header, "Govc-Min-Seq", SEQ_TO_WAIT_FOR, number(0))
            .fails(&["SEQ_NOT_REACHED"])
    }

    /// It may answer with problems of these codes.
    ///
    /// # Panics
    /// When `openapi/codes.rs` does not have one of them.
    #[must_use]
    pub fn fails(mut self, codes: &[&'static str]) -> Operation {
        for code in codes {
            debug_assert!(super::codes::is_known(code), "{code} is in no table");
            if !self.codes.contains(code) {
                self.codes.push(code);
            }
        }
        self
    }

    /// It may answer that the server does not serve now.
    #[must_use]
    pub fn unavailable(self) -> Operation {
        self.fails(&["UNAVAILABLE"])
    }

    pub(super) fn is_open(&self) -> bool {
        self.kind == Kind::Opens
    }

    pub(super) fn is_write(&self) -> bool {
        self.kind == Kind::Writes
    }

    pub(super) fn is_read(&self) -> bool {
        self.kind == Kind::Reads
    }

    /// Which state is read: `ref`, `at`.
    #[must_use]
    pub fn of_revision(self) -> Operation {
        self.revision("ref", REVISION).of_moment()
    }

    /// Of which moment the state is that is read.
    #[must_use]
    pub fn of_moment(self) -> Operation {
        self.parameter(
            In::Query,
            "at",
            "The state after the change of this number, or at this time.",
            text_as("moment"),
        )
        .at_moment()
        .scoped()
    }

    /// The state may be one that is not there, or not any more.
    #[must_use]
    pub fn at_moment(self) -> Operation {
        self.fails(&["SEQ_NOT_FOUND", "HISTORY_EXPIRED"])
    }

    /// Inside a workspace, a reality or a transaction.
    #[must_use]
    pub fn scoped(self) -> Operation {
        self.parameter(
            In::Query,
            "workspace",
            "As it is in this workspace.",
            text_as("workspace-name"),
        )
        .parameter(
            In::Query,
            "transaction",
            "As it is in this transaction.",
            text_as("transaction-id"),
        )
        .fails(&["WORKSPACE_NOT_FOUND", "TRANSACTION_NOT_FOUND"])
        .fails(&["TRANSACTION_EXPIRED", "TRANSACTION_OVER"])
        .in_reality()
    }

    /// In a reality of the repository, where one is named.
    #[must_use]
    pub fn in_reality(self) -> Operation {
        let operation = self
            .parameter(
                In::Query,
                "reality",
                "In this reality.",
                text_as("reality-name"),
            )
            .fails(&["REALITY_NOT_FOUND", "REALITY_DISCARDED"]);
        match operation.kind {
            Kind::Writes => operation.fails(&["REALITY_CLOSED"]),
            _ => operation,
        }
    }

    /// In a workspace: the default one where none is named.
    #[must_use]
    pub fn in_workspace(self) -> Operation {
        self.parameter(
            In::Query,
            "workspace",
            "In this workspace; `default` without it.",
            text_as("workspace-name"),
        )
        .fails(&["WORKSPACE_NOT_FOUND"])
        .in_reality()
    }

    /// A write that moves a ref: what that is believed to point at can be said.
    #[must_use]
    pub fn moves_ref(self) -> Operation {
        let absent = json!({ "type": "string", "const": "*" });
        self.parameter(In::Header, "If-Match", IF_MATCH, text_as("entity-tags"))
            .parameter(In::Header, "If-None-Match", IF_NONE_MATCH, absent)
            .may_miss_ref()
    }

    /// A write that may meet a ref that is not as it was believed, or may not be as it asks.
    #[must_use]
    pub fn may_miss_ref(self) -> Operation {
        self.fails(&[
            "REF_MOVED",
            "REF_CONFLICT",
            "NOT_FAST_FORWARD",
            "DELETE_DENIED",
        ])
    }

    /// A write that makes commits, with people and files that are sent.
    #[must_use]
    pub fn makes_commit(self) -> Operation {
        self.may_miss_ref()
            .fails(&["REF_INVALID", "REF_NOT_FOUND", "NOTHING_TO_COMMIT"])
            .fails(&["PATH_INVALID", "PATH_NOT_FOUND", "PATH_CONFLICT"])
            .fails(&["EDIT_NOT_FOUND", "MERGE_CONFLICT", "FILE_REFUSED"])
            .fails(&["MODE_INVALID", "OBJECT_NOT_FOUND", "COLLISION"])
    }

    /// A write in the files of a workspace or transaction.
    #[must_use]
    pub fn stages(self) -> Operation {
        self.fails(&[
            "PATH_INVALID",
            "PATH_NOT_FOUND",
            "PATH_CONFLICT",
            "PATH_IGNORED",
        ])
        .fails(&[
            "MODE_INVALID",
            "OBJECT_NOT_FOUND",
            "WORKSPACE_DIRTY",
            "COLLISION",
        ])
        .fails(&["FILE_REFUSED"])
    }

    /// A write that brings together what was made apart.
    #[must_use]
    pub fn merges(self) -> Operation {
        self.moves_ref()
            .resolves()
            .fails(&[
                "MERGE_CONFLICT",
                "MERGE_TOO_EXPENSIVE",
                "UNRELATED_HISTORIES",
            ])
            .fails(&["BRANCH_UNBORN", "MAINLINE_INVALID", "NOTHING_TO_COMMIT"])
            .fails(&["TOO_MANY_COMMITS", "WORKSPACE_REQUIRED", "COLLISION"])
    }

    /// A write that may leave conflicts in a workspace.
    #[must_use]
    pub fn stops(self) -> Operation {
        self.stages().fails(&[
            "WORKSPACE_NOT_FOUND",
            "OPERATION_IN_PROGRESS",
            "NO_COMMIT_YET",
            "AUTOSQUASH_NOT_KEPT",
            "WORKSPACE_ELSEWHERE",
        ])
    }

    /// It is about the hook in the path.
    #[must_use]
    pub fn of_hook(self) -> Operation {
        self.path("id", "What names the hook.", ("hook-id", "hook"))
            .fails(&["HOOK_NOT_FOUND"])
    }

    /// It is about the stash in the path.
    #[must_use]
    pub fn of_stash(self) -> Operation {
        self.path(
            "id",
            "What names the stash: its commit.",
            ("stash-id", "stash"),
        )
        .fails(&["STASH_NOT_FOUND", "REF_INVALID"])
    }

    /// It is about the transaction in the path.
    #[must_use]
    pub fn of_transaction(self) -> Operation {
        self.path(
            "id",
            "What names the transaction.",
            ("transaction-id", "transaction"),
        )
        .fails(&[
            "TRANSACTION_NOT_FOUND",
            "TRANSACTION_EXPIRED",
            "TRANSACTION_OVER",
        ])
    }

    /// It is about the reality in the path.
    #[must_use]
    pub fn of_reality(self) -> Operation {
        let operation = self
            .path("reality", "Its name.", ("reality-name", "open"))
            .fails(&["REALITY_NOT_FOUND", "REALITY_DISCARDED"]);
        match operation.kind {
            Kind::Writes => operation.fails(&["REALITY_CLOSED"]),
            _ => operation,
        }
    }

    /// A revision in the query.
    #[must_use]
    pub fn revision(self, name: &'static str, says: &'static str) -> Operation {
        self.parameter(In::Query, name, says, text_as("revision"))
            .resolves()
    }

    /// It takes revisions, which may be none.
    #[must_use]
    pub fn resolves(self) -> Operation {
        self.fails(&[
            "REF_INVALID",
            "REF_NOT_FOUND",
            "REF_AMBIGUOUS",
            "REF_WRONG_KIND",
        ])
    }

    /// A text of a format in the query.
    #[must_use]
    pub fn text_as(self, name: &'static str, says: &'static str, format: &str) -> Operation {
        self.parameter(In::Query, name, says, text_as(format))
    }

    /// One of some words in the query.
    #[must_use]
    pub fn one_of(self, name: &'static str, says: &'static str, words: &[&str]) -> Operation {
        let schema = json!({ "type": "string", "enum": words });
        self.parameter(In::Query, name, says, schema)
    }

    /// A text in the query that says something.
    #[must_use]
    pub fn some_text(self, name: &'static str, says: &'static str) -> Operation {
        let schema = json!({ "type": "string", "minLength": 1 });
        self.parameter(In::Query, name, says, schema)
    }

    /// A text in the query.
    #[must_use]
    pub fn text(self, name: &'static str, says: &'static str) -> Operation {
        self.parameter(In::Query, name, says, text())
    }

    /// The parameter that was named last has to be there; `example` is one that has an answer.
    #[must_use]
    pub fn required(mut self, example: &str) -> Operation {
        if let Some(last) = self.parameters.last_mut() {
            last.required = true;
            last.example = Some(json!(example));
        }
        self
    }

    /// True or false in the query.
    #[must_use]
    pub fn flag(self, name: &'static str, says: &'static str) -> Operation {
        self.parameter(In::Query, name, says, flag())
    }

    /// A whole number in the query.
    #[must_use]
    pub fn number(self, name: &'static str, says: &'static str) -> Operation {
        self.parameter(In::Query, name, says, number(0))
    }

    /// A whole number in the query, of lines.
    #[must_use]
    pub fn lines(self, name: &'static str, says: &'static str) -> Operation {
        let schema = json!({ "type": "integer", "minimum": 0, "maximum": u32::MAX });
        self.parameter(In::Query, name, says, schema)
    }

    /// A whole number in the query that counts from 1.
    #[must_use]
    pub fn number_from_1(self, name: &'static str, says: &'static str) -> Operation {
        self.parameter(In::Query, name, says, number(1))
    }

    /// How many items are given at most.
    #[must_use]
    pub fn limit(self, says: &'static str) -> Operation {
        let schema = json!({ "type": "integer", "minimum": 1, "maximum": 1000 });
        self.parameter(In::Query, "limit", says, schema)
    }

    /// What a parameter of the path is, of which format, and one that is in the example repository.
    #[must_use]
    pub fn path(
        mut self,
        name: &'static str,
        says: &'static str,
        (format, example): (&str, &str),
    ) -> Operation {
        let mut schema = json!({ "type": "string", "minLength": 1 });
        if !format.is_empty() {
            schema["format"] = json!(format);
        }
        self.parameters.push(Parameter {
            name,
            place: In::Path,
            says,
            schema,
            required: true,
            example: Some(json!(example)),
        });
        match format {
            "file-path" => self.fails(&["PATH_INVALID", "PATH_NOT_FOUND"]),
            "revision" => self.resolves(),
            "ref-name" | "branch-name" => self.fails(&["REF_INVALID", "REF_NOT_FOUND"]),
            "moment" => self.at_moment(),
            _ => self,
        }
    }

    fn parameter(
        mut self,
        place: In,
        name: &'static str,
        says: &'static str,
        schema: Value,
    ) -> Operation {
        self.parameters.push(Parameter {
            name,
            place,
            says,
            schema,
            required: false,
            example: None,
        });
        self
    }

    /// The body is a `T`; `example` is one that the example repository takes.
    #[must_use]
    pub fn takes<T: JsonSchema>(mut self, example: Value) -> Operation {
        self.body = Some(Body {
            schema: schema_of::<T>(),
            required: true,
            example: Some(example),
        });
        self.fails(BODY)
    }

    /// The body is a `T`, or there is none.
    #[must_use]
    pub fn may_take<T: JsonSchema>(mut self) -> Operation {
        self.body = Some(Body {
            schema: schema_of::<T>(),
            required: false,
            example: None,
        });
        self.fails(BODY)
    }

    /// The answer is a `T`.
    #[must_use]
    pub fn gives<T: JsonSchema>(self, status: StatusCode, says: &'static str) -> Operation {
        self.content(status, says, JSON, Content::Of(schema_of::<T>()))
    }

    /// The answer is a page of `T`.
    #[must_use]
    pub fn gives_page<T: JsonSchema>(self, says: &'static str) -> Operation {
        self.limit("How many items at most; 50 without it.")
            .text_as("cursor", "The `next_cursor` of the page before.", "cursor")
            .gives::<PageOf<T>>(StatusCode::OK, says)
            .with_header("Link")
    }

    /// The answer has no body.
    #[must_use]
    pub fn gives_nothing(self, says: &'static str) -> Operation {
        self.status("204", says)
    }

    /// The answer is bytes of a media type.
    #[must_use]
    pub fn gives_bytes(self, media_type: &'static str, says: &'static str) -> Operation {
        self.content(StatusCode::OK, says, media_type, Content::Json(json!({})))
    }

    /// A part of the bytes, where a range was asked for.
    #[must_use]
    pub fn gives_ranges(self) -> Operation {
        self.parameter(In::Header, "Range", "Which bytes.", text())
            .content(
                StatusCode::PARTIAL_CONTENT,
                "The bytes that were asked for.",
                "application/octet-stream",
                Content::Json(json!({})),
            )
            .fails(&["RANGE_NOT_SATISFIABLE"])
    }

    fn content(
        mut self,
        status: StatusCode,
        says: &'static str,
        media_type: &'static str,
        content: Content,
    ) -> Operation {
        let status = status_text(status);
        match self.answers.iter_mut().find(|one| one.status == status) {
            Some(known) => known.content.push((media_type, content)),
            None => self.answers.push(Answer {
                status,
                says,
                content: vec![(media_type, content)],
                headers: Vec::new(),
            }),
        }
        self
    }

    fn status(self, status: &'static str, says: &'static str) -> Operation {
        self.with(Answer {
            status,
            says,
            content: Vec::new(),
            headers: Vec::new(),
        })
    }

    fn with(mut self, answer: Answer) -> Operation {
        self.answers.push(answer);
        self
    }

    /// Successful answers have this header.
    #[must_use]
    pub fn with_header(mut self, name: &'static str) -> Operation {
        for answer in &mut self.answers {
            if answer.status.starts_with('2') {
                answer.headers.push(name);
            }
        }
        self
    }
}

/// The statuses that operations are described with.
fn status_text(status: StatusCode) -> &'static str {
    match status {
        StatusCode::CREATED => "201",
        StatusCode::ACCEPTED => "202",
        StatusCode::PARTIAL_CONTENT => "206",
        _ => "200",
    }
}
