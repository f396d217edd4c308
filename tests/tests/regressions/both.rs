//! A balancer on the host and one in the kernel that see the same frames, and such frames.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use etherparse::{NetSlice, SlicedPacket};
use lb_agent::io::clock;
use lb_common::image::Image;
use lb_common::verdict::Reason;
use lb_tests::fixture::kernel::Kernel;
use lb_tests::fixture::{HASH_SEED, Host};
use lb_tests::packet::{self, Ipv4Fields};

pub(crate) const CLIENT: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 7);
pub(crate) const CLIENT6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 7);
/// The VIPs of the fixtures' services.
pub(crate) const VIP: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 10);
pub(crate) const VIP6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x10);

pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;

/// Both balancers.
pub(crate) struct Both {
    host: Host,
    kernel: Kernel,
}

impl Both {
    /// Both over these maps, with no flow pinned.
    pub(crate) fn new(image: &Image) -> Self {
        Self { host: Host::new(image.clone(), HASH_SEED), kernel: Kernel::load(image).unwrap() }
    }

    /// How a frame ends, and what it is then.
    pub(crate) fn run(&mut self, frame: &[u8]) -> (Reason, Vec<u8>) {
        let (reason, on_the_host) = self.host.run(frame, clock::monotonic_ns());
        let (verdict, in_the_kernel) = self.kernel.run(frame).unwrap();
        assert_eq!(verdict, Some(reason.verdict()), "{reason:?} on the host: {frame:02x?}");
        assert_eq!(on_the_host, in_the_kernel, "{reason:?}: {frame:02x?}");
        (reason, on_the_host)
    }

    /// The backend that a frame is sent to: the destination of the outer header.
    pub(crate) fn backend_of(&mut self, frame: &[u8]) -> IpAddr {
        let (reason, out) = self.run(frame);
        assert_eq!(reason, Reason::Forwarded, "{frame:02x?}");
        match SlicedPacket::from_ethernet(&out).unwrap().net.unwrap() {
            NetSlice::Ipv4(ip) => ip.header().destination_addr().into(),
            NetSlice::Ipv6(ip) => ip.header().destination_addr().into(),
            other @ NetSlice::Arp(_) => panic!("no outer header: {other:?}"),
        }
    }
}

/// A frame with an IPv4 packet to the VIP.
pub(crate) fn frame4(protocol: u8, payload: &[u8]) -> Vec<u8> {
    frame4_with(&Ipv4Fields::default(), protocol, payload)
}

pub(crate) fn frame4_with(fields: &Ipv4Fields, protocol: u8, payload: &[u8]) -> Vec<u8> {
    packet::ethernet(&[], 0x0800, &packet::ipv4(CLIENT, VIP, protocol, fields, payload))
}

/// A frame with an IPv6 packet to the VIP.
pub(crate) fn frame6(next_header: u8, payload: &[u8]) -> Vec<u8> {
    packet::ethernet(&[], 0x86dd, &packet::ipv6(CLIENT6, VIP6, next_header, 0, 0, payload))
}

/// A TCP segment from a client's port to one of the VIP's, over IPv4 and over IPv6.
pub(crate) fn segments((from, to): (u16, u16), flags: u8) -> [Vec<u8>; 2] {
    let segment = packet::tcp_with_flags(from, to, flags, b"");
    [frame4(TCP, &segment), frame6(TCP, &segment)]
}
