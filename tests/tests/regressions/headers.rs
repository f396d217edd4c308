//! What lies before the ports, behind the packet, and beside the VIP.

use std::net::{Ipv4Addr, Ipv6Addr};

use lb_agent::io::origin::Origin;
use lb_common::verdict::{OriginReason, Reason};
use lb_tests::fixture::{backends, origin, standard};
use lb_tests::packet::{self, Ipv4Fields, SYN};

use crate::both::{Both, CLIENT, CLIENT6, TCP, UDP, VIP, VIP6, frame4, frame4_with, frame6};

const ICMP: u8 = 1;
const ICMPV6: u8 = 58;
/// A service of the fixtures whose backend is behind a link of 100 bytes.
const NARROW_PORT: u16 = 8005;

/// NOP, NOP, and two bytes that a reader who ignores the header's length takes for port 443: that
/// is another service, with another backend.
const MISLEADING_OPTIONS: [u8; 4] = [1, 1, 0x01, 0xbb];

#[test]
fn ipv4_options_are_not_misread_as_ports() {
    let mut both = Both::new(&standard());
    let [tcp, udp] = [packet::tcp(7, 80, b"GET"), packet::udp(7, 443, b"query")];
    for (protocol, payload) in [(TCP, &tcp), (UDP, &udp)] {
        let mut of = |words| {
            let options = MISLEADING_OPTIONS.repeat(words);
            let fields = Ipv4Fields { options, ..Ipv4Fields::default() };
            both.backend_of(&frame4_with(&fields, protocol, payload))
        };
        for words in 0..=10 {
            assert_eq!(of(words), backends::V4.1, "{words} words of options");
        }
    }
    // No service, wherever the options seem to point.
    let fields = Ipv4Fields { options: MISLEADING_OPTIONS.into(), ..Ipv4Fields::default() };
    let foreign = frame4_with(&fields, TCP, &packet::tcp(7, 81, b"GET"));
    assert_eq!(both.run(&foreign), (Reason::NoService, foreign));
}

#[test]
fn ipv6_extension_headers_do_not_end_a_packet() {
    let mut both = Both::new(&standard());
    for (protocol, payload) in
        [(TCP, packet::tcp(7, 80, b"GET")), (TCP, packet::tcp(7, 443, b"GET"))]
    {
        let plain = both.backend_of(&frame6(protocol, &payload));
        // RFC 8200 §4.1: hop-by-hop, destination options, routing; RFC 6275, RFC 7401, RFC 5533.
        for kind in [0, 60, 43, 135, 139, 140] {
            for bytes in [8, 64, 256] {
                let chain = packet::extension(protocol, bytes, &payload);
                let chains = [(kind, chain.clone()), (60, packet::extension(kind, 8, &chain))];
                for (first, chain) in chains {
                    let found = both.backend_of(&frame6(first, &chain));
                    assert_eq!(found, plain, "{bytes} bytes of kind {kind}");
                }
            }
        }
        let authenticated = packet::authentication(protocol, &payload);
        assert_eq!(both.backend_of(&frame6(51, &authenticated)), plain);
        let only_fragment = packet::ipv6_fragment(protocol, 0, &payload);
        assert_eq!(both.backend_of(&frame6(44, &only_fragment)), plain);
    }
}

/// vmxnet3 gives a program the whole of its buffer, however short the packet: only the IP header
/// knows where that ends.
#[test]
fn a_frame_ends_where_its_ip_header_says_and_not_with_the_buffer() {
    let mut both = Both::new(&standard());
    let echo = packet::icmp4(8, 0, [0, 1, 0, 1], b"?");
    let narrow = |payload: usize| {
        frame4(TCP, &packet::tcp_with_flags(7, NARROW_PORT, SYN, &vec![0x77; payload]))
    };
    // What a packet is too short for is not read from what lies behind it.
    let mut no_room_for_tcp = frame4(TCP, &packet::tcp(7, 80, b""));
    no_room_for_tcp[16..18].copy_from_slice(&39_u16.to_be_bytes());
    let cases = [
        (frame4(TCP, &packet::tcp(7, 80, b"")), Reason::Forwarded, true),
        (frame4(UDP, &packet::udp(7, 443, b"query")), Reason::Forwarded, true),
        (frame6(TCP, &packet::tcp(7, 443, b"GET")), Reason::Forwarded, true),
        (narrow(40), Reason::Forwarded, true),
        (frame4(ICMP, &echo), Reason::EchoAnswered, true),
        (frame4(TCP, &packet::tcp(7, 81, b"")), Reason::NoService, true),
        (no_room_for_tcp, Reason::Malformed, true),
        // An error about a packet quotes that, and nothing behind it.
        (narrow(41), Reason::TooBigReported, false),
    ];
    for (frame, reason, is_kept) in cases {
        let (ended, alone) = both.run(&frame);
        assert_eq!(ended, reason);
        for bytes in [1, 46, 512, 1_600] {
            let rest = vec![0xee; bytes];
            let wanted = [&alone[..], if is_kept { &rest } else { &[] }].concat();
            let got = both.run(&[&frame[..], &rest].concat());
            assert_eq!(got, (reason, wanted), "{bytes} bytes behind {frame:02x?}");
        }
    }
}

#[test]
fn a_tunnelled_packet_ends_where_its_ip_header_says_and_not_with_the_buffer() {
    let program = Origin::load(&origin::SOURCES, &origin::VIPS).unwrap();
    let tunnelled =
        origin::catalogue().into_iter().filter(|each| each.reason == OriginReason::Decapsulated);
    let mut number = 0;
    for fixture in tunnelled {
        let rest = vec![0xee; 512];
        let [frame, wanted] =
            [fixture.frame_in, fixture.frame_out].map(|frame| [&frame[..], &rest].concat());
        let (reason, on_the_host) = origin::on_the_host(&frame);
        assert_eq!((reason, &on_the_host), (fixture.reason, &wanted), "{}", fixture.name);
        let (_, in_the_kernel) = program.test_run(&frame).unwrap();
        assert_eq!(in_the_kernel, wanted, "{}", fixture.name);
        number += 1;
    }
    assert!(number > 0);
}

#[test]
fn an_echo_is_not_answered_for_an_address_that_is_no_vip() {
    let mut both = Both::new(&standard());
    let message = packet::icmp4(8, 0, [0, 1, 0, 1], b"are you there?");
    let mut ask4 = |destination| {
        let packet = packet::ipv4(CLIENT, destination, ICMP, &Ipv4Fields::default(), &message);
        let frame = packet::ethernet(&[], 0x0800, &packet);
        let (reason, out) = both.run(&frame);
        (reason, out == frame)
    };
    assert_eq!(ask4(VIP), (Reason::EchoAnswered, false));
    // The VIP's neighbours, the balancer's own address, a backend's, one of nobody.
    for last in [[203, 0, 113, 9], [203, 0, 113, 11], [10, 2, 0, 2], [10, 3, 0, 2], [192, 0, 2, 9]]
    {
        assert_eq!(ask4(Ipv4Addr::from(last)), (Reason::NoService, true), "{last:?}");
    }
    let mut ask6 = |destination| {
        let message = packet::icmp6((CLIENT6, destination), 128, 0, [0, 1, 0, 1], b"hello?");
        let packet = packet::ipv6(CLIENT6, destination, ICMPV6, 0, 0, &message);
        let frame = packet::ethernet(&[], 0x86dd, &packet);
        let (reason, out) = both.run(&frame);
        (reason, out == frame)
    };
    assert_eq!(ask6(VIP6), (Reason::EchoAnswered, false));
    for other in [
        Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x11),
        Ipv6Addr::new(0xfd00, 2, 0, 0, 0, 0, 0, 2),
        VIP.to_ipv6_mapped(),
        Ipv6Addr::from([203, 0, 113, 10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
    ] {
        assert_eq!(ask6(other), (Reason::NoService, true), "{other}");
    }
}
