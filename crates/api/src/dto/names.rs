//! Schemas of strings that are names out of a known list, so that programs can tell from the description which may come.

use std::borrow::Cow;

use utoipa::openapi::{ObjectBuilder, RefOr, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident of $all:expr;)+) => { $(
        $(#[$doc])*
        pub(crate) enum $name {}

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                ObjectBuilder::new().schema_type(Type::String).enum_values(Some($all)).into()
            }
        }

        impl ToSchema for $name {
            fn name() -> Cow<'static, str> {
                stringify!($name).into()
            }
        }
    )+ };
}

names! {
    /// Why something is in the state that it is in.
    ReasonCode of weir_model::ReasonCode::ALL.iter().map(|code| code.as_str());
    /// What works and should be known all the same.
    WarningCode of weir_model::WARNING_CODES.iter().copied();
}
