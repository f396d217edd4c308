//! The origin's side: takes the outer header off, for known balancers and VIPs only.
//!
//! An open decapsulator lets anyone inject packets behind the filters, so every packet that
//! carries IP in IP ends here: taken off, or dropped. Everything else passes untouched.

use super::classify::link_layer;
use crate::abi::{AddressKey, Family, address_words};
use crate::frame::Frame;
use crate::tables::OriginTables;
use crate::verdict::OriginReason;
use crate::wire::ethernet::{self, Ethernet};
use crate::wire::ipv4::Ipv4;
use crate::wire::ipv6::{self, Extension, FragmentHeader, Ipv6};
use crate::wire::protocol;
use zerocopy::big_endian::U16;

/// Most outer extension headers that are followed to find a tunnel behind them.
const MAX_EXTENSIONS: usize = 6;

/// A tunnelled packet, its outer header read.
struct Tunnelled {
    source: AddressKey,
    /// From the front of the frame to the inner header.
    inner_at: usize,
    inner: Family,
}

/// Takes one frame through lb-origin and says how it ended.
///
/// VLAN-tagged frames are looked at but, if tunnelled, dropped as malformed: an origin's tags are
/// taken off by its NIC or VLAN interface before this program's interface.
#[inline]
pub fn decapsulate<F: Frame, T: OriginTables>(frame: &mut F, tables: &T) -> OriginReason {
    match unwrap_tunnel(frame, tables) {
        Ok(()) => OriginReason::Decapsulated,
        Err(reason) => reason,
    }
}

#[inline]
fn unwrap_tunnel<F: Frame, T: OriginTables>(frame: &mut F, tables: &T) -> Result<(), OriginReason> {
    let Ok((ethertype, l2_bytes)) = link_layer(frame) else {
        return Err(OriginReason::NotTunnelled);
    };
    let tunnelled = match ethertype {
        ethernet::TYPE_IPV4 => outer_ipv4(frame, l2_bytes)?,
        ethernet::TYPE_IPV6 => outer_ipv6(frame, l2_bytes)?,
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
    strip(frame, &tunnelled).ok_or(OriginReason::MalformedTunnel)
}

#[inline]
fn outer_ipv4<F: Frame>(frame: &F, l2_bytes: usize) -> Result<Tunnelled, OriginReason> {
    let ip = frame.header::<Ipv4>(l2_bytes).ok_or(OriginReason::NotTunnelled)?;
    let inner = inner_family(ip.protocol).ok_or(OriginReason::NotTunnelled)?;
    if ip.is_fragment() {
        return Err(OriginReason::FragmentedTunnel);
    }
    let header_bytes = ip.header_bytes().ok_or(OriginReason::MalformedTunnel)?;
    let source = AddressKey {
        address: [u64::from(u32::from_ne_bytes(ip.source)), 0],
        family: Family::V4 as u64,
    };
    Ok(Tunnelled { source, inner_at: l2_bytes + header_bytes, inner })
}

#[inline]
fn outer_ipv6<F: Frame>(frame: &F, l2_bytes: usize) -> Result<Tunnelled, OriginReason> {
    let ip = frame.header::<Ipv6>(l2_bytes).ok_or(OriginReason::NotTunnelled)?;
    let source = AddressKey { address: address_words(ip.source), family: Family::V6 as u64 };
    let mut kind = ip.next_header;
    let mut at = l2_bytes + ipv6::HEADER_BYTES;
    let mut fragmented = false;
    // One look more than there may be headers: at what follows the last of them.
    for _ in 0..=MAX_EXTENSIONS {
        if let Some(inner) = inner_family(kind) {
            if fragmented {
                return Err(OriginReason::FragmentedTunnel);
            }
            return Ok(Tunnelled { source, inner_at: at, inner });
        }
        if kind == protocol::FRAGMENT {
            let header = frame.header::<FragmentHeader>(at).ok_or(OriginReason::NotTunnelled)?;
            kind = header.next_header;
            if header.is_later_fragment() {
                // Its payload is the middle of something: only this header says of what.
                let tunnel = inner_family(kind).is_some();
                return Err(if tunnel {
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

#[inline]
const fn inner_family(protocol: u8) -> Option<Family> {
    match protocol {
        protocol::IPV4 => Some(Family::V4),
        protocol::IPV6 => Some(Family::V6),
        _ => None,
    }
}
