//! Whether a viewer may watch a stream now. It is pure, and asked when viewers come and again for as long as they stay.

use std::net::IpAddr;

use time::OffsetDateTime;

use crate::catalogue::PlayGrant;
use crate::pass::PassEnd;
use crate::play_token;

/// Whether a viewer at `ip` who shows `token` may watch now, and the Unix second at which that ends, if it does. `sign` makes the
/// server's signature, by which its own tokens are known. The time is only asked for where a token is checked, which matters with
/// thousands of requests a second for open streams.
pub(crate) fn may_watch(
    sign: impl Fn(&[u8]) -> [u8; 32],
    grant: &PlayGrant,
    token: Option<&str>,
    ip: IpAddr,
    now: impl FnOnce() -> OffsetDateTime,
) -> Result<Option<i64>, PassEnd> {
    if !grant.active {
        return Err(PassEnd::StreamStopped);
    }
    if !grant.protected {
        return Ok(None);
    }
    let read = |token| play_token::read(sign, token, grant.stream_id, ip.to_canonical());
    let shown = token.and_then(read).ok_or(PassEnd::Protected)?;
    if shown.epoch != grant.play_epoch {
        return Err(PassEnd::TokenRevoked);
    }
    if now().unix_timestamp() >= shown.expires_at {
        return Err(PassEnd::TokenExpired);
    }
    Ok(Some(shown.expires_at))
}
