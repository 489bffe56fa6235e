//! The API's routes and the OpenAPI 3.1 document that describes them
//! (<https://spec.openapis.org/oas/v3.1.1>): one table makes both, so neither has what the other
//! has not.

mod codes;
mod document;
mod headers;
mod links;
mod names;
mod operation;

use axum::Router;
use axum::handler::Handler;
use axum::routing::{MethodFilter, MethodRouter, on};
use http::Method;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};

use crate::app::App;
use document::Document;
pub use operation::{Operation, asks, opens, reads, reads_node, streams, writes};

/// Routes that are described.
pub struct Table {
    router: Router<App>,
    /// What answers anybody.
    open: Router<App>,
    document: Document,
    routes: Vec<Route>,
}

/// A route, for who wants to call all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The method.
    pub method: Method,
    /// The path, with its parameters in braces.
    pub path: String,
    /// Whether anybody may call it, with a token or without.
    pub is_open: bool,
}

impl Table {
    /// No routes.
    pub fn new() -> Table {
        Table {
            router: Router::new(),
            open: Router::new(),
            document: Document::new(),
            routes: Vec::new(),
        }
    }

    /// `GET path` is answered by `handler`; its HEAD is too.
    #[must_use]
    pub fn get<H, T>(self, path: &str, handler: H, operation: Operation) -> Table
    where
        H: Handler<T, App>,
        T: 'static,
    {
        self.add(Method::GET, MethodFilter::GET, path, handler, operation)
    }

    /// `POST path` is answered by `handler`.
    #[must_use]
    pub fn post<H, T>(self, path: &str, handler: H, operation: Operation) -> Table
    where
        H: Handler<T, App>,
        T: 'static,
    {
        self.add(Method::POST, MethodFilter::POST, path, handler, operation)
    }

    /// `PUT path` is answered by `handler`.
    #[must_use]
    pub fn put<H, T>(self, path: &str, handler: H, operation: Operation) -> Table
    where
        H: Handler<T, App>,
        T: 'static,
    {
        self.add(Method::PUT, MethodFilter::PUT, path, handler, operation)
    }

    /// `PATCH path` is answered by `handler`.
    #[must_use]
    pub fn patch<H, T>(self, path: &str, handler: H, operation: Operation) -> Table
    where
        H: Handler<T, App>,
        T: 'static,
    {
        self.add(Method::PATCH, MethodFilter::PATCH, path, handler, operation)
    }

    /// `DELETE path` is answered by `handler`.
    #[must_use]
    pub fn delete<H, T>(self, path: &str, handler: H, operation: Operation) -> Table
    where
        H: Handler<T, App>,
        T: 'static,
    {
        self.add(
            Method::DELETE,
            MethodFilter::DELETE,
            path,
            handler,
            operation,
        )
    }

    /// A path that is answered too and not described: another spelling of one that is.
    #[must_use]
    pub fn also(mut self, path: &str, answers: MethodRouter<App>) -> Table {
        self.router = self.router.route(path, answers);
        self
    }

    fn add<H, T>(
        mut self,
        method: Method,
        filter: MethodFilter,
        path: &str,
        handler: H,
        operation: Operation,
    ) -> Table
    where
        H: Handler<T, App>,
        T: 'static,
    {
        self.routes.push(Route {
            method: method.clone(),
            path: path.replace("{*", "{"),
            is_open: operation.is_open(),
        });
        let router = match operation.is_open() {
            true => &mut self.open,
            false => &mut self.router,
        };
        *router = std::mem::take(router).route(path, on(filter, handler));
        self.document
            .add(&method, &path.replace("{*", "{"), operation);
        self
    }

    /// The routes for those who may call them, the routes for anybody, and the document as JSON.
    pub fn finish(self) -> (Router<App>, Router<App>, String) {
        (self.router, self.open, self.document.finish())
    }

    /// What is described.
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }
}

impl Default for Table {
    fn default() -> Table {
        Table::new()
    }
}

/// Schemas as OpenAPI 3.1 has them: JSON Schema 2020-12, named ones among the components.
fn settings() -> SchemaSettings {
    let mut settings = SchemaSettings::draft2020_12();
    settings.definitions_path = "/components/schemas".into();
    settings.meta_schema = None;
    settings
}

/// What writes the schema of a type.
type SchemaOf = fn(&mut SchemaGenerator) -> schemars::Schema;

fn schema_of<T: JsonSchema>() -> SchemaOf {
    |generator| generator.subschema_for::<T>()
}
