//! Step 4: the outer headers, and the frame's way out.
//!
//! IP in IP: RFC 2003 (IPv4 in IPv4), RFC 2473 (into IPv6), RFC 4213 (IPv6 in IPv4). GRE: RFC 2784,
//! RFC 7676. GUE: draft-ietf-intarea-gue §4, the variant in which the packet follows UDP at once. A
//! forwarded packet has one hop less left (RFC 2003 §3.1, RFC 2473 §3.1), whatever wraps it. DSCP and
//! ECN are copied outwards (RFC 6040 §4.1, normal mode; RFC 2983 uniform model). The outer IPv4
//! packet must not be fragmented, so its identification may be zero (RFC 6864 §4.1).

use super::{Context, Packet, Stop};
use crate::abi::{BackendEntry, Encapsulation, Family, Features};
use crate::frame::Frame;
use crate::tables::{OuterHeaders, Tables};
use crate::verdict::Reason;
use crate::wire::ethernet::{self, Announced, Ethernet, VlanTag};
use crate::wire::gre::{self, Gre};
use crate::wire::ipv4::{self, Ipv4};
use crate::wire::ipv6::{self, Ipv6};
use crate::wire::{Ports, Udp, protocol};
use zerocopy::big_endian::{U16, U32};

/// Hops an outer packet may take: the IANA default for both families (RFC 1700, RFC 2473 §6.3).
pub(super) const OUTER_HOP_LIMIT: u8 = 64;

/// First of the source ports that GUE packets use: the dynamic ones (RFC 6335 §6), of which 14 bits
/// of the flow's hash choose one, so that routers and NICs spread flows (RFC 7510 §3).
const FIRST_DYNAMIC_PORT: u16 = 0xc000;

/// How a packet is going to be wrapped; nothing has been written yet.
pub(super) struct Outer(Encapsulation);

/// What stands between the outer IP header and the packet.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shim {
    Nothing,
    Udp,
    Gre,
}

impl Shim {
    #[inline(always)]
    const fn bytes(self) -> usize {
        match self {
            Self::Nothing => 0,
            Self::Udp => size_of::<Udp>(),
            Self::Gre => gre::HEADER_BYTES,
        }
    }
}

impl Outer {
    /// What takes `packet` to `backend`, if anything does.
    #[inline(always)]
    pub(super) fn of(
        packet: &Packet,
        backend: &BackendEntry,
        features: Features,
    ) -> Result<Self, Stop> {
        if backend.flags & BackendEntry::NEXT_HOP_KNOWN == 0 {
            return Err(Reason::NextHopUnknown.into());
        }
        let encapsulation =
            Encapsulation::from_code(backend.encapsulation).ok_or(Reason::NoBackend)?;
        if !features.has(needed(encapsulation)) {
            return Err(Reason::NoBackend.into());
        }
        if packet.hop_limit <= 1 {
            return Err(Stop::HopLimit);
        }
        let mtu_bytes = usize::from(backend.mtu_bytes);
        let overhead = encapsulation.overhead_bytes();
        if packet.ip_bytes + overhead > mtu_bytes {
            #[expect(clippy::cast_possible_truncation, reason = "less than 16 bits")]
            return Err(Stop::TooBig(mtu_bytes.saturating_sub(overhead) as u32));
        }
        Ok(Self(encapsulation))
    }

    /// Puts the outer headers in front of the packet and addresses the frame to the next hop.
    #[inline(always)]
    pub(super) fn wrap<F: Frame, T: OuterHeaders>(
        &self,
        frame: &mut F,
        wrapping: &mut Wrapping<'_, T>,
        way_out: Reason,
    ) -> Result<(), Reason> {
        let features = wrapping.features;
        let untagged = size_of::<Ethernet>();
        // Tags are those of the link that the frame came by.
        let changes_link = features.has(Features::REDIRECT)
            && matches!(way_out, Reason::Redirected)
            && wrapping.l2_bytes > untagged;
        if changes_link {
            frame.pull_front(wrapping.l2_bytes - untagged).ok_or(Reason::NoHeadroom)?;
            wrapping.l2_bytes = untagged;
        }
        let shim = shim(self.0, features);
        let inner_at = wrapping.l2_bytes + self.0.overhead_bytes();
        match self.0 {
            Encapsulation::IpipV4 | Encapsulation::GueV4 | Encapsulation::GreV4 => {
                wrapping.in_ipv4(frame, shim)?;
            }
            Encapsulation::IpipV6 | Encapsulation::GueV6 | Encapsulation::GreV6 => {
                wrapping.in_ipv6(frame, shim)?;
            }
            Encapsulation::L2 if features.has(Features::L2) => {
                wrapping.link_layer(frame, 0, None)?;
            }
            Encapsulation::L2 => return Err(Reason::NoBackend),
        }
        take_a_hop(frame, wrapping.packet.flow.family, inner_at)
    }
}

/// The feature that an encapsulation belongs to.
#[inline(always)]
const fn needed(encapsulation: Encapsulation) -> Features {
    match encapsulation {
        Encapsulation::IpipV4 | Encapsulation::IpipV6 => Features(0),
        Encapsulation::GueV4 | Encapsulation::GueV6 => Features::GUE,
        Encapsulation::GreV4 | Encapsulation::GreV6 => Features::GRE,
        Encapsulation::L2 => Features::L2,
    }
}

/// What an encapsulation puts between the outer IP header and the packet. Of a feature that is off,
/// nothing: so the verifier sees that the rest is never reached.
#[inline(always)]
const fn shim(encapsulation: Encapsulation, features: Features) -> Shim {
    match encapsulation {
        Encapsulation::GueV4 | Encapsulation::GueV6 if features.has(Features::GUE) => Shim::Udp,
        Encapsulation::GreV4 | Encapsulation::GreV6 if features.has(Features::GRE) => Shim::Gre,
        _ => Shim::Nothing,
    }
}

/// Whether frames for `backend` can leave, and how that is called.
#[inline(always)]
pub(super) fn way_out<T: Tables>(
    tables: &T,
    context: &Context,
    backend: &BackendEntry,
) -> Result<Reason, Reason> {
    if backend.egress_ifindex == context.ingress_ifindex {
        Ok(Reason::Forwarded)
    } else if context.features.has(Features::REDIRECT) && tables.leaves_by(backend.egress_ifindex) {
        Ok(Reason::Redirected)
    } else {
        Err(Reason::WrongInterface)
    }
}

/// Takes one hop from what the packet at `at` has left; it has more than one.
#[inline(always)]
fn take_a_hop<F: Frame>(frame: &mut F, family: Family, at: usize) -> Result<(), Reason> {
    match family {
        Family::V4 => {
            let header = frame.header_mut::<Ipv4>(at).ok_or(Reason::NoHeadroom)?;
            header.time_to_live = header.time_to_live.wrapping_sub(1);
            header.checksum = ipv4::checksum_with_a_hop_less(header.checksum);
        }
        Family::V6 => {
            let header = frame.header_mut::<Ipv6>(at).ok_or(Reason::NoHeadroom)?;
            header.hop_limit = header.hop_limit.wrapping_sub(1);
        }
    }
    Ok(())
}

/// What the headers are made from.
pub(super) struct Wrapping<'a, T> {
    pub(super) packet: &'a Packet,
    pub(super) backend: &'a BackendEntry,
    pub(super) hash: u64,
    pub(super) features: Features,
    pub(super) tables: &'a T,
    /// Bytes of the link-layer header, as the frame leaves.
    pub(super) l2_bytes: usize,
}

impl<T: OuterHeaders> Wrapping<'_, T> {
    /// Makes room for `overhead` bytes and moves the link-layer header, tags kept, to the new front.
    /// `outer_type` is what follows it, if that changes.
    #[inline(always)]
    fn link_layer<F: Frame>(
        &self,
        frame: &mut F,
        overhead: usize,
        outer_type: Option<u16>,
    ) -> Result<(), Reason> {
        let mut announced = None;
        if let Some(outer_type) = outer_type {
            frame.push_front(overhead).ok_or(Reason::NoHeadroom)?;
            announced = Some(self.move_tags(frame, overhead, U16::new(outer_type))?);
        } else if self.l2_bytes != self.packet.l2_bytes {
            announced = Some(U16::new(ethertype(self.packet.flow.family)));
        }
        let front = frame.header_mut::<Ethernet>(0).ok_or(Reason::NoHeadroom)?;
        copy_mac(&mut front.destination, &self.backend.next_hop_mac);
        copy_mac(&mut front.source, &self.backend.source_mac);
        if let Some(announced) = announced {
            front.ethertype = announced;
        }
        Ok(())
    }

    /// Moves the tags forward, from the innermost outwards: each level's type moves one level in. The
    /// type that announces the outermost is returned.
    ///
    /// Each number of tags by itself, so that every place in the frame is a constant: with a variable
    /// one the compiler would address what comes before it, and the verifier knows no way back.
    #[inline(always)]
    fn move_tags<F: Frame>(
        &self,
        frame: &mut F,
        overhead: usize,
        outer_type: U16,
    ) -> Result<U16, Reason> {
        const UNTAGGED: usize = size_of::<Ethernet>();
        const ONE_TAG: usize = UNTAGGED + size_of::<VlanTag>();
        const TWO_TAGS: usize = ONE_TAG + size_of::<VlanTag>();
        match self.l2_bytes {
            ONE_TAG => move_tag::<UNTAGGED, F>(frame, overhead, outer_type),
            TWO_TAGS => {
                let outer_type = move_tag::<ONE_TAG, F>(frame, overhead, outer_type)?;
                move_tag::<UNTAGGED, F>(frame, overhead, outer_type)
            }
            _ => Ok(outer_type),
        }
    }

    #[inline(always)]
    fn in_ipv4<F: Frame>(&self, frame: &mut F, shim: Shim) -> Result<(), Reason> {
        let payload_bytes = self.packet.ip_bytes + shim.bytes();
        self.link_layer(frame, ipv4::HEADER_BYTES + shim.bytes(), Some(ethernet::TYPE_IPV4))?;
        let header = frame.header_mut::<Ipv4>(self.l2_bytes).ok_or(Reason::NoHeadroom)?;
        *header = Ipv4 {
            version_ihl: ipv4::VERSION_WITHOUT_OPTIONS,
            type_of_service: self.packet.traffic_class,
            total_length: length_field(payload_bytes + ipv4::HEADER_BYTES),
            identification: U16::ZERO,
            fragment: U16::new(ipv4::DONT_FRAGMENT),
            time_to_live: OUTER_HOP_LIMIT,
            protocol: self.protocol(shim),
            checksum: U16::ZERO,
            source: self.ipv4_source().to_ne_bytes(),
            destination: ipv4_part(self.backend.outer_destination),
        };
        header.checksum = ipv4::checksum(header);
        self.shim(frame, self.l2_bytes + ipv4::HEADER_BYTES, shim)
    }

    #[inline(always)]
    fn in_ipv6<F: Frame>(&self, frame: &mut F, shim: Shim) -> Result<(), Reason> {
        let payload_bytes = self.packet.ip_bytes + shim.bytes();
        self.link_layer(frame, ipv6::HEADER_BYTES + shim.bytes(), Some(ethernet::TYPE_IPV6))?;
        let header = frame.header_mut::<Ipv6>(self.l2_bytes).ok_or(Reason::NoHeadroom)?;
        copy_ipv6(&mut header.source, &self.backend.outer_source);
        copy_ipv6(&mut header.destination, &self.backend.outer_destination);
        if self.features.has(Features::SOURCE_SPREAD) {
            spread_ipv6(&mut header.source, self.tables.source_spread_v6(), self.hash);
        }
        // RFC 6438: the flow label carries the flow's entropy, so that ECMP behind us keeps it whole.
        #[expect(clippy::cast_possible_truncation, reason = "the label is the hash's low bits")]
        let label = self.hash as u32 & ipv6::FLOW_LABEL;
        let class = u32::from(self.packet.traffic_class);
        header.version_class_label = U32::new(6 << 28 | class << 20 | label);
        header.payload_length = length_field(payload_bytes);
        header.next_header = self.protocol(shim);
        header.hop_limit = OUTER_HOP_LIMIT;
        self.shim(frame, self.l2_bytes + ipv6::HEADER_BYTES, shim)
    }

    /// What stands between the outer IP header and the packet.
    #[inline(always)]
    fn shim<F: Frame>(&self, frame: &mut F, at: usize, shim: Shim) -> Result<(), Reason> {
        match shim {
            Shim::Nothing => {}
            Shim::Udp => {
                let header = frame.header_mut::<Udp>(at).ok_or(Reason::NoHeadroom)?;
                #[expect(clippy::cast_possible_truncation, reason = "14 bits of the hash")]
                let entropy = (self.hash >> 16) as u16 & !FIRST_DYNAMIC_PORT;
                header.ports = Ports {
                    source: U16::new(FIRST_DYNAMIC_PORT | entropy),
                    destination: U16::new(self.tables.gue_port()),
                };
                header.length = length_field(self.packet.ip_bytes + size_of::<Udp>());
                // None: the packet inside has its own (RFC 6935 for IPv6).
                header.checksum = U16::ZERO;
            }
            Shim::Gre => {
                let header = frame.header_mut::<Gre>(at).ok_or(Reason::NoHeadroom)?;
                header.flags = U16::ZERO;
                header.ethertype = U16::new(ethertype(self.packet.flow.family));
            }
        }
        Ok(())
    }

    #[inline(always)]
    const fn protocol(&self, shim: Shim) -> u8 {
        match (shim, self.packet.flow.family) {
            (Shim::Nothing, Family::V4) => protocol::IPV4,
            (Shim::Nothing, Family::V6) => protocol::IPV6,
            (Shim::Udp, _) => protocol::UDP,
            (Shim::Gre, _) => protocol::GRE,
        }
    }

    #[inline(always)]
    fn ipv4_source(&self) -> u32 {
        let source = u32::from_ne_bytes(ipv4_part(self.backend.outer_source));
        if !self.features.has(Features::SOURCE_SPREAD) {
            return source;
        }
        #[expect(clippy::cast_possible_truncation, reason = "as many bits as fit")]
        let fill = self.hash as u32 & self.tables.source_spread_v4();
        source | fill
    }
}

/// Moves the tag at `AT` forward and gives it the type `next`; returns the type that announces it.
#[inline(always)]
fn move_tag<const AT: usize, F: Frame>(
    frame: &mut F,
    overhead: usize,
    next: U16,
) -> Result<U16, Reason> {
    // Read as one, from its first byte on: the verifier knows no way back from a checked byte.
    let old_at = AT + overhead - size_of::<U16>();
    let Announced { ethertype: announced, control } =
        *frame.header::<Announced>(old_at).ok_or(Reason::NoHeadroom)?;
    let tag = frame.header_mut::<VlanTag>(AT).ok_or(Reason::NoHeadroom)?;
    *tag = VlanTag { control, ethertype: next };
    Ok(announced)
}

/// Fills the bits of `spread` in an address from the hash.
#[inline(always)]
fn spread_ipv6(address: &mut [u8; 16], spread: [u32; 4], hash: u64) {
    let words: &mut [[u8; 4]; 4] = zerocopy::transmute_mut!(address);
    #[expect(clippy::cast_possible_truncation, reason = "one half, then the other")]
    let halves = [hash as u32, (hash >> 32) as u32];
    let fills = halves.iter().cycle().zip(spread).map(|(half, spread)| half & spread);
    for (word, fill) in words.iter_mut().zip(fills) {
        *word = (u32::from_ne_bytes(*word) | fill).to_ne_bytes();
    }
}

/// The Ethernet type of a packet of this family.
#[inline(always)]
const fn ethertype(family: Family) -> u16 {
    match family {
        Family::V4 => ethernet::TYPE_IPV4,
        Family::V6 => ethernet::TYPE_IPV6,
    }
}

/// Copies an address in pieces that the BPF target moves with one instruction each; an array of
/// bytes would go byte by byte.
#[inline(always)]
fn copy_mac(to: &mut [u8; 6], from: &[u8; 6]) {
    let to: &mut [[u8; 2]; 3] = zerocopy::transmute_mut!(to);
    let from: &[[u8; 2]; 3] = zerocopy::transmute_ref!(from);
    for (to, from) in to.iter_mut().zip(from) {
        *to = *from;
    }
}

/// The same for an IPv6 address.
#[inline(always)]
fn copy_ipv6(to: &mut [u8; 16], from: &[u8; 16]) {
    let to: &mut [[u8; 4]; 4] = zerocopy::transmute_mut!(to);
    let from: &[[u8; 4]; 4] = zerocopy::transmute_ref!(from);
    for (to, from) in to.iter_mut().zip(from) {
        *to = *from;
    }
}

/// The IPv4 address in a 16-byte field.
#[inline(always)]
const fn ipv4_part([a, b, c, d, ..]: [u8; 16]) -> [u8; 4] {
    [a, b, c, d]
}

/// A length that [`Outer::of`] has held below the MTU, which is 16 bits wide.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "checked against a 16-bit MTU before")]
fn length_field(bytes: usize) -> U16 {
    U16::new(bytes as u16)
}
