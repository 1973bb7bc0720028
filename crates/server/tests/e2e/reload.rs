//! SIGHUP: what can change while the server runs does, the rest is named, and a mistake changes nothing.

use crate::common;

use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use common::{SOON, clip, weir};
use rustls_pki_types::CertificateDer;
use weir_testkit::publisher::Feed;
use weir_testkit::tls::tls;
use weir_testkit::{Publisher, Weir, wait_until};

/// Writes a self-made certificate and its key, and returns the certificate.
fn certify(folder: &Path) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    std::fs::write(folder.join("cert.pem"), made.cert.pem()).unwrap();
    std::fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    made.cert.der().clone()
}

/// Whether the RTMPS listener shows this certificate to a new connection.
fn shows(weir: &Weir, certificate: &CertificateDer<'static>) -> bool {
    let mut socket = TcpStream::connect(weir.rtmps().replace("rtmps://", "")).unwrap();
    socket.set_read_timeout(Some(SOON)).unwrap();
    let mut tls = tls(socket.try_clone().unwrap(), &[]).conn;
    while tls.is_handshaking() {
        tls.complete_io(&mut socket).unwrap();
    }
    tls.peer_certificates() == Some(std::slice::from_ref(certificate))
}

fn times_logged(weir: &Weir, text: &str) -> usize {
    weir.output().iter().filter(|line| line.contains(text)).count()
}

/// Sends SIGHUP, and waits until the log says this once more.
fn hang_up(weir: &mut Weir, expected: &str) {
    let before = times_logged(weir, expected);
    weir.child().hang_up();
    wait_until(&format!("the log says {expected:?}"), SOON, || times_logged(weir, expected) > before);
}

#[test]
fn sighup_changes_what_can_be_changed_and_says_what_can_not() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("weir.toml");
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    let configure = |more: &str| {
        let tls = format!("[tls]\ncert = {:?}\nkey = {:?}\n", cert.to_str().unwrap(), key.to_str().unwrap());
        std::fs::write(&file, format!("{tls}{more}")).unwrap();
    };
    let first = certify(folder.path());
    configure("");
    let mut weir = weir().arg("--config").arg(file.to_str().unwrap()).set("rtmps.listen", "127.0.0.1:0").start();
    let events = weir.api().events(None);
    let stream = weir.api().create_stream("cam1");
    let feed = Feed::live(&weir.rtmp_address(), &stream.stream_key, &clip(200_000));
    weir.api().wait_stream(&stream, "live", SOON);
    assert!(shows(&weir, &first));

    // The certificate is renewed in place, as certificate tools do it.
    let second = certify(folder.path());
    assert!(shows(&weir, &first), "nothing changes unasked");
    hang_up(&mut weir, "read again; changed: tls.cert");
    assert!(shows(&weir, &second) && !shows(&weir, &first));

    // Mistakes change nothing and are named.
    std::fs::write(&cert, "no certificate").unwrap();
    hang_up(&mut weir, "so nothing changes: there is no certificate in");
    certify(folder.path());
    configure("[rtmp]\nlistn = \"x\"\n");
    hang_up(&mut weir, "so nothing changes: unknown configuration key \"rtmp.listn\"");
    assert!(shows(&weir, &second));

    // This changes what a listener lets in.
    let rtmp = weir.rtmp_address();
    let connected = || Publisher::publish(&rtmp, "live", "unknown").unwrap_err().code;
    assert_ne!(connected(), "closed", "let in, and told that its key is unknown");
    configure("[rtmp]\nconnections_max = 1\n");
    hang_up(&mut weir, "read again; changed: rtmp.connections_max");
    assert_eq!(connected(), "closed", "the one place is taken");

    // Keys that need a restart are named each time, until there is one.
    configure("[media]\nlanes = 3\n");
    for _ in 0..2 {
        hang_up(&mut weir, "need a restart of the server: media.lanes");
    }
    let reloaded = events.wait_for("configuration_reloaded", SOON, |event| {
        event.kind == "configuration_reloaded" && event.data["needs_restart"][0] == "media.lanes"
    });
    assert_eq!(reloaded.data["applied"][0], "rtmp.connections_max", "back to its default");
    assert!(!shows(&weir, &second), "the third certificate is shown");
    assert!(!feed.was_cut(), "nobody was disturbed");
    weir.stop(Duration::from_secs(8));
}
