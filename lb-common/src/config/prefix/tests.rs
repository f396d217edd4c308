//! Which texts are prefixes, and which addresses are in them.

use std::string::ToString;

use super::*;

fn prefix(text: &str) -> Prefix {
    text.parse().unwrap()
}

fn refusal(text: &str) -> String {
    text.parse::<Prefix>().unwrap_err().to_string()
}

#[test]
fn a_prefix_is_written_as_it_is_read_and_one_address_without_its_length() {
    for text in ["10.64.0.0/16", "fd00:2::/64", "10.2.0.2", "fd00:2::2", "0.0.0.0/0"] {
        assert_eq!(prefix(text).to_string(), text);
    }
    assert_eq!(prefix("10.2.0.2/32").to_string(), "10.2.0.2");
    assert_eq!(prefix("fd00:2::2/128"), Prefix::from("fd00:2::2".parse::<IpAddr>().unwrap()));
}

#[test]
fn its_free_bits_are_those_behind_its_length() {
    assert_eq!(prefix("10.64.0.0/18").free_bytes()[..4], [0, 0, 0x3f, 0xff]);
    assert_eq!(prefix("10.64.0.0/18").free_bytes()[4..], [0; 12]);
    assert_eq!(prefix("10.2.0.2").free_bytes(), [0; 16]);
    let mut low_half = [0; 16];
    low_half[8..].fill(0xff);
    assert_eq!(prefix("fd00:2::/64").free_bytes(), low_half);
    assert_eq!(prefix("::/0").free_bytes(), [0xff; 16]);
}

#[test]
fn it_holds_its_first_and_its_last_address_and_none_around_them() {
    let address = |text: &str| text.parse::<IpAddr>().unwrap();
    let pool = prefix("10.64.0.0/18");
    assert_eq!(pool.last(), address("10.64.63.255"));
    assert!(pool.contains(pool.address()) && pool.contains(pool.last()));
    assert!(!pool.contains(address("10.63.255.255")) && !pool.contains(address("10.64.64.0")));
    assert!(!pool.contains(address("::a40:1")), "another family");
    assert!(prefix("fd00:2::2").contains(address("fd00:2::2")));
    assert!(!prefix("fd00:2::2").contains(address("fd00:2::3")));
}

#[test]
fn what_is_no_prefix_is_refused_with_the_reason() {
    assert_eq!(refusal("10.64.0.0/33"), "/33 is longer than the 32 bits of an address");
    assert_eq!(refusal("fd00::/129"), "/129 is longer than the 128 bits of an address");
    assert_eq!(refusal("10.64.0.1/16"), "10.64.0.1/16 has bits set behind the prefix");
    for text in ["", "/16", "10.64.0.0/", "10.64.0.0/+8", "10.64.0.0/1/6", "10.64/16", "a/8"] {
        assert!(refusal(text).contains("neither an address nor a prefix"), "{text:?}");
    }
}
