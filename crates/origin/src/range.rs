//! Reads byte ranges as RFC 9110 has them. One range is answered; for several, or for nonsense, the whole file is sent.

/// Which of `total` bytes a `Range` header wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    Whole,
    /// The first and the last byte.
    Part(usize, usize),
    /// The range has nothing in it, which is answered with 416.
    Nothing,
}

pub fn parse_range(text: &str, total: usize) -> Wanted {
    read(text, total).unwrap_or(Wanted::Whole)
}

fn read(text: &str, total: usize) -> Option<Wanted> {
    let (first, last) = text.strip_prefix("bytes=").filter(|ranges| !ranges.contains(','))?.split_once('-')?;
    let range = match (first.trim(), last.trim()) {
        ("", suffix) => (total.saturating_sub(suffix.parse().ok()?), total.checked_sub(1)),
        (first, "") => (first.parse().ok()?, total.checked_sub(1)),
        (first, last) => {
            let last: usize = last.parse().ok()?;
            (first.parse().ok()?, total.checked_sub(1).map(|end| end.min(last)))
        }
    };
    Some(match range {
        (first, Some(last)) if first <= last => Wanted::Part(first, last),
        _ => Wanted::Nothing,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        for (text, expected) in [
            ("bytes=0-9", Wanted::Part(0, 9)),
            ("bytes=90-", Wanted::Part(90, 99)),
            ("bytes=-10", Wanted::Part(90, 99)),
            ("bytes=0-1000", Wanted::Part(0, 99)),
            ("bytes=100-", Wanted::Nothing),
            ("bytes=5-4", Wanted::Nothing),
            ("bytes=-0", Wanted::Nothing),
            ("bytes=a-b", Wanted::Whole),
            ("items=0-1", Wanted::Whole),
            ("bytes=0-1,3-4", Wanted::Whole),
        ] {
            assert_eq!(parse_range(text, 100), expected, "{text}");
        }
        assert_eq!(parse_range("bytes=0-", 0), Wanted::Nothing);
    }
}
