//! The language of a track, as broadcast names it (ISO 639-2) and as the web does (BCP 47).

use std::fmt;

/// Three lower-case letters of ISO 639-2/T: "deu", not "ger" or "de". The undetermined language is not a value of this type.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Language([u8; 3]);

impl Language {
    /// Reads "deu", "ger", "GER", "de" or "de-CH". `None` if the text names no language ("und", "mis", "zxx", spaces, digits).
    pub fn parse(text: &str) -> Option<Self> {
        let primary = text.split(['-', '_']).next()?.trim();
        let lower = primary.to_ascii_lowercase();
        if !lower.bytes().all(|byte| byte.is_ascii_lowercase()) {
            return None;
        }
        match lower.as_bytes() {
            [_, _] => LANGUAGES.iter().find(|known| known.short == lower).and_then(|known| Self::of(known.code)),
            [b'u', b'n', b'd'] | [b'm', b'i', b's'] | [b'z', b'x', b'x'] | [b'q', b'a'..=b't', _] => None,
            [_, _, _] => {
                let known = LANGUAGES.iter().find(|known| known.bibliographic == lower);
                Self::of(known.map_or(&*lower, |known| known.code))
            }
            _ => None,
        }
    }

    fn of(code: &str) -> Option<Self> {
        Some(Self(code.as_bytes().try_into().ok()?))
    }

    /// The code of three letters, such as "deu".
    pub fn code(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("und")
    }

    /// The shortest code, as BCP 47 demands it: "de", but "gsw".
    pub fn tag(&self) -> &str {
        LANGUAGES.iter().find(|known| known.code == self.code()).map_or(self.code(), |known| known.short)
    }
}

impl fmt::Debug for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// The most letters of a label, which is shown in menus.
const LABEL_CHARS_MAX: usize = 64;

/// The name that a source gives a track, made fit for playlists, manifests and pages. `None` if nothing is left of it.
pub fn label_of(text: &str) -> Option<String> {
    let fits = |letter: &char| !letter.is_control() && !matches!(letter, '"' | '<' | '>' | '&' | '\\');
    let label: String = text.chars().filter(fits).take(LABEL_CHARS_MAX).collect();
    let label = label.trim();
    (!label.is_empty()).then(|| label.to_owned())
}

struct Known {
    code: &'static str,
    /// The older code of ISO 639-2/B, if there is one.
    bibliographic: &'static str,
    short: &'static str,
}

const fn known(code: &'static str, short: &'static str) -> Known {
    Known { code, bibliographic: "", short }
}

const fn known_as(code: &'static str, bibliographic: &'static str, short: &'static str) -> Known {
    Known { code, bibliographic, short }
}

/// The languages that have a code of two letters.
const LANGUAGES: &[Known] = &[
    known("aar", "aa"),
    known("abk", "ab"),
    known("afr", "af"),
    known("aka", "ak"),
    known("amh", "am"),
    known("ara", "ar"),
    known("arg", "an"),
    known("asm", "as"),
    known("ava", "av"),
    known("ave", "ae"),
    known("aym", "ay"),
    known("aze", "az"),
    known("bak", "ba"),
    known("bam", "bm"),
    known("bel", "be"),
    known("ben", "bn"),
    known("bis", "bi"),
    known_as("bod", "tib", "bo"),
    known("bos", "bs"),
    known("bre", "br"),
    known("bul", "bg"),
    known("cat", "ca"),
    known_as("ces", "cze", "cs"),
    known("cha", "ch"),
    known("che", "ce"),
    known("chu", "cu"),
    known("chv", "cv"),
    known("cor", "kw"),
    known("cos", "co"),
    known("cre", "cr"),
    known_as("cym", "wel", "cy"),
    known("dan", "da"),
    known_as("deu", "ger", "de"),
    known("div", "dv"),
    known("dzo", "dz"),
    known_as("ell", "gre", "el"),
    known("eng", "en"),
    known("epo", "eo"),
    known("est", "et"),
    known_as("eus", "baq", "eu"),
    known("ewe", "ee"),
    known("fao", "fo"),
    known_as("fas", "per", "fa"),
    known("fij", "fj"),
    known("fin", "fi"),
    known_as("fra", "fre", "fr"),
    known("fry", "fy"),
    known("ful", "ff"),
    known("gla", "gd"),
    known("gle", "ga"),
    known("glg", "gl"),
    known("glv", "gv"),
    known("grn", "gn"),
    known("guj", "gu"),
    known("hat", "ht"),
    known("hau", "ha"),
    known("heb", "he"),
    known("her", "hz"),
    known("hin", "hi"),
    known("hmo", "ho"),
    known("hrv", "hr"),
    known("hun", "hu"),
    known_as("hye", "arm", "hy"),
    known("ibo", "ig"),
    known("ido", "io"),
    known("iii", "ii"),
    known("iku", "iu"),
    known("ile", "ie"),
    known("ina", "ia"),
    known("ind", "id"),
    known("ipk", "ik"),
    known_as("isl", "ice", "is"),
    known("ita", "it"),
    known("jav", "jv"),
    known("jpn", "ja"),
    known("kal", "kl"),
    known("kan", "kn"),
    known("kas", "ks"),
    known_as("kat", "geo", "ka"),
    known("kau", "kr"),
    known("kaz", "kk"),
    known("khm", "km"),
    known("kik", "ki"),
    known("kin", "rw"),
    known("kir", "ky"),
    known("kom", "kv"),
    known("kon", "kg"),
    known("kor", "ko"),
    known("kua", "kj"),
    known("kur", "ku"),
    known("lao", "lo"),
    known("lat", "la"),
    known("lav", "lv"),
    known("lim", "li"),
    known("lin", "ln"),
    known("lit", "lt"),
    known("ltz", "lb"),
    known("lub", "lu"),
    known("lug", "lg"),
    known("mah", "mh"),
    known("mal", "ml"),
    known("mar", "mr"),
    known_as("mkd", "mac", "mk"),
    known("mlg", "mg"),
    known("mlt", "mt"),
    known("mon", "mn"),
    known_as("mri", "mao", "mi"),
    known_as("msa", "may", "ms"),
    known_as("mya", "bur", "my"),
    known("nau", "na"),
    known("nav", "nv"),
    known("nbl", "nr"),
    known("nde", "nd"),
    known("ndo", "ng"),
    known("nep", "ne"),
    known_as("nld", "dut", "nl"),
    known("nno", "nn"),
    known("nob", "nb"),
    known("nor", "no"),
    known("nya", "ny"),
    known("oci", "oc"),
    known("oji", "oj"),
    known("ori", "or"),
    known("orm", "om"),
    known("oss", "os"),
    known("pan", "pa"),
    known("pli", "pi"),
    known("pol", "pl"),
    known("por", "pt"),
    known("pus", "ps"),
    known("que", "qu"),
    known("roh", "rm"),
    known_as("ron", "rum", "ro"),
    known("run", "rn"),
    known("rus", "ru"),
    known("sag", "sg"),
    known("san", "sa"),
    known("sin", "si"),
    known_as("slk", "slo", "sk"),
    known("slv", "sl"),
    known("sme", "se"),
    known("smo", "sm"),
    known("sna", "sn"),
    known("snd", "sd"),
    known("som", "so"),
    known("sot", "st"),
    known("spa", "es"),
    known_as("sqi", "alb", "sq"),
    known("srd", "sc"),
    known("srp", "sr"),
    known("ssw", "ss"),
    known("sun", "su"),
    known("swa", "sw"),
    known("swe", "sv"),
    known("tah", "ty"),
    known("tam", "ta"),
    known("tat", "tt"),
    known("tel", "te"),
    known("tgk", "tg"),
    known("tgl", "tl"),
    known("tha", "th"),
    known("tir", "ti"),
    known("ton", "to"),
    known("tsn", "tn"),
    known("tso", "ts"),
    known("tuk", "tk"),
    known("tur", "tr"),
    known("twi", "tw"),
    known("uig", "ug"),
    known("ukr", "uk"),
    known("urd", "ur"),
    known("uzb", "uz"),
    known("ven", "ve"),
    known("vie", "vi"),
    known("vol", "vo"),
    known("wln", "wa"),
    known("wol", "wo"),
    known("xho", "xh"),
    known("yid", "yi"),
    known("yor", "yo"),
    known("zha", "za"),
    known_as("zho", "chi", "zh"),
    known("zul", "zu"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_are_read_in_all_their_codes() {
        for (text, code, tag) in [
            ("deu", "deu", "de"),
            ("ger", "deu", "de"),
            ("GER", "deu", "de"),
            ("de", "deu", "de"),
            ("de-CH", "deu", "de"),
            ("eng", "eng", "en"),
            ("fre", "fra", "fr"),
            ("gsw", "gsw", "gsw"),
            ("chi", "zho", "zh"),
        ] {
            let language = Language::parse(text).unwrap();
            assert_eq!((language.code(), language.tag()), (code, tag), "{text}");
        }
        for text in ["", "und", "mis", "zxx", "qaa", "   ", "e", "12", "en1", "d\u{e9}u", "\0\0\0", "engl", "xx"] {
            assert_eq!(Language::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn labels_break_out_of_nothing() {
        for (text, expected) in [
            ("Stadium", Some("Stadium")),
            (" Deutsch (Live) ", Some("Deutsch (Live)")),
            ("a\"b\n<c>&\\", Some("abc")),
            ("  \t", None),
            ("", None),
        ] {
            assert_eq!(label_of(text).as_deref(), expected, "{text:?}");
        }
        assert_eq!(label_of(&"\u{fc}".repeat(100)).unwrap().chars().count(), LABEL_CHARS_MAX);
    }

    #[test]
    fn the_table_has_every_code_once() {
        for (at, known) in LANGUAGES.iter().enumerate() {
            assert_eq!((known.code.len(), known.short.len()), (3, 2), "{}", known.code);
            let same = |other: &Known| other.code == known.code || other.short == known.short;
            assert!(!LANGUAGES[at + 1..].iter().any(same), "{}", known.code);
        }
    }
}
