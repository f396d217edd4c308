//! Target `round_trip`: a sound packet is wrapped by the balancer, meets a router, and is unwrapped
//! by lb-origin: it is the packet it was, one hop on.

use arbitrary::{Result, Unstructured};
use lb_common::abi::Encapsulation;
use lb_common::verdict::{OriginReason, Reason};

use super::generated::Packet;
use super::naive::{self, Link};
use super::origin;
use super::pipeline::Outcome;
use crate::packet;

const GUE_PORT: u16 = 6080;

/// An input: what the packet is made from.
///
/// # Panics
/// It does not arrive, or not as it was sent.
pub fn round_trip(input: &[u8]) {
    // Bytes that are too few to make a packet of are no error.
    let _ = travel(&mut Unstructured::new(input));
}

fn travel(u: &mut Unstructured<'_>) -> Result<()> {
    let packet = Packet::sound(u)?;
    let trailer = vec![0xee; u.int_in_range(0..=20)?];
    let congested = u.ratio(1, 4)?;
    let outcome = Outcome::on_its_own(&packet.frame(&trailer));
    let (reason, left) = (outcome.reason, outcome.frame);
    assert!(matches!(reason, Reason::Forwarded | Reason::Redirected), "a sound packet: {reason:?}");

    let link = Link::of(&left).expect("a forwarded frame");
    let mut expected = packet::one_hop_on(&packet.bytes);
    let (_, backend) = outcome.lookups.backend.expect("a backend was looked up");
    if backend.encapsulation == Encapsulation::L2.code() {
        assert_eq!(link.payload, [expected, trailer].concat());
        return Ok(());
    }
    let outer = past_a_router(link.payload, congested);
    // Tags end with the last link.
    let [destination, source] = [link.destination, link.source]
        .map(|address| <[u8; 6]>::try_from(address).expect("six bytes"));
    let frame = packet::link(source, destination, &[], link.ethertype, &outer);
    let (reason, arrived) = origin::run(&frame, GUE_PORT);
    let class = naive::traffic_class(&expected);
    let Some(ecn) = naive::ecn_after_tunnel(class, naive::traffic_class(&outer)) else {
        assert_eq!((reason, arrived), (OriginReason::CongestionLost, frame));
        return Ok(());
    };
    if ecn != class & 3 {
        naive::set_traffic_class(&mut expected, class & !3 | ecn);
        if naive::is_ipv4(&expected) {
            packet::seal(&mut expected);
        }
    }
    let ethertype = if naive::is_ipv4(&expected) { 0x0800 } else { 0x86dd };
    let expected = [expected, trailer].concat();
    let expected = packet::link(source, destination, &[], ethertype, &expected);
    assert_eq!((reason, arrived), (OriginReason::Decapsulated, expected));
    Ok(())
}

/// An outer packet behind a router, which may have met congestion.
fn past_a_router(outer: &[u8], congested: bool) -> Vec<u8> {
    let mut outer = outer.to_vec();
    if congested {
        let class = naive::traffic_class(&outer);
        naive::set_traffic_class(&mut outer, class | 3);
    }
    packet::one_hop_on(&outer)
}
