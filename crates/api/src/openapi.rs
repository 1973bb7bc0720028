//! Makes the description of the API from what the handlers say of themselves, and adds the answers that come from the layers in front of
//! them.

use std::collections::BTreeMap;

use utoipa::OpenApi;
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, SecurityScheme};
use utoipa::openapi::{Content, ContentBuilder, ObjectBuilder, PathItem, Ref, RefOr, Response, Type};
use weir_model::Role;

use axum::http::{Method, StatusCode};

use crate::idempotency;
use crate::problem::Problem;
use crate::rules::{Access, access};

/// The content type of every refusal (RFC 9457).
pub(crate) const PROBLEM_JSON: &str = "application/problem+json";

const PROBLEM_SCHEMA: &str = "Problem";

/// Every operation may answer these: too much is under way for the address, a fault is ours, or there is too much to do or the time is
/// over.
const ANY: &[u16] = &[429, 500, 503];
/// Operations that need a key may answer this.
const WITH_A_KEY: &[u16] = &[401];
/// The role is too low, or a change by cookie came without its token.
const WITH_A_ROLE: &[u16] = &[403];
const WITH_A_PATH: &[u16] = &[404];
const WITH_A_QUERY: &[u16] = &[400, 422];
const WITH_A_BODY: &[u16] = &[400, 413, 415, 422];
/// The body is larger than what can be kept, the key can't be one, or it belongs to another request or to one that is still under way.
const WITH_AN_IDEMPOTENCY_KEY: &[u16] = &[400, 409, 413, 422];

#[derive(OpenApi)]
#[openapi(
    info(title = "Weir", description = "Live restreaming: streams in, restreams out."),
    components(schemas(Problem)),
    security(("authorization" = []))
)]
pub(crate) struct Description;

/// The description of the API, generated from the code.
pub fn openapi_json() -> String {
    let mut openapi = crate::routes::all().into_openapi();
    let key = ApiKey::Header(ApiKeyValue::with_description("Authorization", "`apikey <key>` or `Bearer <key>`"));
    let mut refusals = BTreeMap::new();
    for (path, item) in &mut openapi.paths.paths {
        for (method, operation) in operations(item) {
            complete(operation, &method, path);
            name_refusals(operation, &mut refusals);
        }
    }
    let components = openapi.components.get_or_insert_default();
    components.add_security_scheme("authorization", SecurityScheme::ApiKey(key));
    components.responses.extend(refusals);
    let mut json = serde_json::to_string_pretty(&openapi).unwrap_or_default();
    json.push('\n');
    json
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = (Method, &mut Operation)> {
    let PathItem { get, put, post, delete, patch, .. } = item;
    let all = [
        (Method::GET, get),
        (Method::PUT, put),
        (Method::POST, post),
        (Method::DELETE, delete),
        (Method::PATCH, patch),
    ];
    all.into_iter().filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

/// Adds what follows from the operation's shape, so that no handler has to say it.
fn complete(operation: &mut Operation, method: &Method, path: &str) {
    let takes_if_match = operation.responses.responses.contains_key("412");
    for status in answers(operation, method, path) {
        let response = operation.responses.responses.entry(status.to_string());
        response.or_insert_with(|| Response::default().into());
    }
    let parameters = operation.parameters.get_or_insert_default();
    if takes_if_match {
        parameters.push(
            header("If-Match", "The ETag of the version that the change is meant for; another one is a 412.").into(),
        );
    }
    if takes_idempotency_key(method, path) {
        let text = "The same key with the same request gets the first answer again.";
        parameters.push(header(idempotency::HEADER, text).into());
    }
    if parameters.is_empty() {
        operation.parameters = None;
    }
}

fn answers(operation: &Operation, method: &Method, path: &str) -> Vec<u16> {
    let parameters = operation.parameters.as_deref().unwrap_or_default();
    let query = |name: Option<&str>| {
        parameters.iter().any(|parameter| {
            matches!(parameter, RefOr::T(parameter) if parameter.parameter_in == ParameterIn::Query
                && name.is_none_or(|name| parameter.name == name))
        })
    };
    let role = match access(method, path) {
        Some(Access::AtLeast(role)) => Some(role),
        Some(Access::Metrics) => Some(Role::Viewer),
        Some(Access::Open) | None => None,
    };
    // Everyone who has a key is a viewer at least, and whoever changes something by cookie needs its token.
    let can_lack_role = role.is_some_and(|role| role > Role::Viewer || *method != Method::GET || query(Some("reveal")));
    [
        (true, ANY),
        (role.is_some(), WITH_A_KEY),
        (can_lack_role, WITH_A_ROLE),
        (path.contains('{'), WITH_A_PATH),
        (query(None), WITH_A_QUERY),
        (operation.request_body.is_some(), WITH_A_BODY),
        (takes_idempotency_key(method, path), WITH_AN_IDEMPOTENCY_KEY),
    ]
    .into_iter()
    .filter(|(applies, _)| *applies)
    .flat_map(|(_, statuses)| statuses.iter().copied())
    .collect()
}

/// Whether the operation takes an idempotency key. Such keys belong to their caller, so whoever is let in without a key for the API has
/// none.
fn takes_idempotency_key(method: &Method, path: &str) -> bool {
    *method == Method::POST && matches!(access(method, path), Some(Access::AtLeast(_)))
}

/// Makes every refusal a problem, whatever type its handler has named for it. A refusal of which nothing else is said goes among the
/// components, once for all operations.
fn name_refusals(operation: &mut Operation, refusals: &mut BTreeMap<String, RefOr<Response>>) {
    for (status, response) in &mut operation.responses.responses {
        let Some(status) = StatusCode::from_bytes(status.as_bytes()).ok().filter(|status| status.as_u16() >= 400)
        else {
            continue;
        };
        let RefOr::T(said) = response else { continue };
        as_problem(said);
        if said.content.len() == 1 && said.description.is_empty() {
            let reason = status.canonical_reason().unwrap_or_default();
            reason.clone_into(&mut said.description);
            let name = reason.replace(' ', "");
            let named = std::mem::replace(response, Ref::from_response_name(&name).into());
            refusals.insert(name, named);
        }
    }
}

/// Makes the response a problem. Its other content stays.
fn as_problem(response: &mut Response) {
    let is_problem = |content: &RefOr<Content>| {
        let RefOr::T(content) = content else { return false };
        matches!(&content.schema, Some(RefOr::Ref(schema)) if schema.ref_location.ends_with(PROBLEM_SCHEMA))
    };
    response.content.retain(|_, content| !is_problem(content));
    let schema = Ref::from_schema_name(PROBLEM_SCHEMA);
    response.content.insert(PROBLEM_JSON.to_owned(), ContentBuilder::new().schema(Some(schema)).build().into());
}

fn header(name: &str, description: &str) -> Parameter {
    let schema = ObjectBuilder::new().schema_type(Type::String).min_length(Some(1)).max_length(Some(255));
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Header)
        .description(Some(description))
        .schema(Some(schema))
        .build()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::routes::RULES;

    /// The description is checked in, so that people review its changes as a diff. UPDATE_GOLDEN=1 writes it anew.
    #[test]
    fn description_is_checked_in() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");
        let now = openapi_json();
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(path, &now).unwrap();
        }
        let golden = std::fs::read_to_string(path).unwrap_or_default();
        assert!(golden == now, "docs/openapi.json is not what the code says; run this test with UPDATE_GOLDEN=1");
    }

    #[test]
    fn each_operation_tells_what_its_layers_can_answer() {
        let described: Value = serde_json::from_str(&openapi_json()).unwrap();
        for (method, path, access) in RULES {
            let operation = &described["paths"][path][method.as_str().to_ascii_lowercase()];
            let told = |status: u16| !operation["responses"][status.to_string()].is_null();
            let name = format!("{method} {path}");
            assert!(ANY.iter().all(|status| told(*status)), "{name}");
            assert_eq!(told(401), *access != Access::Open || path.ends_with("/session"), "{name}");
            assert!(!path.contains('{') || told(404), "{name}");
            assert!(operation["requestBody"].is_null() || WITH_A_BODY.iter().all(|status| told(*status)), "{name}");
            assert!(*method != Method::DELETE || told(403), "{name}");
            for (status, response) in operation["responses"].as_object().unwrap() {
                let is_refusal = status.as_str() >= "400";
                let named = response["$ref"].as_str().and_then(|name| name.rsplit('/').next());
                let response = named.map_or(response, |name| &described["components"]["responses"][name]);
                assert_eq!(is_refusal, !response["content"][PROBLEM_JSON].is_null(), "{name} {status}");
            }
        }
    }
}
