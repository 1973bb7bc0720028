//! With several sounds each language is offered, equal sound is packaged once, and a rendition that leaves takes nothing from the others.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use weir_hub::{Publisher, Tracks};
use weir_media::codec::mpeg_audio::MpegAudioHeader;
use weir_media::codec::{self, ac3};
use weir_media::{Codec, Frame, Language, TrackId, TrackInfo};
use weir_model::{StreamId, StreamStatus};
use weir_mux::ts::{TsEvent, TsReader};
use weir_packager::{Answer, Cuts, PackagerConfig};
use weir_testkit::frames::{SyntheticConfig, SyntheticSource};

use crate::support::{Rig, time, tracks_of};

/// The head of an AC-3 frame, and below that of an MP2 frame, of 48 kHz stereo at 192 kbps.
const AC3: [u8; 8] = [0x0B, 0x77, 0x9B, 0x5C, 0x14, 0x40, 0x43, 0xE1];
const MP2: [u8; 4] = [0xFF, 0xFD, 0xA4, 0x04];

/// Tracks for the synthetic picture, and for sounds in those codecs and languages.
fn spoken(source: &SyntheticSource, sounds: &[(Codec, &str)]) -> Tracks {
    let all = tracks_of(source);
    let sound = |(id, (codec, language)): (u32, &(Codec, &str))| {
        let config = match codec {
            Codec::Ac3 => ac3::record(&AC3).unwrap(),
            Codec::Mp2 => MpegAudioHeader::parse(&MP2).unwrap().record(),
            _ => all.audio().unwrap().config.clone(),
        };
        let info = codec::parse(*codec, TrackId(id), config).unwrap();
        Arc::new(TrackInfo { language: Language::parse(language), ..info })
    };
    all.video().cloned().into_iter().chain((1..).zip(sounds).map(sound)).collect()
}

/// Writes frames. Each frame of the one synthetic sound is written once for each sound of the publisher's tracks.
async fn write(publisher: &mut Publisher, frames: &[Frame]) {
    let sounds: Vec<TrackId> = publisher.tracks().audios().map(|info| info.id).collect();
    for frame in frames {
        if frame.track == TrackId::SOURCE_VIDEO {
            publisher.write(frame.clone(), Instant::now());
        } else {
            for track in &sounds {
                publisher.write(Frame { track: *track, ..frame.clone() }, Instant::now());
            }
        }
        tokio::task::yield_now().await;
    }
}

async fn is_there(rig: &Rig, path: &str) -> bool {
    !matches!(rig.packager.answer(path, None).await, Answer::NotFound)
}

#[tokio::test]
async fn every_language_is_offered() {
    let mut rig = Rig::new(PackagerConfig::default()).await;
    let mut publisher = rig.publisher();
    let mut source = SyntheticSource::new(SyntheticConfig::default());
    let sounds = [(Codec::Aac, "deu"), (Codec::Aac, "eng"), (Codec::Ac3, "fra"), (Codec::Mp2, "ita")];
    publisher.set_tracks(spoken(&source, &sounds));
    write(&mut publisher, &source.frames_until(time(9.0))).await;

    let master = rig.text("master.m3u8").await;
    let sound = |group: &str, code: &str, tag: &str, default: &str, uri: &str| {
        format!(
            "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"{group}\",NAME=\"{code}\",LANGUAGE=\"{tag}\",DEFAULT={default},AUTOSELECT=YES,\
             CHANNELS=\"2\",URI=\"source/{uri}.m3u8\""
        )
    };
    let media: Vec<&str> = master.lines().filter(|line| line.starts_with("#EXT-X-MEDIA")).collect();
    let expected = [
        sound("source", "deu", "de", "YES", "audio"),
        sound("source", "eng", "en", "NO", "audio-2"),
        // A player of AC-3 can also choose among all of them.
        sound("source-ac3", "deu", "de", "YES", "audio"),
        sound("source-ac3", "eng", "en", "NO", "audio-2"),
        sound("source-ac3", "fra", "fr", "NO", "audio-3"),
    ];
    assert_eq!(media, expected, "{master}");
    let variants: Vec<&str> = master.lines().filter(|line| line.starts_with("#EXT-X-STREAM-INF")).collect();
    assert_eq!(variants.len(), 2, "one for each codec: {master}");
    assert!(variants[0].contains(",mp4a.40.2\"") && variants[0].contains("AUDIO=\"source\""), "{master}");
    assert!(variants[1].contains(",mp4a.40.2,ac-3\"") && variants[1].contains("AUDIO=\"source-ac3\""), "{master}");
    assert!(master.contains("DATA-ID=\"weir.sounds-left-out\",VALUE=\"mp2 ita\""), "MP2 is in no MP4: {master}");
    let pictures = rig.checked("source/video.m3u8").await.complete().count();
    for path in ["source/audio.m3u8", "source/audio-2.m3u8", "source/audio-3.m3u8"] {
        assert_eq!(rig.checked(path).await.complete().count(), pictures, "{path}");
    }
    assert!(!is_there(&rig, "source/audio-4.m3u8").await, "MP2 is in no MP4");

    let manifest = rig.text("manifest.mpd").await;
    for (language, count) in [("de", 1), ("en", 1), ("fr", 1), ("it", 0)] {
        assert_eq!(manifest.matches(&format!(" lang=\"{language}\"")).count(), count, "{language}: {manifest}");
    }
    assert_eq!(manifest.matches("value=\"main\"").count(), 1, "{manifest}");
    assert_eq!(manifest.matches("codecs=\"ac-3\"").count(), 1, "{manifest}");

    rig.finish().await;
    let number = rig.checked("source/video.m3u8").await.complete().next().unwrap().number;
    let mut reader = TsReader::new(None);
    reader.feed(&rig.get(&format!("ts/source/{number}.ts")).await);
    reader.finish();
    let mut in_ts = Vec::new();
    while let Some(event) = reader.next_event() {
        in_ts.extend(match event {
            TsEvent::Program(program) => program.streams.iter().filter_map(|it| it.language).collect(),
            _ => Vec::new(),
        });
    }
    let in_ts: Vec<&str> = in_ts.iter().map(Language::code).collect();
    assert_eq!(in_ts, ["deu", "eng", "fra"], "old boxes have them all in one file");
}

/// What a player that asks only once would have to live with.
async fn at_once(rig: &Rig, path: &str) -> Option<String> {
    let answer = tokio::time::timeout(Duration::from_millis(50), rig.packager.answer(path, None)).await;
    match answer {
        Ok(Answer::Found { body, .. }) => Some(String::from_utf8(body.to_vec()).unwrap()),
        Ok(Answer::NotReady) | Err(_) => None,
        Ok(other) => panic!("{path}: {other:?}"),
    }
}

#[tokio::test]
async fn no_playlist_is_given_out_before_the_sounds_that_were_named_have_begun() {
    for comes in [true, false] {
        let rig = Rig::new(PackagerConfig::default()).await;
        let mut publisher = rig.publisher();
        let mut source = SyntheticSource::new(SyntheticConfig::default());
        let both = spoken(&source, &[(Codec::Aac, "deu"), (Codec::Ac3, "eng")]);
        publisher.set_tracks(both.clone());
        let mut write = async |until: f64, english: bool| {
            for frame in source.frames_until(time(until)) {
                publisher.write(frame.clone(), Instant::now());
                if english && frame.track == TrackId(1) {
                    publisher.write(Frame { track: TrackId(2), ..frame }, Instant::now());
                }
                tokio::task::yield_now().await;
            }
        };
        write(3.0, false).await;
        assert_eq!(at_once(&rig, "master.m3u8").await, None, "English is still to come");
        write(3.9, comes).await;
        let english = |master: &str| master.contains("LANGUAGE=\"en\"");
        assert_eq!(at_once(&rig, "master.m3u8").await.is_some(), comes);
        write(5.0, comes).await;
        let master = at_once(&rig, "master.m3u8").await.expect("what has not come by now is not waited for");
        assert_eq!(english(&master), comes, "{master}");
    }
}

/// Encoders give their first picture later than the source, and yet whoever asks first sees the whole ladder.
#[tokio::test]
async fn nothing_is_given_out_before_the_renditions_that_are_brought_have_begun() {
    for comes in [true, false] {
        let rig = Rig::new(PackagerConfig::default()).await;
        let small = rig.follow("small", Cuts::AtKeyframes);
        tokio::task::yield_now().await;
        let mut source = SyntheticSource::new(SyntheticConfig::default());
        let (mut publisher, mut encoder) = (rig.publisher(), rig.hub.publish_rendition("small"));
        publisher.set_tracks(tracks_of(&source));
        encoder.set_tracks(tracks_of(&source));
        let first = source.frames_until(time(3.0));
        write(&mut publisher, &first).await;
        for path in ["master.m3u8", "manifest.mpd"] {
            assert_eq!(at_once(&rig, path).await, None, "{path}");
        }
        if comes {
            write(&mut encoder, &first).await;
        } else {
            write(&mut publisher, &source.frames_until(time(5.0))).await;
        }
        for path in ["master.m3u8", "manifest.mpd"] {
            let text = at_once(&rig, path).await.expect("what has not come by now is not waited for");
            assert_eq!(text.contains("small/video"), comes, "{path}: {text}");
        }
        small.abort();
    }
}

#[tokio::test]
async fn a_period_is_not_listed_before_all_its_tracks_are_in_it() {
    let rig = Rig::new(PackagerConfig::default()).await;
    let mut publisher = rig.publisher();
    let tracks = spoken(&SyntheticSource::new(SyntheticConfig::default()), &[(Codec::Aac, "deu"), (Codec::Aac, "eng")]);
    publisher.set_tracks(tracks);
    // The same happens twice, with a pause in between. The sound lies half a second behind the picture.
    for (at, periods) in [(0.0, 0), (20.0, 1)] {
        let mut frames = SyntheticSource::new(SyntheticConfig::default()).frames_until(time(5.0));
        for frame in &mut frames {
            (frame.dts, frame.pts) = (frame.dts + time(at), frame.pts + time(at));
        }
        let due = |frame: &Frame| if frame.track == TrackId(1) { frame.dts + time(0.5) } else { frame.dts };
        frames.sort_by_key(due);
        let (early, late): (Vec<Frame>, Vec<Frame>) = frames.into_iter().partition(|frame| due(frame) < time(at + 2.2));
        write(&mut publisher, &early).await;
        let before = at_once(&rig, "manifest.mpd").await.unwrap_or_default();
        assert_eq!(before.matches("<Period").count(), periods, "{before}");
        write(&mut publisher, &late).await;
        let after = at_once(&rig, "manifest.mpd").await.unwrap_or_default();
        assert_eq!(after.matches("<Period").count(), periods + 1, "{after}");
        for set in ["contentType=\"video\"", "lang=\"de\"", "lang=\"en\""] {
            assert_eq!(after.matches(set).count(), periods + 1, "{set}: {after}");
        }
    }
}

#[tokio::test]
async fn sounds_that_come_later_or_are_called_otherwise_are_offered_too() {
    let rig = Rig::new(PackagerConfig::default()).await;
    let mut publisher = rig.publisher();
    let mut source = SyntheticSource::new(SyntheticConfig::default());
    publisher.set_tracks(spoken(&source, &[(Codec::Aac, "")]));
    write(&mut publisher, &source.frames_until(time(5.0))).await;
    let master = rig.text("master.m3u8").await;
    assert!(master.contains("NAME=\"source\",DEFAULT=YES"), "{master}");
    publisher.set_tracks(spoken(&source, &[(Codec::Aac, "deu"), (Codec::Aac, "eng")]));
    write(&mut publisher, &source.frames_until(time(11.0))).await;
    let master = rig.text("master.m3u8").await;
    assert!(master.contains("LANGUAGE=\"de\"") && master.contains("LANGUAGE=\"en\""), "{master}");
    let first = rig.checked("source/audio.m3u8").await;
    assert_eq!(first.discontinuities, 0, "a name is no other configuration");
    let last = |playlist: &crate::support::checker::Playlist| playlist.complete().last().map(|segment| segment.number);
    let later = rig.checked("source/audio-2.m3u8").await;
    assert_eq!(last(&later), last(&first), "the same number is the same time");
    // A sound that goes is not offered any more.
    publisher.set_tracks(spoken(&source, &[(Codec::Aac, "deu")]));
    write(&mut publisher, &source.frames_until(time(16.0))).await;
    let master = rig.text("master.m3u8").await;
    assert!(master.contains("LANGUAGE=\"de\"") && !master.contains("LANGUAGE=\"en\""), "{master}");
}

/// The source has German in AAC and French in AC-3, and a transcoder makes AAC of both.
#[tokio::test]
async fn every_variant_has_every_language() {
    let rig = Rig::new(PackagerConfig::default()).await;
    let small = rig.follow("small", Cuts::AtKeyframes);
    tokio::task::yield_now().await;
    let mut source = SyntheticSource::new(SyntheticConfig::default());
    let tracks = spoken(&source, &[(Codec::Aac, "deu"), (Codec::Ac3, "fra")]);
    let made = spoken(&source, &[(Codec::Aac, "deu"), (Codec::Aac, "fra")]);
    let made: Tracks = made
        .iter()
        .map(|info| {
            let id = if info.id == TrackId::SOURCE_VIDEO { info.id } else { TrackId(300 + info.id.0) };
            Arc::new(TrackInfo { id, ..(**info).clone() })
        })
        .collect();
    let (mut publisher, mut transcoder) = (rig.publisher(), rig.hub.publish_rendition("small"));
    publisher.set_tracks(tracks);
    transcoder.set_tracks(made);
    for frame in source.frames_until(time(5.0)) {
        write(&mut publisher, std::slice::from_ref(&frame)).await;
        write(&mut transcoder, std::slice::from_ref(&frame)).await;
    }
    let master = rig.text("master.m3u8").await;
    let of_group = |group: &str| -> Vec<String> {
        let lines = master.lines().filter(|line| line.contains(&format!("GROUP-ID=\"{group}\"")));
        let said = |line: &str, name: &str| {
            line.split(&format!("{name}=\"")).nth(1).unwrap().split('"').next().unwrap().to_owned()
        };
        lines.map(|line| format!("{} {}", said(line, "NAME"), said(line, "URI"))).collect()
    };
    assert_eq!(of_group("source"), ["deu source/audio.m3u8", "fra small/audio-302.m3u8"], "{master}");
    assert_eq!(of_group("source-ac3"), ["deu source/audio.m3u8", "fra source/audio-2.m3u8"], "{master}");
    assert_eq!(of_group("small"), ["deu small/audio-301.m3u8", "fra small/audio-302.m3u8"], "{master}");
    small.abort();
}

#[tokio::test]
async fn equal_sound_is_packaged_once_and_stays_while_anybody_has_it() {
    const NAMES: [&str; 4] = ["1080p", "360p", "480p", "720p"];
    let rig = Rig::new(PackagerConfig::default()).await;
    let offline = StreamStatus::offline(time::OffsetDateTime::UNIX_EPOCH);
    rig.observe.board().set_stream(StreamId(7), "cam1", offline);
    let mut source = SyntheticSource::new(SyntheticConfig::default());
    // A transcoder makes a picture for each rendition, and the same sound for all of them.
    let sound = TrackInfo { id: TrackId(300), ..(**tracks_of(&source).audio().unwrap()).clone() };
    let tracks: Tracks = tracks_of(&source).video().cloned().into_iter().chain([Arc::new(sound)]).collect();
    let mut tasks: Vec<_> = NAMES.into_iter().map(|name| rig.follow(name, Cuts::ByClock)).collect();
    tokio::task::yield_now().await;
    let mut publishers: Vec<Publisher> = NAMES.iter().map(|name| rig.hub.publish_rendition(name)).collect();
    publishers.iter_mut().for_each(|publisher| publisher.set_tracks(tracks.clone()));
    let mut publish = async |publishers: &mut [Publisher], until: f64| {
        for frame in source.frames_until(time(until)) {
            for publisher in publishers.iter_mut() {
                write(publisher, std::slice::from_ref(&frame)).await;
            }
        }
    };
    publish(&mut publishers, 9.0).await;

    let metrics = rig.observe.render_prometheus();
    let counted = |track: &str| metrics.lines().filter(|line| line.contains(&format!("track=\"{track}\""))).count();
    assert_eq!((counted("video"), counted("audio-300")), (4, 1), "{metrics}");
    let mut homes = Vec::new();
    for name in NAMES {
        if is_there(&rig, &format!("{name}/audio-300.m3u8")).await {
            homes.push(name);
        }
    }
    let [home] = homes[..] else { panic!("packaged {} times: {homes:?}", homes.len()) };
    let playlist = format!("{home}/audio-300.m3u8");
    let master = rig.text("master.m3u8").await;
    assert_eq!(master.matches("#EXT-X-MEDIA:TYPE=AUDIO").count(), 1, "{master}");
    assert_eq!(master.matches(&format!("AUDIO=\"{home}\"")).count(), 4, "{master}");
    let manifest = rig.text("manifest.mpd").await;
    assert_eq!(manifest.matches("contentType=\"audio\"").count(), 1, "{manifest}");
    assert_eq!(manifest.matches("-audio-300\"").count(), 1, "{manifest}");
    let before = rig.checked(&playlist).await;
    assert_eq!(before.complete().count(), rig.checked("720p/video.m3u8").await.complete().count());
    let body: Bytes = rig.get(&format!("ts/720p/{}.ts", before.complete().next().unwrap().number)).await;
    assert!(!body.is_empty());

    // The rendition that the sound lies with goes. For the others nothing changes.
    let at = NAMES.iter().position(|name| *name == home).unwrap();
    tasks.remove(at).abort();
    publishers.remove(at);
    publish(&mut publishers, 15.0).await;
    let after = rig.checked(&playlist).await;
    let last = |playlist: &crate::support::checker::Playlist| playlist.complete().last().unwrap().number;
    assert!(last(&after) > last(&before) + 1, "{} after {}", last(&after), last(&before));
    assert_eq!(after.discontinuities, 0);
    let master = rig.text("master.m3u8").await;
    assert_eq!(master.matches("#EXT-X-STREAM-INF").count(), 3, "{master}");
    assert_eq!(master.matches(&format!("URI=\"{playlist}\"")).count(), 1, "{master}");
}
