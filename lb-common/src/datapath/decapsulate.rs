//! The origin's side: takes the outer headers off, for known balancers and VIPs only.
//!
//! An open decapsulator lets anyone inject packets behind the filters, so every packet that
//! carries IP in IP, in GRE or in GUE ends here: taken off, or dropped. Everything else passes
//! untouched.

use super::classify::link_layer;
use super::ecn;
use crate::abi::{AddressKey, Family, address_words};
use crate::frame::Frame;
use crate::tables::OriginTables;
use crate::verdict::OriginReason;
use crate::wire::checksum::adjusted;
use crate::wire::ethernet::{self, Ethernet};
use crate::wire::gre::Gre;
use crate::wire::gue::Gue;
use crate::wire::ipv4::Ipv4;
use crate::wire::ipv6::{self, Extension, FragmentHeader, Ipv6};
use crate::wire::{Udp, protocol};
use zerocopy::big_endian::{U16, U32};

/// Most outer extension headers that are followed to find a tunnel behind them.
const MAX_EXTENSIONS: usize = 6;

/// A tunnelled packet, its outer headers read.
struct Tunnelled {
    source: AddressKey,
    /// From the front of the frame to the inner header.
    inner_at: usize,
    inner: Family,
    /// DSCP and ECN of the outer header.
    traffic_class: u8,
}

/// Takes one frame through lb-origin and says how it ended.
///
/// VLAN-tagged frames are looked at but, if tunnelled, dropped as malformed: an origin's tags are
/// taken off by its NIC or VLAN interface before this program's interface.
///
/// `gue_port` is the UDP port that GUE packets come to; 0 for none.
#[inline]
pub fn decapsulate<F: Frame, T: OriginTables>(
    frame: &mut F,
    tables: &T,
    gue_port: u16,
) -> OriginReason {
    match unwrap_tunnel(frame, tables, gue_port) {
        Ok(()) => OriginReason::Decapsulated,
        Err(reason) => reason,
    }
}

#[inline]
fn unwrap_tunnel<F: Frame, T: OriginTables>(
    frame: &mut F,
    tables: &T,
    gue_port: u16,
) -> Result<(), OriginReason> {
    let Ok((ethertype, l2_bytes)) = link_layer(frame) else {
        return Err(OriginReason::NotTunnelled);
    };
    let tunnelled = match ethertype {
        ethernet::TYPE_IPV4 => outer_ipv4(frame, l2_bytes, gue_port)?,
        ethernet::TYPE_IPV6 => outer_ipv6(frame, l2_bytes, gue_port)?,
        _ => return Err(OriginReason::NotTunnelled),
    };
    if !tables.accepts_source(&tunnelled.source) {
        return Err(OriginReason::UnknownSource);
    }
    if l2_bytes != size_of::<Ethernet>() {
        return Err(OriginReason::MalformedTunnel);
    }
    let vip = inner_destination(frame, &tunnelled).ok_or(OriginReason::MalformedTunnel)?;
    if !tables.serves(&vip) {
        return Err(OriginReason::UnknownVip);
    }
    hand_on_congestion(frame, &tunnelled)?;
    strip(frame, &tunnelled).ok_or(OriginReason::MalformedTunnel)
}

#[inline]
fn outer_ipv4<F: Frame>(
    frame: &F,
    l2_bytes: usize,
    gue_port: u16,
) -> Result<Tunnelled, OriginReason> {
    let ip = frame.header::<Ipv4>(l2_bytes).ok_or(OriginReason::NotTunnelled)?;
    if !may_carry(ip.protocol, gue_port) {
        return Err(OriginReason::NotTunnelled);
    }
    if ip.is_fragment() {
        // The ports of UDP are in the first fragment only, and most fragments of it are no tunnel.
        let of_tunnel = !matches!(ip.protocol, protocol::UDP);
        return Err(if of_tunnel {
            OriginReason::FragmentedTunnel
        } else {
            OriginReason::NotTunnelled
        });
    }
    let header_bytes = ip.header_bytes().ok_or(OriginReason::MalformedTunnel)?;
    let source = AddressKey {
        address: [u64::from(u32::from_ne_bytes(ip.source)), 0],
        family: Family::V4 as u64,
    };
    let traffic_class = ip.type_of_service;
    let (inner, inner_at) = payload(frame, ip.protocol, l2_bytes + header_bytes, gue_port)?;
    Ok(Tunnelled { source, inner_at, inner, traffic_class })
}

#[inline]
fn outer_ipv6<F: Frame>(
    frame: &F,
    l2_bytes: usize,
    gue_port: u16,
) -> Result<Tunnelled, OriginReason> {
    let ip = frame.header::<Ipv6>(l2_bytes).ok_or(OriginReason::NotTunnelled)?;
    let source = AddressKey { address: address_words(ip.source), family: Family::V6 as u64 };
    let traffic_class = ip.traffic_class();
    let is_version_6 = ip.is_version_6();
    let (kind, at) = outer_payload(frame, ip.next_header, l2_bytes + ipv6::HEADER_BYTES, gue_port)?;
    if !is_version_6 {
        return Err(OriginReason::MalformedTunnel);
    }
    let (inner, inner_at) = payload(frame, kind, at, gue_port)?;
    Ok(Tunnelled { source, inner_at, inner, traffic_class })
}

/// The protocol behind the extension headers that begin at `at`, if it may carry a packet, and where
/// it begins.
#[inline]
fn outer_payload<F: Frame>(
    frame: &F,
    first: u8,
    at: usize,
    gue_port: u16,
) -> Result<(u8, usize), OriginReason> {
    let (mut kind, mut at) = (first, at);
    let mut fragmented = false;
    // One look more than there may be headers: at what follows the last of them. The bound is hidden
    // from the compiler, which would write the loop out.
    for _ in 0..core::hint::black_box(MAX_EXTENSIONS + 1) {
        if may_carry(kind, gue_port) {
            return match (fragmented, kind) {
                (false, _) => Ok((kind, at)),
                (true, protocol::UDP) => Err(OriginReason::NotTunnelled),
                (true, _) => Err(OriginReason::FragmentedTunnel),
            };
        }
        if kind == protocol::FRAGMENT {
            let header = frame.header::<FragmentHeader>(at).ok_or(OriginReason::NotTunnelled)?;
            kind = header.next_header;
            if header.is_later_fragment() {
                // Its payload is the middle of something: only this header says of what.
                let of_tunnel = may_carry(kind, gue_port) && kind != protocol::UDP;
                return Err(if of_tunnel {
                    OriginReason::FragmentedTunnel
                } else {
                    OriginReason::NotTunnelled
                });
            }
            fragmented = true;
            at += size_of::<FragmentHeader>();
            continue;
        }
        let header = frame.header::<Extension>(at).ok_or(OriginReason::NotTunnelled)?;
        at += header.bytes(kind).ok_or(OriginReason::NotTunnelled)?;
        kind = header.next_header;
    }
    // A chain this long is no traffic of ours, and what hides behind it cannot be told.
    Err(OriginReason::MalformedTunnel)
}

/// Whether a protocol is one that a balancer wraps packets in.
#[inline]
const fn may_carry(protocol: u8, gue_port: u16) -> bool {
    match protocol {
        protocol::IPV4 | protocol::IPV6 | protocol::GRE => true,
        protocol::UDP => gue_port != 0,
        _ => false,
    }
}

/// The packet inside an outer payload that begins at `at`: its family and where it begins.
#[inline]
fn payload<F: Frame>(
    frame: &F,
    kind: u8,
    at: usize,
    gue_port: u16,
) -> Result<(Family, usize), OriginReason> {
    match kind {
        protocol::IPV4 => Ok((Family::V4, at)),
        protocol::IPV6 => Ok((Family::V6, at)),
        protocol::GRE => {
            let header = frame.header::<Gre>(at).ok_or(OriginReason::NotTunnelled)?;
            let inner = match header.ethertype.get() {
                ethernet::TYPE_IPV4 => Family::V4,
                ethernet::TYPE_IPV6 => Family::V6,
                _ => return Err(OriginReason::NotTunnelled),
            };
            if header.flags != U16::ZERO {
                return Err(OriginReason::NotTunnelled);
            }
            Ok((inner, at + size_of::<Gre>()))
        }
        _ => gue(frame, at, gue_port),
    }
}

/// The packet inside GUE: right behind UDP, or behind a header of its own without extensions.
#[inline]
fn gue<F: Frame>(frame: &F, at: usize, gue_port: u16) -> Result<(Family, usize), OriginReason> {
    let udp = frame.header::<Udp>(at).ok_or(OriginReason::NotTunnelled)?;
    if udp.ports.destination.get() != gue_port {
        return Err(OriginReason::NotTunnelled);
    }
    let at = at + size_of::<Udp>();
    let header = frame.header::<Gue>(at).ok_or(OriginReason::MalformedTunnel)?;
    match (header.first, header.protocol) {
        (0x40..=0x4f, _) => return Ok((Family::V4, at)),
        (0x60..=0x6f, _) => return Ok((Family::V6, at)),
        _ => {}
    }
    // Whatever flags say is unknown here, and must not be stepped over (draft-ietf-intarea-gue).
    if header.first != 0 || header.flags != U16::ZERO {
        return Err(OriginReason::MalformedTunnel);
    }
    match header.protocol {
        protocol::IPV4 => Ok((Family::V4, at + size_of::<Gue>())),
        protocol::IPV6 => Ok((Family::V6, at + size_of::<Gue>())),
        _ => Err(OriginReason::MalformedTunnel),
    }
}

/// Brings what the outer header says of congestion into the inner one.
#[inline]
fn hand_on_congestion<F: Frame>(frame: &mut F, tunnelled: &Tunnelled) -> Result<(), OriginReason> {
    let outer = tunnelled.traffic_class;
    match tunnelled.inner {
        Family::V4 => {
            let header = frame.header_mut::<Ipv4>(tunnelled.inner_at);
            let header = header.ok_or(OriginReason::MalformedTunnel)?;
            let inner = header.type_of_service;
            let new = ecn::combined(inner, outer).ok_or(OriginReason::CongestionLost)?;
            if new != inner {
                let word = |class| u16::from_be_bytes([header.version_ihl, class]);
                header.checksum = adjusted(header.checksum, word(inner), word(new));
                header.type_of_service = new;
            }
        }
        Family::V6 => {
            let header = frame.header_mut::<Ipv6>(tunnelled.inner_at);
            let header = header.ok_or(OriginReason::MalformedTunnel)?;
            let inner = header.traffic_class();
            let new = ecn::combined(inner, outer).ok_or(OriginReason::CongestionLost)?;
            if new != inner {
                let rest = header.version_class_label.get() & !(0xff << 20);
                header.version_class_label = U32::new(rest | u32::from(new) << 20);
            }
        }
    }
    Ok(())
}

/// The address the inner packet is for; `None` if its header is cut short or no IP header.
#[inline]
fn inner_destination<F: Frame>(frame: &F, tunnelled: &Tunnelled) -> Option<AddressKey> {
    match tunnelled.inner {
        Family::V4 => {
            let ip = frame.header::<Ipv4>(tunnelled.inner_at)?;
            ip.header_bytes()?;
            let address = [u64::from(u32::from_ne_bytes(ip.destination)), 0];
            Some(AddressKey { address, family: Family::V4 as u64 })
        }
        Family::V6 => {
            let ip = frame.header::<Ipv6>(tunnelled.inner_at)?;
            if !ip.is_version_6() {
                return None;
            }
            Some(AddressKey { address: address_words(ip.destination), family: Family::V6 as u64 })
        }
    }
}

/// Removes everything between the Ethernet header and the inner packet.
#[inline]
fn strip<F: Frame>(frame: &mut F, tunnelled: &Tunnelled) -> Option<()> {
    let mut front = *frame.header::<Ethernet>(0)?;
    front.ethertype = U16::new(match tunnelled.inner {
        Family::V4 => ethernet::TYPE_IPV4,
        Family::V6 => ethernet::TYPE_IPV6,
    });
    frame.pull_front(tunnelled.inner_at - size_of::<Ethernet>())?;
    *frame.header_mut::<Ethernet>(0)? = front;
    Some(())
}
