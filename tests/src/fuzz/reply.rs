//! Target `reply`: what the balancer answers in a VIP's name to echoes, to packets that are too
//! large for their way, and to packets without a hop left.

use arbitrary::{Result, Unstructured};
use lb_common::verdict::Reason;

use super::generated::Packet;
use super::naive::{self, Link};
use super::pipeline::Outcome;

/// A port whose only backend is behind a link of 100 bytes, of which 40 go to the outer header.
const NARROW_PORT: u16 = 8_032;
/// What fits there.
const NARROW_BYTES: u32 = 60;
const PORT: u16 = 443;

/// An input: what the packet is made from.
///
/// # Panics
/// It is not answered, or not rightly.
pub fn reply(input: &[u8]) {
    // Bytes that are too few to make a packet of are no error.
    let _ = ask(&mut Unstructured::new(input));
}

fn ask(u: &mut Unstructured<'_>) -> Result<()> {
    let payload_bytes = u.int_in_range(60..=1_700)?;
    let (packet, expected) = match u.int_in_range(0..=2)? {
        0 => (Packet::echo(u)?, Reason::EchoAnswered),
        1 => {
            let (is_udp, hops) = (u.arbitrary()?, u.int_in_range(2..=255)?);
            let packet = Packet::to(u, (is_udp, NARROW_PORT), hops, payload_bytes)?;
            (packet, Reason::TooBigReported)
        }
        _ => {
            let (is_udp, hops) = (u.arbitrary()?, u.int_in_range(0..=1)?);
            (Packet::to(u, (is_udp, PORT), hops, payload_bytes)?, Reason::HopLimitReported)
        }
    };
    let trailer = vec![0xee; u.int_in_range(0..=20)?];
    // The answer is compared with the question in there, whatever the question is.
    let outcome = Outcome::on_its_own(&packet.frame(&trailer));
    assert_eq!(outcome.reason, expected);
    let answer = Link::of(&outcome.frame).expect("an answer").payload;
    if expected == Reason::EchoAnswered {
        is_sealed(answer);
    }
    if expected == Reason::TooBigReported {
        let at = if naive::is_ipv4(answer) { 24 } else { 44 };
        assert_eq!(answer[at..at + 4], NARROW_BYTES.to_be_bytes(), "what would fit");
    }
    Ok(())
}

/// The checksums of an answer are right, since those of the question were.
fn is_sealed(answer: &[u8]) {
    let end = naive::length(answer);
    if naive::is_ipv4(answer) {
        let header = naive::ipv4_header_bytes(answer);
        assert!(naive::adds_up(&[&answer[..header]]), "checksum of the header");
        assert!(naive::adds_up(&[&answer[header..end]]), "checksum of the message");
    } else {
        let pseudo_header = naive::pseudo_header(answer, end - 40, 58);
        assert!(naive::adds_up(&[&pseudo_header, &answer[40..end]]), "checksum of the message");
    }
}
