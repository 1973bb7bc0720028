//! Says who may call what, by the one table in `routes`. An operation that is not in it can't be called.

use crate::routes::RULES;
use axum::http::Method;
use weir_control::CommandError;
use weir_model::{Restream, Role, Secret};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Everyone may call it, without a key.
    Open,
    /// Whoever has at least this role may call it.
    AtLeast(Role),
    /// Everyone may call it, or whoever has a key, as the configuration says.
    Metrics,
}

pub(crate) const READ: Access = Access::AtLeast(Role::Viewer);
pub(crate) const OPERATE: Access = Access::AtLeast(Role::Operator);
pub(crate) const ADMIN: Access = Access::AtLeast(Role::Admin);

/// Who may name the address of a push in the restream itself (`restreams.raw_uri`). Only admins make destinations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawUriRule(Role);

impl RawUriRule {
    /// Only admins may, as with destinations.
    pub const ADMIN: Self = Self(Role::Admin);
    /// Everyone who may make a restream may.
    pub const OPERATOR: Self = Self(Role::Operator);

    pub(crate) fn lets(self, caller: Role) -> bool {
        caller >= self.0
    }

    /// Checks the addresses of a restream. Addresses that it had `before` may stay: somebody named them who was allowed to.
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

/// The rule for a route, or none if the path does not take that method.
pub(crate) fn access(method: &Method, path: &str) -> Option<Access> {
    let method = if *method == Method::HEAD { &Method::GET } else { method };
    RULES.iter().find(|(known, template, _)| known == method && *template == path).map(|(_, _, access)| *access)
}
