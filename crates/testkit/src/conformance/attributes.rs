//! Attribute lists of HLS tags.

use std::collections::BTreeMap;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes(BTreeMap<String, String>);

impl Attributes {
    /// Parses `A=1,B="x,y"`, and takes off the quotes. None where it is not well-formed or a name comes twice.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (mut found, mut rest) = (BTreeMap::new(), text);
        while !rest.is_empty() {
            let (name, after) = rest.split_once('=')?;
            let is_name = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'-';
            if name.is_empty() || !name.bytes().all(is_name) {
                return None;
            }
            let (value, next) = match after.strip_prefix('"') {
                Some(quoted) => quoted.split_once('"')?,
                None => after.find(',').map_or((after, ""), |at| after.split_at(at)),
            };
            rest = match next.strip_prefix(',') {
                Some("") => return None,
                Some(next) => next,
                None if next.is_empty() => "",
                None => return None,
            };
            if found.insert(name.to_owned(), value.to_owned()).is_some() {
                return None;
            }
        }
        Some(Self(found))
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub fn number(&self, name: &str) -> Option<f64> {
        self.get(name)?.parse().ok().filter(|value: &f64| value.is_finite())
    }

    pub fn is(&self, name: &str, value: &str) -> bool {
        self.get(name) == Some(value)
    }
}
