//! Counts those who watch by the way in which they do. A new way is a line here.

use crate::named::named;

macro_rules! viewer_kinds {
    ($($variant:ident = $text:literal),+ $(,)?) => {
        named!(
            /// A way of watching.
            ViewerKind { $($variant = $text),+ }
        );

        impl ViewerKind {
            /// The name of the figure that counts them.
            pub const fn figure(self) -> &'static str {
                match self { $(Self::$variant => concat!("viewers_", $text)),+ }
            }
        }
    };
}

viewer_kinds!(Hls = "hls", Dash = "dash", Webrtc = "webrtc", Rtmp = "rtmp", Srt = "srt");

impl ViewerKind {
    pub const COUNT: usize = Self::ALL.len();
}

/// The number of viewers in each way of watching.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Viewers([u64; ViewerKind::COUNT]);

impl Viewers {
    pub fn counted(count: impl Fn(ViewerKind) -> u64) -> Self {
        let mut viewers = Self::default();
        for (place, kind) in viewers.0.iter_mut().zip(ViewerKind::ALL) {
            *place = count(*kind);
        }
        viewers
    }

    pub fn of(&self, kind: ViewerKind) -> u64 {
        self.each().find(|(other, _)| *other == kind).map_or(0, |(_, count)| count)
    }

    pub fn each(&self) -> impl Iterator<Item = (ViewerKind, u64)> {
        ViewerKind::ALL.iter().copied().zip(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_its_count() {
        let viewers = Viewers::counted(|kind| if kind == ViewerKind::Rtmp { 2 } else { 0 });
        assert_eq!((viewers.of(ViewerKind::Rtmp), viewers.of(ViewerKind::Hls)), (2, 0));
        assert_eq!(ViewerKind::Dash.figure(), "viewers_dash");
    }
}
