//! Rows to and from `model`: the only crate that knows SQL, and the only one that seals secrets at rest.

mod account;
mod api_key;
mod audit;
mod change_log;
mod columns;
mod destination;
mod dialect;
mod error;
mod event_ids;
mod idempotency;
mod kept;
mod ladder;
mod login;
mod page;
mod password;
mod restore;
mod restream;
mod schema;
mod sealing;
mod store;
mod stream;
mod stream_clock;
mod told;
mod webhook;
mod write;
mod write_health;

pub use account::{Account, AccountChange};
pub use api_key::{ApiKey, ApiKeyChange, ENVIRONMENT_KEY_NAME, MIN_API_KEY_BYTES};
pub use audit::{AUDIT_REFUSED_ROWS_MAX, AUDIT_ROWS_MAX, AuditDraft, AuditEntry, AuditFilter, Outcome};
pub use change_log::Change;
pub use columns::{Columns, Unique};
pub use error::StoreError;
pub use idempotency::{Answer, IDEMPOTENCY_LIFE, Reservation};
pub use kept::{Kept, Plain, Refused, SelfJudged, Stamp};
pub use login::Login;
pub use page::{MAX_PAGE_ROWS, Page};
pub use password::{MAX_PASSWORD_BYTES, checked_password_hash};
pub use restore::{Kind, SteadyReads, Times};
pub use sealing::{KEY_FILE, SealingKey, SealingKeyError};
pub use store::Store;
pub use told::{Deeds, Told, event_kind, event_kinds};
pub use write_health::WriteHealth;

use weir_model::{Destination, Restream, SavedLadder, Stream, Webhook};

/// What is stored and told of.
const NOUNS: [Deeds; 7] = [
    Stream::DEEDS,
    Destination::DEEDS,
    Restream::DEEDS,
    SavedLadder::DEEDS,
    Account::DEEDS,
    ApiKey::DEEDS,
    Webhook::DEEDS,
];

/// What every call here answers.
pub type Result<T> = std::result::Result<T, StoreError>;
