//! Server ids, which a backend writes into the QUIC connection ids it issues.
//!
//! Callers: `validate`; the agent, which puts them into the map of QUIC servers.

use core::fmt;
use std::vec::Vec;

use serde::{Serialize, Serializer};

use super::file::limit;
use crate::abi::address_words;

/// 1..=15 bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct ServerId(Vec<u8>);

impl ServerId {
    /// The id that a text of two hexadecimal digits a byte says, if it has a length of one.
    pub fn parse(text: &str) -> Option<Self> {
        let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|d| u8::try_from(d).ok());
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        let bytes: Vec<u8> = pairs
            .iter()
            .map(|[high, low]| Some(digit(high)? << 4 | digit(low)?))
            .collect::<Option<_>>()?;
        let fits = limit::QUIC_SERVER_ID_BYTES.contains(&u32::try_from(bytes.len()).ok()?);
        (rest.is_empty() && fits).then_some(Self(bytes))
    }

    /// Its length.
    pub fn bytes(&self) -> u8 {
        u8::try_from(self.0.len()).unwrap_or(u8::MAX)
    }

    /// Zero-filled to 16 bytes, read as native words, as the map of QUIC servers has it.
    pub fn words(&self) -> [u64; 2] {
        let mut filled = [0; 16];
        for (place, byte) in filled.iter_mut().zip(&self.0) {
            *place = *byte;
        }
        address_words(filled)
    }
}

impl fmt::Display for ServerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Serialize for ServerId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests;
