//! REST, events, authentication, metrics, health and the dashboard. This is the only crate that knows the JSON shapes.

mod acting;
mod audit_trail;
mod auth;
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
pub mod portable;
mod problem;
mod readiness;
mod router;
mod routes;
mod rules;
mod webhook_call;
mod webhooks;

pub use audit_trail::AuditTrail;
pub use context::{ApiContext, PublicUrls, PublishUrl};
pub use openapi::openapi_json;
pub use problem::Problem;
pub use readiness::Readiness;
pub use router::{http_server, router};
pub use rules::RawUriRule;
pub use webhook_call::WebhookCaller;
pub use webhooks::Webhooks;
