//! Back-off against peers that would talk others out of it: half-dead
//! balancers, which accept a connection and close it, and ports that open.

use crate::common;

use std::io::Read as _;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use common::{SOON, clip, weir};
use serde_json::json;
use weir_testkit::publisher::Feed;
use weir_testkit::{Answers, Destination, wait_until};

/// Accepts and closes at once, like a balancer with nobody behind it.
#[derive(Clone, Debug)]
struct Balancer {
    address: SocketAddr,
    accepted: Arc<Mutex<Vec<Instant>>>,
    most_at_once: Arc<AtomicUsize>,
}

impl Balancer {
    fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let balancer = Self { address, accepted: Arc::default(), most_at_once: Arc::default() };
        let (shared, open) = (balancer.clone(), Arc::new(AtomicUsize::new(0)));
        thread::spawn(move || {
            for mut socket in listener.incoming().map_while(Result::ok) {
                shared.accepted.lock().unwrap().push(Instant::now());
                shared.most_at_once.fetch_max(open.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                let open = Arc::clone(&open);
                thread::spawn(move || {
                    let _ = socket.shutdown(std::net::Shutdown::Write);
                    // It reads until the other side has closed, too.
                    let mut buffer = [0; 4096];
                    while matches!(socket.read(&mut buffer), Ok(1..)) {}
                    open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        balancer
    }

    fn attempts(&self) -> usize {
        self.accepted.lock().unwrap().len()
    }

    /// The seconds between attempts.
    fn gaps(&self) -> Vec<f64> {
        let accepted = self.accepted.lock().unwrap();
        accepted.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64()).collect()
    }
}

fn push_to_balancers(watched: Duration) {
    let weir = weir().start();
    let api = weir.api();
    let stream = api.create_stream("cam1");
    let (plain, twitch) = (Balancer::open(), Balancer::open());
    api.create_restream(&stream, "plain", &format!("rtmp://{}/live/key", plain.address));
    let url = format!("rtmp://{}/app", twitch.address);
    let destination = api.post("/destinations", &json!({ "name": "t", "platform": "twitch", "url": url })).expect(201);
    let field = json!({ "uri": null, "destination_id": destination["id"], "stream_key": "live_key" });
    api.create_restream_with(&stream, "twitch", &field);
    let _feed = Feed::live(&weir.rtmp_address(), &stream.stream_key, &clip(200_000));
    wait_until("both were tried", SOON, || plain.attempts() > 0 && twitch.attempts() > 0);
    thread::sleep(watched);

    // Twitch asks for 5 s at first, and for no more than eight attempts in ten minutes.
    for (balancer, first_s, attempts_max) in [(&plain, 1.0, 20), (&twitch, 5.0, 8)] {
        let gaps = balancer.gaps();
        println!("{gaps:.2?}");
        assert!(!gaps.is_empty() && balancer.attempts() <= attempts_max, "{gaps:?}");
        for (gap, doubled) in gaps.iter().zip([1.0, 2.0, 4.0, 8.0, 16.0]) {
            let expected = first_s * doubled;
            // There are 20 % of jitter, and what a busy machine takes.
            assert!((expected * 0.8 - 0.05..=expected * 1.2 + 0.7).contains(gap), "{gaps:?}");
        }
        assert_eq!(balancer.most_at_once.load(Ordering::SeqCst), 1, "two connections at once");
    }
}

#[test]
fn a_peer_that_accepts_and_closes_is_waited_for_longer_each_time() {
    // The waits are 1, 2 and 4 s, with their jitter.
    push_to_balancers(Duration::from_secs(8));
}

#[test]
#[ignore = "long: make test-long"]
fn a_peer_that_accepts_and_closes_is_waited_for_longer_each_time_for_a_minute() {
    push_to_balancers(Duration::from_secs(60));
}

#[test]
fn a_port_that_refuses_and_opens_is_found_in_two_seconds() {
    let weir = weir().start();
    let api = weir.api();
    let stream = api.create_stream("cam1");
    // Only the address is wanted, which nobody has now.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let id = api.create_restream(&stream, "push", &format!("rtmp://{address}/live/key"));
    let _feed = Feed::live(&weir.rtmp_address(), &stream.stream_key, &clip(200_000));
    // The restream must be far enough along that its next attempt would only come in four seconds or more.
    api.wait_restream_where(id, "has failed three times", SOON, |status| {
        status["state"] == "error" && status["attempt"].as_u64() >= Some(3)
    });
    let destination = Destination::on(TcpListener::bind(address).unwrap(), Answers::default());
    let opened = Instant::now();
    wait_until("the open port was found", Duration::from_millis(2_500), || destination.connections() > 0);
    println!("found after {:?}", opened.elapsed());
    api.wait_restream(id, "streaming", SOON);
}
