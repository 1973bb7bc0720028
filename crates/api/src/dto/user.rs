//! The shapes of people who may log in.

use crate::dto::Timestamp;
use crate::dto::api_key::RoleDto;
use crate::input::present;
use crate::problem::Problem;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use weir_model::{Secret, checked_label};
use weir_store::{Account, AccountChange, MAX_PASSWORD_BYTES};

/// The length that NIST asks of passwords that people choose. NIST asks nothing about their letters, so neither does Weir.
const MIN_PASSWORD_CHARS: usize = 8;

/// A new person.
// This type has no `Debug`, because it holds a password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UserInput {
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    /// A password of 8 characters or more.
    #[schema(min_length = 8, max_length = 1024)]
    password: String,
    role: RoleDto,
    /// How many restreams this person may make; null means no limit.
    #[serde(default)]
    restream_quota: Option<u32>,
}

/// A new person whose every value can be stored.
pub(crate) struct NewUser {
    pub(crate) name: String,
    pub(crate) password: Secret,
    pub(crate) role: weir_model::Role,
    pub(crate) restream_quota: Option<u32>,
}

impl UserInput {
    pub(crate) fn read(self) -> Result<NewUser, Problem> {
        Ok(NewUser {
            name: name_of(&self.name)?,
            password: new_password(self.password, "password")?,
            role: self.role.into(),
            restream_quota: self.restream_quota,
        })
    }
}

/// A field that is absent stays as it is. A new password ends all logins.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UserPatch {
    #[serde(default, deserialize_with = "present")]
    #[schema(min_length = 1, max_length = 200)]
    name: Option<String>,
    #[serde(default, deserialize_with = "present")]
    #[schema(min_length = 8, max_length = 1024)]
    password: Option<String>,
    #[serde(default, deserialize_with = "present")]
    role: Option<RoleDto>,
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<u32>)]
    restream_quota: Option<Option<u32>>,
}

impl UserPatch {
    pub(crate) fn read(self) -> Result<AccountChange, Problem> {
        Ok(AccountChange {
            name: self.name.as_deref().map(name_of).transpose()?,
            role: self.role.map(Into::into),
            password: self.password.map(|password| new_password(password, "password")).transpose()?,
            keep: None,
            restream_quota: self.restream_quota,
        })
    }
}

fn name_of(name: &str) -> Result<String, Problem> {
    checked_label(name).map_err(|fault| Problem::invalid("name", fault))
}

pub(crate) fn new_password(password: String, field: &str) -> Result<Secret, Problem> {
    if password.chars().count() < MIN_PASSWORD_CHARS || password.len() > MAX_PASSWORD_BYTES {
        return Err(Problem::invalid(field, "must be 8 characters to 1024 bytes long"));
    }
    Ok(Secret::new(password))
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UserDto {
    id: i64,
    name: String,
    role: RoleDto,
    restream_quota: Option<u32>,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl From<&Account> for UserDto {
    fn from(account: &Account) -> Self {
        Self {
            id: account.id.0,
            name: account.name.clone(),
            role: account.role.into(),
            restream_quota: account.restream_quota,
            created_at: account.created_at.into(),
            updated_at: account.updated_at.into(),
        }
    }
}
