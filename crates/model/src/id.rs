//! Row ids as types of their own, so that a stream's id can't be handed to something that wants a restream's.

use std::fmt;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub i64);

        impl $name {
            /// What a value carries before the store has given it an id of its own (rows start at 1).
            pub const UNSAVED: Self = Self(0);
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id!(
    /// Names one stream, for ever: ids are never used twice.
    StreamId
);
id!(
    /// Names one destination.
    DestinationId
);
id!(
    /// Names one restream.
    RestreamId
);
id!(
    /// Names one person who may log in.
    UserId
);
id!(
    /// Names one ladder.
    LadderId
);
id!(
    /// Names one webhook.
    WebhookId
);
id!(
    /// Names one API key (not its secret).
    ApiKeyId
);
