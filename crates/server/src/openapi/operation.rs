//! What one route takes and answers.

use govc_api::page::PageOf;
use govc_api::problem::Problem;
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
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Answers anybody.
    Opens,
    Reads,
    Writes,
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
}

pub(super) enum Content {
    Of(SchemaOf),
    Json(Value),
}

const JSON: &str = "application/json";

/// A read of a repository or of several.
pub fn reads(summary: &'static str) -> Operation {
    Operation::new(summary, Kind::Reads)
        .parameter(In::Header, "Govc-Min-Seq", SEQ_TO_WAIT_FOR, number(0))
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
        .parameter(In::Header, "If-Match", IF_MATCH, text())
        .parameter(In::Header, "Idempotency-Key", IDEMPOTENCY, key())
}

/// What answers anybody.
pub fn opens(summary: &'static str) -> Operation {
    Operation::new(summary, Kind::Opens)
}

/// A stream of events.
pub fn streams(summary: &'static str) -> Operation {
    let events = ("text/event-stream", Content::Json(text()));
    Operation::new(summary, Kind::Reads)
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
        .with(Answer {
            status: "200",
            says: "Events as they happen.",
            content: vec![events],
        })
}

const SEQ_TO_WAIT_FOR: &str = "Wait until the repository has this number, for at most 10 s.";
const IF_MATCH: &str = "What the ref that is moved points at, as an ETag.";
const IDEMPOTENCY: &str = "The same key, for the same request, gives the same answer for 24 hours.";

fn text() -> Value {
    json!({ "type": "string" })
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
            kind,
        };
        if kind == Kind::Opens {
            return operation;
        }
        operation
            .problem("4XX", "The request cannot be done; the problem says why.")
            .problem("503", "Not now; `Retry-After` says when to try again.")
            .problem("507", "There is no room.")
    }

    /// It may answer that the server does not serve now.
    #[must_use]
    pub fn unavailable(self) -> Operation {
        self.problem("503", "Not now.")
    }

    pub(super) fn is_open(&self) -> bool {
        self.kind == Kind::Opens
    }

    /// Which state is read: `ref`, `at`.
    #[must_use]
    pub fn of_revision(self) -> Operation {
        self.text(
            "ref",
            "A revision, as gitrevisions(7) has it; HEAD without it.",
        )
        .of_moment()
    }

    /// Of which moment the state is that is read.
    #[must_use]
    pub fn of_moment(self) -> Operation {
        self.text(
            "at",
            "The state after the change of this number, or at this time.",
        )
        .scoped()
    }

    /// Inside a workspace, a reality or a transaction.
    #[must_use]
    pub fn scoped(self) -> Operation {
        self.text("workspace", "Inside this workspace.")
            .text("reality", "Inside this reality.")
            .text("transaction", "Inside this transaction.")
    }

    /// A text in the query.
    #[must_use]
    pub fn text(self, name: &'static str, says: &'static str) -> Operation {
        self.parameter(In::Query, name, says, text())
    }

    /// A text in the query, without which there is no answer.
    #[must_use]
    pub fn needs_text(self, name: &'static str, says: &'static str, example: &str) -> Operation {
        let mut operation = self.text(name, says);
        if let Some(last) = operation.parameters.last_mut() {
            last.required = true;
            last.example = Some(json!(example));
        }
        operation
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

    /// What a parameter of the path is, and one that is in the example repository.
    #[must_use]
    pub fn path(mut self, name: &'static str, says: &'static str, example: &str) -> Operation {
        self.parameters.push(Parameter {
            name,
            place: In::Path,
            says,
            schema: json!({ "type": "string", "minLength": 1 }),
            required: true,
            example: Some(json!(example)),
        });
        self
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
        self
    }

    /// The body is a `T`, or there is none.
    #[must_use]
    pub fn may_take<T: JsonSchema>(mut self) -> Operation {
        self.body = Some(Body {
            schema: schema_of::<T>(),
            required: false,
            example: None,
        });
        self
    }

    /// The answer is a `T`.
    #[must_use]
    pub fn gives<T: JsonSchema>(self, status: StatusCode, says: &'static str) -> Operation {
        self.content(status, says, JSON, Content::Of(schema_of::<T>()))
    }

    /// The answer is a page of `T`.
    #[must_use]
    pub fn gives_page<T: JsonSchema>(self, says: &'static str) -> Operation {
        self.parameter(
            In::Query,
            "limit",
            "How many items at most; 50 without it.",
            json!({ "type": "integer", "minimum": 1, "maximum": 1000 }),
        )
        .text("cursor", "The `next_cursor` of the page before.")
        .gives::<PageOf<T>>(StatusCode::OK, says)
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
            .status("206", "The bytes that were asked for.")
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
            }),
        }
        self
    }

    fn problem(self, status: &'static str, says: &'static str) -> Operation {
        let problem = Content::Of(schema_of::<Problem>());
        self.with(Answer {
            status,
            says,
            content: vec![("application/problem+json", problem)],
        })
    }

    fn status(self, status: &'static str, says: &'static str) -> Operation {
        self.with(Answer {
            status,
            says,
            content: Vec::new(),
        })
    }

    fn with(mut self, answer: Answer) -> Operation {
        self.answers.push(answer);
        self
    }
}

/// The statuses that operations are described with.
fn status_text(status: StatusCode) -> &'static str {
    match status {
        StatusCode::CREATED => "201",
        StatusCode::ACCEPTED => "202",
        _ => "200",
    }
}
