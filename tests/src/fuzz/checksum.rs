//! Target `checksum`: the sums of the wire codecs, and their shortcuts, against the plain way.

use lb_common::wire::checksum::{adjusted, finish, finish_native};
use lb_common::wire::ipv4::{self, Ipv4};
use zerocopy::FromBytes;
use zerocopy::big_endian::U16;

use super::naive;

/// An input: words that are summed; the first 20 bytes are an IPv4 header too.
///
/// # Panics
/// A sum is not what it has to be.
pub fn checksum(input: &[u8]) {
    let (words, _) = input.as_chunks::<2>();
    let expected = !naive::sum(words.as_flattened());
    let sum = |read: fn([u8; 2]) -> u16| words.iter().map(|word| u64::from(read(*word))).sum();
    assert_eq!(finish(sum(u16::from_be_bytes)).get(), expected, "of network-order words");
    assert_eq!(finish_native(sum(u16::from_ne_bytes)).get(), expected, "of native words");
    let (long, _) = input.as_chunks::<4>();
    let of_long = long.iter().map(|word| u64::from(u32::from_be_bytes(*word))).sum();
    assert_eq!(finish(of_long).get(), !naive::sum(long.as_flattened()), "of longer words");
    change_a_word(words);
    if let Some(header) = input.first_chunk::<20>() {
        header_of_ipv4(*header);
    }
}

/// The first word becomes the second.
fn change_a_word(words: &[[u8; 2]]) {
    let [old, new, rest @ ..] = words else { return };
    let sum_with = |word| naive::sum(&[&[word][..], rest].concat().concat());
    let before = !sum_with(*old);
    let after = adjusted(U16::new(before), u16::from_be_bytes(*old), u16::from_be_bytes(*new));
    let expected = !sum_with(*new);
    // What adds up to nothing has no words but zeros, and no header is that.
    if expected != 0xffff && before != 0xffff {
        assert_eq!(after.get(), expected, "{old:02x?} becomes {new:02x?}");
    }
}

fn header_of_ipv4(mut bytes: [u8; 20]) {
    bytes[0] = 0x45;
    bytes[10..12].fill(0);
    let sealed = |mut bytes: [u8; 20]| {
        let header = Ipv4::ref_from_bytes(&bytes).expect("20 bytes");
        let checksum = ipv4::checksum(header);
        assert_eq!(checksum.get(), !naive::sum(&bytes), "of a header");
        bytes[10..12].copy_from_slice(&checksum.to_bytes());
        (bytes, checksum)
    };
    let (header, checksum) = sealed(bytes);
    assert!(naive::adds_up(&[&header]));
    if bytes[8] > 0 {
        bytes[8] -= 1;
        let (_, expected) = sealed(bytes);
        let shortcut = ipv4::checksum_with_a_hop_less(checksum);
        assert_eq!(shortcut, expected, "of a header with a hop less: {header:02x?}");
    }
}
