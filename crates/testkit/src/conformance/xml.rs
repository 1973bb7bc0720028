//! Reads as much of XML as a manifest has: elements and attributes, no text.

use std::collections::BTreeMap;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Element {
    pub(super) name: String,
    pub(super) attributes: BTreeMap<String, String>,
    pub(super) children: Vec<Self>,
}

impl Element {
    /// Parses a text and gives the root element; None where it is not well-formed.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut open = vec![Self::default()];
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('<') {
            if !before.trim().is_empty() {
                return None;
            }
            let (tag, next) = after.split_once('>')?;
            rest = next;
            if tag.starts_with('?') || tag.starts_with("!--") {
                continue;
            }
            if let Some(name) = tag.strip_prefix('/') {
                let done = open.pop().filter(|done| done.name == name)?;
                open.last_mut()?.children.push(done);
                continue;
            }
            let (tag, is_empty) = tag.strip_suffix('/').map_or((tag, false), |tag| (tag, true));
            let element = Self::open(tag)?;
            if is_empty { open.last_mut()?.children.push(element) } else { open.push(element) }
        }
        let [root] = &mut open[..] else { return None };
        (rest.trim().is_empty() && root.children.len() == 1).then(|| root.children.remove(0))
    }

    fn open(tag: &str) -> Option<Self> {
        let (name, mut rest) = tag.split_once(char::is_whitespace).unwrap_or((tag, ""));
        let mut attributes = BTreeMap::new();
        while !rest.trim().is_empty() {
            let (name, after) = rest.split_once("=\"")?;
            let (value, next) = after.split_once('"')?;
            let value = value.replace("&quot;", "\"").replace("&lt;", "<").replace("&amp;", "&");
            if attributes.insert(name.trim().to_owned(), value).is_some() {
                return None;
            }
            rest = next;
        }
        Some(Self { name: name.to_owned(), attributes, children: Vec::new() })
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.attributes.get(name).map(String::as_str)
    }

    pub(super) fn number<T: std::str::FromStr>(&self, name: &str) -> Option<T> {
        self.get(name)?.parse().ok()
    }

    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> {
        self.children.iter().filter(move |child| child.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_read() {
        let root =
            Element::parse("<?xml version=\"1.0\"?>\n<a x=\"1\" y=\"p&amp;q\"><b/>\n<b z=\"2\"></b></a>\n").unwrap();
        assert_eq!((root.get("x"), root.get("y"), root.all("b").count()), (Some("1"), Some("p&q"), 2));
        for broken in
            ["", "<a>", "<a></b>", "<a/><b/>", "<a x=1/>", "<a x=\"1/>", "<a>text</a>", "<a x=\"1\" x=\"2\"/>"]
        {
            assert_eq!(Element::parse(broken), None, "{broken}");
        }
    }
}
