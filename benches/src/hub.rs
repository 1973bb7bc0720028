//! The hub alone: what one more subscriber costs, from 1 to 1,000 cursors on one rendition.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use bytes::Bytes;
use serde_json::json;
use weir_hub::{Next, StreamHub, Tracks, WindowLimits};
use weir_media::{Codec, Frame, FrameFlags, MediaTime, TrackId, TrackInfo};

use crate::report::{print_table, write};

const CURSORS: [usize; 4] = [1, 10, 100, 1_000];
/// The number of deliveries for each size, so that each takes about as long.
const DELIVERIES: usize = 2_000_000;

pub(crate) fn run() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let (mut figures, mut rows) = (Vec::new(), Vec::new());
    for cursors in CURSORS {
        let frames = DELIVERIES / cursors.max(10);
        let (seconds, delivered, skipped) = runtime.block_on(fan_out(cursors, frames));
        let ns_per_delivery = seconds * 1e9 / delivered as f64;
        rows.push(vec![
            cursors.to_string(),
            format!("{:.2}", seconds * 1e6 / frames as f64),
            format!("{ns_per_delivery:.0}"),
            format!("{:.3}", ns_per_delivery * 77.0 / 1e6),
            skipped.to_string(),
        ]);
        figures.push(json!({
            "cursors": cursors, "us_per_frame": seconds * 1e6 / frames as f64, "ns_per_delivery": ns_per_delivery,
            "skipped": skipped,
        }));
    }
    let head = ["cursors", "us/frame", "ns/delivery", "CPU ms/subscriber-s at 77 frames/s", "skipped"];
    print_table("Hub: one publisher, every frame awaited by every cursor, one thread", &head, &rows);
    write("hub", &json!(figures))
}

/// Returns the seconds taken, the frames delivered in all, and the frames skipped (0, as every cursor keeps up).
async fn fan_out(cursors: usize, frames: usize) -> (f64, u64, u64) {
    let hub = StreamHub::new(WindowLimits::default());
    let mut publisher = hub.publish_source(Instant::now());
    let delivered = Arc::new(AtomicU64::new(0));
    let tasks: Vec<_> = (0..cursors)
        .map(|_| {
            let (mut subscriber, delivered) = (hub.source().subscribe(), Arc::clone(&delivered));
            tokio::spawn(async move {
                let mut skipped = 0;
                loop {
                    match subscriber.next().await {
                        Next::Item(_) => _ = delivered.fetch_add(1, Ordering::Relaxed),
                        Next::Skipped { items } => skipped += items,
                        Next::Closed => return skipped,
                    }
                }
            })
        })
        .collect();
    // A frame has 16 KB, the mean at 4 Mbps, and every 60th is a keyframe.
    let payload = Bytes::from(vec![0; 16 << 10]);
    let picture = TrackInfo::new(TrackId::SOURCE_VIDEO, Codec::H264, Bytes::new());
    publisher.set_tracks(Tracks::from_iter([Arc::new(picture)]));
    let start = Instant::now();
    for number in 0..frames {
        let time = MediaTime::from_millis(number as i64 * 33);
        let flags = FrameFlags { keyframe: number % 60 == 0, discontinuity: false };
        let frame = Frame { track: TrackId::SOURCE_VIDEO, dts: time, pts: time, flags, payload: payload.clone() };
        publisher.write(frame, start);
        let wanted = (number + 1) as u64 * cursors as u64;
        while delivered.load(Ordering::Relaxed) < wanted {
            tokio::task::yield_now().await;
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    hub.close();
    let mut skipped = 0;
    for task in tasks {
        skipped += task.await.unwrap_or(0);
    }
    (seconds, delivered.load(Ordering::Relaxed), skipped)
}
