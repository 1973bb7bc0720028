//! Reads wall times and ISO 8601 durations.

/// Milliseconds since 1970 of "2026-01-31T12:00:00.123Z".
pub(super) fn wall_millis(text: &str) -> Option<i64> {
    let (date, clock) = text.strip_suffix('Z')?.split_once('T')?;
    let mut date = date.splitn(3, '-').map(str::parse::<i64>);
    let (year, month, day) = (date.next()?.ok()?, date.next()?.ok()?, date.next()?.ok()?);
    let mut clock = clock.splitn(3, ':');
    let (hour, minute, second): (i64, i64, f64) =
        (clock.next()?.parse().ok()?, clock.next()?.parse().ok()?, clock.next()?.parse().ok()?);
    let valid = (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && (0..24).contains(&hour)
        && (0..60).contains(&minute)
        && (0.0..61.0).contains(&second);
    // This is Howard Hinnant's days_from_civil: years begin in March, so that leap days come last.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days =
        year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + (month * 153 + 2) / 5 + day
            - 1
            - 719_468;
    valid.then(|| ((days * 24 + hour) * 60 + minute) * 60_000 + (second * 1000.0).round() as i64)
}

/// Seconds of "PT1H2M3.5S".
pub(super) fn duration_seconds(text: &str) -> Option<f64> {
    let (mut rest, mut seconds) = (text.strip_prefix("PT")?, 0.0);
    for (unit, factor) in [('H', 3600.0), ('M', 60.0), ('S', 1.0)] {
        if let Some((value, after)) = rest.split_once(unit) {
            seconds += value.parse::<f64>().ok()? * factor;
            rest = after;
        }
    }
    rest.is_empty().then_some(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wall_times() {
        for (text, expected) in [
            ("1970-01-01T00:00:00.000Z", Some(0)),
            ("2023-11-14T22:13:20.123Z", Some(1_700_000_000_123)),
            ("2024-02-29T00:00:00Z", Some(1_709_164_800_000)),
            ("2024-13-01T00:00:00Z", None),
            ("2024-01-01 00:00:00Z", None),
            ("2024-01-01T00:00:00", None),
            ("", None),
        ] {
            assert_eq!(wall_millis(text), expected, "{text}");
        }
    }

    #[test]
    fn durations() {
        for (text, expected) in
            [("PT2S", Some(2.0)), ("PT1H1M1.5S", Some(3661.5)), ("PT0.000S", Some(0.0)), ("2S", None), ("PTxS", None)]
        {
            assert_eq!(duration_seconds(text), expected, "{text}");
        }
    }
}
