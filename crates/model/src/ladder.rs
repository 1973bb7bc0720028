//! The renditions in which a stream is offered: a named ladder, or a list of its own.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use crate::{Rendition, RenditionFault};

/// The most renditions of a ladder. Each is an encoder session; a longer ladder is a mistake on any machine.
pub const MAX_RENDITIONS: usize = 16;

/// The ladders that come with the server. Each is a file in `pipelines/ladders`.
const BUILTIN_LADDERS: [(&str, &str); 6] = [
    ("sd", include_str!("../../../pipelines/ladders/sd.toml")),
    ("hd", include_str!("../../../pipelines/ladders/hd.toml")),
    ("fhd", include_str!("../../../pipelines/ladders/fhd.toml")),
    ("vertical", include_str!("../../../pipelines/ladders/vertical.toml")),
    ("low-latency", include_str!("../../../pipelines/ladders/low-latency.toml")),
    ("audio-only", include_str!("../../../pipelines/ladders/audio-only.toml")),
];

/// Whether `name` is one of the ladders that come with the server.
pub fn is_builtin_ladder(name: &str) -> bool {
    BUILTIN_LADDERS.iter().any(|(builtin, _)| *builtin == name)
}

/// A ladder that comes with the server.
#[derive(Debug, Clone, PartialEq)]
pub struct BuiltinLadder {
    pub name: &'static str,
    /// The name for people.
    pub title: String,
    pub renditions: Vec<Rendition>,
}

impl BuiltinLadder {
    /// All built-in ladders, in the order in which they are shown. A test checks that their files can be read.
    pub fn all() -> Vec<Self> {
        Self::parsed().to_vec()
    }

    fn named(wanted: &str) -> Option<&'static Self> {
        Self::parsed().iter().find(|ladder| ladder.name == wanted)
    }

    /// The files are parsed once, because a stream asks for its ladder at every change of anything.
    fn parsed() -> &'static [Self] {
        static PARSED: LazyLock<Vec<BuiltinLadder>> = LazyLock::new(|| {
            BUILTIN_LADDERS.iter().filter_map(|(name, text)| BuiltinLadder::parse(name, text).ok()).collect()
        });
        &PARSED
    }

    fn parse(name: &'static str, text: &str) -> Result<Self, toml::de::Error> {
        let file: LadderFile = toml::from_str(text)?;
        Ok(Self { name, title: file.title, renditions: file.rendition })
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct LadderFile {
    title: String,
    rendition: Vec<Rendition>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Ladder {
    Named(String),
    Inline(Vec<Rendition>),
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LadderFault {
    #[error("there is no ladder named {0:?}")]
    Unknown(String),
    #[error("a ladder has 1 to {MAX_RENDITIONS} renditions")]
    Length,
    #[error("two renditions are named {0:?}")]
    DuplicateName(String),
    #[error(transparent)]
    Rendition(#[from] RenditionFault),
}

impl LadderFault {
    /// The field at fault in a ladder that is called `field`, and what is wrong with it.
    pub fn at(self, field: &str) -> (String, String) {
        match self {
            Self::Rendition(fault) => (format!("{field}.{}", fault.field), fault.problem.to_string()),
            other => (field.to_owned(), other.to_string()),
        }
    }
}

impl Ladder {
    /// The renditions of the ladder. There are none if its name does not exist (any more).
    pub fn renditions(&self) -> Vec<Rendition> {
        match self {
            Self::Named(name) => BuiltinLadder::named(name).map(|ladder| ladder.renditions.clone()).unwrap_or_default(),
            Self::Inline(renditions) => renditions.clone(),
        }
    }

    pub fn check(&self) -> Result<(), LadderFault> {
        match self {
            Self::Named(name) if is_builtin_ladder(name) => Ok(()),
            Self::Named(name) => Err(LadderFault::Unknown(name.clone())),
            Self::Inline(renditions) => {
                if renditions.is_empty() || renditions.len() > MAX_RENDITIONS {
                    return Err(LadderFault::Length);
                }
                for (i, rendition) in renditions.iter().enumerate() {
                    rendition.check()?;
                    if renditions[..i].iter().any(|earlier| earlier.name == rendition.name) {
                        return Err(LadderFault::DuplicateName(rendition.name.clone()));
                    }
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Fit, RateControl, Video};

    #[test]
    fn the_files_are_good_ladders() {
        let all = BuiltinLadder::all();
        assert_eq!(all.len(), BUILTIN_LADDERS.len(), "one of them can't be read");
        for ladder in &all {
            assert_eq!(Ladder::Inline(ladder.renditions.clone()).check(), Ok(()), "{}", ladder.name);
            assert_eq!(Ladder::Named(ladder.name.to_owned()).renditions(), ladder.renditions);
        }
        let names = |name: &str| -> Vec<String> {
            Ladder::Named(name.to_owned()).renditions().into_iter().map(|rendition| rendition.name).collect()
        };
        assert_eq!(names("hd"), ["720p", "480p", "360p", "240p"]);
        let radio = Ladder::Named("audio-only".to_owned()).renditions();
        assert!(radio.len() >= 2 && radio.iter().all(|rendition| rendition.video == Video::None));
        assert!(names("none").is_empty());
        let cuts = |name: &str| {
            let renditions = Ladder::Named(name.to_owned()).renditions();
            renditions.iter().all(|rendition| rendition.picture().is_some_and(|picture| picture.fit == Fit::Crop))
        };
        assert!(cuts("vertical") && !cuts("hd"), "a phone's picture is filled");
        // A variable rate spends no bits that a quiet picture does not need.
        let mut pictures = all.iter().flat_map(|ladder| &ladder.renditions).filter_map(Rendition::picture);
        assert!(pictures.all(|picture| picture.rate_control == RateControl::Vbr));
    }

    #[test]
    fn half_a_picture_is_no_rendition() {
        for (line, is_good) in [
            ("", true),
            ("width = 640\nheight = 360\nvideo_bitrate_kbps = 600", true),
            ("width = 640\nheight = 360", false),
            ("video_bitrate_kbps = 600", false),
            ("gop_seconds = 2.0", false),
            ("widht = 640", false),
        ] {
            let text = format!("title = \"t\"\n[[rendition]]\nname = \"a\"\naudio_bitrate_kbps = 64\n{line}");
            assert_eq!(BuiltinLadder::parse("t", &text).is_ok(), is_good, "{line}");
        }
    }

    #[test]
    fn ladders() {
        assert_eq!(Ladder::Named("hd".into()).check(), Ok(()));
        assert_eq!(Ladder::Named("x".into()).check(), Err(LadderFault::Unknown("x".into())));
        assert_eq!(Ladder::Inline(vec![]).check(), Err(LadderFault::Length));
        let twice = Ladder::Inline(vec![Rendition::passthrough("a"), Rendition::passthrough("a")]);
        assert_eq!(twice.check(), Err(LadderFault::DuplicateName("a".into())));
        let long = (0..=MAX_RENDITIONS).map(|i| Rendition::passthrough(format!("r{i}"))).collect();
        assert_eq!(Ladder::Inline(long).check(), Err(LadderFault::Length));
    }
}
