//! Target `tunnel`: what lb-origin makes of GRE and GUE headers of any content around a sound packet.

use std::net::IpAddr;

use arbitrary::{Result, Unstructured};
use lb_common::verdict::OriginReason;

use super::generated::Packet;
use super::{naive, origin};
use crate::fixture::origin::SOURCES;
use crate::packet::{self, Ipv4Fields};

const GUE_PORT: u16 = 6080;
const GRE: u8 = 47;
const UDP: u8 = 17;

/// What stands between an outer IP header and a packet, and what the origin has to say of it.
struct Shim {
    protocol: u8,
    bytes: Vec<u8>,
    /// `None` if the packet is what the header says it is.
    refusal: Option<OriginReason>,
}

/// An input: what a tunnelled packet is made from.
///
/// # Panics
/// It ends otherwise than it has to.
pub fn tunnel(input: &[u8]) {
    // Bytes that are too few to make a packet of are no error.
    let _ = arrive(&mut Unstructured::new(input));
}

fn arrive(u: &mut Unstructured<'_>) -> Result<()> {
    let inner = Packet::sound(u)?.bytes;
    let shim = Shim::by_chance(u, &inner)?;
    let payload = [shim.bytes, inner.clone()].concat();
    let is_known = u.ratio(7, 8)?;
    let (ethertype, outer) = if u.arbitrary()? {
        let source = if is_known { SOURCES[0] } else { IpAddr::from([198, 51, 100, 66]) };
        let IpAddr::V4(source) = source else { return Ok(()) };
        let fields = Ipv4Fields::default();
        (0x0800, packet::ipv4(source, [10, 3, 0, 2].into(), shim.protocol, &fields, &payload))
    } else {
        let source =
            if is_known { SOURCES[1] } else { IpAddr::from([0x2001, 0, 0, 0, 0, 0, 0, 1]) };
        let IpAddr::V6(source) = source else { return Ok(()) };
        let origin = [0xfd00, 3, 0, 0, 0, 0, 0, 2].into();
        (0x86dd, packet::ipv6(source, origin, shim.protocol, 0, 0, &payload))
    };
    let frame = packet::ethernet(&[], ethertype, &outer);
    let (reason, left) = origin::run(&frame, GUE_PORT);
    match (shim.refusal, is_known) {
        (None, true) => {
            let ethertype = if naive::is_ipv4(&inner) { 0x0800 } else { 0x86dd };
            let expected = packet::ethernet(&[], ethertype, &inner);
            assert_eq!((reason, left), (OriginReason::Decapsulated, expected));
        }
        (Some(OriginReason::NotTunnelled), _) => assert_eq!(reason, OriginReason::NotTunnelled),
        // Either is wrong with it; which is said first does not matter.
        (Some(refusal), false) => {
            assert!(reason == refusal || reason == OriginReason::UnknownSource, "{reason:?}");
        }
        (Some(refusal), true) => assert_eq!(reason, refusal),
        (None, false) => assert_eq!(reason, OriginReason::UnknownSource),
    }
    Ok(())
}

impl Shim {
    fn by_chance(u: &mut Unstructured<'_>, inner: &[u8]) -> Result<Self> {
        match u.int_in_range(0..=3)? {
            0 => Self::none(u, inner),
            1 => Self::gre(u, inner),
            2 => Self::gue(u, &[], None),
            _ => {
                let (header, refusal) = gue_header(u, inner)?;
                Self::gue(u, &header, refusal)
            }
        }
    }

    /// IP in IP: the protocol says which.
    fn none(u: &mut Unstructured<'_>, inner: &[u8]) -> Result<Self> {
        let protocol = *u.choose(&[4, 41])?;
        let is_right = (protocol == 4) == naive::is_ipv4(inner);
        let refusal = (!is_right).then_some(OriginReason::MalformedTunnel);
        Ok(Self { protocol, bytes: Vec::new(), refusal })
    }

    /// GRE (RFC 2784 §2): flags and version, then a type.
    fn gre(u: &mut Unstructured<'_>, inner: &[u8]) -> Result<Self> {
        let flags: u16 = if u.ratio(1, 4)? { u.arbitrary()? } else { 0 };
        let types = [0x0800, 0x86dd, 0x0800, 0x86dd, 0x6558, u.arbitrary()?];
        let ethertype: u16 = *u.choose(&types)?;
        let is_right = (ethertype == 0x0800) == naive::is_ipv4(inner);
        // With flags there is more than the type, or another version: the kernel's own business.
        let refusal = if flags != 0 || !matches!(ethertype, 0x0800 | 0x86dd) {
            Some(OriginReason::NotTunnelled)
        } else {
            (!is_right).then_some(OriginReason::MalformedTunnel)
        };
        let bytes = [flags.to_be_bytes(), ethertype.to_be_bytes()].concat();
        Ok(Self { protocol: GRE, bytes, refusal })
    }

    /// GUE: a UDP header to the port, then `header`.
    fn gue(u: &mut Unstructured<'_>, header: &[u8], refusal: Option<OriginReason>) -> Result<Self> {
        let port = if u.ratio(1, 8)? { u.arbitrary()? } else { GUE_PORT };
        let bytes = packet::udp(u.arbitrary()?, port, header);
        let refusal = if port == GUE_PORT { refusal } else { Some(OriginReason::NotTunnelled) };
        Ok(Self { protocol: UDP, bytes, refusal })
    }
}

/// A header of GUE's own (draft-ietf-intarea-gue §3.1). One that could be the start of an IP packet
/// would be taken for one, so there are none of those.
fn gue_header(u: &mut Unstructured<'_>, inner: &[u8]) -> Result<(Vec<u8>, Option<OriginReason>)> {
    let mut first: u8 = if u.ratio(1, 4)? { u.arbitrary()? } else { 0 };
    if matches!(first >> 4, 4 | 6) {
        first = 0;
    }
    let protocols = [4, 41, 4, 41, u.arbitrary()?];
    let protocol = *u.choose(&protocols)?;
    let flags: [u8; 2] = if u.ratio(1, 4)? { u.arbitrary()? } else { [0; 2] };
    let is_right = matches!((protocol, naive::is_ipv4(inner)), (4, true) | (41, false));
    let refusal =
        (first != 0 || !is_right || flags != [0; 2]).then_some(OriginReason::MalformedTunnel);
    Ok(([&[first, protocol], &flags[..]].concat(), refusal))
}
