//! Reads a DASH manifest.

use super::times::{duration_seconds, wall_millis};
use super::xml::Element;

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Manifest {
    pub availability_start_millis: i64,
    pub publish_millis: i64,
    /// The time that UTCTiming states.
    pub clock_millis: Option<i64>,
    pub buffer_depth_seconds: f64,
    pub update_period_seconds: f64,
    pub max_segment_seconds: f64,
    /// The target, the least and the most latency that players are to keep, in milliseconds.
    pub latency: Option<[u64; 3]>,
    pub is_live: bool,
    pub periods: Vec<Period>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Period {
    pub id: String,
    pub start_seconds: f64,
    pub duration_seconds: Option<f64>,
    pub representations: Vec<Representation>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Representation {
    pub id: String,
    pub codecs: String,
    pub width: u32,
    pub height: u32,
    pub sample_rate_hz: u32,
    pub bandwidth_bps: u64,
    pub timescale: u32,
    pub offset_ticks: i64,
    pub initialization: String,
    /// How long before its end a segment can be fetched; 0 where segments are listed when they are complete.
    pub early_seconds: f64,
    /// True with `availabilityTimeComplete="false"`: a segment is sent while it is being made.
    pub is_chunked: bool,
    /// The schemes of the adaptation set's Accessibility descriptors.
    pub accessibility: Vec<String>,
    pub segments: Vec<ListedSegment>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListedSegment {
    pub number: u64,
    pub uri: String,
    pub start_ticks: i64,
    pub duration_ticks: i64,
}

impl Representation {
    /// Converts a time in its files to seconds on the period's timeline.
    pub fn seconds(&self, ticks: i64) -> f64 {
        (ticks - self.offset_ticks) as f64 / f64::from(self.timescale.max(1))
    }
}

impl Manifest {
    /// Parses a manifest; None where something that is needed is missing or malformed.
    pub fn parse(text: &str) -> Option<Self> {
        let root = Element::parse(text).filter(|root| root.name == "MPD")?;
        let seconds = |name: &str| root.get(name).and_then(duration_seconds);
        let clock = root.all("UTCTiming").find(|it| it.get("schemeIdUri") == Some("urn:mpeg:dash:utc:direct:2014"));
        Some(Self {
            availability_start_millis: wall_millis(root.get("availabilityStartTime")?)?,
            publish_millis: wall_millis(root.get("publishTime")?)?,
            clock_millis: clock.and_then(|clock| wall_millis(clock.get("value")?)),
            buffer_depth_seconds: seconds("timeShiftBufferDepth")?,
            update_period_seconds: seconds("minimumUpdatePeriod")?,
            max_segment_seconds: seconds("maxSegmentDuration")?,
            latency: root.all("ServiceDescription").flat_map(|found| found.all("Latency")).next().and_then(latency),
            is_live: root.get("type") == Some("dynamic")
                && root
                    .get("profiles")
                    .is_some_and(|profiles| profiles.contains("urn:mpeg:dash:profile:isoff-live:2011"))
                && seconds("minBufferTime").is_some(),
            periods: root.all("Period").map(period).collect::<Option<_>>()?,
        })
    }
}

fn latency(element: &Element) -> Option<[u64; 3]> {
    Some([element.number("target")?, element.number("min")?, element.number("max")?])
}

fn period(element: &Element) -> Option<Period> {
    let mut representations = Vec::new();
    for set in element.all("AdaptationSet") {
        for found in set.all("Representation") {
            representations.push(representation(set, found)?);
        }
    }
    Some(Period {
        id: element.get("id")?.to_owned(),
        start_seconds: duration_seconds(element.get("start")?)?,
        duration_seconds: element.get("duration").map_or(Some(None), |text| duration_seconds(text).map(Some))?,
        representations,
    })
}

fn representation(set: &Element, element: &Element) -> Option<Representation> {
    let template = element.all("SegmentTemplate").chain(set.all("SegmentTemplate")).next()?;
    let id = element.get("id")?;
    let accessibility = set.all("Accessibility").chain(element.all("Accessibility"));
    let mut found = Representation {
        id: id.to_owned(),
        codecs: element.get("codecs")?.to_owned(),
        width: element.number("width").unwrap_or(0),
        height: element.number("height").unwrap_or(0),
        sample_rate_hz: element.number("audioSamplingRate").unwrap_or(0),
        bandwidth_bps: element.number("bandwidth")?,
        timescale: template.number("timescale")?,
        offset_ticks: template.number("presentationTimeOffset").unwrap_or(0),
        initialization: template.get("initialization")?.replace("$RepresentationID$", id),
        early_seconds: template.number("availabilityTimeOffset").unwrap_or(0.0),
        is_chunked: template.get("availabilityTimeComplete") == Some("false"),
        accessibility: accessibility.filter_map(|it| it.get("schemeIdUri").map(str::to_owned)).collect(),
        segments: Vec::new(),
    };
    let media = template.get("media")?.replace("$RepresentationID$", id);
    let (mut number, mut time): (u64, i64) = (template.number("startNumber")?, 0);
    for row in template.all("SegmentTimeline").next()?.all("S") {
        time = row.number("t").unwrap_or(time);
        let duration: i64 = row.number("d").filter(|length| *length > 0)?;
        for _ in 0..=row.number::<u64>("r").unwrap_or(0) {
            let uri = media.replace("$Number$", &number.to_string()).replace("$Time$", &time.to_string());
            found.segments.push(ListedSegment { number, uri, start_ticks: time, duration_ticks: duration });
            (number, time) = (number + 1, time + duration);
        }
    }
    Some(found)
}
