//! Who may call what: the one table. What is not in it can't be called.

use axum::http::Method;
use weir_control::CommandError;
use weir_model::{Restream, Role, Secret};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Everyone, without a key.
    Open,
    /// Whoever has at least this role.
    AtLeast(Role),
    /// Everyone, or whoever has a key: as the configuration says.
    Metrics,
}

const READ: Access = Access::AtLeast(Role::Viewer);
const OPERATE: Access = Access::AtLeast(Role::Operator);
const ADMIN: Access = Access::AtLeast(Role::Admin);

pub(crate) const RULES: &[(Method, &str, Access)] = &[
    (Method::GET, "/healthz", Access::Open),
    (Method::GET, "/readyz", Access::Open),
    (Method::GET, "/metrics", Access::Metrics),
    (Method::GET, "/api/v1/openapi.json", Access::Open),
    (Method::POST, "/api/v1/session", Access::Open),
    (Method::GET, "/api/v1/session", READ),
    (Method::PATCH, "/api/v1/session", READ),
    (Method::DELETE, "/api/v1/session", READ),
    (Method::GET, "/api/v1/users", ADMIN),
    (Method::POST, "/api/v1/users", ADMIN),
    (Method::GET, "/api/v1/users/{id}", ADMIN),
    (Method::PATCH, "/api/v1/users/{id}", ADMIN),
    (Method::DELETE, "/api/v1/users/{id}", ADMIN),
    (Method::GET, "/api/v1/audit", ADMIN),
    (Method::GET, "/api/v1/webhooks", ADMIN),
    (Method::POST, "/api/v1/webhooks", ADMIN),
    (Method::DELETE, "/api/v1/webhooks/{id}", ADMIN),
    (Method::GET, "/api/v1/system", READ),
    (Method::POST, "/api/v1/system/prove", ADMIN),
    (Method::GET, "/api/v1/platforms", READ),
    (Method::GET, "/api/v1/events", READ),
    (Method::GET, "/api/v1/events/stream", READ),
    (Method::GET, "/api/v1/live", READ),
    (Method::GET, "/api/v1/streams", READ),
    (Method::POST, "/api/v1/streams", OPERATE),
    (Method::GET, "/api/v1/streams/{id}", READ),
    (Method::PATCH, "/api/v1/streams/{id}", OPERATE),
    (Method::DELETE, "/api/v1/streams/{id}", OPERATE),
    (Method::POST, "/api/v1/streams/{id}/start", OPERATE),
    (Method::POST, "/api/v1/streams/{id}/stop", OPERATE),
    (Method::POST, "/api/v1/streams/{id}/rotate-key", OPERATE),
    (Method::GET, "/api/v1/streams/{id}/stats", READ),
    (Method::GET, "/api/v1/streams/{id}/thumbnail.jpg", READ),
    (Method::GET, "/api/v1/streams/{id}/preview-pass", READ),
    (Method::GET, "/api/v1/streams/{id}/logo", READ),
    (Method::PUT, "/api/v1/streams/{id}/logo", OPERATE),
    (Method::DELETE, "/api/v1/streams/{id}/logo", OPERATE),
    (Method::GET, "/api/v1/streams/{id}/recordings", READ),
    (Method::GET, "/api/v1/recordings", READ),
    (Method::GET, "/api/v1/recordings/{id}", READ),
    (Method::DELETE, "/api/v1/recordings/{id}", OPERATE),
    (Method::GET, "/api/v1/recordings/{id}/file", READ),
    (Method::POST, "/api/v1/streams/{id}/tokens", OPERATE),
    (Method::POST, "/api/v1/streams/{id}/tokens/revoke", OPERATE),
    (Method::GET, "/api/v1/destinations", READ),
    (Method::POST, "/api/v1/destinations", ADMIN),
    (Method::GET, "/api/v1/destinations/{id}", READ),
    (Method::PATCH, "/api/v1/destinations/{id}", ADMIN),
    (Method::DELETE, "/api/v1/destinations/{id}", ADMIN),
    (Method::GET, "/api/v1/ladders", READ),
    (Method::POST, "/api/v1/ladders", ADMIN),
    (Method::GET, "/api/v1/ladders/{id}", READ),
    (Method::PATCH, "/api/v1/ladders/{id}", ADMIN),
    (Method::DELETE, "/api/v1/ladders/{id}", ADMIN),
    (Method::GET, "/api/v1/restreams", READ),
    (Method::POST, "/api/v1/restreams", OPERATE),
    (Method::POST, "/api/v1/restreams/check", OPERATE),
    (Method::GET, "/api/v1/restreams/{id}", READ),
    (Method::PATCH, "/api/v1/restreams/{id}", OPERATE),
    (Method::DELETE, "/api/v1/restreams/{id}", OPERATE),
    (Method::GET, "/api/v1/restreams/{id}/stats", READ),
    (Method::POST, "/api/v1/restreams/{id}/start", OPERATE),
    (Method::POST, "/api/v1/restreams/{id}/stop", OPERATE),
    (Method::POST, "/api/v1/restreams/{id}/retry", OPERATE),
    (Method::GET, "/api/v1/apikeys", ADMIN),
    (Method::POST, "/api/v1/apikeys", ADMIN),
    (Method::PATCH, "/api/v1/apikeys/{id}", ADMIN),
    (Method::DELETE, "/api/v1/apikeys/{id}", ADMIN),
];

/// Who may name the address of a push in a restream itself, where only admins make destinations: `restreams.raw_uri`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawUriRule(Role);

impl RawUriRule {
    /// The rule for destinations.
    pub const ADMIN: Self = Self(Role::Admin);
    /// Whoever may make a restream.
    pub const OPERATOR: Self = Self(Role::Operator);

    pub(crate) fn lets(self, caller: Role) -> bool {
        caller >= self.0
    }

    /// Addresses that were there `before` may stay: somebody named them who was allowed to.
    pub(crate) fn check(self, caller: Role, before: Option<&Restream>, after: &Restream) -> Result<(), CommandError> {
        let was_there = |uri: &Secret| before.is_some_and(|before| before.raw_uris().any(|(_, known)| known == uri));
        match after.raw_uris().find(|(_, uri)| !self.lets(caller) && !was_there(uri)) {
            None => Ok(()),
            Some((field, _)) => Err(CommandError::NotAllowed {
                field,
                message: "names an address of its own, which needs the role admin here: use a destination, or ask for one \
                          (the configuration's restreams.raw_uri may let operators)",
            }),
        }
    }
}

/// The rule for a route; None: the path does not take that method.
pub(crate) fn access(method: &Method, path: &str) -> Option<Access> {
    let method = if *method == Method::HEAD { &Method::GET } else { method };
    RULES.iter().find(|(known, template, _)| known == method && *template == path).map(|(_, _, access)| *access)
}
