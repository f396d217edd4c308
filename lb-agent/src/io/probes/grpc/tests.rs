//! Messages of the health protocol, byte for byte.

use super::*;

#[test]
fn a_request_names_the_service_or_nothing() {
    assert_eq!(framed(&question("")), [0, 0, 0, 0, 0]);
    assert_eq!(framed(&question("web")), [0, 0, 0, 0, 5, 0x0a, 3, b'w', b'e', b'b']);
    let long = question(&"x".repeat(300));
    assert_eq!(long[..3], [0x0a, 0xac, 0x02]);
    assert_eq!(long.len(), 303);
}

#[test]
fn the_status_is_found_among_fields_that_are_not_known() {
    assert_eq!(answer(&[]), Some(0), "a field with value 0 is left out");
    assert_eq!(answer(&[0x08, 1]), Some(1));
    assert_eq!(answer(&[0x08, 0x80, 0x02]), Some(256));
    let others = [
        &[0x10, 0x96, 0x01][..],         // field 2, a number
        &[0x19, 0, 0, 0, 0, 0, 0, 0, 0], // field 3, 64 bits
        &[0x22, 2, 0x08, 9],             // field 4, bytes
        &[0x2d, 0, 0, 0, 0],             // field 5, 32 bits
        &[0x08, 2],
    ];
    assert_eq!(answer(&others.concat()), Some(2));
}

#[test]
fn what_is_cut_off_or_no_message_is_refused() {
    let no_end = [0xff; 11];
    let wrong: [&[u8]; 7] =
        [&[0x08], &[0x08, 0x80], &[0x0a, 5, 1], &[0x0d, 1], &[0x09, 1], &[0x0b], &no_end];
    for message in wrong {
        assert_eq!(answer(message), None, "{message:?}");
    }
    let frames: [&[u8]; 4] =
        [&[], &[0, 0, 0, 0], &[0, 0, 0, 0, 2, 0x08], &[1, 0, 0, 0, 2, 0x08, 1]];
    for frame in frames {
        assert_eq!(unframed(frame), None, "{frame:?}");
    }
    assert_eq!(unframed(&[0, 0, 0, 0, 2, 8, 1]), Some(&[8, 1][..]));
}
