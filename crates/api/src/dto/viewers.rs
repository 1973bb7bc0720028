//! The shape of the numbers of viewers, with a field for each way of watching that there is.

use std::borrow::Cow;

use serde::{Serialize, Serializer};
use utoipa::openapi::{ObjectBuilder, RefOr, Schema, Type};
use utoipa::{PartialSchema, ToSchema};
use weir_model::{ViewerKind, Viewers};

#[derive(Debug, PartialEq)]
pub(crate) struct ViewersDto(pub(crate) Viewers);

impl Serialize for ViewersDto {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.each().map(|(kind, count)| (kind.as_str(), count)))
    }
}

impl PartialSchema for ViewersDto {
    fn schema() -> RefOr<Schema> {
        let whole = ObjectBuilder::new().schema_type(Type::Object);
        let fields = ViewerKind::ALL.iter().map(|kind| kind.as_str());
        fields.fold(whole, |object, field| object.property(field, u64::schema()).required(field)).into()
    }
}

impl ToSchema for ViewersDto {
    fn name() -> Cow<'static, str> {
        "ViewersDto".into()
    }
}
