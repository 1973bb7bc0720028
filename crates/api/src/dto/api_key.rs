//! The shapes of API keys.

use crate::dto::Timestamp;
use crate::input::present;
use crate::problem::Problem;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use weir_model::{Role, checked_label};
use weir_store::{ApiKey, ApiKeyChange};

#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RoleDto {
    Admin,
    Operator,
    Viewer,
}

impl From<RoleDto> for Role {
    fn from(role: RoleDto) -> Self {
        match role {
            RoleDto::Admin => Self::Admin,
            RoleDto::Operator => Self::Operator,
            RoleDto::Viewer => Self::Viewer,
        }
    }
}

impl From<Role> for RoleDto {
    fn from(role: Role) -> Self {
        match role {
            Role::Admin => Self::Admin,
            Role::Operator => Self::Operator,
            Role::Viewer => Self::Viewer,
        }
    }
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ApiKeyInput {
    #[schema(min_length = 1, max_length = 200)]
    pub(crate) name: String,
    pub(crate) role: RoleDto,
}

/// A field that is absent stays as it is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ApiKeyPatch {
    #[serde(default, deserialize_with = "present")]
    name: Option<String>,
    #[serde(default, deserialize_with = "present")]
    role: Option<RoleDto>,
}

impl ApiKeyPatch {
    pub(crate) fn read(self) -> Result<ApiKeyChange, Problem> {
        let name = self.name.as_deref().map(name_of).transpose()?;
        Ok(ApiKeyChange { name, role: self.role.map(Into::into) })
    }
}

pub(crate) fn name_of(name: &str) -> Result<String, Problem> {
    checked_label(name).map_err(|fault| Problem::invalid("name", fault))
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ApiKeyDto {
    id: i64,
    name: String,
    role: RoleDto,
    created_at: Timestamp,
    /// The key itself, which is shown only once, in the answer that made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
}

impl ApiKeyDto {
    pub(crate) fn new(key: &ApiKey, secret: Option<String>) -> Self {
        Self {
            id: key.id.0,
            name: key.name.clone(),
            role: key.role.into(),
            created_at: key.created_at.into(),
            key: secret,
        }
    }
}
