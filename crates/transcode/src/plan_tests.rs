//! Plans for machines of many kinds, as tables.

use weir_media::{Language, TrackId};
use weir_model::{Audio, AudioCodec, Fit, PictureSettings, RateControl, SoundSettings, VideoCodec};
use weir_pipeline::{Proof, Version};

use super::*;
use crate::wants::tests::{SOUND, settings, want};

const HD30: SourceShape = SourceShape {
    width: 1280,
    height: 720,
    fps: Some(30.0),
    deep: false,
    interlaced: false,
    sound_alone: false,
    sounds: Vec::new(),
};

/// A machine where the encoders named here work and all others that fit its GStreamer do not.
struct Bench {
    abilities: Abilities,
    encoders: Encoders,
}

impl Bench {
    fn new(minor: u32, works: &[&str]) -> Self {
        let encoders = Encoders::load().unwrap();
        let version = Version { major: 1, minor };
        let mut abilities = Abilities { gstreamer: Some(version), ..Abilities::none("no such device") };
        for file in encoders.all().iter().filter(|file| file.is_for(version)) {
            let ok = works.contains(&file.id.as_str());
            let reason = (!ok).then(|| format!("no {} here", file.family));
            abilities.encoders.insert(file.id.clone(), Proof { ok, reason, ..Proof::default() });
        }
        let all_known =
            works.iter().all(|id| abilities.encoders.contains_key(*id) || id.starts_with("decode") || *id == "opus");
        assert!(all_known, "{works:?} in 1.{minor}");
        abilities.cuda_decoding.ok = works.contains(&"decode-cuda");
        abilities.va_decoding.ok = works.contains(&"decode-va");
        abilities.opus.ok = works.contains(&"opus");
        Self { abilities, encoders }
    }

    fn machine(&self) -> MachineView<'_> {
        MachineView {
            abilities: &self.abilities,
            encoders: &self.encoders,
            avoided: BTreeMap::new(),
            cores_free: 8.0,
            devices: BTreeMap::new(),
            running: &[],
        }
    }
}

/// A rendition of sound alone.
fn radio(name: &str, sound: SoundSettings) -> Rendition {
    Rendition { name: name.to_owned(), video: Video::None, audio: Audio::Encode(sound) }
}

fn ladder() -> Vec<Rendition> {
    [(1280, 720, 2500), (854, 480, 1200), (640, 360, 700), (426, 240, 350)]
        .into_iter()
        .map(|(width, height, kbps)| want(&format!("{height}p"), settings(width, height, kbps)))
        .collect()
}

const H264: VideoCodec = VideoCodec::H264;
const H265: VideoCodec = VideoCodec::H265;
const AV1: VideoCodec = VideoCodec::Av1;
const PREFER: EncoderPolicy = EncoderPolicy::PreferHardware;
const HARDWARE: EncoderPolicy = EncoderPolicy::HardwareOnly;
const SOFTWARE: EncoderPolicy = EncoderPolicy::SoftwareOnly;

/// Each line says which encoder is chosen and where pictures are decoded, or the word that the refusal must have.
#[test]
fn machines_of_many_kinds() {
    let nvidia_new: &[&str] = &["nvenc-h264", "nvenc-h265", "nvenc-av1", "decode-cuda", "x264", "x265", "svtav1"];
    let nvidia_old: &[&str] = &["nvenc-h264-legacy", "nvenc-h265-legacy", "decode-cuda", "x264", "x265"];
    let h100: &[&str] = &["decode-cuda", "x264", "x265"];
    let intel: &[&str] = &["qsv-h264", "qsv-h265", "va-h264", "va-h265", "decode-va", "x264"];
    let newer_intel: &[&str] = &["va-h264-lp", "va-h265", "va-av1", "decode-va", "x264"];
    let amd: &[&str] = &["va-h264", "va-h265", "decode-va", "x264", "x265"];
    let both: &[&str] = &["nvenc-h264", "qsv-h264", "decode-cuda", "decode-va", "x264"];
    let plain: &[&str] = &["x264", "x265", "openh264"];
    let lean: &[&str] = &["openh264"];
    let undecoded: &[&str] = &["nvenc-h264", "x264"];
    let (system, cuda, va) = (Memory::System, Memory::Cuda, Memory::Va);
    type Row<'a> = (&'a str, u32, &'a [&'a str], EncoderPolicy, VideoCodec, Result<(&'a str, Memory), &'a str>);
    let table: &[Row<'_>] = &[
        ("nothing but CPU", 22, plain, PREFER, H264, Ok(("x264enc", system))),
        ("nothing but CPU, HEVC", 22, plain, PREFER, H265, Ok(("x265enc", system))),
        ("nothing but CPU, hardware asked", 22, plain, HARDWARE, H264, Err("no nvenc here")),
        ("no x264", 24, lean, PREFER, H264, Ok(("openh264enc", system))),
        ("no x264, HEVC", 24, lean, PREFER, H265, Err("x265: no x265 here")),
        ("no AV1", 22, plain, PREFER, AV1, Err("AOM AV1")),
        ("nothing works", 26, &[], PREFER, H264, Err("no x264 here")),
        ("NVIDIA", 26, nvidia_new, PREFER, H264, Ok(("nvh264enc", cuda))),
        ("NVIDIA, HEVC", 26, nvidia_new, PREFER, H265, Ok(("nvh265enc", cuda))),
        ("NVIDIA, AV1", 28, nvidia_new, PREFER, AV1, Ok(("nvav1enc", cuda))),
        ("NVIDIA on Debian 12", 22, nvidia_old, PREFER, H264, Ok(("nvh264enc", cuda))),
        ("NVIDIA on Debian 12, AV1", 22, nvidia_old, PREFER, AV1, Err("AV1")),
        ("NVIDIA, CPU asked", 26, nvidia_new, SOFTWARE, H264, Ok(("x264enc", cuda))),
        ("H100: decodes, can't encode", 22, h100, PREFER, H264, Ok(("x264enc", cuda))),
        ("H100, hardware asked", 24, h100, HARDWARE, H264, Err("no nvenc here")),
        ("Intel", 24, intel, PREFER, H264, Ok(("qsvh264enc", va))),
        ("Intel, HEVC", 26, intel, PREFER, H265, Ok(("qsvh265enc", va))),
        ("newer Intel by VA", 26, newer_intel, PREFER, H264, Ok(("vah264lpenc", va))),
        ("newer Intel by VA, AV1", 26, newer_intel, PREFER, AV1, Ok(("vaav1enc", va))),
        ("AMD", 22, amd, HARDWARE, H264, Ok(("vah264enc", va))),
        ("NVIDIA beside Intel", 28, both, PREFER, H264, Ok(("nvh264enc", cuda))),
        ("encodes, can't decode", 26, undecoded, PREFER, H264, Ok(("nvh264enc", system))),
    ];
    for (machine, minor, works, policy, codec, expected) in table {
        let bench = Bench::new(*minor, works);
        let wants = [want("a", PictureSettings { codec: *codec, ..settings(640, 360, 600) })];
        let plan = plan(&HD30, &wants, *policy, &bench.machine());
        match expected {
            Ok((element, memory)) => {
                assert_eq!(plan.refused, [], "{machine}");
                assert_eq!(
                    (plan.renditions[0].element.as_str(), plan.worker.decode_in),
                    (*element, *memory),
                    "{machine}"
                );
            }
            Err(word) => {
                assert!(plan.renditions.is_empty(), "{machine}: {plan:?}");
                assert!(plan.refused[0].reason.contains(word), "{machine}: {}", plan.refused[0].reason);
            }
        }
    }
}

#[test]
fn equal_wishes_are_one_encode() {
    let bench = Bench::new(22, &["x264"]);
    let same = settings(640, 360, 700);
    let cbr = PictureSettings { rate_control: RateControl::Cbr, ..same.clone() };
    let sound = SoundSettings { bitrate_kbps: 64, ..SOUND };
    let quiet = Rendition { audio: Audio::Encode(sound), ..want("~quiet", same.clone()) };
    let mut wants = ladder();
    wants.extend([want("~push", same), want("~cbr", cbr), quiet]);
    let plan = plan(&HD30, &wants, PREFER, &bench.machine());
    assert_eq!((plan.renditions.len(), plan.worker.video.len(), plan.worker.audio.len()), (7, 5, 2));
    let video = |name: &str| plan.renditions.iter().find(|rendition| rendition.name() == name).unwrap().video.unwrap();
    assert_eq!(video("360p"), video("~push"));
    assert_eq!(video("360p"), video("~quiet"), "another sound is no reason for another picture");
    assert_ne!(video("360p"), video("~cbr"));
    let audio: Vec<u32> = plan.worker.audio.iter().map(|output| output.sound.bitrate_kbps).collect();
    assert_eq!(audio, [128, 64]);
}

#[test]
fn sound_alone_takes_no_picture_and_shares_its_encode() {
    let bench = Bench::new(22, &["x264"]);
    let level = SoundSettings { loudness_lufs: Some(-23.0), ..SOUND };
    let opus = SoundSettings { codec: AudioCodec::Opus, ..SOUND };
    let wants = [radio("radio", SOUND), radio("level", level), radio("opus", opus)];
    // Sound alone costs next to nothing: a machine without a free core carries it.
    let full = MachineView { cores_free: 0.0, ..bench.machine() };
    let alone = plan(&HD30, &wants, PREFER, &full);
    assert_eq!((alone.worker.video.len(), alone.worker.audio.len(), alone.renditions.len()), (0, 2, 2));
    assert_eq!((alone.renditions[0].element.as_str(), alone.renditions[0].target_bps()), ("avenc_aac", Some(128_000)));
    assert_eq!(alone.refused[0].name, "opus");
    assert!(alone.refused[0].reason.starts_with("Opus can't be made here"), "{}", alone.refused[0].reason);

    let able = Bench::new(22, &["x264", "opus"]);
    let beside = plan(&HD30, &[&ladder()[..], &wants[..]].concat(), PREFER, &able.machine());
    assert_eq!((beside.worker.video.len(), beside.worker.audio.len(), beside.refused.len()), (4, 3, 0));
    assert_eq!(beside.renditions[0].sounds, beside.renditions[4].sounds, "the ladder's sound is the radio's");
}

#[test]
fn each_sound_of_the_source_is_encoded_once() {
    let bench = Bench::new(22, &["x264"]);
    let sound = |id, language| SourceSound { id: TrackId(id), language: Language::parse(language), label: None };
    let sounds = vec![sound(1, "deu"), sound(2, "eng"), sound(3, "fra")];
    let three = SourceShape { sounds: sounds.clone(), ..HD30 };
    let plan = plan(&three, &ladder(), PREFER, &bench.machine());
    assert_eq!((plan.renditions.len(), plan.worker.audio.len()), (4, 3));
    let sources: Vec<u32> = plan.worker.audio.iter().map(|output| output.source).collect();
    assert_eq!(sources, [1, 2, 3]);
    for rendition in &plan.renditions {
        assert!(rendition.sounds.iter().map(|sound| &sound.source).eq(&sounds), "{rendition:?}");
        assert_eq!(rendition.sounds, plan.renditions[0].sounds, "however many have it");
    }
}

#[test]
fn numbers_stay_when_others_come_and_go() {
    let bench = Bench::new(22, &["x264"]);
    let of = |wants: &[Rendition]| plan(&HD30, wants, PREFER, &bench.machine()).worker;
    let (all, less) = (of(&ladder()), of(&ladder()[2..]));
    assert_eq!(all.video[2..], less.video);
    let mut ids: Vec<_> = all.video.iter().map(|output| output.id).chain(all.audio.iter().map(|o| o.id)).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 5);
}

#[test]
fn what_does_not_fit_is_refused_with_figures() {
    let bench = Bench::new(22, &["x264"]);
    // The first takes 0.60 with decoding and sound, and the smaller sizes then take 0.25, 0.15 and 0.08.
    for (cores, fits) in [
        (8.0, "720p 480p 360p 240p"),
        (1.11, "720p 480p 360p 240p"),
        (1.07, "720p 480p 360p"),
        (0.92, "720p 480p"),
        (0.95, "720p 480p 240p"),
        (0.62, "720p"),
        (0.52, "480p"),
        (0.34, "240p"),
        (0.2, ""),
        (0.0, ""),
    ] {
        let plan = plan(&HD30, &ladder(), PREFER, &MachineView { cores_free: cores, ..bench.machine() });
        let names: Vec<_> = plan.renditions.iter().map(RenditionPlan::name).collect();
        assert_eq!(names.join(" "), fits, "{cores} cores: {:?}", plan.refused);
        assert!(plan.cores <= cores);
        assert!(plan.refused.iter().all(|refused| refused.for_room && refused.reason.contains("cores")), "{plan:?}");
    }
    let without = plan(&HD30, &ladder(), PREFER, &MachineView { cores_free: 0.72, ..bench.machine() }).refused;
    assert_eq!(without[0].reason, "the machine has no room for it: it takes about 0.25 cores and 0.12 are free");
    let gpu = Bench::new(26, &["nvenc-h264", "decode-cuda"]);
    let plan = plan(&HD30, &ladder(), PREFER, &MachineView { cores_free: 0.0, ..gpu.machine() });
    assert_eq!(plan.renditions.len(), 4, "a GPU's work is not the CPU's");
    assert!(plan.cores > 0.0 && plan.cores < 0.12, "{}", plan.cores);
}

#[test]
fn costs_are_those_of_the_machine_and_the_source() {
    let mut bench = Bench::new(22, &["x264", "x265", "decode-cuda"]);
    let cores = |bench: &Bench, source, wants: &[Rendition]| plan(&source, wants, PREFER, &bench.machine()).cores;
    let one = [want("a", settings(640, 360, 600))];
    let of = |bench: &Bench, source| (cores(bench, source, &one) * 100.0).round() as u32;
    let on_card = of(&bench, HD30);
    bench.abilities.cuda_decoding.ok = false;
    // The card decoded 28 megapixels a second. Mapping HDR takes half as much again, and twice the frame rate takes twice of all of it.
    let by_size = [HD30, SourceShape { deep: true, ..HD30 }, SourceShape { fps: Some(60.0), ..HD30 }];
    assert_eq!((on_card, by_size.map(|source| of(&bench, source))), (24, [40, 46, 67]));
    // A rendition of the source's size needs no scaling.
    assert_eq!(of(&bench, SourceShape { width: 640, height: 360, ..HD30 }), 22);
    let slower = Proof { ok: true, cpu_ms: Some(350.0), ..Proof::default() };
    bench.abilities.speed = slower;
    assert_eq!(of(&bench, HD30), 79);
}

#[test]
fn what_runs_is_not_stopped_to_make_room() {
    let bench = Bench::new(22, &["x264"]);
    let small = [want("small", settings(424, 240, 350))];
    let running = plan(&HD30, &small, PREFER, &bench.machine()).renditions;
    let wants = [ladder(), small.to_vec()].concat();
    for (cores, running, expected) in [
        (0.32, &running[..], "small"),
        (0.0, &running, "small"),
        (0.67, &running, "small 480p 240p"),
        (0.67, &[], "720p"),
        // Another rendition of the same name is no longer the one that runs.
        (0.67, &[RenditionPlan { rendition: want("small", settings(400, 240, 350)), ..running[0].clone() }], "720p"),
    ] {
        let plan = plan(&HD30, &wants, PREFER, &MachineView { cores_free: cores, running, ..bench.machine() });
        let names: Vec<_> = plan.renditions.iter().map(RenditionPlan::name).collect();
        assert_eq!(names.join(" "), expected, "{cores} cores: {:?}", plan.refused);
    }
}

#[test]
fn a_source_without_pictures_gives_sound_alone() {
    let bench = Bench::new(22, &["x264"]);
    let wants = [ladder(), vec![radio("radio", SoundSettings { bitrate_kbps: 96, ..SOUND })]].concat();
    let plan = plan(&SourceShape { sound_alone: true, ..SourceShape::default() }, &wants, PREFER, &bench.machine());
    assert_eq!((plan.renditions.len(), plan.worker.video.len(), plan.refused.len()), (1, 0, 4));
    assert_eq!(plan.refused[0].reason, "the source has no picture");
    assert!(!plan.refused[0].for_room);
}

#[test]
fn a_family_that_failed_is_replaced_and_it_is_said() {
    let bench = Bench::new(26, &["nvenc-h264", "decode-cuda", "qsv-h264", "decode-va", "x264"]);
    let with = |avoided: &[&str]| {
        let why = |family: &&str| ((*family).to_owned(), "has no card with room".to_owned());
        let avoided = avoided.iter().map(why).collect();
        plan(&HD30, &ladder()[..1], PREFER, &MachineView { avoided, ..bench.machine() })
    };
    for (avoided, element, degraded, memory) in [
        (&[][..], "nvh264enc", false, Memory::Cuda),
        (&["nvenc"], "qsvh264enc", false, Memory::Va),
        (&["decode-cuda"], "nvh264enc", false, Memory::System),
        (&["nvenc", "qsv"], "x264enc", true, Memory::Cuda),
    ] {
        let plan = with(avoided);
        let rendition = &plan.renditions[0];
        assert_eq!((rendition.element.as_str(), rendition.degraded), (element, degraded), "{avoided:?}");
        assert_eq!(plan.worker.decode_in, memory, "{avoided:?}");
    }
    assert!(
        with(&["nvenc", "qsv"]).renditions[0]
            .reason
            .contains("NVENC H.264 has no card with room; Quick Sync H.264 has no card")
    );
}

#[test]
fn reasons_and_devices_are_shown() {
    let bench = Bench::new(22, &["x264"]);
    let first = |policy| plan(&HD30, &ladder()[..1], policy, &bench.machine()).renditions.remove(0);
    assert!(first(PREFER).reason.starts_with("NVENC H.264: no nvenc here; Quick Sync H.264: no qsv here"));
    assert_eq!(first(SOFTWARE).reason, "only software is wanted");
    assert_eq!(first(PREFER).target_bps(), Some(2_628_000));
    let gpu = Bench::new(26, &["nvenc-h264"]);
    let cut = [want("a", PictureSettings { fit: Fit::Crop, ..settings(360, 640, 700) })];
    for (bench, expected) in [(&gpu, true), (&bench, false)] {
        let plan = plan(&HD30, &cut, PREFER, &bench.machine());
        assert_eq!(plan.renditions[0].reason.ends_with("; pictures are cut in system memory"), expected);
        assert_eq!(plan.worker.video[0].picture.fit, Fit::Crop);
    }
    // A logo that comes, goes or changes leaves software encodes alone.
    for (bench, begins_anew) in [(&gpu, true), (&bench, false)] {
        let with = |logo| plan(&HD30, &ladder()[..1], Terms { policy: PREFER, logo }, &bench.machine());
        assert_eq!(with(true).worker.video[0].id != with(false).worker.video[0].id, begins_anew);
        assert_eq!(with(true).renditions[0].reason.ends_with("; the logo is laid on in system memory"), begins_anew);
    }
    let devices = BTreeMap::from([("nvenc".to_owned(), 1)]);
    let placed = plan(&HD30, &ladder(), PREFER, &MachineView { devices, ..gpu.machine() });
    assert!(placed.worker.video.iter().all(|output| output.device == Some(1)));
}

/// HDR is mapped, and fields are made into pictures, only in system memory.
#[test]
fn deep_and_interlaced_sources_are_decoded_in_system_memory() {
    let bench = Bench::new(26, &["nvenc-h264", "nvenc-h265", "decode-cuda"]);
    let main10 = PictureSettings { codec: H265, profile: Some("main10".to_owned()), ..settings(640, 360, 600) };
    for (deep, interlaced, settings, expected) in [
        (false, false, settings(640, 360, 600), Memory::Cuda),
        (true, false, settings(640, 360, 600), Memory::System),
        (true, false, main10.clone(), Memory::Cuda),
        (false, true, settings(640, 360, 600), Memory::System),
        (true, true, main10, Memory::System),
    ] {
        let plan = plan(&SourceShape { deep, interlaced, ..HD30 }, &[want("a", settings)], PREFER, &bench.machine());
        assert_eq!((plan.renditions.len(), plan.worker.decode_in), (1, expected), "{:?}", plan.refused);
    }
}

#[test]
fn without_gstreamer_the_reason_is_said() {
    let encoders = Encoders::load().unwrap();
    let abilities = Abilities::none("there is no worker at /x");
    let bench = Bench { abilities, encoders };
    let plan = plan(&HD30, &ladder(), PREFER, &bench.machine());
    assert_eq!(plan.refused.len(), 4);
    assert_eq!(plan.refused[0].reason, "nothing can be encoded here: there is no worker at /x");
}

#[test]
fn profiles_choose_among_encoders() {
    let bench = Bench::new(22, &["x264", "x265"]);
    for (codec, profile, fits) in
        [(H264, "baseline", true), (H264, "main10", false), (H265, "main10", true), (H265, "high", false)]
    {
        let settings = PictureSettings { codec, profile: Some(profile.to_owned()), ..settings(640, 360, 600) };
        let plan = plan(&HD30, &[want("a", settings)], PREFER, &bench.machine());
        assert_eq!(plan.renditions.len() == 1, fits, "{codec:?} {profile}: {:?}", plan.refused);
    }
}

/// Tells before it is wanted what a rendition takes beside the others, and whether that is free.
#[test]
fn what_one_more_would_take() {
    let bench = Bench::new(22, &["x264"]);
    let machine = MachineView { cores_free: f64::INFINITY, ..bench.machine() };
    let wants = crate::wants::Wants { renditions: ladder(), ..crate::wants::Wants::default() };
    let nothing = crate::wants::Wants::default();
    let own = want("own", settings(640, 360, 900));
    let of = |wants, more, free| crate::estimate::estimated(&HD30, wants, more, &machine, free);
    let (alone, beside) = (of(&nothing, &own, 8.0), of(&wants, &own, 8.0));
    assert!(alone.fits && beside.fits, "{alone:?} {beside:?}");
    assert!(0.0 < beside.cores && beside.cores < alone.cores, "the source is decoded once: {beside:?} {alone:?}");
    let whole = plan(&HD30, &ladder(), PREFER, &machine).cores;
    assert!(!of(&wants, &own, whole).fits, "the ladder takes all that there is");
    let same = Rendition { name: "again".to_owned(), ..ladder()[0].clone() };
    assert_eq!(of(&wants, &same, whole), crate::estimate::Estimate { cores: 0.0, fits: true }, "it is encoded already");
    let impossible = want("av1", PictureSettings { codec: AV1, ..settings(640, 360, 900) });
    assert!(!of(&nothing, &impossible, 8.0).fits, "nothing here makes it");
}
