//! Replies, checked by another implementation of the checksum and byte by byte.

use std::vec;
use std::vec::Vec;

use super::*;
use crate::image::Buffer;

/// The sum of a message over its 16-bit words, its checksum included: 0xffff if that is right.
fn total(bytes: &[u8], start: u32) -> u32 {
    let mut sum = start;
    for pair in bytes.chunks(2) {
        sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum
}

#[test]
fn the_sum_of_a_quote_ends_with_the_frame_whatever_its_length() {
    for length in 0..70 {
        let bytes: Vec<u8> = (0..length).map(|byte: u8| byte.wrapping_mul(37)).collect();
        let frame = Buffer::new(&[&[0xff; 3], bytes.as_slice()].concat(), 0);
        let found = finish(sum(&frame, 3, 1_000)).get();
        assert_eq!(u32::from(!found), total(&bytes, 0), "{length} bytes");
    }
}

#[test]
fn an_error_is_summed_with_what_it_quotes() {
    for (quote_bytes, pseudo_header) in [(28, 0), (29, 0x1_2345), (548, 0xffff_ffff)] {
        let frame = vec![0x5a; 8 + quote_bytes];
        let mut buffer = Buffer::new(&frame, 0);
        let error = Error { kind: 3, code: 4, rest: 1_480 };
        put_error(&mut buffer, 0, &error, pseudo_header, 600).unwrap();
        let start = u32::try_from(pseudo_header % 0xffff).unwrap();
        assert_eq!(total(buffer.as_slice(), start), 0xffff, "{quote_bytes}");
        assert_eq!(buffer.as_slice()[..2], [3, 4]);
        assert_eq!(buffer.as_slice()[4..8], 1_480_u32.to_be_bytes());
    }
}
