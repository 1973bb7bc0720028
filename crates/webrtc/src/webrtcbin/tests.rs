//! Messages are read as they were written, whatever is cut short is refused, and a process that ends takes its viewers' connections with it.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::time::timeout;
use weir_media::MediaTime;

use super::*;
use crate::carrier::Cut;
use crate::from_frames::{RtpKind, RtpPayload};
use crate::peer::Fact;
use crate::sdp::Fingerprint;

fn start() -> ProcessStart {
    let addresses = vec!["10.0.0.5".parse().unwrap(), "::1".parse().unwrap()];
    ProcessStart { first_port: 10_000, last_port: 10_100, addresses }
}

fn far() -> Far {
    let media = FarMedia { number: 102, repeats: Some(103), estimates: true };
    let fingerprint = Fingerprint([7; 32]);
    let (ufrag, password) = ("abcd".to_owned(), "abcdefghijklmnopqrstuv".to_owned());
    Far { ufrag, password, fingerprint, begins: true, video: Some(media), audio: None }
}

fn ours() -> Ours {
    Ours {
        ufrag: "efgh".to_owned(),
        password: "zyxwvutsrqponmlkjihgfe".to_owned(),
        fingerprint: Fingerprint([9; 32]),
        addresses: vec!["10.0.0.5:10000".parse().unwrap(), "[::1]:10001".parse().unwrap()],
        video_ssrc: Some(5),
        repeats_ssrc: None,
        audio_ssrc: Some(6),
    }
}

fn to_process() -> Vec<ToProcess> {
    let payload = |kind, marker, bytes: &[u8]| RtpPayload {
        kind,
        time: MediaTime::from_millis(40),
        marker,
        bytes: Arc::from(bytes),
    };
    let payloads = vec![payload(RtpKind::Audio, false, &[]), payload(RtpKind::Video, true, &[1, 2, 3])];
    let (from, to, newest) = (1, 2, MediaTime::from_millis(-5));
    vec![
        ToProcess::Start(start()),
        ToProcess::Open { viewer: 3, far: far() },
        ToProcess::Batch { number: 4, payloads },
        ToProcess::Show(Shown { viewer: 3, batch: 4, from, to, pictures: true, sound: false, newest }),
        ToProcess::Splice { viewer: 3, time: newest },
        ToProcess::Close { viewer: 3 },
    ]
}

fn from_process() -> Vec<FromProcess> {
    let report = |rtt_ms| FromProcess::Report { viewer: 3, picture: true, loss_permille: 12, rtt_ms, bytes: 9 };
    vec![
        FromProcess::Proved,
        FromProcess::Refused { why: "no".to_owned() },
        FromProcess::Opened { viewer: 3, ours: ours() },
        FromProcess::NotOpened { viewer: 3, why: "no port".to_owned() },
        FromProcess::Connected { viewer: 3 },
        FromProcess::WantsKeyframe { viewer: 3 },
        report(None),
        report(Some(40)),
        FromProcess::Estimate { viewer: 3, bits_per_second: 1_000_000 },
        FromProcess::Over { viewer: 3, why: WhyOver::Fault },
    ]
}

/// The bodies in these bytes, with their kinds.
fn bodies(bytes: &[u8]) -> Result<Vec<(u8, bytes::Bytes)>, MessageFault> {
    let mut decoder = Decoder::default();
    decoder.buffer().extend_from_slice(bytes);
    std::iter::from_fn(|| decoder.next_body().transpose()).collect()
}

#[test]
fn messages_are_read_as_they_were_written_and_not_when_cut_short() {
    let mut bytes = BytesMut::new();
    to_process().iter().for_each(|message| encode_to_process(message, &mut bytes));
    let read: Vec<String> = bodies(&bytes)
        .unwrap()
        .into_iter()
        .map(|(kind, body)| {
            for length in 0..body.len() {
                let cut = decode_to_process(kind, body.slice(..length));
                // A list may end anywhere between its items.
                assert!(cut.is_err() || matches!(cut, Ok(ToProcess::Start(_) | ToProcess::Batch { .. })), "{cut:?}");
            }
            format!("{:?}", decode_to_process(kind, body).unwrap())
        })
        .collect();
    assert_eq!(read, to_process().iter().map(|message| format!("{message:?}")).collect::<Vec<_>>());

    let mut bytes = BytesMut::new();
    from_process().iter().for_each(|message| encode_from_process(message, &mut bytes));
    let read: Vec<FromProcess> = bodies(&bytes)
        .unwrap()
        .into_iter()
        .map(|(kind, body)| {
            for length in 0..body.len() {
                let cut = decode_from_process(kind, body.slice(..length));
                assert!(cut.is_err() || matches!(cut, Ok(FromProcess::Opened { .. })), "{cut:?}");
            }
            decode_from_process(kind, body).unwrap()
        })
        .collect();
    assert_eq!(read, from_process());
}

#[test]
fn what_is_too_long_or_unknown_ends_the_conversation() {
    for (bytes, is_fault) in
        [(&[0, 0, 0, 2, 3][..], true), (&[1, 16, 0, 0, 1], true), (&[1, 0, 0, 0], false), (&[1, 0, 0, 0, 1], false)]
    {
        assert_eq!(bodies(bytes).is_err(), is_fault, "{bytes:?}");
    }
    assert!(
        decode_to_process(99, bytes::Bytes::new()).is_err() && decode_from_process(1, bytes::Bytes::new()).is_err()
    );
    let mut long = BytesMut::new();
    encode_from_process(&FromProcess::Refused { why: "é".repeat(400) }, &mut long);
    let (kind, body) = bodies(&long).unwrap().remove(0);
    let FromProcess::Refused { why } = decode_from_process(kind, body).unwrap() else { panic!("it is another one") };
    assert_eq!(why.len(), 500, "texts are cut");
}

/// The process's end of the socket.
struct Process {
    stream: UnixStream,
    decoder: Decoder,
}

impl Process {
    async fn next(&mut self) -> ToProcess {
        loop {
            if let Some((kind, body)) = self.decoder.next_body().unwrap() {
                return decode_to_process(kind, body).unwrap();
            }
            assert_ne!(self.stream.read_buf(self.decoder.buffer()).await.unwrap(), 0);
        }
    }

    async fn say(&mut self, message: &FromProcess) {
        let mut bytes = BytesMut::new();
        encode_from_process(message, &mut bytes);
        self.stream.write_all(&bytes).await.unwrap();
    }
}

#[tokio::test]
async fn a_process_serves_once_it_has_proved_itself_and_its_viewers_end_with_it() {
    let (near, far_end) = UnixStream::pair().unwrap();
    let mut process = Process { stream: far_end, decoder: Decoder::default() };
    let webrtcbin = Webrtcbin::new(start(), Vec::new());
    let attended = tokio::spawn({
        let webrtcbin = webrtcbin.clone();
        async move { webrtcbin.attend(near).await }
    });
    let ToProcess::Start(started) = process.next().await else { panic!("it begins with the start") };
    assert!(started == start() && webrtcbin.session().is_none() && webrtcbin.state() == State::Proving);
    process.say(&FromProcess::Proved).await;
    let session = loop {
        match webrtcbin.session() {
            Some(session) => break session,
            None => tokio::task::yield_now().await,
        }
    };
    assert_eq!(webrtcbin.state(), State::Serving);

    let opening = tokio::spawn(Arc::clone(&session).open(far()));
    let ToProcess::Open { viewer, far: asked } = process.next().await else { panic!("a viewer is opened") };
    assert_eq!(asked, far());
    process.say(&FromProcess::Opened { viewer, ours: ours() }).await;
    let (mut remote, told) = Remote::new(opening.await.unwrap().unwrap());
    assert_eq!((told, webrtcbin.viewers()), (ours(), 1));
    process.say(&FromProcess::Connected { viewer }).await;
    process.say(&FromProcess::WantsKeyframe { viewer: viewer + 1 }).await;
    remote.hear().await;
    let mut facts = Vec::new();
    assert!(remote.poll(std::time::Instant::now(), |fact| facts.push(fact)).is_ok());
    assert_eq!(facts, [Fact::Connected], "nobody hears what is said of others");

    // Whom the process can't take is told why, and leaves nothing behind.
    let opening = tokio::spawn(Arc::clone(&session).open(far()));
    let ToProcess::Open { viewer: second, .. } = process.next().await else { panic!("another viewer is opened") };
    process.say(&FromProcess::NotOpened { viewer: second, why: "no port is free".to_owned() }).await;
    assert_eq!(opening.await.unwrap().unwrap_err(), "no port is free");
    assert_eq!(webrtcbin.viewers(), 1);

    drop(process);
    let (_, why) = timeout(Duration::from_secs(5), attended).await.unwrap().unwrap();
    assert_eq!((why.as_str(), webrtcbin.state()), ("it ended", State::Gone("it ended".to_owned())));
    timeout(Duration::from_secs(5), remote.hear()).await.unwrap();
    assert_eq!(remote.poll(std::time::Instant::now(), |_| {}), Err(Cut::EngineEnded));
    assert!(webrtcbin.session().is_none() && session.open(far()).await.is_err());
}

#[tokio::test]
async fn who_fails_the_proof_never_serves() {
    let (near, far_end) = UnixStream::pair().unwrap();
    let mut process = Process { stream: far_end, decoder: Decoder::default() };
    let webrtcbin = Webrtcbin::new(start(), Vec::new());
    process.say(&FromProcess::Refused { why: "anybody gets in".to_owned() }).await;
    let (_, why) = webrtcbin.attend(near).await;
    assert_eq!((why.as_str(), webrtcbin.state()), ("anybody gets in", State::Refused("anybody gets in".to_owned())));
    assert!(webrtcbin.session().is_none());
}
