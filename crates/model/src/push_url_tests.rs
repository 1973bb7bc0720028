//! Tables of what users paste and what must come out.

use super::*;

fn rtmp(tls: bool, server: &str, key: &str) -> PushUrl {
    PushUrl::Rtmp { tls, server: server.into(), login: None, stream_key: key.into() }
}

fn srt(uri: &str) -> SrtUrl {
    match PushUrl::parse(uri).unwrap() {
        PushUrl::Srt { url } => url,
        other => unreachable!("not SRT: {other:?}"),
    }
}

#[test]
fn schemes_of_a_later_version_are_known_from_mistakes() {
    for (url, is_later) in [
        ("udp://239.1.1.1:5000", true),
        ("RTP://10.0.0.1:5000?ttl=4", true),
        ("udp://10.0.0.1:5000/a/b?pkt_size=1316", true),
        ("ftp://10.0.0.1/a/b", false),
        ("rtmp://10.0.0.1", false),
        ("udpx://10.0.0.1:1", false),
    ] {
        assert_eq!(PushUrl::parse(url).unwrap_err().is_later, is_later, "{url}");
        if !url.starts_with("rtmp") {
            assert_eq!(PushUrl::check_server(url).unwrap_err().is_later, is_later, "{url} as a server");
        }
    }
}

#[test]
fn one_line() {
    for (uri, tls, server, key) in [
        ("rtmp://a.rtmp.youtube.com/live/k17a-13s8", false, "rtmp://a.rtmp.youtube.com/live", "k17a-13s8"),
        (" rtmp://h/app/key\n", false, "rtmp://h/app", "key"),
        ("rtmp://h/app/key/", false, "rtmp://h/app", "key"),
        ("rtmp://h/app//key", false, "rtmp://h/app", "key"),
        ("RTMPS://h:443/rtmp/FB-1?s_bl=1&a=/q", true, "rtmps://h:443/rtmp", "FB-1?s_bl=1&a=/q"),
        ("rtmp://[::1]:1935/a/b/key", false, "rtmp://[::1]:1935/a/b", "key"),
        ("rtmp://h/live/key?sig=a%2Fb&x=/q", false, "rtmp://h/live", "key?sig=a%2Fb&x=/q"),
    ] {
        assert_eq!(PushUrl::parse(uri).unwrap(), rtmp(tls, server, key), "{uri}");
    }
}

/// However the slash between server and key is written, the far end is told the same.
#[test]
fn trailing_slashes_are_equal() {
    let expected = rtmp(false, "rtmp://127.0.0.1:1936/app", "key");
    for (server, key) in [
        ("rtmp://127.0.0.1:1936/app", "key"),
        ("rtmp://127.0.0.1:1936/app/", "key"),
        ("rtmp://127.0.0.1:1936/app//", "/key"),
        ("rtmp://127.0.0.1:1936/app", " key "),
    ] {
        assert_eq!(PushUrl::from_server_and_key(server, key).unwrap(), expected, "{server} {key}");
    }
    assert_eq!(PushUrl::parse("rtmp://127.0.0.1:1936/app/key").unwrap(), expected);
    assert_eq!(
        PushUrl::from_server_and_key("rtmp://h/app?token=1", "a/b?c=d").unwrap(),
        rtmp(false, "rtmp://h/app?token=1", "a/b?c=d")
    );
}

#[test]
fn login_leaves_the_server() {
    let url = PushUrl::parse("rtmp://me:pa:ss@h/app/key").unwrap();
    let PushUrl::Rtmp { server, login: Some(login), .. } = &url else { unreachable!("{url:?}") };
    assert_eq!((server.as_str(), login.user.as_str(), login.password.expose()), ("rtmp://h/app", "me", "pa:ss"));
    for (written, user, password) in
        [("me%40corp:p%3Aw%40x", "me@corp", "p:w@x"), ("me:100%", "me", "100%"), ("me:50%25", "me", "50%")]
    {
        let url = PushUrl::parse(&format!("rtmp://{written}@h/app/key")).unwrap();
        let PushUrl::Rtmp { login: Some(login), .. } = &url else { unreachable!("{url:?}") };
        assert_eq!((login.user.as_str(), login.password.expose()), (user, password), "{written}");
    }
    assert_eq!(url.masked(), "rtmp://h/app");
}

#[test]
fn refused_with_words() {
    for (uri, part) in [
        ("", "must begin with"),
        ("http://h/app/key", "must begin with"),
        ("rtmpt://h/app/key", "must begin with"),
        ("rtmp://h/key", "must name"),
        ("rtmp://h", "must"),
        ("rtmp:///app/key", "no host"),
        ("rtmp://h:0/app/key", "port"),
        ("rtmp://h:x/app/key", "port"),
        ("rtmp://ho$t/app/key", "host"),
        ("rtmp://[::1/app/key", "]"),
        ("rtmp://[::1]x/app/key", "port"),
        ("rtmp://h/app/k ey", "blanks"),
        ("rtmp://h/app/k\u{0}", "blanks"),
        ("srt://h", "port"),
        ("srt://u:p@h:1", "user name"),
    ] {
        let fault = PushUrl::parse(uri).unwrap_err();
        assert!(fault.message.contains(part), "{uri}: {fault}");
    }
    assert!(PushUrl::parse(&format!("rtmp://h/app/{}", "k".repeat(MAX_URL_BYTES))).is_err());
    assert!(PushUrl::parse(&format!("rtmp://h/app/{}", "k".repeat(MAX_URL_BYTES - 13))).is_ok());
    for (server, key) in [("rtmp://h/app", ""), ("rtmp://h/app", "?x"), ("rtmp://h/app", " / ")] {
        let fault = PushUrl::from_server_and_key(server, key).unwrap_err();
        assert_eq!(fault.parameter.as_deref(), Some("stream_key"), "{key:?}");
    }
}

#[test]
fn srt_latency_units() {
    for (text, us) in [
        ("2500000", 2_500_000),
        ("2500ms", 2_500_000),
        ("2.5s", 2_500_000),
        ("120us", 120),
        ("0", 0),
        ("60s", 60_000_000),
    ] {
        assert_eq!(srt(&format!("srt://h:9000?latency={text}")).latency_us, Some(us), "{text}");
    }
    for text in ["", "-1", "2.5", "2,5s", "1h", "61s", "ms", "1e9", "1.2.3s", "99999999999999999999999999s"] {
        let fault = PushUrl::parse(&format!("srt://h:9000?latency={text}")).unwrap_err();
        assert_eq!(fault.parameter.as_deref(), Some("latency"), "{text}");
    }
}

#[test]
fn srt_parameters() {
    let url = srt("srt://[::1]:9000/?mode=caller&streamid=%23!::r=abc,m=publish&passphrase=0123456789&pbkeylen=32\
                   &pkt_size=1316&send_buffer_size=65536&latency=2s");
    assert_eq!((url.host.as_str(), url.port), ("::1", 9000));
    assert_eq!(url.streamid.as_ref().unwrap().expose(), "#!::r=abc,m=publish");
    assert_eq!(url.passphrase.as_ref().unwrap().expose(), "0123456789");
    assert_eq!((url.pbkeylen, url.pkt_size, url.send_buffer_size), (Some(32), Some(1316), Some(65536)));
    assert_eq!(srt("srt://h:1?streamid=#!::r=x,m=publish").streamid.unwrap().expose(), "#!::r=x,m=publish");
    let masked = PushUrl::Srt { url }.masked();
    assert_eq!(masked, "srt://[::1]:9000?mode=caller&latency=2000000&pbkeylen=32&pkt_size=1316&send_buffer_size=65536");
}

#[test]
fn srt_faults_name_the_parameter() {
    for (query, parameter) in [
        ("mode=listener", "mode"),
        ("mode=rendezvous", "mode"),
        ("transtype=live", "transtype"),
        ("passphrase=short", "passphrase"),
        ("pbkeylen=17", "pbkeylen"),
        ("pkt_size=100", "pkt_size"),
        ("send_buffer_size=1", "send_buffer_size"),
        ("latency=1s&latency=2s", "latency"),
        ("streamid=%0a", "streamid"),
        ("x", "x"),
    ] {
        let fault = PushUrl::parse(&format!("srt://h:9000?{query}")).unwrap_err();
        assert_eq!(fault.parameter.as_deref(), Some(parameter), "{query}");
        assert!(!fault.message.contains("short"));
    }
    let long = format!("srt://h:1?passphrase={}", "p".repeat(80));
    assert_eq!(PushUrl::parse(&long).unwrap_err().parameter.as_deref(), Some("passphrase"));
    let long = format!("srt://h:1?streamid={}", "p".repeat(513));
    assert_eq!(PushUrl::parse(&long).unwrap_err().parameter.as_deref(), Some("streamid"));
}

#[test]
fn srt_by_destination() {
    let whole = PushUrl::from_server_and_key("rtmp://h/app", "srt://127.0.0.1:9001?mode=caller").unwrap();
    assert!(matches!(whole, PushUrl::Srt { .. }));
    let by_key = PushUrl::from_server_and_key("srt://h:9000?latency=2s", "publish:abc").unwrap();
    assert_eq!(by_key.stream_key().unwrap().expose(), "publish:abc");
    assert!(PushUrl::from_server_and_key("srt://h:9000?streamid=x", "publish:abc").is_err());
    assert!(matches!(PushUrl::from_server_and_key("srt://h:9000?streamid=x", ""), Ok(PushUrl::Srt { .. })));
}

#[test]
fn advice_on_latency() {
    let codes = |uri: &str| PushUrl::parse(uri).unwrap().advice().iter().map(|a| a.code).collect::<Vec<_>>();
    assert_eq!(codes("srt://h:1"), ["srt_latency_missing"]);
    assert_eq!(codes("srt://h:1?latency=2500"), ["srt_latency_low"]);
    assert!(codes("srt://h:1?latency=2s").is_empty());
    assert!(codes("rtmp://h/a/k").is_empty());
}

#[test]
fn masks_any_uri() {
    assert_eq!(masked_uri("rtsp://u:p@cam.local/1?token=x"), "rtsp://cam.local/1?…");
    assert_eq!(masked_uri("/media/a.mp4"), "/media/a.mp4");
    assert_eq!(PushUrl::parse("rtmp://h.example:1/a/k").unwrap().host(), "h.example");
    assert_eq!(PushUrl::parse("rtmp://[::1]:1/a/k").unwrap().host(), "::1");
}

/// A cheap stand-in for the fuzzer: every prefix of awkward URLs, and every byte replaced.
#[test]
fn never_panics() {
    for uri in ["rtmps://u:p@[::1]:443/é/b?c=/d", "srt://h:9000?streamid=%23%c3%a9&latency=2.5s&mode=caller"] {
        for end in (0..uri.len()).filter(|end| uri.is_char_boundary(*end)) {
            let _ = PushUrl::parse(&uri[..end]);
            let _ = PushUrl::from_server_and_key(&uri[..end], &uri[end..]);
            let _ = masked_uri(&uri[end..]);
            for replacement in ['%', '@', ']', '[', '/', '?', ':', '&', '=', '\u{1f600}', '\0'] {
                let mut text: String = uri[..end].to_owned();
                text.push(replacement);
                text.push_str(uri[end..].get(1..).unwrap_or_default());
                let _ = PushUrl::parse(&text).map(|url| (url.masked(), url.host().len(), url.advice()));
            }
        }
    }
}
