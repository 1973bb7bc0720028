//! REST, events, authentication, metrics and health: the only crate that knows HTTP and the JSON shapes.

mod acting;
mod auth;
mod catalogue;
mod context;
mod dto;
mod gpu_metrics;
mod idempotency;
mod input;
mod later;
mod live;
mod login_limit;
mod middleware;
mod openapi;
mod origin;
mod problem;
mod readiness;
mod router;
mod routes;
mod rules;
mod serve;
mod thumbnails;
mod web_assets;
mod webhook_call;
mod webhooks;

pub use context::{ApiContext, PublicUrls};
pub use openapi::openapi_json;
pub use origin::{PATH_BYTES_MAX, QUERY_BYTES_MAX, read_plain_request};
pub use problem::Problem;
pub use readiness::Readiness;
pub use router::router;
pub use rules::RawUriRule;
pub use serve::{HttpLimits, HttpServer, MAX_HEADER_BYTES};
pub use thumbnails::Thumbnails;
pub use webhook_call::WebhookCaller;
pub use webhooks::Webhooks;
