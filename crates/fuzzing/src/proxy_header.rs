//! The header of the PROXY protocol: bytes that are taken for one are whole, short, and the same whatever comes behind them.

use weir_net::{PROXY_HEADER_BYTES_MAX, ReadProxyHeader, read_proxy_header};

use crate::random::Random;

pub fn fuzz_proxy_header(data: &[u8]) {
    let ReadProxyHeader::Whole(header, length) = read_proxy_header(data) else { return };
    assert!(length <= PROXY_HEADER_BYTES_MAX && length <= data.len());
    let head = &data[..length];
    assert!(head.starts_with(b"PROXY ") && head.ends_with(b"\r\n") || head.starts_with(b"\r\n\r\n\0\r\nQUIT\n"));
    assert_eq!(read_proxy_header(head), ReadProxyHeader::Whole(header, length));
    assert_eq!(read_proxy_header(&head[..length - 1]), ReadProxyHeader::Partial);
}

pub(crate) fn generate(random: &mut Random) -> Vec<u8> {
    const PIECES: [&[u8]; 18] = [
        b"PROXY ",
        b"TCP4",
        b"TCP6",
        b"UNKNOWN",
        b" ",
        b"192.0.2.1",
        b"2001:db8::1",
        b" 80 443",
        b"\r\n",
        b"\r\n\r\n\0\r\nQUIT\n",
        b"\x21\x11",
        b"\x21\x21",
        b"\x20\x00",
        b"\x00\x0C",
        b"\x00\x24",
        b"\x20\x00\x05\x01\0\0\0\0",
        &[7; 12],
        &[9; 36],
    ];
    let mut bytes =
        random.pick(&[&b"PROXY TCP4 192.0.2.1 "[..], b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0C", b""]).to_vec();
    for _ in 0..random.length(8) {
        bytes.extend_from_slice(random.pick(&PIECES));
    }
    bytes
}
