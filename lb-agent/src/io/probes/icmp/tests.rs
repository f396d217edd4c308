//! Which packets are the reply to a request, and which are not.

use super::*;

#[test]
fn only_the_reply_to_the_request_counts() {
    for types in [ECHO_V4, ECHO_V6] {
        let echo = Echo { sequence: 0x1234, token: [1, 2, 3, 4, 5, 6, 7, 8], types };
        let request = echo.request(0xabcd);
        assert!(!echo.is_reply(&request), "it is the request itself");
        let mut reply = request;
        reply[0] = types.1;
        assert!(echo.is_reply(&reply));
        // The kernel may have written another identifier.
        reply[4] ^= 0xff;
        assert!(echo.is_reply(&reply));
        for byte in [0, 1, 6, 7, 8, 15] {
            let mut other = reply;
            other[byte] ^= 0xff;
            assert!(!echo.is_reply(&other), "byte {byte}");
        }
        assert!((0..reply.len()).all(|length| !echo.is_reply(&reply[..length])), "cut off");
    }
}

#[test]
fn an_ipv4_header_with_options_is_stepped_over() {
    let echo = Echo { sequence: 7, token: [9; 8], types: ECHO_V4 };
    let mut reply = echo.request(1);
    reply[0] = ECHO_V4.1;
    for words in [5, 15] {
        let mut packet = vec![0; words * 4];
        packet[0] = 0x40 | u8::try_from(words).unwrap();
        packet.extend(reply);
        assert!(echo.is_reply(&packet), "{words} words");
    }
}

#[test]
fn a_message_with_its_checksum_sums_up_to_nothing() {
    let echo = Echo { sequence: 0xffff, token: [0xff; 8], types: ECHO_V4 };
    assert_eq!(checksum(&echo.request(0xfffe)), [0, 0]);
    // RFC 1071 §3.
    assert_eq!(checksum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]), [0x22, 0x0d]);
}
