//! The shapes of ladders that are kept under a name.

use crate::dto::ladder::{drafts_of, whole_renditions};
use crate::dto::{Timestamp, set};
use crate::input::present;
use crate::problem::Problem;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use weir_model::{BuiltinLadder, LadderId, Rendition, RenditionDraft, SavedLadder};

#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LadderInput {
    /// The name by which streams use the ladder: lower-case letters, digits, '-' and '_'.
    #[schema(pattern = "^[a-z0-9_-]{1,64}$")]
    name: String,
    /// What people call the ladder; its name when absent.
    #[serde(default)]
    title: Option<String>,
    #[schema(min_items = 1, max_items = 16)]
    renditions: Vec<RenditionDraft>,
}

impl LadderInput {
    pub(crate) fn into_model(self) -> Result<SavedLadder, Problem> {
        let title = self.title.unwrap_or_else(|| self.name.clone());
        Ok(SavedLadder::draft(self.name, title, whole_renditions(self.renditions, "renditions")?))
    }
}

/// The input that would make the ladder again.
impl From<&SavedLadder> for LadderInput {
    fn from(ladder: &SavedLadder) -> Self {
        let SavedLadder { id: _, version: _, name, title, renditions, created_at: _, updated_at: _ } = ladder;
        Self { name: name.clone(), title: Some(title.clone()), renditions: drafts_of(renditions) }
    }
}

/// A field that is absent stays as it is. `renditions` are replaced as a whole.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LadderPatch {
    #[serde(default, deserialize_with = "present")]
    #[schema(pattern = "^[a-z0-9_-]{1,64}$")]
    name: Option<String>,
    #[serde(default, deserialize_with = "present")]
    title: Option<String>,
    #[serde(default, deserialize_with = "present")]
    #[schema(min_items = 1, max_items = 16)]
    renditions: Option<Vec<RenditionDraft>>,
}

/// A patch whose every value is one that the model has.
pub(crate) struct LadderChange {
    name: Option<String>,
    title: Option<String>,
    renditions: Option<Vec<Rendition>>,
}

impl LadderPatch {
    pub(crate) fn into_change(self) -> Result<LadderChange, Problem> {
        let renditions = self.renditions.map(|drafts| whole_renditions(drafts, "renditions")).transpose()?;
        Ok(LadderChange { name: self.name, title: self.title, renditions })
    }
}

impl LadderChange {
    pub(crate) fn apply(&self, ladder: &mut SavedLadder) {
        set(&mut ladder.name, self.name.as_ref());
        set(&mut ladder.title, self.title.as_ref());
        set(&mut ladder.renditions, self.renditions.as_ref());
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SavedLadderDto {
    pub(crate) id: i64,
    name: String,
    title: String,
    /// Says that the ladder comes with the server and can't be changed.
    builtin: bool,
    renditions: Vec<RenditionDraft>,
    /// When the ladder was made; null for one that comes with the server.
    created_at: Option<Timestamp>,
    updated_at: Option<Timestamp>,
}

impl From<&SavedLadder> for SavedLadderDto {
    fn from(ladder: &SavedLadder) -> Self {
        Self {
            id: ladder.id.0,
            name: ladder.name.clone(),
            title: ladder.title.clone(),
            builtin: false,
            renditions: drafts_of(&ladder.renditions),
            created_at: Some(ladder.created_at.into()),
            updated_at: Some(ladder.updated_at.into()),
        }
    }
}

impl From<(LadderId, BuiltinLadder)> for SavedLadderDto {
    fn from((id, ladder): (LadderId, BuiltinLadder)) -> Self {
        Self {
            id: id.0,
            name: ladder.name.to_owned(),
            title: ladder.title,
            builtin: true,
            renditions: drafts_of(&ladder.renditions),
            created_at: None,
            updated_at: None,
        }
    }
}
