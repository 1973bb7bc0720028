//! Reads and judges the multivariant playlist.

use std::collections::BTreeMap;

use super::attributes::Attributes;
use super::mp4::Init;
use super::{Rule, Violations};

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Multivariant {
    pub versions: Vec<u64>,
    pub independent: bool,
    pub media: Vec<Attributes>,
    pub variants: Vec<Variant>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Variant {
    pub attributes: Attributes,
    pub uri: String,
}

impl Multivariant {
    pub fn parse(text: &str, out: &mut Violations) -> Self {
        let mut found = Self::default();
        let mut lines = text.lines();
        out.check(lines.next() == Some("#EXTM3U"), Rule::Syntax, || "it does not begin with #EXTM3U".to_owned());
        let mut pending = None;
        for line in lines {
            let (tag, value) = line.split_once(':').unwrap_or((line, ""));
            let known = match tag {
                "#EXT-X-VERSION" => value.parse().map(|version| found.versions.push(version)).is_ok(),
                "#EXT-X-INDEPENDENT-SEGMENTS" => {
                    found.independent = true;
                    true
                }
                "#EXT-X-MEDIA" => Attributes::parse(value).map(|media| found.media.push(media)).is_some(),
                "#EXT-X-STREAM-INF" => {
                    pending = Attributes::parse(value);
                    pending.is_some()
                }
                _ if line.is_empty() || line.starts_with('#') => false,
                uri => {
                    let variant = pending.take().map(|attributes| Variant { attributes, uri: uri.to_owned() });
                    variant.map(|variant| found.variants.push(variant)).is_some()
                }
            };
            out.check(known, Rule::Syntax, || format!("{line:?} is malformed, unknown or out of place"));
        }
        found
    }

    /// The addresses of all media playlists, each once.
    pub fn playlists(&self) -> Vec<&str> {
        let media = self.media.iter().filter_map(|media| media.get("URI"));
        let mut found: Vec<&str> = self.variants.iter().map(|variant| &*variant.uri).chain(media).collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    pub fn check(&self, out: &mut Violations) {
        // Groups came with version 4. A playlist that lists fragmented MP4 has
        // the version of its media playlists; MPEG-TS needs no more than 3.
        let least = if self.media.is_empty() { 3 } else { 6 };
        let holds = matches!(self.versions[..], [version] if version >= least);
        out.check(holds, Rule::Version, || format!("versions {:?}", self.versions));
        out.check(!self.variants.is_empty(), Rule::Variants, || "no variants".to_owned());
        for Variant { attributes, uri } in &self.variants {
            let (peak, average) = (attributes.number("BANDWIDTH"), attributes.number("AVERAGE-BANDWIDTH"));
            let holds = peak.is_some_and(|peak| peak > 0.0 && average.is_none_or(|average| average <= peak));
            out.check(holds, Rule::Variants, || format!("{uri} has BANDWIDTH {peak:?}, average {average:?}"));
            for (attribute, kind) in
                [("AUDIO", "AUDIO"), ("SUBTITLES", "SUBTITLES"), ("CLOSED-CAPTIONS", "CLOSED-CAPTIONS")]
            {
                let Some(group) = attributes.get(attribute).filter(|group| *group != "NONE") else { continue };
                let holds = self.media.iter().any(|media| media.is("TYPE", kind) && media.is("GROUP-ID", group));
                out.check(holds, Rule::Groups, || format!("{uri} names {attribute} group {group:?}"));
            }
        }
        self.check_media(out);
    }

    fn check_media(&self, out: &mut Violations) {
        for media in &self.media {
            let captions = media.is("TYPE", "CLOSED-CAPTIONS");
            let instream = media.get("INSTREAM-ID").is_some_and(|id| id.starts_with("CC") || id.starts_with("SERVICE"));
            let named = media.get("NAME").is_some() && media.get("GROUP-ID").is_some();
            let holds = named && captions == instream && captions != media.get("URI").is_some();
            out.check(holds, Rule::Groups, || format!("{media:?} lacks something, or has too much"));
        }
        let none: Vec<bool> =
            self.variants.iter().map(|found| found.attributes.is("CLOSED-CAPTIONS", "NONE")).collect();
        let holds = none.iter().all(|found| *found) || none.iter().all(|found| !*found);
        out.check(holds, Rule::Groups, || "CLOSED-CAPTIONS=NONE here and not there".to_owned());
    }

    /// Compares the variants with `inits`, which are the initialisation segments by their playlists' addresses.
    pub fn check_inits(&self, inits: &BTreeMap<String, Init>, out: &mut Violations) {
        for Variant { attributes, uri } in &self.variants {
            let Some(init) = inits.get(uri) else { continue };
            let sound = self.media.iter().find(|media| {
                media.is("TYPE", "AUDIO") && attributes.get("AUDIO").is_some_and(|group| media.is("GROUP-ID", group))
            });
            let sound = sound.and_then(|media| media.get("URI")).and_then(|uri| inits.get(uri));
            let mut expected: Vec<&str> = [Some(init), sound].into_iter().flatten().map(|init| &*init.codec).collect();
            let mut said: Vec<&str> = attributes.get("CODECS").unwrap_or_default().split(',').collect();
            expected.sort_unstable();
            said.sort_unstable();
            out.check(said == expected, Rule::Codecs, || format!("{uri}: {said:?} is said, {expected:?} it is"));
            let resolution = init.is_video().then(|| format!("{}x{}", init.width, init.height));
            let said = attributes.get("RESOLUTION");
            out.check(said == resolution.as_deref(), Rule::Resolution, || {
                format!("{uri}: {said:?} is said, {resolution:?} it is")
            });
        }
    }
}
