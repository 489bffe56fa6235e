use govc_server::router::table;
use http::StatusCode;
use serde_json::Value;

use crate::kit::{Server, config};

/// What clients are made from.
const LOCKED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../client/openapi.json");

/// The document is what clients were made from. Whoever changes the API on purpose writes it anew:
/// `make openapi`.
#[tokio::test]
async fn the_document_is_the_one_that_clients_know() {
    let server = Server::new();
    let answer = server.get("/openapi.json").await;
    assert_eq!(answer.header("content-type"), "application/json");
    let document = String::from_utf8(answer.body).unwrap();
    if std::env::var_os("GOVC_WRITE_OPENAPI").is_some() {
        std::fs::write(LOCKED, &document).unwrap();
    }
    let locked = std::fs::read_to_string(LOCKED).unwrap_or_default();
    let changed = document.lines().zip(locked.lines()).find(|(a, b)| a != b);
    assert!(
        document == locked,
        "client/openapi.json is not what the code says (`make openapi` writes it): {changed:?}"
    );
}

#[tokio::test]
async fn the_document_names_each_thing_once_and_nothing_that_is_not_there() {
    let (_, _, document) = table().finish();
    let document: Value = serde_json::from_str(&document).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    let mut ids = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            ids.push(operation["operationId"].as_str().unwrap().to_owned());
            let named = |parameter: &Value| format!("{} {}", parameter["in"], parameter["name"]);
            let mut names: Vec<String> = operation["parameters"]
                .as_array()
                .unwrap()
                .iter()
                .map(named)
                .collect();
            let count = names.len();
            names.sort();
            names.dedup();
            assert_eq!(names.len(), count, "{method} {path} has a parameter twice");
            for name in path
                .split('{')
                .skip(1)
                .filter_map(|rest| rest.split('}').next())
            {
                assert!(
                    names.contains(&format!("\"path\" \"{name}\"")),
                    "{method} {path}: {name}"
                );
            }
            assert!(
                operation["responses"]
                    .as_object()
                    .unwrap()
                    .keys()
                    .any(|key| key < &"3".to_owned())
            );
        }
    }
    let count = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), count, "two operations have one id");
    let text = document.to_string();
    let schemas = document["components"]["schemas"].as_object().unwrap();
    for part in text.split("#/components/schemas/").skip(1) {
        let name = part.split('"').next().unwrap();
        assert!(schemas.contains_key(name), "{name} is not there");
    }
}

/// What is in the query of an operation is described exactly: each parameter that is described is
/// taken, and of those that others take none that is not described.
#[tokio::test]
async fn each_operation_takes_the_parameters_that_it_describes_and_no_other() {
    let server = Server::with_commit().await;
    let (_, _, document) = table().finish();
    let document: Value = serde_json::from_str(&document).unwrap();
    let mut all = std::collections::BTreeSet::new();
    let mut operations = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let mut at = path.clone();
            let (mut described, mut needed) = (Vec::new(), Vec::new());
            for parameter in operation["parameters"].as_array().unwrap() {
                let name = parameter["name"].as_str().unwrap().to_owned();
                match parameter["in"].as_str().unwrap() {
                    "path" => {
                        let example = parameter["example"].as_str().unwrap();
                        at = at.replace(&format!("{{{name}}}"), example);
                    }
                    "query" => {
                        if let Some(example) = parameter["example"].as_str() {
                            needed.push(format!("{name}={example}"));
                        }
                        all.insert(name.clone());
                        described.push(name);
                    }
                    _ => {}
                }
            }
            // What answers anybody looks at no query.
            if operation["security"] != serde_json::json!([]) {
                let content = &operation["requestBody"]["content"]["application/json"];
                operations.push((
                    method.to_uppercase(),
                    at,
                    described,
                    needed,
                    content.clone(),
                ));
            }
        }
    }
    assert!(all.len() > 20, "{all:?}");
    let mut wrong = Vec::new();
    for (method, path, described, needed, content) in operations {
        let body = match content["example"].is_null() {
            true => String::new(),
            false => content["example"].to_string(),
        };
        let headers = [("content-type", "application/json")];
        for name in &all {
            let others = needed
                .iter()
                .filter(|pair| !pair.starts_with(&format!("{name}=")));
            let others: String = others.map(|pair| format!("&{pair}")).collect();
            // A stream that begins does not end: it is asked for what cannot be read.
            let value = if path.ends_with("/events") {
                "%FF"
            } else {
                "x"
            };
            let target = format!("{path}?{name}={value}{others}");
            let answer = server.call(&method, &target, &headers, body.clone()).await;
            let detail = answer.json()["detail"]
                .as_str()
                .unwrap_or_default()
                .to_owned();
            let unknown = detail.contains("unknown parameter")
                || detail.contains("is the same inside and outside")
                || (path.contains("/time-travel/") && detail.starts_with("either `at` or"));
            let is_described = described.contains(name);
            if unknown == is_described {
                wrong.push(format!("{method} {target}: {} {detail}", answer.status));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn every_operation_has_a_name_and_says_what_it_answers() {
    let (_, _, document) = table().finish();
    let document: Value = serde_json::from_str(&document).unwrap();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap();
            let made = [
                "get_repos_",
                "post_repos_",
                "put_repos_",
                "delete_repos_",
                "patch_repos_",
            ];
            assert!(
                !made.iter().any(|start| id.starts_with(start)),
                "{method} {path} needs a name in openapi/names.rs"
            );
            for parameter in operation["parameters"].as_array().unwrap() {
                let says = parameter["description"].as_str().unwrap();
                assert!(!says.is_empty(), "{method} {path}: {parameter}");
            }
            let links = operation["responses"].as_object().unwrap().values();
            for link in links.flat_map(|one| one["links"].as_object().into_iter().flatten()) {
                let to = &link.1["operationId"];
                let mut all = document["paths"].as_object().unwrap().values();
                let is_there = all.any(|methods| {
                    let mut operations = methods.as_object().unwrap().values();
                    operations.any(|operation| operation["operationId"] == *to)
                });
                assert!(is_there, "{id} links to {to}");
            }
        }
    }
}

#[tokio::test]
async fn the_page_shows_it_without_help_from_elsewhere() {
    let server = Server::new();
    let page = server.get("/docs/").await;
    assert_eq!(page.status, StatusCode::OK);
    let html = String::from_utf8(page.body).unwrap();
    assert!(html.contains("swagger-ui-bundle.js"), "{html}");
    assert!(
        !html.contains("//unpkg") && !html.contains("//cdn"),
        "{html}"
    );
    let script = server.get("/docs/swagger-ui-bundle.js").await;
    assert!(script.body.len() > 100_000);
    let start = server.get("/docs/swagger-initializer.js").await;
    assert!(
        String::from_utf8(start.body)
            .unwrap()
            .contains("/openapi.json")
    );
}

/// Nobody gets past the door, and whoever has the token is let in: on every route there is.
#[tokio::test]
async fn every_route_asks_who_is_there() {
    let mut config = config();
    config.auth.token = "a-token-of-tests".into();
    let server = Server::with(config);
    let table = table();
    assert!(table.routes().len() > 30);
    for route in table.routes() {
        let path = route
            .path
            .replace("{repo}", "hello")
            .replace(['{', '}'], "");
        let method = route.method.as_str();
        let nobody = server.call(method, &path, &[], "").await;
        let wrong = [("authorization", "Bearer nonsense")];
        let stranger = server.call(method, &path, &wrong, "").await;
        let right = [("authorization", "Bearer a-token-of-tests")];
        for answer in [nobody, stranger] {
            match route.is_open {
                true => assert_eq!(answer.status, StatusCode::OK, "{method} {path}"),
                false => {
                    assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{method} {path}");
                    assert!(
                        !answer.header("www-authenticate").is_empty(),
                        "{method} {path}"
                    );
                }
            }
        }
        if route.path.ends_with("/events") {
            // A stream that does not end.
            continue;
        }
        let administrator = server.call(method, &path, &right, "").await;
        assert_ne!(
            administrator.status,
            StatusCode::UNAUTHORIZED,
            "{method} {path}"
        );
        assert_ne!(
            administrator.status,
            StatusCode::FORBIDDEN,
            "{method} {path}"
        );
        assert!(
            !administrator.status.is_server_error(),
            "{method} {path}: {administrator}"
        );
        assert_ne!(
            administrator.code(),
            "NOT_FOUND",
            "{method} {path} is not served"
        );
    }
}
