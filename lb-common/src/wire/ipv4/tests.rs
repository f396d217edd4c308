//! Header arithmetic against etherparse and hand-made corners.

use etherparse::{IpNumber, Ipv4Header};
use std::vec::Vec;

use proptest::prelude::*;
use zerocopy::FromBytes;

use super::*;

proptest! {
    #[test]
    fn the_checksum_is_that_of_another_implementation(
        total_length in 20_u16.., tos: u8, id: u16, ttl: u8, protocol: u8,
        source: [u8; 4], destination: [u8; 4],
    ) {
        let mut theirs = Ipv4Header::new(total_length - 20, ttl, IpNumber(protocol), source, destination)
            .unwrap();
        theirs.identification = id;
        let mut bytes: Vec<u8> = Vec::new();
        theirs.write_raw(&mut bytes).unwrap();
        bytes[1] = tos;
        theirs = Ipv4Header::from_slice(&bytes).unwrap().0;
        let ours = Ipv4::read_from_bytes(&bytes).unwrap();
        prop_assert_eq!(checksum(&Ipv4 { checksum: U16::ZERO, ..ours }).get(), theirs.calc_header_checksum());
    }
}

#[test]
fn the_sum_folds_twice_when_it_must() {
    // Every 16-bit word but the checksum is 0xffff, so the sum is nine times that.
    let header = Ipv4::read_from_bytes(&[0xff; 20]).unwrap();
    let header = Ipv4 { checksum: U16::ZERO, ..header };
    assert_eq!(checksum(&header), U16::ZERO);
}

/// One's complement has two zeros, and a sum that is computed anew never gives the second.
#[test]
fn the_checksum_of_a_hop_less_is_never_minus_zero() {
    for (checksum, expected) in [(0xfeff, 0x0000), (0xfefe, 0xfffe), (0xff00, 0x0001), (0, 0x0100)]
    {
        assert_eq!(checksum_with_a_hop_less(U16::new(checksum)).get(), expected, "{checksum:#06x}");
    }
}

#[test]
fn version_and_length_decide_the_header_bytes() {
    let header = |version_ihl| Ipv4 { version_ihl, ..Ipv4::read_from_bytes(&[0; 20]).unwrap() };
    for (version_ihl, bytes) in [
        (0x45, Some(20)),
        (0x46, Some(24)),
        (0x4f, Some(60)),
        (0x44, None),
        (0x40, None),
        (0x65, None),
    ] {
        assert_eq!(header(version_ihl).header_bytes(), bytes, "{version_ihl:#x}");
    }
}

#[test]
fn flags_and_offset_tell_fragments_apart() {
    let header = |fragment| {
        let fragment = U16::new(fragment);
        Ipv4 { fragment, ..Ipv4::read_from_bytes(&[0; 20]).unwrap() }
    };
    for (fragment, any, later) in [
        (0x0000, false, false),
        (DONT_FRAGMENT, false, false),
        (MORE_FRAGMENTS, true, false),
        (MORE_FRAGMENTS | 0xb9, true, true),
        (0xb9, true, true),
    ] {
        let header = header(fragment);
        assert_eq!(
            (header.is_fragment(), header.is_later_fragment()),
            (any, later),
            "{fragment:#x}"
        );
    }
}
