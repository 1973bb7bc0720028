//! Several sounds through the writer and back: their languages, their numbers and their PIDs.

use weir_media::Language;

use super::*;

/// Some AAC sounds beside the picture, each with its language.
fn in_languages(languages: &[&str]) -> Vec<TrackInfo> {
    let sound = |(number, language): (u32, &&str)| TrackInfo {
        id: TrackId(number),
        language: Language::parse(language),
        ..aac()
    };
    std::iter::once(h264()).chain((1..).zip(languages).map(sound)).collect()
}

#[test]
fn every_sound_comes_back_with_its_language() {
    // The tables of so many sounds take two packets.
    let languages = [
        "deu", "eng", "fra", "ita", "spa", "por", "nld", "pol", "ces", "dan", "swe", "fin", "nor", "hun", "tur", "und",
    ];
    let infos = in_languages(&languages);
    let mut writer = TsWriter::new(&infos).unwrap();
    let mut out = BytesMut::new();
    for number in 0..10 {
        writer.write(&frame(number * 3000, 0, number == 0, picture(Codec::H264, number == 0, 500)), &mut out).unwrap();
        for info in &infos[1..] {
            let payload = Bytes::from(vec![info.id.0 as u8; 40]);
            writer.write(&Frame { track: info.id, ..sound_frame(number * 1920, payload) }, &mut out).unwrap();
        }
    }
    let (events, counts) = read(&out, 188);
    let mut found = tracks(&events);
    found.sort_by_key(|info| info.id);
    assert_eq!(found.len(), infos.len());
    for (found, sent) in found.iter().zip(&infos) {
        assert_eq!((found.id, found.codec, found.language), (sent.id, sent.codec, sent.language));
    }
    for info in &infos[1..] {
        let came = of_track(&frames(&events), info.id);
        assert!(came.len() == 10 && came.iter().all(|frame| frame.payload[0] == info.id.0 as u8), "{:?}", info.id);
    }
    assert_eq!((counts.continuity_errors, counts.broken_sections, counts.broken_frames), (0, 0, 0));
}

#[test]
fn sounds_keep_their_numbers_while_others_come_and_go() {
    let speaking = |language: &[u8]| Bytes::from([&[0x0A, 4][..], language, &[0]].concat());
    let (deu, eng) = (|| speaking(b"deu"), || speaking(b"eng"));
    let versions: [Vec<(u8, u16, Bytes)>; 4] = [
        vec![(0x0F, 0x41, deu()), (0x0F, 0x42, eng())],
        // The first sound goes and another comes in its place, and the other one gets another name.
        vec![(0x0F, 0x42, speaking(b"fra")), (0x0F, 0x43, deu())],
        vec![(0x0F, 0x43, deu())],
        vec![],
    ];
    let mut reader = TsReader::new(None);
    let mut told = Vec::new();
    reader.feed(&section_packets(PID_PAT, 0, &pat(0, &[(1, 0x20)])));
    let mut counters = [0_u8; 3];
    for (version, streams) in (0..).zip(&versions) {
        reader.feed(&section_packets(0x20, version, &psi::pmt(1, version, 0x1FFF, streams)));
        for (_, pid, _) in streams {
            let config = AacConfig::build_lc(48_000, 2).unwrap();
            let header = codec::aac::adts_header(&AacConfig::parse(&config).unwrap(), 10).unwrap();
            let mut es = BytesMut::new();
            pes::put_header(&mut es, 0xC0, 1000, 1000, 17);
            let data = [&es[..], &header, &[7; 10]].concat();
            let counter = &mut counters[usize::from(pid - 0x41)];
            let mut out = BytesMut::new();
            put_packet(&mut out, *pid, true, *counter, Extras::default(), &data);
            *counter += 1;
            reader.feed(&out);
        }
        told.push(Vec::new());
        while let Some(event) = reader.next_event() {
            told.last_mut().unwrap().extend(match event {
                TsEvent::Track(info) => Some(format!("{} {}", info.id.0, info.language.unwrap())),
                TsEvent::TrackEnded(id) => Some(format!("{} ends", id.0)),
                _ => None,
            });
        }
    }
    assert_eq!(told, [vec!["1 deu", "2 eng"], vec!["2 fra", "1 deu"], vec!["2 ends"], vec!["1 ends"]]);
}

#[test]
fn tracks_keep_their_pids_whatever_their_numbers() {
    let sound = |id| TrackInfo { id: TrackId(id), ..aac() };
    let (one, two, other) = (sound(4_000_000_000), sound(7), sound(300));
    let pids = |writer: &mut TsWriter| {
        let mut out = BytesMut::new();
        writer.write_tables(&mut out);
        let (events, _) = read(&out, 188);
        let TsEvent::Program(program) = &events[0] else { panic!("{events:?}") };
        program.streams.iter().map(|it| it.pid).collect::<Vec<_>>()
    };
    let mut writer = TsWriter::new([&one, &two]).unwrap();
    assert_eq!(pids(&mut writer), [0x101, 0x102]);
    writer.set_tracks([&h264(), &other, &two]).unwrap();
    assert_eq!(pids(&mut writer), [0x100, 0x101, 0x102]);
    writer.set_tracks([&other]).unwrap();
    assert_eq!(pids(&mut writer), [0x101]);
}
