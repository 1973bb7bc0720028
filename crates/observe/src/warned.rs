//! Restreams' warnings as events: each is told when it comes, from the same merge that the API and the metrics read.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use weir_model::RestreamId;

use crate::event::fields;
use crate::wish::{RestreamView, RestreamWish};

/// A figure that swings around a limit gives one warning: it is told again only after it was away for so long.
const AWAY_MIN: Duration = Duration::from_secs(60);

/// When each warning that was told held last, by its code.
type Told = BTreeMap<String, Instant>;

#[derive(Debug, Default)]
pub(crate) struct Warned {
    told: Mutex<BTreeMap<RestreamId, Told>>,
}

pub(crate) type EventFields = serde_json::Map<String, serde_json::Value>;

impl Warned {
    /// The warnings to be told now. A restream that is not to run has none: what it would be sent harms nobody.
    pub(crate) fn look(
        &self,
        restreams: &[(RestreamId, RestreamWish, RestreamView)],
        now: Instant,
    ) -> Vec<EventFields> {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let mut due = Vec::new();
        let mut hold = BTreeMap::new();
        for (id, wish, view) in restreams.iter().filter(|(_, wish, _)| wish.active) {
            let mut codes = told.remove(id).unwrap_or_default();
            codes.retain(|_, at| now.saturating_duration_since(*at) < AWAY_MIN);
            for (code, message) in view.warnings() {
                if codes.insert(code.to_owned(), now).is_none() {
                    due.push(fields([
                        ("restream_id", id.0.into()),
                        ("stream_id", wish.stream_id.0.into()),
                        ("name", wish.name.as_str().into()),
                        ("code", code.into()),
                        ("message", message.into()),
                    ]));
                }
            }
            if !codes.is_empty() {
                hold.insert(*id, codes);
            }
        }
        *told = hold;
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::OffsetDateTime;
    use weir_model::{RestreamStatus, StreamId, Warning};

    fn restream(active: bool, codes: &[&str]) -> (RestreamId, RestreamWish, RestreamView) {
        let since = OffsetDateTime::UNIX_EPOCH;
        let warning = |code: &&str| Warning { code: (*code).to_owned(), message: "m".to_owned(), since };
        let wish = RestreamWish {
            stream_id: StreamId(1),
            name: "r".to_owned(),
            active,
            stop_reason: None,
            changed_at: since,
            sends: "source".to_owned(),
            rendition: None,
            audio_language: None,
            platform: None,
            advice: codes.iter().map(warning).collect(),
            backup_advice: Vec::new(),
        };
        let view = wish.merged_with(Some(RestreamStatus::stopped(since)), &weir_model::StreamStatus::offline(since));
        (RestreamId(7), wish, view)
    }

    #[test]
    fn each_warning_is_told_once_until_it_was_away() {
        let warned = Warned::default();
        let began = Instant::now();
        for (second, active, codes, expected) in [
            (0, true, &["a"][..], &["a"][..]),
            (1, true, &["a"], &[]),
            (2, true, &["a", "b", "b"], &["b"]),
            (3, true, &["b"], &[]),
            // Warning a swings: it comes back too soon to be told again.
            (40, true, &["a", "b"], &[]),
            (41, true, &["b"], &[]),
            (100, true, &["a", "b"], &["a"]),
            (102, false, &["a", "b", "c"], &[]),
            (103, true, &["c"], &["c"]),
        ] {
            let due = warned.look(&[restream(active, codes)], began + Duration::from_secs(second));
            let told: Vec<_> = due.iter().map(|event| event["code"].as_str().unwrap()).collect();
            assert_eq!(told, expected, "{codes:?} after {second} s");
        }
        assert!(
            warned.look(&[], began).is_empty() && warned.told.lock().unwrap().is_empty(),
            "nothing is kept of what is gone"
        );
    }
}
