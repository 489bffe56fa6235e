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
