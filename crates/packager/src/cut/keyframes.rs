//! Says when a track's next keyframe is due: it comes as long after the last one as keyframes lately came after one another.

use std::time::Duration;

use weir_media::MediaTime;

/// A keyframe may be this late, because encoders count milliseconds and a GOP may be a frame longer. If it is later, nobody knows when it
/// will come.
const LATE_MAX: Duration = Duration::from_millis(100);

#[derive(Debug, Default)]
pub(crate) struct Keyframes {
    last: Option<MediaTime>,
    /// How far apart the last keyframes were. There are two lengths, because a GOP that a restart cut short says nothing about the next.
    apart: [Duration; 2],
}

impl Keyframes {
    pub(crate) fn saw(&mut self, time: MediaTime) {
        if let Some(last) = self.last.replace(time) {
            self.apart = [self.apart[1], time.since(last)];
        }
    }

    /// Notes that time is missing, so that the time to the next keyframe says nothing about the encoder.
    pub(crate) fn lost(&mut self) {
        self.last = None;
    }

    /// How long after a keyframe the next one may come. This is zero as long as it is not known.
    pub(crate) fn apart(&self) -> Duration {
        self.apart[0].max(self.apart[1])
    }

    /// In how long the next keyframe comes. As long as nothing is known of them, it may come at any moment, which is zero. None means that
    /// it is overdue.
    pub(crate) fn due_in(&self, time: MediaTime) -> Option<Duration> {
        let Some(last) = self.last.filter(|_| !self.apart().is_zero()) else { return Some(Duration::ZERO) };
        let since = time.since(last);
        (since <= self.apart() + LATE_MAX).then(|| self.apart().saturating_sub(since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_come_as_they_came() {
        let ms = MediaTime::from_millis;
        let mut keyframes = Keyframes::default();
        assert_eq!((keyframes.apart(), keyframes.due_in(ms(0))), (Duration::ZERO, Some(Duration::ZERO)));
        keyframes.saw(ms(0));
        assert_eq!(keyframes.due_in(ms(500)), Some(Duration::ZERO), "one says nothing");
        keyframes.saw(ms(2000));
        for (at, due) in [(2000, Some(2000)), (3500, Some(500)), (4080, Some(0)), (4200, None)] {
            assert_eq!(keyframes.due_in(ms(at)), due.map(Duration::from_millis), "{at}");
        }
        // A restart cuts this GOP short.
        keyframes.saw(ms(2900));
        assert_eq!(keyframes.apart(), Duration::from_secs(2));
        keyframes.saw(ms(3900));
        assert_eq!(keyframes.apart(), Duration::from_secs(1));
        keyframes.lost();
        keyframes.saw(ms(60_000));
        assert_eq!(keyframes.apart(), Duration::from_secs(1), "an absence is no GOP");
    }
}
