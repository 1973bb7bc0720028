//! Takes publishers in: an offer that sends is answered, and its connection waits to be read.

use std::sync::Arc;
use std::time::Instant;

use weir_media::Codec;

use super::{CONNECTIONS_MAX, Engine, NoAnswer, PASSWORD_CHARS, UFRAG_CHARS, letters};
use crate::channel::Ends;
use crate::incoming::Incoming;
use crate::receiver::{Receiver, Reception};
use crate::routes::OF_PUBLISHER;
use crate::sdp::{Agreed, Answer, IceCredentials, Kind, Offer, Received};

/// Why a publisher's offer that can be read has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    #[error(
        "pictures are taken as H.264 in packetization mode 1, and, where the stream's ladder encodes them, as VP8, VP9, AV1 and H.265; sound is \
         taken as Opus: let the offer have these"
    )]
    Codecs,
    #[error(
        "the offer's pictures are {}, which the stream has no ladder to encode: let the offer have H.264, or give the stream a ladder (VP8, VP9, \
         AV1 and H.265 are taken then)", .0.name().to_uppercase()
    )]
    NeedsLadder(Codec),
    #[error(transparent)]
    NoAnswer(#[from] NoAnswer),
}

/// What goes back to a publisher who asked.
#[derive(Debug)]
pub struct TakenIn {
    pub sdp: String,
    /// Our ufrag, which the far end's checks will name.
    pub ufrag: String,
    pub incoming: Incoming,
    /// Says that the offer has several layers of one picture, of which only the first is sent, because their packets don't say which one
    /// they are of.
    pub one_layer: bool,
}

impl Engine {
    /// Answers an offer that sends. Everything that it sends is taken, or nothing: a publisher who would lose the picture, or the sound,
    /// without a word is worse off than one who is refused. Pictures of other codecs than H.264 are taken where they are encoded.
    pub fn take_in(&self, offer: &Offer, encodes_pictures: bool) -> Result<TakenIn, NotTaken> {
        let shared = &self.shared;
        let (pictures, sounds) = (offer.section(Kind::Video), offer.section(Kind::Audio));
        let video = offer.sent_picture(encodes_pictures);
        let audio = sounds.zip(offer.opus());
        if pictures.is_some() != video.is_some() || sounds.is_some() != audio.is_some() {
            let other = offer.sent_picture(true).filter(|_| video.is_none());
            return Err(other.map_or(NotTaken::Codecs, |sent| NotTaken::NeedsLadder(sent.codec)));
        }
        if shared.routes.count() >= CONNECTIONS_MAX {
            return Err(NoAnswer::Full.into());
        }
        let ice = IceCredentials { ufrag: letters(UFRAG_CHARS)?, password: letters(PASSWORD_CHARS)? };
        let ends = Ends { offer, ice: &ice, candidates: &shared.candidates };
        let (reception, now) = (Reception { ends, video, audio }, Instant::now());
        let receiver = Receiver::new(&reception, &shared.identity, &shared.provider, now).map_err(|error| {
            tracing::warn!(%error, "a WebRTC connection can't be set up");
            NoAnswer::Internal
        })?;
        let received = |payload, repeats, layers| Agreed::Received(Received { payload, repeats, layers });
        let sdp = Answer {
            offer,
            is_lite: true,
            ufrag: &ice.ufrag,
            password: &ice.password,
            fingerprint: &shared.identity.fingerprint().to_string(),
            candidates: &shared.candidates,
            video: video.map(|sent| received(sent.payload, sent.repeats, sent.section.layers())),
            audio: audio.map(|(_, payload)| received(payload, None, &[])),
        }
        .write();
        let route = shared.routes.open(&ice.ufrag, OF_PUBLISHER);
        let one_layer = pictures.is_some_and(|section| section.rids.len() > 1 && section.layers().is_empty());
        let pictures = video.map(|sent| (sent.codec, sent.section.layers().len().max(1)));
        let incoming = Incoming::new(Arc::clone(shared), receiver, route, pictures, audio.is_some());
        Ok(TakenIn { sdp, ufrag: ice.ufrag, incoming, one_layer })
    }
}
