//! Reject codes: the reason that a listener gives when it does not let a caller in.

/// The application codes of SRT's access control, which are those of HTTP plus 1000.
pub const BAD_REQUEST: i32 = 1_400;
pub const UNAUTHORIZED: i32 = 1_401;
pub const OVERLOAD: i32 = 1_402;
pub const FORBIDDEN: i32 = 1_403;
pub const NOT_FOUND: i32 = 1_404;
pub const BAD_MODE: i32 = 1_405;
pub const CONFLICT: i32 = 1_409;

/// Codes of libsrt itself, which say why a handshake failed.
pub(crate) const BAD_SECRET: i32 = 10;
pub(crate) const UNSECURE: i32 = 11;
pub(crate) const TIMEOUT: i32 = 16;

/// A code in words. A code that applications added is shown as its number alone.
pub fn words(code: i32) -> &'static str {
    match code {
        1 => "a system call failed",
        2 => "the far end said no",
        3 => "no resources",
        4 => "broken handshake",
        5 => "too many callers are waiting",
        6 => "internal error",
        7 => "the far end is closing",
        8 => "the SRT version is too old",
        BAD_SECRET => "wrong passphrase",
        UNSECURE => "a passphrase is required, or is not expected",
        12 => "stream and message mode differ",
        13 => "another congestion control, as in transtype=file",
        14 => "another packet filter",
        15 => "no groups",
        TIMEOUT => "no answer",
        1_000 => "rejected",
        1_001 => "a key of the stream id is not supported",
        1_002 => "bad file path",
        1_003 => "unknown host",
        BAD_REQUEST => "bad request",
        UNAUTHORIZED => "unauthorized",
        OVERLOAD => "overloaded",
        FORBIDDEN => "forbidden",
        NOT_FOUND => "not found",
        BAD_MODE => "bad mode",
        1_406 => "unacceptable",
        CONFLICT => "in use already",
        1_415 => "media not supported",
        1_423 => "locked",
        1_500 => "internal server error",
        1_501 => "not implemented",
        1_503 => "service down",
        _ => "rejected",
    }
}
