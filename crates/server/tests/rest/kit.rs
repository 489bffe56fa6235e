//! A server in process, and the few verbs that tests speak to it with.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use axum::Router;
use axum::body::Body;
use govc_engine::journal::memory::{MemoryJournal, MemoryPacks};
use govc_engine::journal::{Journal, Packs};
use govc_engine::pool::PoolLimits;
use govc_engine::{Clock, Engine, EngineParts, RepoKey, Time};
use govc_server::App;
use govc_server::config::{Config, StorageType};
use govc_server::router::router;
use govc_server::serve::Storage;
use govc_store::disk::SimDisk;
use govc_store::{Store, StoreOptions};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

/// A clock that goes on by a millisecond whenever it is looked at.
struct Ticks(AtomicI64);

impl Clock for Ticks {
    fn now(&self) -> Time {
        Time(self.0.fetch_add(1000, Ordering::Relaxed))
    }
}

/// A server, with the engine that it can be started over again.
pub(crate) struct Server {
    engine: Arc<Engine>,
    config: Config,
    app: App,
    router: Router,
    clock: Arc<Ticks>,
    /// What is on its disk, which is simulated; in memory there is none.
    store: Option<Arc<Store>>,
}

/// An answer that goes on: Server-Sent Events.
pub(crate) struct Listening {
    body: Body,
    text: String,
}

impl Listening {
    /// Nothing more comes.
    pub(crate) async fn ends(&mut self) {
        while let Some(frame) = self.body.frame().await {
            let data = frame.unwrap().into_data().unwrap();
            let text = String::from_utf8_lossy(&data).into_owned();
            assert!(!text.contains("data:"), "{text}");
        }
    }

    /// The next event: id, type and data. Comments are passed over.
    pub(crate) async fn next(&mut self) -> (String, String, Value) {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let field = |name: &str| {
                    let mut lines = block.lines();
                    let found = lines.find_map(|line| line.strip_prefix(name));
                    found.map_or_else(String::new, |value| value.trim_start().to_owned())
                };
                let (id, kind, data) = (field("id:"), field("event:"), field("data:"));
                self.text = rest.to_owned();
                if data.is_empty() {
                    continue;
                }
                return (id, kind, serde_json::from_str(&data).unwrap());
            }
            let frame = self
                .body
                .frame()
                .await
                .expect("the stream goes on")
                .unwrap();
            let data = frame.into_data().unwrap();
            self.text.push_str(std::str::from_utf8(&data).unwrap());
        }
    }
}

/// An answer.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    shown: Vec<&'static str>,
}

pub(crate) fn config() -> Config {
    let mut config = Config::default();
    config.storage.r#type = StorageType::Memory;
    config
}

impl Server {
    pub(crate) fn new() -> Server {
        Server::with(config())
    }

    pub(crate) fn with(config: Config) -> Server {
        let (journal, packs) = (
            Arc::new(MemoryJournal::default()),
            Arc::new(MemoryPacks::default()),
        );
        Server::over(config, journal, packs, Server::clock(), None)
    }

    /// With repositories on a disk, which is simulated.
    pub(crate) fn on_disk() -> Server {
        let mut config = config();
        config.storage.r#type = StorageType::Hybrid;
        let clock = Server::clock();
        let options = StoreOptions {
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            ..StoreOptions::default()
        };
        let (store, _) = Store::open(Arc::new(SimDisk::new(1)), options).unwrap();
        let (journal, packs) = (Arc::clone(&store) as _, Arc::clone(&store) as _);
        Server::over(config, journal, packs, clock, Some(store))
    }

    fn clock() -> Arc<Ticks> {
        Arc::new(Ticks(AtomicI64::new(1_700_000_000_000_000)))
    }

    fn over(
        config: Config,
        journal: Arc<dyn Journal>,
        packs: Arc<dyn Packs>,
        clock: Arc<Ticks>,
        store: Option<Arc<Store>>,
    ) -> Server {
        let keys = AtomicU64::new(1);
        let new_key = move || {
            let mut key = [0; 16];
            key[..8].copy_from_slice(&keys.fetch_add(1, Ordering::Relaxed).to_be_bytes());
            RepoKey(key)
        };
        let engine = Engine::new(EngineParts {
            journal,
            packs,
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            new_key: Arc::new(new_key),
            turn_threads: 1,
            pool_limits: PoolLimits::default(),
        })
        .unwrap();
        if let Some(store) = &store {
            store.attach(&engine);
        }
        let app = serving(&engine, &config, store.as_ref());
        Server {
            engine,
            config,
            router: router(app.clone()),
            app,
            clock,
            store,
        }
    }

    /// With the repository `hello` in it.
    pub(crate) async fn with_repo() -> Server {
        let server = Server::new();
        let made = server.post("/api/v1/repos", json!({ "id": "hello" })).await;
        assert_eq!(made.status, StatusCode::CREATED, "{made}");
        server
    }

    /// With `README` on `main` of `hello`.
    pub(crate) async fn with_commit() -> Server {
        let server = Server::with_repo().await;
        server.commit("main", "first", "README", "hello\n").await;
        server
    }

    /// As many seconds pass.
    pub(crate) async fn wait(&self, seconds: i64) {
        let until = Time(self.engine.clock().now().0 + seconds * 1_000_000);
        while self.engine.clock().now() < until {}
        self.app.expire_repositories().await.unwrap();
    }

    /// As many days pass, and what nobody keeps any more goes.
    pub(crate) async fn days(&self, days: i64) {
        let micros = days * 86_400_000_000;
        self.clock.0.fetch_add(micros, Ordering::Relaxed);
        self.app.expire_repositories().await.unwrap();
        self.app.collect_the_past().await.unwrap();
    }

    /// What a restart forgets is forgotten.
    pub(crate) fn restart(&mut self) {
        self.app = serving(&self.engine, &self.config, self.store.as_ref());
        self.router = router(self.app.clone());
    }

    pub(crate) async fn call(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        request = request
            .header("host", "localhost")
            .header("x-request-id", "test");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body.into()).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body: body.collect().await.unwrap().to_bytes().to_vec(),
            shown: Vec::new(),
        }
    }

    /// A stream of events that is open.
    pub(crate) async fn listen(&self, path: &str, headers: &[(&str, &str)]) -> Listening {
        let mut request = Request::builder().uri(path).header("host", "localhost");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::empty()).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        assert_eq!(parts.status, StatusCode::OK);
        assert_eq!(parts.headers["content-type"], "text/event-stream");
        Listening {
            body,
            text: String::new(),
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call("GET", path, &[], Body::empty()).await
    }

    pub(crate) async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.call("GET", path, headers, Body::empty()).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.call("DELETE", path, &[], Body::empty()).await
    }

    pub(crate) async fn send(&self, method: &str, path: &str, body: Value) -> Answer {
        self.send_with(method, path, &[], body).await
    }

    pub(crate) async fn send_with(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Value,
    ) -> Answer {
        let mut all = vec![("content-type", "application/json")];
        all.extend_from_slice(headers);
        self.call(method, path, &all, body.to_string()).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.send("POST", path, body).await
    }

    /// One file, put on a branch of `hello`, by Ada, at a moment of hers. The commit's id.
    pub(crate) async fn commit(
        &self,
        branch: &str,
        message: &str,
        path: &str,
        content: &str,
    ) -> String {
        let body = commit(branch, message, json!([put(path, content)]));
        let made = self.post("/api/v1/repos/hello/commits", body).await;
        assert_eq!(made.status, StatusCode::CREATED, "{made}");
        made.json()["oid"].as_str().unwrap().to_owned()
    }
}

fn serving(engine: &Arc<Engine>, config: &Config, store: Option<&Arc<Store>>) -> App {
    let app = App::new(config.clone());
    app.ready(&Storage {
        engine: Arc::clone(engine),
        store: store.cloned(),
        stopped: Vec::new(),
    });
    app
}

pub(crate) fn put(path: &str, content: &str) -> Value {
    json!({ "op": "put", "path": path, "content": content })
}

/// A commit by Ada, at a moment of hers.
pub(crate) fn commit(branch: &str, message: &str, actions: Value) -> Value {
    json!({
        "branch": branch,
        "message": message,
        "author": { "name": "Ada", "email": "ada@example.org", "time": "2024-05-01T10:00:00+02:00" },
        "actions": actions,
    })
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }

    /// Names, ids or whatever `key` is, of the items of a list.
    pub(crate) fn items(&self, key: &str) -> Vec<String> {
        let body = self.json();
        let items = body["items"].as_array().unwrap();
        let text = |item: &Value| match &item[key] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        items.iter().map(text).collect()
    }

    /// Shows these headers too.
    pub(crate) fn showing(mut self, names: &[&'static str]) -> Answer {
        self.shown = names.to_vec();
        self
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.status)?;
        for name in &self.shown {
            write!(f, "\n{name}: {}", self.header(name))?;
        }
        match serde_json::from_slice::<Value>(&self.body) {
            Ok(mut body) => {
                if let Some(body) = body.as_object_mut() {
                    // The same in every problem, and a function of its code.
                    for name in ["type", "title", "instance", "request_id", "status"] {
                        if body.contains_key("code") {
                            body.shift_remove(name);
                        }
                    }
                    // What memory costs is for other tests.
                    body.shift_remove("size");
                    body.shift_remove("settings");
                }
                write!(f, "\n{body}")
            }
            Err(_) if self.body.is_empty() => Ok(()),
            Err(_) => write!(f, "\n{}", String::from_utf8_lossy(&self.body)),
        }
    }
}
