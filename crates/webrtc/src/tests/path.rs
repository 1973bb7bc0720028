//! These tests put a bad path before a viewer: packets are lost and come late, and a viewer vanishes without a word.

use weir_testkit::udp_relay::{Path, UdpRelay};

use super::*;
use crate::connection::Figures;
use crate::viewer::REPEATED;

/// Publishes in real time until it is dropped.
struct Live {
    rendition: RenditionHub,
    task: tokio::task::JoinHandle<()>,
}

impl Live {
    fn new() -> Self {
        let mut source = Source::new();
        source.publish(30);
        let rendition = source.rendition.clone();
        let task = tokio::spawn(async move {
            let mut tick = tokio::time::interval(Duration::from_nanos(33_333_333));
            loop {
                tick.tick().await;
                source.publish(1);
            }
        });
        Self { rendition, task }
    }

    /// Answers an offer and serves its viewer. The answer names that port in place of the engine's.
    async fn serve(
        &self,
        engine: &Engine,
        offer: &str,
        port: u16,
    ) -> (String, tokio::task::JoinHandle<(Ended, Figures)>) {
        let what = carried(&self.rendition.tracks()).unwrap();
        let Answered { sdp, mut connection, .. } = answered(engine, offer, &what).await;
        let feed = Feed::<RtpBatcher>::new();
        let mut batches = feed.subscribe();
        let feeding = tokio::spawn(feed.run(self.rendition.clone(), RtpBatcher::default()));
        let served = tokio::spawn(async move {
            let ended = connection.serve(&mut batches, &mut ()).await;
            feeding.abort();
            (ended, connection.figures())
        });
        let ours = format!(" 127.0.0.1 {} typ host", engine.udp_addr().port());
        (sdp.replace(&ours, &format!(" 127.0.0.1 {port} typ host")), served)
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_lost_on_the_way_is_repeated_before_it_is_missed() {
    let (engine, live) = (engine(false).await, Live::new());
    // 5 % are lost in each direction, and the round trip is 50 ms.
    let relay = UdpRelay::start(engine.udp_addr(), Path { loss_percent: 5.0, delay: Duration::from_millis(25) });
    let offered = Watcher::offer().await;
    let (answer, _served) = live.serve(&engine, &offered.text, relay.address().port()).await;
    let mut watcher = offered.accept(&answer);
    watcher.watch(Duration::from_secs(10), |watcher| watcher.pictures().len() > 30).await;
    let began = Instant::now();
    watcher.watch(Duration::from_secs(8), |_| false).await;
    let (lost, passed) = relay.counts();
    assert!(lost > 20 && passed > 500, "{lost} of {passed} are no bad path");

    // A decoder shows a picture when it and all before it are whole: when each number up to its last packet has come.
    let mut came: Vec<(u64, Instant, bool)> = Vec::new();
    for (at, packet) in &watcher.packets {
        if packet.payload_type == VIDEO || packet.payload_type == REPEATED {
            came.push((packet.number, *at, packet.marker));
        }
    }
    came.sort_by_key(|(number, at, _)| (*number, *at));
    came.dedup_by_key(|(number, ..)| *number);
    let holes: Vec<u64> = came.windows(2).filter(|pair| pair[1].0 != pair[0].0 + 1).map(|pair| pair[0].0).collect();
    // The newest few may still be under way.
    let settled = came.iter().rposition(|(_, at, _)| *at < began + Duration::from_secs(7)).unwrap_or_default();
    let holes = holes.iter().filter(|hole| **hole < came[settled].0).count();
    assert_eq!(holes, 0, "of {} packets", came.len());
    let mut whole = came[0].1;
    let mut shown = Vec::new();
    for (_, at, marker) in &came[..=settled] {
        whole = whole.max(*at);
        if *marker && whole >= began {
            shown.push(whole);
        }
    }
    let gap = shown.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default();
    assert!(shown.len() > 180, "{} pictures in 7 s", shown.len());
    assert!(gap < Duration::from_millis(500), "a freeze of {gap:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_vanished_is_given_up_after_fifteen_seconds_without_a_report() {
    let (engine, live) = (engine(false).await, Live::new());
    let offered = Watcher::offer().await;
    let what = carried(&live.rendition.tracks()).unwrap();
    let Answered { sdp, mut connection, .. } = answered(&engine, &offered.text, &what).await;
    let feed = Feed::<RtpBatcher>::new();
    let mut batches = feed.subscribe();
    tokio::spawn(feed.run(live.rendition.clone(), RtpBatcher::default()));
    let mut watcher = offered.accept(&sdp);
    // The viewer watches for a while, and is gone without a word.
    let mut nobody = ();
    tokio::select! {
        ended = connection.serve(&mut batches, &mut nobody) => panic!("{ended:?}"),
        () = watcher.watch(Duration::from_secs(10), |watcher| watcher.pictures().len() > 40) => {}
    }
    assert!(connection.figures().connected);
    connection.reported_earlier(Duration::from_secs(14));
    let ended = timeout(Duration::from_secs(5), connection.serve(&mut batches, &mut ())).await;
    // `str0m` may have noticed it first, by checks of ICE that no longer come.
    assert!(matches!(ended, Ok(Ended::Silent)), "{ended:?}");
}
