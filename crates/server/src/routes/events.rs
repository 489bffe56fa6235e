//! Server-Sent Events (<https://html.spec.whatwg.org/multipage/server-sent-events.html>).

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, Stream, StreamExt};
use govc_api::events::Types;
use http::{HeaderValue, header};

use crate::app::App;
use crate::app::error::AppError;
use crate::app::events::Told;
use crate::http::ask::Ask;
use crate::http::problem::ApiError;
use crate::http::reply::as_of;
use crate::openapi::{Table, streams};

/// How often a stream on which nothing happens says that it is there.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// What happens.
pub fn routes(table: Table) -> Table {
    table
        .get(
            "/api/v1/repos/{repo}/events",
            of_repository,
            streams("What happens in a repository, as Server-Sent Events")
                .in_reality()
                .number("since", "Resume after the change of this number."),
        )
        .get(
            "/api/v1/events",
            everywhere,
            streams("What happens in all repositories, as Server-Sent Events")
                .text("since", "Resume after the event of this id."),
        )
}

/// `GET /api/v1/repos/{repo}/events`
pub async fn of_repository(State(app): State<App>, mut ask: Ask) -> Result<Response, ApiError> {
    let reading = ask.reading_now()?;
    let types = types(&mut ask)?;
    let since = since(&mut ask)?;
    ask.finish()?;
    let repo = ask.repo()?;
    let number = |text: String| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = digits.then(|| text.parse().ok()).flatten();
        number.ok_or_else(|| AppError::query("since", "it is the number of a change"))
    };
    let since = since.map(number).transpose()?;
    let (events, after) = app
        .events_of(&ask.caller, &repo, &reading, since, types)
        .await?;
    let told = stream::unfold(events, |mut events| async move {
        ended(events.next().await).map(|told| (told, events))
    });
    Ok(as_of(answer(told), after))
}

/// `GET /api/v1/events`
pub async fn everywhere(State(app): State<App>, mut ask: Ask) -> Result<Response, ApiError> {
    let types = types(&mut ask)?;
    let since = since(&mut ask)?;
    ask.finish()?;
    let events = app
        .events_everywhere(&ask.caller, since.as_deref(), types)
        .await?;
    let told = stream::unfold(events, |mut events| async move {
        ended(events.next().await).map(|told| (told, events))
    });
    Ok(answer(told))
}

fn types(ask: &mut Ask) -> Result<Types, AppError> {
    let given = ask.query().text("types")?;
    match given.as_deref().map(Types::parse) {
        None => Ok(Types::default()),
        Some(Ok(types)) => Ok(types),
        Some(Err(other)) => {
            let detail = format!("`types`: {other:?} is no type of event");
            Err(AppError::query("types", detail))
        }
    }
}

/// Where to resume. A browser that connects again says it in a header, which then is newer than
/// what its address says.
fn since(ask: &mut Ask) -> Result<Option<String>, AppError> {
    let in_query = ask.query().text("since")?;
    let Some(last) = ask.headers.get("last-event-id") else {
        return Ok(in_query);
    };
    let text = last.to_str().map_err(|_| {
        AppError::query(
            "Last-Event-ID",
            "`Last-Event-ID` is an id that a stream gave",
        )
    })?;
    Ok(Some(text.to_owned()).filter(|text| !text.is_empty()))
}

/// A stream that cannot be read on ends: whoever connects again is told why.
fn ended(next: Result<Option<Told>, AppError>) -> Option<Told> {
    next.unwrap_or_else(|error| {
        tracing::warn!(%error, "a stream of events ends");
        None
    })
}

fn answer(told: impl Stream<Item = Told> + Send + 'static) -> Response {
    let events = told.map(|told| {
        let event = Event::default().event(told.event.change.r#type);
        let event = match &told.id {
            Some(id) => event.id(id),
            None => event,
        };
        // What serde cannot write is not among these types.
        Ok::<_, Infallible>(event.json_data(&told.event).unwrap_or_default())
    });
    let beginning = stream::iter([Ok(Event::default().comment("begins"))]);
    let heartbeat = KeepAlive::new().interval(HEARTBEAT).text("still here");
    let mut response = Sse::new(beginning.chain(events))
        .keep_alive(heartbeat)
        .into_response();
    // Proxies that gather answers would hold events back.
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}
