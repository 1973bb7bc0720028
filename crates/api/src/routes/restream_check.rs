//! Answers `/restreams/check`, the one place that judges by the rules of platforms what somebody is about to send.

use crate::context::App;
use crate::dto::check::{CheckDto, CheckInput};
use crate::input::Body;
use crate::problem::Problem;
use axum::Json;
use axum::extract::State;
use weir_model::DestinationId;

/// Tells what the platform would say to a restream, and what it would take of this machine. Nothing is made or changed
#[utoipa::path(post, path = "/api/v1/restreams/check", tag = "restreams", request_body = CheckInput, responses(
    (status = 200, body = CheckDto), (status = 422, body = Problem)))]
pub(crate) async fn check(State(app): State<App>, Body(input): Body<CheckInput>) -> Result<Json<CheckDto>, Problem> {
    let (catalogue, platforms) = (app.api.commands.catalogue(), app.api.commands.platforms());
    let stream = input.stream();
    if catalogue.stream(stream).is_none() {
        return Err(Problem::invalid("stream_id", "names nothing that exists"));
    }
    let (target, asked, language) = input.into_parts()?;
    let saved = |id| catalogue.destination(DestinationId(id)).map(|saved| saved.platform.clone());
    let platform = target.platform(platforms, saved)?;
    let source = app.api.observe.stream_status(stream);
    let judgement = catalogue.judge(stream, (&asked, language.as_deref()), platform, &source);
    let cost = judgement
        .rendition
        .as_ref()
        .and_then(|rendition| catalogue.estimate(stream, &asked, rendition, (platforms, &source, &app.api.encoding)));
    Ok(Json(CheckDto::new(platform, judgement, cost)))
}
