//! Row ids as types of their own, so that a stream's id can't be handed to something that wants a restream's.

use std::fmt;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub i64);

        impl $name {
            /// The id of a value before the store has given it one of its own (rows start at 1).
            pub const UNSAVED: Self = Self(0);
        }

        impl From<$name> for i64 {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id!(
    /// The id of one stream, for ever: ids are never used twice.
    StreamId
);
id!(
    /// The id of one destination.
    DestinationId
);
id!(
    /// The id of one restream.
    RestreamId
);
id!(
    /// The id of one person who may log in.
    UserId
);
id!(
    /// The id of one ladder.
    LadderId
);
id!(
    /// The id of one webhook.
    WebhookId
);
id!(
    /// The id of one API key (not its secret).
    ApiKeyId
);
