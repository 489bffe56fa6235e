//! The document.

use http::Method;
use schemars::SchemaGenerator;
use serde_json::{Map, Value, json};

use super::operation::{Answer, Body, Content, In, Operation, Parameter};

/// An OpenAPI document that is being written.
pub(super) struct Document {
    paths: Map<String, Value>,
    schemas: SchemaGenerator,
}

const ABOUT: &str = "Git at memory speed: repositories by REST, and by Git itself. Every write \
     can be rehearsed (`dry_run`) and repeated (`Idempotency-Key`), and answers the number of its \
     change (`Govc-Seq`), which reads can wait for (`Govc-Min-Seq`). Errors are problem documents \
     (RFC 9457) with a stable `code`.";

impl Document {
    pub(super) fn new() -> Document {
        Document {
            paths: Map::new(),
            schemas: super::generator(),
        }
    }

    pub(super) fn add(&mut self, method: &Method, path: &str, operation: Operation) {
        let security = operation.is_open().then(|| json!([]));
        let parameters = self.parameters(path, &operation.parameters);
        let mut written = json!({
            "tags": [tag(path)],
            "operationId": operation_id(method, path),
            "summary": operation.summary,
            "parameters": parameters,
        });
        if let Some(body) = operation.body {
            written["requestBody"] = self.body(body);
        }
        let mut answers = Map::new();
        for answer in operation.answers {
            let (status, answer) = self.answer(answer);
            answers.insert(status, answer);
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

    fn parameters(&self, path: &str, said: &[Parameter]) -> Vec<Value> {
        let in_path = |parameter: &&Parameter| parameter.place == In::Path;
        let known: Vec<&str> = said.iter().filter(in_path).map(|one| one.name).collect();
        let unsaid = braces(path).filter(|name| !known.contains(name));
        let unsaid = unsaid.map(|name| {
            let (says, example) = match name {
                "repo" => ("The repository's id, its slashes as `%2F`.", "hello"),
                _ => ("", name),
            };
            json!({
                "name": name, "in": "path", "required": true, "description": says,
                "schema": { "type": "string", "minLength": 1 }, "example": example,
            })
        });
        unsaid.chain(said.iter().map(parameter)).collect()
    }

    fn body(&mut self, body: Body) -> Value {
        let schema = (body.schema)(&mut self.schemas);
        let mut content = json!({ "schema": schema });
        if let Some(example) = body.example {
            content["example"] = example;
        }
        json!({ "required": body.required, "content": { "application/json": content } })
    }

    fn answer(&mut self, answer: Answer) -> (String, Value) {
        let mut written = json!({ "description": answer.says });
        for (media_type, content) in answer.content {
            let schema = match content {
                Content::Of(schema) => schema(&mut self.schemas).to_value(),
                Content::Json(schema) => schema,
            };
            written["content"][media_type] = json!({ "schema": schema });
        }
        (answer.status.to_owned(), written)
    }

    pub(super) fn finish(mut self) -> String {
        let mut schemas = self.schemas.take_definitions(true);
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
                    "token": { "type": "http", "scheme": "bearer" },
                    "password": { "type": "http", "scheme": "basic" },
                },
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

/// `get_repos_repo_log`: method and path.
fn operation_id(method: &Method, path: &str) -> String {
    let below = path.strip_prefix("/api/v1").unwrap_or(path);
    let words = below
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty());
    let mut id = method.as_str().to_ascii_lowercase();
    for word in words {
        id.push('_');
        id.push_str(word);
    }
    id
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
        let id = operation_id(&Method::PUT, "/api/v1/repos/{repo}/refs/{name}");
        assert_eq!(id, "put_repos_repo_refs_name");
    }
}
