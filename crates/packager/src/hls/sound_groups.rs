//! Decides which sounds players are offered together: the audio groups of HLS, and the order and the words of a sound menu.

use std::fmt::Write;

use weir_media::{Codec, TrackInfo};

use crate::store::measure::{self, Rate, menu_name};
use crate::store::{FoundSound, Store};

/// A sound that players are offered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Offered<'a> {
    pub(crate) sound: FoundSound<'a>,
    pub(crate) info: &'a TrackInfo,
}

impl Offered<'_> {
    fn is_same(&self, other: &Offered<'_>) -> bool {
        (self.sound.home, self.sound.track.name) == (other.sound.home, other.sound.track.name)
    }
}

/// The sounds of a rendition that are live and have begun, in order.
pub(crate) fn offered<'a>(store: &'a Store, rendition: &str) -> Vec<Offered<'a>> {
    if store.is_gone(rendition) {
        return Vec::new();
    }
    let live =
        store.sounds_of(rendition).into_iter().filter(|sound| sound.track.live && sound.track.newest().is_some());
    live.filter_map(|sound| Some(Offered { sound, info: sound.track.info()? })).collect()
}

/// A group of sounds that variants name. It has the sounds of one codec. A sound that does not come in that codec is there in AAC, which
/// every player of that codec plays too. A player takes a variant only if it can decode all that the variant's group may bring, so sounds
/// in AC-3 must not stand in the group for AAC.
#[derive(Debug)]
pub(crate) struct Group<'a> {
    pub(crate) name: String,
    pub(crate) sounds: Vec<Offered<'a>>,
}

impl Group<'_> {
    /// The codecs of all sounds that the group may bring.
    pub(crate) fn codec_strings(&self) -> String {
        let mut codecs: Vec<&str> = Vec::new();
        for sound in &self.sounds {
            let codec = measure::codec_string(sound.info);
            if !codecs.contains(&codec) {
                codecs.push(codec);
            }
        }
        codecs.join(",")
    }

    /// The rate of the sound with the highest one.
    pub(crate) fn rate(&self) -> Rate {
        self.sounds.iter().map(|it| measure::rate(it.sound.track)).max_by_key(|rate| rate.peak_bps).unwrap_or_default()
    }
}

/// The groups of all renditions. Renditions with the same sounds share one.
#[derive(Debug, Default)]
pub(crate) struct Groups<'a> {
    all: Vec<Group<'a>>,
}

impl<'a> Groups<'a> {
    /// Makes the groups of a rendition with these sounds, and returns their places. The group of the default sound is the first. `all` has
    /// the sounds of all renditions, so that each language can be chosen whichever variant is played, even if its sound was made for
    /// another variant.
    pub(crate) fn of(&mut self, rendition: &str, sounds: &[Offered<'a>], all: &[Offered<'a>]) -> Vec<usize> {
        let mut codecs: Vec<Codec> = Vec::new();
        for sound in sounds {
            if !codecs.contains(&sound.info.codec) {
                codecs.push(sound.info.codec);
            }
        }
        let group = |(number, codec): (usize, &Codec)| {
            let mut members: Vec<Offered<'a>> = Vec::new();
            for wanted in [*codec, Codec::Aac] {
                for sound in sounds.iter().chain(all).filter(|sound| sound.info.codec == wanted) {
                    if members.iter().all(|known| known.sound.place != sound.sound.place) {
                        members.push(*sound);
                    }
                }
            }
            members.sort_by_key(|member| member.sound.place);
            let is_same = |group: &Group<'_>| {
                group.sounds.len() == members.len()
                    && group.sounds.iter().zip(&members).all(|(one, other)| one.is_same(other))
            };
            if let Some(known) = self.all.iter().position(is_same) {
                return known;
            }
            let name = if number == 0 { rendition.to_owned() } else { format!("{rendition}-{codec}") };
            self.all.push(Group { name, sounds: members });
            self.all.len() - 1
        };
        codecs.iter().enumerate().map(group).collect()
    }

    pub(crate) fn get(&self, at: usize) -> Option<&Group<'a>> {
        self.all.get(at)
    }

    /// Writes an `EXT-X-MEDIA` for each sound.
    pub(crate) fn put(&self, out: &mut String) {
        for group in &self.all {
            for (number, Offered { sound, info }) in group.sounds.iter().enumerate() {
                let channels = info.audio.as_ref().map_or(2, |audio| audio.channels.max(1));
                let name = name_of(info, sound.place, &group.name, group.sounds.len() == 1);
                let _ = write!(out, "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"{}\",NAME=\"{name}\"", group.name);
                if let Some(language) = info.language {
                    let _ = write!(out, ",LANGUAGE=\"{}\"", language.tag());
                }
                let _ = writeln!(
                    out,
                    ",DEFAULT={},AUTOSELECT=YES,CHANNELS=\"{channels}\",URI=\"{}/{}.m3u8\"",
                    if number == 0 { "YES" } else { "NO" },
                    sound.home,
                    sound.track.name,
                );
            }
        }
    }
}

fn name_of(info: &TrackInfo, place: usize, group: &str, alone: bool) -> String {
    let is_nameless = info.label.is_none() && info.language.is_none();
    if alone && is_nameless { group.to_owned() } else { menu_name(info, place) }
}
