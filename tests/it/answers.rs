//! A request that comes again with its `Idempotency-Key` gets its answer again, whatever happened
//! to the server meanwhile.

use govc_tests::{Answer, TestServer};
use serde_json::{Value, json};

fn keyed(server: &TestServer, key: usize, path: &str, body: &Value) -> Answer {
    let api = server.api();
    let request = api.request("POST", path);
    api.send(
        request
            .header("idempotency-key", format!("key {key}"))
            .json(body),
    )
}

fn put(path: &str) -> Value {
    json!({ "op": "put", "path": path, "content": path })
}

fn commit(message: &str, path: &str) -> Value {
    json!({ "branch": "main", "message": message, "actions": [put(path)] })
}

#[test]
fn what_was_staged_and_what_happened_in_realities_and_in_several_repositories() {
    let mut server = TestServer::with_repo("hello");
    server.create("other");
    let api = server.api();
    api.post("/repos/hello/commits", &commit("first", "README"))
        .expect(201);
    let begun = api.post("/repos/hello/transaction", &json!({})).json();
    let transaction = begun["id"].as_str().expect("an id");
    let in_transaction = format!("/repos/hello/transaction/{transaction}/add");
    let many = json!({ "operations": [
        { "repo": "other", "branch": "main", "message": "both", "actions": [put("f")] },
        { "repo": "hello", "branch": "both", "create_from": "main", "message": "both", "actions": [put("f")] },
    ]});
    let of_r = json!({ "branches": ["of-r", "beside"], "from": "realities/r" });
    let with_siblings = json!({ "discard_siblings": true });
    let writes = [
        ("/repos/hello/workspaces", json!({ "name": "w" })),
        (
            "/repos/hello/add?workspace=w",
            json!({ "path": "b", "content": "b" }),
        ),
        (
            "/repos/hello/commit?workspace=w",
            json!({ "message": "staged" }),
        ),
        (
            "/repos/hello/add?workspace=w",
            json!({ "path": "c", "content": "c" }),
        ),
        (&*in_transaction, json!({ "path": "t", "content": "t" })),
        (
            "/repos/hello/parallel-realities",
            json!({ "branches": ["r"] }),
        ),
        ("/repos/hello/commits?reality=r", commit("in it", "f")),
        ("/repos/hello/workspaces?reality=r", json!({ "name": "w" })),
        (
            "/repos/hello/add?workspace=w&reality=r",
            json!({ "path": "d", "content": "d" }),
        ),
        ("/repos/hello/parallel-realities", of_r),
        (
            "/repos/hello/commits?reality=of-r",
            commit("further in", "g"),
        ),
        (
            "/repos/hello/parallel-realities/of-r/promote",
            with_siblings,
        ),
        (
            "/repos/hello/stash?workspace=w",
            json!({ "message": "put away" }),
        ),
        (
            &*format!("/repos/hello/transaction/{transaction}/commit"),
            json!({ "message": "t", "on_conflict": "merge" }),
        ),
        ("/transactions", many),
    ];
    let answers: Vec<Answer> = writes
        .iter()
        .enumerate()
        .map(|(key, (path, body))| {
            let answer = keyed(&server, key, path, body);
            assert!(
                (200..300).contains(&answer.status),
                "{path}: {}",
                answer.text()
            );
            answer
        })
        .collect();
    // They are in the log, then in what a checkpoint saved, then beside newer ones.
    for kill in [true, false, true] {
        match kill {
            true => server.kill(),
            false => server.stop_well(),
        }
        server.start_again();
        for (key, ((path, body), first)) in writes.iter().zip(&answers).enumerate() {
            let again = keyed(&server, key, path, body);
            assert_eq!(
                again.header("idempotency-replayed"),
                Some("true"),
                "{path}: {}",
                again.text()
            );
            assert_eq!(
                (again.status, again.text()),
                (first.status, first.text()),
                "{path}"
            );
            for name in ["govc-seq", "location", "content-type"] {
                assert_eq!(again.header(name), first.header(name), "{path}: {name}");
            }
            let other = keyed(&server, key, path, &json!({ "other": 1 }));
            other.problem(422, "IDEMPOTENCY_KEY_REUSED");
        }
        let more = json!({ "path": "more", "content": "more" });
        server
            .api()
            .post("/repos/hello/add?workspace=w", &more)
            .expect(200);
    }
    let log = server.api().get("/repos/other/log").json();
    assert_eq!(log["items"].as_array().map(Vec::len), Some(1), "{log}");
}
