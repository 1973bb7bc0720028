//! Tests of the decision by tables: which rendition a browser is shown, and what is made for it.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use weir_hub::WindowLimits;
use weir_media::codec::opus::{opus_head, track_info};
use weir_media::{MediaTime, TrackId, VideoFormat};
use weir_testkit::frames::{SyntheticConfig, SyntheticSource};

use super::*;

const AAC: SoundSettings = SoundSettings { bitrate_kbps: 96, codec: AudioCodec::Aac, loudness_lufs: None };

fn picture(height: u32, codec: VideoCodec) -> Video {
    Video::Encode(PictureSettings { codec, ..PictureSettings::usual(height * 16 / 9, height, 2_000) })
}

fn rendition(name: &str, video: Video, audio: Audio) -> Rendition {
    Rendition { name: name.to_owned(), video, audio }
}

/// A source of these codecs.
fn source(codecs: &[Codec]) -> Tracks {
    let info = |(at, codec): (u32, &Codec)| match codec {
        Codec::Opus => track_info(TrackId(at), opus_head(2, 312).unwrap()).unwrap(),
        Codec::H264 | Codec::H265 | Codec::Mpeg2 => TrackInfo {
            video: Some(VideoFormat { width: 1_919, height: 1_080, fps: Some((25, 1)), ..VideoFormat::default() }),
            ..TrackInfo::new(TrackId(at), *codec, Bytes::new())
        },
        codec => TrackInfo::new(TrackId(at), *codec, Bytes::new()),
    };
    (0..).zip(codecs).map(info).map(Arc::new).collect()
}

fn shows(left_out: Option<Codec>) -> Result<Carried, NoneFits> {
    Ok(Carried { profile_idc: Some(77), sound: left_out.is_none(), left_out })
}

fn fails(unsupported: Unsupported) -> Result<Carried, NoneFits> {
    Err(NoneFits::Unsupported(unsupported))
}

/// The decision in words: the rendition that is taken, or what is made.
fn said(choice: &Result<Choice, NoneFits>) -> String {
    match choice {
        Ok(Choice::There(chosen)) => format!("{} there", chosen.rendition),
        Ok(Choice::Made(making)) => {
            let Rendition { video, audio, .. } = &making.rendition;
            let video = match video {
                Video::Source => "source".to_owned(),
                Video::None => "none".to_owned(),
                Video::Encode(it) => format!("{}x{} {} kbps", it.width, it.height, it.bitrate_kbps),
            };
            let audio = match audio {
                Audio::Source => "source",
                Audio::Encode(it) => it.codec.as_str(),
            };
            let instead = making.instead.as_ref().map_or("nothing", |chosen| &chosen.rendition);
            format!("made of {video} and {audio}, else {instead}: {}", making.why)
        }
        Err(none) => format!("none: {none}"),
    }
}

#[test]
fn what_is_there_is_taken_and_what_is_missing_is_made() {
    use Codec::{Aac, Ac3, H264, H265, Mpeg2, Opus};
    use VideoCodec::H264 as H264_PICTURE;
    let asis = Rendition::passthrough("source");
    let opus = rendition("opus", Video::Source, Audio::Encode(OPUS));
    let hd = rendition("720p", picture(720, H264_PICTURE), Audio::Encode(AAC));
    let hd_opus = rendition("720p-opus", picture(720, H264_PICTURE), Audio::Encode(OPUS));
    let hevc = rendition("hevc", picture(720, VideoCodec::H265), Audio::Encode(AAC));
    let small_opus = rendition("360p-opus", picture(360, H264_PICTURE), Audio::Encode(OPUS));
    let radio = rendition("radio", Video::None, Audio::Encode(OPUS));
    let sound = rendition("sound", Video::None, Audio::Encode(AAC));
    let heard = || Ok(Carried { profile_idc: None, sound: true, left_out: None });
    let reordered = || fails(Unsupported::Reordered);
    let is_hevc = || fails(Unsupported::Codec(H265));
    let is_aac = || fails(Unsupported::Codec(Aac));
    type Row<'a> = (&'a [Codec], Vec<(&'a Rendition, Result<Carried, NoneFits>)>, &'a str);
    let rows: [Row<'_>; 18] = [
        (&[H264, Opus], vec![(&asis, shows(None))], "source there"),
        (&[H264], vec![(&asis, shows(None))], "source there"),
        (
            &[H264, Aac],
            vec![(&asis, shows(Some(Aac)))],
            "made of source and opus, else source: the sound is aac, and WebRTC carries Opus",
        ),
        (
            &[H264, Ac3],
            vec![(&asis, shows(Some(Ac3))), (&small_opus, shows(None))],
            "made of source and opus, else source: the sound is ac3, and WebRTC carries Opus",
        ),
        (&[H264, Aac], vec![(&asis, shows(Some(Aac))), (&opus, shows(None))], "opus there"),
        // B-frames: the first rung without them, with its own sound or another one.
        (
            &[H264, Aac],
            vec![(&asis, reordered()), (&hd, shows(Some(Aac))), (&small_opus, shows(None))],
            "made of 1280x720 2000 kbps and opus, else 720p: the sound is aac, and WebRTC carries Opus",
        ),
        (&[H264, Aac], vec![(&asis, reordered()), (&hd, shows(Some(Aac))), (&hd_opus, shows(None))], "720p-opus there"),
        (&[H264, Aac], vec![(&asis, reordered()), (&small_opus, shows(None))], "360p-opus there"),
        (
            &[H264, Aac],
            vec![(&asis, reordered())],
            "made of 1278x720 2300 kbps and opus, else nothing: the picture has B-frames, which no browser shows by WebRTC",
        ),
        (
            &[H264, Opus],
            vec![(&asis, reordered()), (&radio, heard())],
            "made of 1278x720 2300 kbps and source, else nothing: the picture has B-frames, which no browser shows by WebRTC",
        ),
        (
            &[H265],
            vec![(&asis, is_hevc())],
            "made of 1278x720 2300 kbps and source, else nothing: h265 is not sent by WebRTC",
        ),
        (
            &[Mpeg2, Codec::Mp2],
            vec![(&asis, fails(Unsupported::Codec(Mpeg2))), (&hevc, is_hevc())],
            "made of 1278x720 2300 kbps and opus, else nothing: mpeg2 is not sent by WebRTC",
        ),
        // Somebody asks for one rendition by name.
        (
            &[H264, Aac],
            vec![(&hevc, is_hevc())],
            "made of 1280x720 3000 kbps and opus, else nothing: h265 is not sent by WebRTC",
        ),
        (&[H264, Aac], vec![(&radio, heard())], "radio there"),
        (&[H264, Aac], vec![(&sound, is_aac())], "made of none and opus, else nothing: aac is not sent by WebRTC"),
        // Radio.
        (&[Aac], vec![(&asis, is_aac())], "made of none and opus, else nothing: aac is not sent by WebRTC"),
        (&[Aac], vec![(&asis, is_aac()), (&radio, heard())], "radio there"),
        (&[], vec![(&asis, Err(NoneFits::NothingYet))], "none: nothing has come of this rendition yet"),
    ];
    for (codecs, seen, expected) in rows {
        let seen: Vec<Seen<'_>> = seen
            .into_iter()
            .map(|(rendition, found)| (Rung { in_hub: &rendition.name, rendition, is_refused: false }, found))
            .collect();
        let choice = decide(&seen, &source(codecs), true);
        assert_eq!(said(&choice), expected, "{codecs:?}");
        let Ok(Choice::Made(making)) = choice else { continue };
        let sound = codecs.iter().any(|codec| codec.kind() == weir_media::MediaKind::Audio);
        assert_eq!((making.carried.sound, making.carried.left_out), (sound, None), "{expected}");
        if let Video::Encode(picture) = &making.rendition.video {
            assert!(picture.codec == H264_PICTURE && making.carried.profile_idc.is_some());
        }
        // Who takes no sound needs none made.
        match decide(&seen, &source(codecs), false) {
            Ok(Choice::Made(mute)) => assert_eq!(mute.rendition.audio, Audio::Source, "{expected}"),
            Ok(Choice::There(chosen)) => assert!(chosen.carried.profile_idc.is_some(), "{expected}"),
            Err(none) => assert!(matches!(none, NoneFits::Unsupported(_)) && making.rendition.video == Video::None),
        }
    }
}

#[test]
fn what_has_only_just_begun_is_told_by_its_settings() {
    use Codec::{Aac, H264, Opus};
    let main = PictureSettings {
        profile: Some("main".to_owned()),
        ..of_source(&TrackInfo::new(TrackId(0), H264, Bytes::new()))
    };
    let carried = |profile_idc, sound, left_out| Some(Carried { profile_idc, sound, left_out });
    let shown = shows(Some(Aac));
    let refused = fails(Unsupported::Reordered);
    for (video, audio, of_source, codecs, expected) in [
        (
            picture(720, VideoCodec::H264),
            Audio::Encode(AAC),
            &refused,
            &[H264, Aac][..],
            carried(Some(100), false, Some(Aac)),
        ),
        (Video::Encode(main), Audio::Encode(OPUS), &refused, &[H264], carried(Some(77), true, None)),
        (picture(720, VideoCodec::H264), Audio::Source, &refused, &[H264, Opus], carried(Some(100), true, None)),
        (picture(720, VideoCodec::H265), Audio::Encode(OPUS), &shown, &[H264, Aac], None),
        (Video::Source, Audio::Encode(OPUS), &shown, &[H264, Aac], carried(Some(77), true, None)),
        (Video::Source, Audio::Encode(OPUS), &refused, &[H264, Aac], None),
        (Video::None, Audio::Encode(OPUS), &refused, &[H264, Aac], carried(None, true, None)),
        (Video::None, Audio::Encode(AAC), &shown, &[H264, Aac], None),
    ] {
        let rendition = rendition("rung", video, audio);
        let rung = Rung { in_hub: "rung", rendition: &rendition, is_refused: false };
        assert_eq!(expected, super::expected(&rung, of_source, &source(codecs)), "{rendition:?}");
        assert_eq!(super::expected(&Rung { is_refused: true, ..rung }, of_source, &source(codecs)), None);
    }
}

/// A rendition of testkit's picture, with these sounds, and with B-frames or without.
fn publish(hub: &StreamHub, name: &str, sounds: &[Codec], b_frames: bool) {
    let mut source = SyntheticSource::new(SyntheticConfig { audio: None, ..SyntheticConfig::default() });
    let mut publisher = hub.publish_rendition(name);
    let sound = |(at, codec): (u32, &Codec)| match codec {
        Codec::Opus => track_info(TrackId(at), opus_head(2, 312).unwrap()).unwrap(),
        codec => TrackInfo::new(TrackId(at), *codec, Bytes::new()),
    };
    let sounds = (1..).zip(sounds).map(sound);
    publisher.set_tracks(source.tracks().into_iter().chain(sounds).map(Arc::new).collect());
    for mut frame in source.by_ref().take(3) {
        if b_frames {
            frame.pts = frame.pts + MediaTime::from_millis(33);
        }
        publisher.write(frame, Instant::now());
    }
    // Its tracks stay when the publisher is gone.
}

#[test]
fn what_the_hub_has_seen_counts_and_not_what_a_configuration_says() {
    let asis = Rendition::passthrough("source");
    let opus = rendition("opus", Video::Source, Audio::Encode(OPUS));
    let hd = rendition("720p", picture(720, VideoCodec::H264), Audio::Encode(AAC));
    let rungs = [&asis, &opus, &hd].map(|rendition| Rung { in_hub: &rendition.name, rendition, is_refused: false });
    let aac = "opus, else 720p: the sound is aac, and WebRTC carries Opus";
    for (b_frames, published, expected) in [
        (None, "", "none: nothing has come of this rendition yet".to_owned()),
        (Some(false), "", "opus there".to_owned()),
        (Some(false), "opus", "opus there".to_owned()),
        (Some(true), "", format!("made of 1280x720 2000 kbps and {aac}")),
        (Some(true), "720p", format!("made of 1280x720 2000 kbps and {aac}")),
    ] {
        let hub = StreamHub::new(WindowLimits::FRAMES);
        if let Some(b_frames) = b_frames {
            publish(&hub, "source", &[Codec::Aac], b_frames);
        }
        match published {
            "opus" => publish(&hub, "opus", &[Codec::Opus], false),
            "720p" => publish(&hub, "720p", &[Codec::Aac], false),
            _ => {}
        }
        assert_eq!(said(&choose(&hub, &rungs, true)), expected, "{b_frames:?} {published}");
    }
}

/// Anybody may begin what is made of a public stream's source.
#[test]
fn what_is_made_of_a_source_has_a_limit() {
    for (width, height, fps, expected) in [
        (640, 361, Some((25, 1)), (640, 360, None, 576)),
        (1_280, 720, Some((30, 1)), (1_280, 720, None, 2_764)),
        (1_280, 720, Some((31, 1)), (1_280, 720, None, 2_856)),
        (1_280, 720, Some((50, 1)), (1_280, 720, Some(25.0), 2_304)),
        (1_920, 1_080, Some((60, 1)), (1_280, 720, Some(30.0), 2_764)),
        (3_840, 2_160, None, (1_280, 720, None, 2_764)),
        (1_080, 1_920, Some((120, 1)), (720, 1_280, Some(30.0), 2_764)),
        (3_000, 100, Some((0, 0)), (1_280, 42, None, 300)),
        (0, 0, Some((u32::MAX, 1)), (16, 16, Some(30.0), 300)),
    ] {
        let video = Some(VideoFormat { width, height, fps, ..VideoFormat::default() });
        let made = of_source(&TrackInfo { video, ..TrackInfo::new(TrackId(0), Codec::H265, Bytes::new()) });
        let made = (made.width, made.height, made.fps.map(f64::round), made.bitrate_kbps);
        assert_eq!(made, expected, "{width}x{height} at {fps:?}");
    }
}
