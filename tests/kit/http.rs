//! Plain HTTP and JSON.

use serde_json::Value;

/// A caller of one server.
#[derive(Debug, Clone)]
pub struct Http {
    base: String,
    client: reqwest::blocking::Client,
}

/// What was answered.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, as it came.
    pub body: Vec<u8>,
    asked: String,
}

impl Http {
    /// A caller of the server at `base`: `http://HOST:PORT`.
    pub fn new(base: &str) -> Http {
        let client = reqwest::blocking::Client::builder()
            .no_proxy()
            .timeout(None)
            .build()
            .expect("a client");
        Http {
            base: base.to_owned(),
            client,
        }
    }

    /// A request to be finished with headers and a body, and sent by [`Http::send`].
    pub fn request(&self, method: &str, path: &str) -> reqwest::blocking::RequestBuilder {
        let method = method.parse().expect("a method");
        self.client.request(method, format!("{}{path}", self.base))
    }

    /// Sends a request.
    ///
    /// # Panics
    /// When no answer comes.
    pub fn send(&self, request: reqwest::blocking::RequestBuilder) -> Answer {
        self.try_send(request)
            .unwrap_or_else(|error| panic!("no answer: {error:?}"))
    }

    /// Sends a request that the server may not live to answer.
    ///
    /// # Errors
    /// When no whole answer comes.
    pub fn try_send(
        &self,
        request: reqwest::blocking::RequestBuilder,
    ) -> Result<Answer, reqwest::Error> {
        let request = request.build().expect("a request");
        let asked = format!("{} {}", request.method(), request.url().path());
        let answer = self.client.execute(request)?;
        let status = answer.status().as_u16();
        let headers = answer
            .headers()
            .iter()
            .map(|(name, value)| {
                let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
                (name.as_str().to_owned(), value)
            })
            .collect();
        let body = answer.bytes()?.to_vec();
        Ok(Answer {
            status,
            headers,
            body,
            asked,
        })
    }

    /// `GET path`.
    pub fn get(&self, path: &str) -> Answer {
        self.send(self.request("GET", path))
    }

    /// `POST path` with JSON.
    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(self.request("POST", path).json(body))
    }

    /// `PUT path` with JSON.
    pub fn put(&self, path: &str, body: &Value) -> Answer {
        self.send(self.request("PUT", path).json(body))
    }

    /// `PATCH path` with JSON.
    pub fn patch(&self, path: &str, body: &Value) -> Answer {
        self.send(self.request("PATCH", path).json(body))
    }

    /// `DELETE path`.
    pub fn delete(&self, path: &str) -> Answer {
        self.send(self.request("DELETE", path))
    }
}

impl Answer {
    /// The same answer, which must have this status.
    ///
    /// # Panics
    /// When it has another.
    #[track_caller]
    pub fn expect(self, status: u16) -> Answer {
        assert_eq!(self.status, status, "{}: {}", self.asked, self.text());
        self
    }

    /// The same answer, which must be a problem of this status and code.
    ///
    /// # Panics
    /// When it is not.
    #[track_caller]
    pub fn problem(self, status: u16, code: &str) -> Value {
        let answer = self.expect(status);
        let problem = answer.json();
        assert_eq!(problem["code"], code, "{}: {problem}", answer.asked);
        problem
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is none.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{}: {error} in {}", self.asked, self.text()))
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A header, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(other, _)| other == name)?;
        Some(&found.1)
    }
}
