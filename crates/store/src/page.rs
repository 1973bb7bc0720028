//! Pages of lists by keyset: rows after an id, oldest first. A page costs the same wherever it is.

/// The most rows one call reads.
pub const MAX_PAGE_ROWS: u32 = 500;

#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// The id after which the next page begins, if there is one.
    pub next_after: Option<i64>,
}

impl<T> Page<T> {
    /// Makes a page from `limit + 1` rows. The extra row only tells that there are more.
    pub(crate) fn new(mut items: Vec<T>, limit: u32, id: impl Fn(&T) -> i64) -> Self {
        let more = items.len() > limit as usize;
        items.truncate(limit as usize);
        let next_after = if more { items.last().map(id) } else { None };
        Self { items, next_after }
    }
}

/// The number of rows to ask for, so that `Page::new` can tell whether there is more.
pub(crate) fn rows_wanted(limit: u32) -> (u32, i64) {
    let limit = limit.clamp(1, MAX_PAGE_ROWS);
    (limit, i64::from(limit) + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_the_end() {
        assert_eq!(Page::new(vec![1, 2, 3], 2, |i| *i), Page { items: vec![1, 2], next_after: Some(2) });
        assert_eq!(Page::new(vec![1, 2], 2, |i| *i), Page { items: vec![1, 2], next_after: None });
        assert_eq!(rows_wanted(0), (1, 2));
        assert_eq!(rows_wanted(10_000), (500, 501));
    }
}
