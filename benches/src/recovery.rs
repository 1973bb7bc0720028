//! How soon a destination is pushed to again after its connection was closed, and after its port refused for a while.

use std::any::Any;
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use serde_json::json;
use weir_testkit::ffmpeg::Clip;
use weir_testkit::flv::read_flv;
use weir_testkit::publisher::Feed;
use weir_testkit::unreachable::ClosedPort;
use weir_testkit::{Answers, Destination, Nginx, Publisher, Weir};

use crate::report::{median, print_table, write};
use crate::system::weir_binary;

#[derive(Debug, Parser)]
pub(crate) struct Options {
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// How long the port refuses.
    #[arg(long, default_value_t = 12)]
    away_seconds: u64,
}

const LIMIT: Duration = Duration::from_secs(90);

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let folder = std::env::temp_dir().join(format!("weir-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    // There is a keyframe each second, so that a server which waits for one shows its own delay and not the clip's.
    let clip = read_flv(&Clip { size: "320x180", ..Clip::default() }.make(&folder.join("clip.flv")));
    std::fs::remove_dir_all(&folder)?;
    let binary = weir_binary()?;

    let (mut figures, mut rows) = (Vec::new(), Vec::new());
    for system in ["nginx-rtmp", "weir"] {
        let (mut after_close, mut after_away) = (Vec::new(), Vec::new());
        for round in 1..=options.rounds {
            eprintln!("round {round} of {}: {system} and a destination that goes away", options.rounds);
            let closed = Destination::new();
            let away = ClosedPort::new();
            let targets = [closed.address(), away.address()];
            // This is held until the round is over, because dropping it ends the server.
            let (_server, address, app, key): (Box<dyn Any>, _, _, _) = if system == "weir" {
                let server = Weir::options(&binary).start();
                let stream = server.api().create_stream("bench");
                for (number, target) in targets.iter().enumerate() {
                    server.api().create_restream(&stream, &format!("d{number}"), &format!("rtmp://{target}/app/key"));
                }
                let address = server.rtmp_address();
                (Box::new(server), address, "live", stream.stream_key)
            } else {
                let server = Nginx::relay(&targets);
                let address = server.address().to_string();
                (Box::new(server), address, "app", "key".to_owned())
            };
            let publisher = Publisher::publish(&address, app, &key)
                .map_err(|status| anyhow::anyhow!("the publish was refused: {status:?}"))?;
            let feed = Feed::start(publisher, clip.clone(), |at_ms| at_ms as u32);
            let live = Instant::now();
            closed.wait_video_frames(60, LIMIT);

            let before = closed.connections();
            closed.close_connections();
            let cut = Instant::now();
            let again = closed.wait_first_frame_of(before, LIMIT);
            after_close.push(again.at.duration_since(cut).as_secs_f64());

            thread::sleep((live + Duration::from_secs(options.away_seconds)).saturating_duration_since(Instant::now()));
            let listener = away.listen();
            let back = Instant::now();
            let came_back = Destination::on(listener, Answers::default());
            // The connection does not matter: Weir looks whether the port is open before it pushes.
            came_back.wait_video_frames(1, LIMIT);
            after_away.push(back.elapsed().as_secs_f64());
            drop(feed);
        }
        rows.push(vec![
            system.to_owned(),
            format!("{:.2}", median(after_close.clone())),
            format!("{:.2}", median(after_away.clone())),
        ]);
        figures.push(json!({
            "system": system, "closed_to_video_s": after_close, "away_seconds": options.away_seconds,
            "accepts_again_to_video_s": after_away,
        }));
    }
    let head = ["system", "connection closed -> video s", "port refused, accepts again -> video s"];
    print_table("A destination goes away and comes back (medians)", &head, &rows);
    write("recovery", &json!(figures))
}
