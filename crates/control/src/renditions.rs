//! Which renditions a stream is to have, from its ladder and the wishes of its restreams. It is pure.

use std::time::Duration;

use weir_hub::SOURCE_RENDITION;
use weir_model::{Audio, Fault, Ladder, Reason, ReasonCode, Rendition, RenditionWish, RestreamSpec, Stream, Video};
use weir_packager::Cuts;
use weir_transcode::{LogoWish, Wants, shared_name};

/// The renditions that viewers are offered: each name in addresses, with the rendition of the hub that it means.
pub(crate) fn offered(stream: &Stream) -> Vec<(String, String)> {
    of_viewers(stream).iter().map(|rendition| (rendition.name.clone(), in_hub(rendition))).collect()
}

/// The ladder; where there is none, the source as it is.
pub(crate) fn of_viewers(stream: &Stream) -> Vec<Rendition> {
    let source = || vec![Rendition::passthrough(SOURCE_RENDITION)];
    stream.ladder.as_ref().map_or_else(source, Ladder::renditions)
}

/// Where the segments of a rendition that viewers are offered end.
pub(crate) fn cuts(stream: &Stream, name: &str) -> Cuts {
    let ladder = stream.ladder.as_ref().map(Ladder::renditions).unwrap_or_default();
    match ladder.iter().find(|rendition| rendition.name == name) {
        Some(
            Rendition { video: Video::Encode(_), .. } | Rendition { video: Video::None, audio: Audio::Encode(_), .. },
        ) => Cuts::ByClock,
        _ => Cuts::AtKeyframes,
    }
}

/// The longest distance of keyframes in what is encoded for viewers.
pub(crate) fn keyframes_apart(stream: &Stream) -> Duration {
    let renditions = stream.ladder.iter().flat_map(Ladder::renditions);
    let seconds = renditions.filter_map(|rendition| Some(rendition.picture()?.gop_seconds));
    Duration::try_from_secs_f64(seconds.fold(0.0, f64::max)).unwrap_or_default()
}

/// The rendition of the hub that serves a wish.
pub(crate) fn of_wish(stream: &Stream, wish: &RenditionWish) -> Result<String, Reason> {
    match wish {
        RenditionWish::AsIs => Ok(SOURCE_RENDITION.to_owned()),
        RenditionWish::Named(name) => of_name(stream, name).ok_or_else(|| {
            let message = format!("the stream's ladder has no rendition named {name:?}");
            Reason::new(ReasonCode::Internal, message).with_fault(Fault::Config)
        }),
        RenditionWish::Inline(own) => Ok(shared_name(own).unwrap_or_else(|| SOURCE_RENDITION.to_owned())),
    }
}

/// Changes a wish that the source serves to "the source as it is". When the ladder's rendition of that name becomes an encoded one, the
/// restream's spec then differs, and it takes the encoded one.
pub(crate) fn settle(stream: &Stream, spec: &mut RestreamSpec) -> Result<(), Reason> {
    if of_wish(stream, &spec.rendition)? == SOURCE_RENDITION {
        spec.rendition = RenditionWish::AsIs;
    }
    Ok(())
}

/// The rendition of the hub for a name of the stream's ladder. The source as it is can always be asked for.
pub(crate) fn of_name(stream: &Stream, name: &str) -> Option<String> {
    let ladder = stream.ladder.as_ref().map(Ladder::renditions).unwrap_or_default();
    let found = ladder.iter().find(|rendition| rendition.name == name);
    found.map(in_hub).or_else(|| (name == SOURCE_RENDITION).then(|| SOURCE_RENDITION.to_owned()))
}

/// What must be encoded. A ladder is always encoded: viewers of HLS can't be asked before they come. What is demanded by those who watch
/// comes last, since there may be no room for all.
pub(crate) fn wants<'a>(
    stream: &Stream,
    restreams: impl Iterator<Item = &'a RestreamSpec>,
    demanded: Vec<Rendition>,
) -> Wants {
    if !stream.active {
        return Wants::default();
    }
    let ladder = stream.ladder.as_ref().map(Ladder::renditions).unwrap_or_default();
    let mut renditions: Vec<Rendition> = ladder.into_iter().filter(|rendition| !rendition.is_passthrough()).collect();
    let own = |restream: &'a RestreamSpec| match &restream.rendition {
        RenditionWish::Inline(own) => shared_name(own).map(|name| Rendition { name, ..own.clone() }),
        _ => None,
    };
    for want in restreams.filter_map(own).chain(demanded) {
        if !renditions.contains(&want) {
            renditions.push(want);
        }
    }
    let logo = stream.logo_image.clone().map(|image| LogoWish { placement: stream.logo, image });
    Wants { renditions, policy: stream.encoder_policy, logo }
}

pub(crate) fn in_hub(rendition: &Rendition) -> String {
    if rendition.is_passthrough() { SOURCE_RENDITION.to_owned() } else { rendition.name.clone() }
}

#[cfg(test)]
mod tests {
    use weir_model::{
        AudioCodec, Fit, PictureSettings, PushUrl, RateControl, RestreamId, RetryBudget, RetryRules, SoundSettings,
        StreamId, StreamName, VideoCodec,
    };

    use super::*;

    fn encoded(name: &str, (width, height): (u32, u32), gop_seconds: f64) -> Rendition {
        let picture = PictureSettings {
            width,
            height,
            fps: None,
            bitrate_kbps: 600,
            codec: VideoCodec::H264,
            gop_seconds,
            rate_control: RateControl::Cbr,
            profile: None,
            fit: Fit::Pad,
        };
        let sound = SoundSettings { bitrate_kbps: 96, codec: AudioCodec::Aac, loudness_lufs: None };
        Rendition { name: name.to_owned(), video: Video::Encode(picture), audio: Audio::Encode(sound) }
    }

    fn own(name: &str) -> Rendition {
        encoded(name, (640, 360), 2.0)
    }

    fn stream(ladder: Option<Ladder>) -> Stream {
        Stream { ladder, ..Stream::draft(StreamName::new("cam1").unwrap()) }
    }

    fn laddered() -> Stream {
        let small = encoded("small", (320, 180), 2.0);
        stream(Some(Ladder::Inline(vec![Rendition::passthrough("asis"), small])))
    }

    fn restream(rendition: RenditionWish) -> RestreamSpec {
        RestreamSpec {
            id: RestreamId(1),
            stream_id: StreamId(1),
            name: "r".to_owned(),
            primary: PushUrl::parse("rtmp://h/a/k").unwrap(),
            backup: None,
            rendition,
            audio_language: None,
            retry: RetryRules::default(),
            budget: RetryBudget::default(),
            enhanced_rtmp: false,
        }
    }

    #[test]
    fn the_longest_gop_that_is_encoded_is_known_before_it_comes() {
        let encode = |gop_seconds| encoded("x", (320, 180), gop_seconds);
        for (ladder, expected) in [
            (None, 0.0),
            (Some(vec![Rendition::passthrough("asis")]), 0.0),
            (Some(vec![encode(2.0), encode(4.5), Rendition::passthrough("asis"), encode(1.0)]), 4.5),
        ] {
            let stream = stream(ladder.map(Ladder::Inline));
            assert_eq!(keyframes_apart(&stream), Duration::from_secs_f64(expected));
        }
    }

    #[test]
    fn what_is_encoded_is_cut_by_the_clock() {
        let made = encoded("made", (320, 180), 2.0);
        let kept = Rendition { name: "kept".to_owned(), video: Video::Source, ..made.clone() };
        let radio = Rendition { name: "radio".to_owned(), video: Video::None, ..made.clone() };
        let sound = Rendition { name: "sound".to_owned(), video: Video::None, audio: Audio::Source };
        let ladder = Ladder::Inline(vec![made, kept, radio, sound, Rendition::passthrough("asis")]);
        let stream = stream(Some(ladder));
        for (name, expected) in [
            ("made", Cuts::ByClock),
            ("kept", Cuts::AtKeyframes),
            ("radio", Cuts::ByClock),
            ("sound", Cuts::AtKeyframes),
            ("asis", Cuts::AtKeyframes),
            ("source", Cuts::AtKeyframes),
        ] {
            assert_eq!(cuts(&stream, name), expected, "{name}");
        }
    }

    #[test]
    fn viewers_are_offered_the_ladder_or_the_source() {
        let pairs = |stream: &Stream| -> Vec<String> {
            offered(stream).into_iter().map(|(name, hub)| format!("{name}={hub}")).collect()
        };
        assert_eq!(pairs(&stream(None)), ["source=source"]);
        assert_eq!(pairs(&laddered()), ["asis=source", "small=small"]);
        assert_eq!(pairs(&stream(Some(Ladder::Named("hd".to_owned())))).len(), 4);
    }

    #[test]
    fn wishes_are_found_or_refused() {
        let in_hub = shared_name(&own("x"));
        for (wish, expected) in [
            (RenditionWish::AsIs, Some("source")),
            (RenditionWish::Named("source".to_owned()), Some("source")),
            (RenditionWish::Named("asis".to_owned()), Some("source")),
            (RenditionWish::Named("small".to_owned()), Some("small")),
            (RenditionWish::Named("720p".to_owned()), None),
            (RenditionWish::Inline(Rendition::passthrough("x")), Some("source")),
            (RenditionWish::Inline(own("x")), in_hub.as_deref()),
        ] {
            let found = of_wish(&laddered(), &wish);
            assert_eq!(found.as_deref().ok(), expected, "{wish:?}");
            assert!(found.is_ok() || found.unwrap_err().fault == Fault::Config);
        }
    }

    #[test]
    fn a_rendition_that_becomes_an_encoded_one_makes_another_restream() {
        let settled = |stream: &Stream, wish: &str| {
            let mut spec = restream(RenditionWish::Named(wish.to_owned()));
            settle(stream, &mut spec).map(|()| spec.rendition)
        };
        assert_eq!(settled(&laddered(), "asis"), Ok(RenditionWish::AsIs));
        assert_eq!(settled(&laddered(), "small"), Ok(RenditionWish::Named("small".to_owned())));
        let encoded = stream(Some(Ladder::Inline(vec![own("asis")])));
        assert_eq!(settled(&encoded, "asis"), Ok(RenditionWish::Named("asis".to_owned())));
        assert!(settled(&encoded, "small").is_err());
    }

    #[test]
    fn what_is_encoded_is_the_ladder_and_what_restreams_ask_for() {
        let push = |name: &str| restream(RenditionWish::Inline(own(name)));
        let restreams =
            [push("a"), push("b"), restream(RenditionWish::Named("small".to_owned())), restream(RenditionWish::AsIs)];
        let watched = Rendition { name: "~watched".to_owned(), ..own("c") };
        let pushed = Rendition { name: shared_name(&own("a")).unwrap(), ..own("a") };
        let demanded = vec![watched, pushed];
        let names = |stream: &Stream| -> Vec<String> {
            wants(stream, restreams.iter(), demanded.clone()).renditions.into_iter().map(|want| want.name).collect()
        };
        let shared = shared_name(&own("a")).unwrap();
        assert_eq!(names(&laddered()), ["small", shared.as_str(), "~watched"]);
        assert_eq!(names(&stream(None)), [shared.as_str(), "~watched"], "what is pushed already is watched, too");
        assert!(names(&Stream { active: false, ..laddered() }).is_empty());
    }
}
