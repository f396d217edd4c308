//! Which texts are server ids, and what the program compares them with.

use std::string::ToString;

use super::*;
use crate::wire::quic::ConnectionId;

#[test]
fn a_server_id_is_pairs_of_hexadecimal_digits() {
    let id = ServerId::parse("0aFF").unwrap();
    assert_eq!((id.bytes(), id.to_string().as_str()), (2, "0aff"));
    assert_eq!(ServerId::parse(&"ab".repeat(15)).unwrap().bytes(), 15);
    for text in ["", "0", "0a0", "0x0a", "zz", "+1", "é", &"ab".repeat(16)] {
        assert_eq!(ServerId::parse(text), None, "{text:?}");
    }
}

#[test]
fn a_server_id_is_found_by_the_program_in_a_connection_id_that_has_it() {
    for text in ["0a", "0a0b0c0d0e0f0102", "0a0b0c0d0e0f01020304050607080a"] {
        let id = ServerId::parse(text).unwrap();
        let mut connection_id = [0xee; 16];
        connection_id[1..=text.len() / 2].copy_from_slice(&id.0);
        assert_eq!(ConnectionId(connection_id).server_id(id.bytes()), id.words(), "{text}");
    }
}
