//! What one writer does until the server is killed, and what must be there afterwards.

use std::collections::BTreeMap;
use std::sync::mpsc::Sender;

use govc_tests::{Http, TestServer};
use serde_json::Value;

/// A writer that knows what it was told.
pub trait Story: Send {
    /// Makes what it works with.
    fn begin(&mut self, server: &TestServer);

    /// Writes until the server is gone, and says of each answer that it came.
    fn write(&mut self, api: &Http, answer: &Sender<()>, round: usize);

    /// The server after its start, held against what it was told.
    fn check(&mut self, server: &TestServer, context: &str);

    /// How much was done, of what.
    fn done(&self) -> (usize, &'static str);
}

/// The answer, which has this status; `None` when the server is gone.
///
/// # Panics
/// When it has another status.
pub fn post(api: &Http, path: &str, body: &Value, status: u16) -> Option<Value> {
    let answer = api.try_send(api.request("POST", path).json(body)).ok()?;
    let answer = answer.expect(status);
    Some(match answer.body.is_empty() {
        true => Value::Null,
        false => answer.json(),
    })
}

/// Files by their paths.
pub type Files = BTreeMap<String, String>;

/// The content of a file, if it is there.
pub fn read(api: &Http, repo: &str, path: &str, scope: &str) -> Option<String> {
    let answer = api.get(&format!("/repos/{repo}/read/{path}?{scope}"));
    match answer.status {
        404 => None,
        _ => answer.expect(200).json()["content"]
            .as_str()
            .map(str::to_owned),
    }
}

/// The texts in a list, by their key; the items themselves where there is none.
pub fn texts(list: &Value, key: &str) -> Vec<String> {
    let items = list.as_array().into_iter().flatten();
    let text = |item: &Value| item.get(key).unwrap_or(item).as_str().map(str::to_owned);
    let mut texts: Vec<String> = items.filter_map(text).collect();
    texts.sort();
    texts
}
