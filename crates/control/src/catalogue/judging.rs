//! Judges a restream before it exists: what its platform would object to, and what it would take of the machine.

use weir_model::{
    Platform, Platforms, Rendition, RestreamRendition, StreamId, StreamStatus, Violation, check_platform,
};
use weir_observe::{missing_language, sent};
use weir_transcode::{EncodingResources, Estimate, SourceShape, shared_name};

use super::{Catalogue, Desired};
use crate::renditions;

/// The shape that is assumed while the source is not there.
fn source_assumed() -> SourceShape {
    SourceShape { width: 1920, height: 1080, fps: Some(30.0), ..SourceShape::default() }
}

/// What is known of the restream beforehand.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// Whether it is known what would be sent. For the source as it is, that is only known while the source is there.
    pub is_known: bool,
    pub violations: Vec<Violation>,
    /// A rendition that breaks none of the rules.
    pub suggestion: Option<Rendition>,
    /// A rendition of the stream's ladder that breaks none; sending it costs nothing more.
    pub of_ladder: Option<String>,
    /// What would be encoded, with all its settings; None for the source as it is.
    pub rendition: Option<Rendition>,
}

impl Catalogue {
    pub fn judge(
        &self,
        stream: StreamId,
        (asked, language): (&RestreamRendition, Option<&str>),
        platform: &Platform,
        source: &StreamStatus,
    ) -> Judgement {
        let rendition = self.asked_for(stream, asked, Some(platform));
        let sent_now = sent((rendition.as_ref(), language), source);
        let (mut violations, suggestion) =
            sent_now.as_ref().map(|sent| check_platform(platform, sent)).unwrap_or_default();
        let fits = |rendition: &&Rendition| {
            // The source as it is costs nothing either way, and is not what is looked for in the ladder.
            !rendition.is_passthrough()
                && sent((Some(rendition), language), source)
                    .is_some_and(|sent| check_platform(platform, &sent).0.is_empty())
        };
        let ladder = self.stream(stream).map(|stream| self.ladder_of(stream)).unwrap_or_default();
        let of_ladder = ladder.iter().find(fits).filter(|_| !violations.is_empty()).map(|found| found.name.clone());
        violations.extend(language.and_then(|language| missing_language(language, source)));
        Judgement { is_known: sent_now.is_some(), violations, suggestion, of_ladder, rendition }
    }

    /// What encoding it would take on top of the stream's other renditions. None where nothing would be encoded, and while it is not
    /// known what the encoders here can do.
    pub fn estimate(
        &self,
        stream: StreamId,
        asked: &RestreamRendition,
        rendition: &Rendition,
        (platforms, source, encoding): (&Platforms, &StreamStatus, &EncodingResources),
    ) -> Option<Estimate> {
        let shared = shared_name(rendition)?;
        let name = if matches!(asked, RestreamRendition::Named(_)) { rendition.name.clone() } else { shared };
        let more = Rendition { name, ..rendition.clone() };
        let Desired { stream: as_run, restreams } =
            self.desired(platforms).into_iter().find(|desired| desired.stream.id == stream)?;
        let wants =
            renditions::wants(&as_run, restreams.iter().filter_map(|restream| restream.as_ref().ok()), Vec::new());
        if wants.renditions.contains(&more) {
            return Some(Estimate { cores: 0.0, fits: true });
        }
        let shape = source.ingest.as_ref().and_then(|ingest| {
            let (width, height) = (ingest.width?, ingest.height?);
            Some(SourceShape { width, height, fps: ingest.fps, ..SourceShape::default() })
        });
        encoding.estimate(stream, &shape.unwrap_or_else(source_assumed), &wants, &more)
    }
}
