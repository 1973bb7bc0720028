//! Why somebody may not publish or play. This is one enum for every protocol, each of which says it in its own words.

/// The text is for logs, for events and for protocols that carry text. It never says more than the one who asked may know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdmissionRefusal {
    #[error("unknown stream key")]
    UnknownKey,
    #[error("too many unknown stream keys came from this address; it has to wait")]
    Guessing,
    /// Only publishers hear this: for players a stopped stream is as good as none.
    #[error("the stream is not active")]
    Stopped,
    /// The stream was found, and its run did not begin in time.
    #[error("the stream is not running")]
    NotRunning,
    #[error("already publishing")]
    Occupied,
    #[error("no such stream")]
    NoStream,
    /// No token was shown that opens the stream.
    #[error("this stream is protected")]
    Protected,
    #[error("no such rendition")]
    NoRendition,
    #[error("the stream is not live")]
    NotLive,
}

impl AdmissionRefusal {
    #[cfg(test)]
    pub(crate) const ALL: [Self; 9] = [
        Self::UnknownKey,
        Self::Guessing,
        Self::Stopped,
        Self::NotRunning,
        Self::Occupied,
        Self::NoStream,
        Self::Protected,
        Self::NoRendition,
        Self::NotLive,
    ];
}
