//! The document.

use govc_api::problem::Problem;
use http::Method;
use schemars::SchemaGenerator;
use serde_json::{Map, Value, json};

use super::names::operation_id;
use super::operation::{Answer, Body, Content, In, Operation, Parameter};
use super::{codes, headers, links};

/// An OpenAPI document that is being written.
pub(super) struct Document {
    paths: Map<String, Value>,
    /// Of what is taken: what may be absent is not required.
    taken: SchemaGenerator,
    /// Of what is given: what is always there is required, and may be `null`.
    given: SchemaGenerator,
}

const ABOUT: &str = "Git at memory speed: repositories by REST, and by Git itself. Every write \
     can be rehearsed (`dry_run`) and repeated (`Idempotency-Key`), and answers the number of its \
     change (`Govc-Seq`), which reads can wait for (`Govc-Min-Seq`). Errors are problem documents \
     (RFC 9457) with a stable `code`.";

impl Document {
    pub(super) fn new() -> Document {
        Document {
            paths: Map::new(),
            taken: super::settings().into_generator(),
            given: super::settings().for_serialize().into_generator(),
        }
    }

    pub(super) fn add(&mut self, method: &Method, path: &str, operation: Operation) {
        let id = operation_id(method, path);
        let security = operation.is_open().then(|| json!([]));
        let parameters = self.parameters(path, &operation.parameters);
        let mut answers = self.answers(&id, path, &operation);
        let mut written = json!({
            "tags": [tag(path)],
            "operationId": id,
            "summary": operation.summary,
            "parameters": parameters,
        });
        if let Some(body) = operation.body {
            written["requestBody"] = self.body(body);
        }
        answers.sort_keys();
        written["responses"] = Value::Object(answers);
        if let Some(security) = security {
            written["security"] = security;
        }
        let method = method.as_str().to_ascii_lowercase();
        let entry = self.paths.entry(path).or_insert_with(|| json!({}));
        entry[method] = written;
    }

    /// What an operation answers: what it says itself, and the problems that it may have.
    fn answers(&mut self, id: &str, path: &str, operation: &Operation) -> Map<String, Value> {
        let in_repository = path.contains("{repo}");
        let mut answers = Map::new();
        for answer in &operation.answers {
            let success = answer.status.starts_with('2');
            let mut headers = answer.headers.clone();
            if operation.is_read() {
                headers.push("ETag");
            }
            if operation.is_write() && success {
                // What is about many repositories says in its body which number is whose.
                if id != "change_many_repos" {
                    headers.push("Govc-Seq");
                }
                headers.extend(["Govc-Dry-Run", "Idempotency-Replayed"]);
            }
            if operation.is_read() && in_repository {
                headers.extend(["Govc-Seq", "Govc-Head"]);
            }
            match answer.status {
                "201" => headers.push("Location"),
                "206" => headers.push("Content-Range"),
                _ => {}
            }
            let mut written = self.answer(answer);
            if !headers.is_empty() {
                written["headers"] = headers::refer(&headers);
            }
            if success && let Some(links) = links::of(id) {
                written["links"] = links;
            }
            answers.insert(answer.status.to_owned(), written);
        }
        let mut codes = operation.codes.clone();
        if in_repository {
            codes.push("REPO_NOT_FOUND");
        }
        for (status, codes) in codes::by_status(&codes) {
            let answer = self.problem(status, &codes);
            answers.insert(status.to_string(), answer);
        }
        answers
    }

    /// An answer that is a problem of one of `codes`.
    fn problem(&mut self, status: u16, codes: &[(&str, &str)]) -> Value {
        let lines = codes
            .iter()
            .map(|(code, says)| format!("`{code}`: {says}."));
        let names: Vec<&str> = codes.iter().map(|(code, _)| *code).collect();
        let schema = self.given.subschema_for::<Problem>();
        let mut written = json!({
            "description": lines.collect::<Vec<_>>().join("\n\n"),
            "content": { "application/problem+json": { "schema": schema } },
            // Programs decide by these.
            "x-codes": names,
        });
        let headers: &[&str] = match status {
            401 => &["WWW-Authenticate"],
            416 => &["Content-Range"],
            503 => &["Retry-After"],
            _ => &[],
        };
        if !headers.is_empty() {
            written["headers"] = headers::refer(headers);
        }
        written
    }

    fn parameters(&self, path: &str, said: &[Parameter]) -> Vec<Value> {
        let in_path = |parameter: &&Parameter| parameter.place == In::Path;
        let known: Vec<&str> = said.iter().filter(in_path).map(|one| one.name).collect();
        let unsaid = braces(path).filter(|name| !known.contains(name));
        let unsaid = unsaid.map(|name| {
            let (says, example) = match name {
                "repo" => ("The repository's id, its slashes as `%2F`.", "hello"),
                _ => ("", name),
            };
            let mut schema = json!({ "type": "string", "minLength": 1 });
            if name == "repo" {
                schema["format"] = json!("repository-id");
            }
            json!({
                "name": name, "in": "path", "required": true, "description": says,
                "schema": schema, "example": example,
            })
        });
        unsaid.chain(said.iter().map(parameter)).collect()
    }

    fn body(&mut self, body: Body) -> Value {
        let schema = (body.schema)(&mut self.taken);
        let mut content = json!({ "schema": schema });
        if let Some(example) = body.example {
            content["example"] = example;
        }
        json!({ "required": body.required, "content": { "application/json": content } })
    }

    fn answer(&mut self, answer: &Answer) -> Value {
        let mut written = json!({ "description": answer.says });
        for (media_type, content) in &answer.content {
            let schema = match content {
                Content::Of(schema) => schema(&mut self.given).to_value(),
                Content::Json(schema) => schema.clone(),
            };
            written["content"][*media_type] = json!({ "schema": schema });
        }
        written
    }

    pub(super) fn finish(mut self) -> String {
        let mut schemas = self.given.take_definitions(true);
        for (name, schema) in self.taken.take_definitions(true) {
            let other = schemas.insert(name.clone(), schema.clone());
            debug_assert!(
                other.is_none_or(|other| other == schema),
                "{name} is not the same in requests and answers"
            );
        }
        schemas.sort_keys();
        let document = json!({
            "openapi": "3.1.0",
            "info": {
                "title": "govc",
                "version": env!("CARGO_PKG_VERSION"),
                "description": ABOUT,
                "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
            },
            "servers": [{ "url": "/" }],
            "security": [{ "token": [] }, { "password": [] }, {}],
            "paths": self.paths,
            "components": {
                "securitySchemes": {
                    "token": {
                        "type": "http", "scheme": "bearer",
                        "description": "`auth.token` of the server's configuration.",
                    },
                    "password": {
                        "type": "http", "scheme": "basic",
                        "description": "The token as the password, of whatever name: as Git sends it.",
                    },
                },
                "headers": headers::components(),
                "schemas": schemas,
            },
        });
        let mut text = serde_json::to_string_pretty(&document).unwrap_or_default();
        text.push('\n');
        text
    }
}

fn parameter(parameter: &Parameter) -> Value {
    let place = match parameter.place {
        In::Path => "path",
        In::Query => "query",
        In::Header => "header",
    };
    let mut written = json!({
        "name": parameter.name,
        "in": place,
        "required": parameter.required,
        "description": parameter.says,
        "schema": parameter.schema,
    });
    if parameter.place == In::Query && parameter.schema["type"] == "boolean" {
        // Its name alone is true.
        written["allowEmptyValue"] = json!(true);
    }
    if let Some(example) = &parameter.example {
        written["example"] = example.clone();
    }
    written
}

/// The names in braces.
fn braces(path: &str) -> impl Iterator<Item = &str> {
    path.split('{')
        .skip(1)
        .filter_map(|rest| rest.split('}').next())
}

/// The noun that a path is about: what follows the repository, or the first word.
fn tag(path: &str) -> &str {
    let below = path.strip_prefix("/api/v1").unwrap_or(path);
    match below.strip_prefix("/repos/{repo}/") {
        Some(rest) => rest.split('/').next().unwrap_or(rest),
        None => {
            let word = below.trim_start_matches('/').split('/').next();
            word.unwrap_or(below)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_named_by_their_nouns() {
        assert_eq!(tag("/api/v1/repos"), "repos");
        assert_eq!(tag("/api/v1/repos/{repo}"), "repos");
        assert_eq!(tag("/api/v1/repos/{repo}/branches/{name}"), "branches");
        assert_eq!(tag("/health/live"), "health");
    }
}
