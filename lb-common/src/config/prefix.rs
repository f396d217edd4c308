//! Address prefixes: one address, or all that begin with the same bits.
//!
//! Callers: `validate`, for the sources of outer headers; the agent, which tells the program which
//! bits a flow's hash fills; `lb-agent origin`, for the balancers it listens to.

use core::fmt;
use core::str::FromStr;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::string::String;

use serde::{Serialize, Serializer};

/// The addresses that begin with the same bits; with all of them, one address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Prefix {
    address: IpAddr,
    bits: u8,
}

impl Prefix {
    /// The addresses that share the first `bits` bits of `address`, which has no others set.
    ///
    /// # Errors
    /// `bits` is more than an address has, or bits behind it are set.
    pub const fn new(address: IpAddr, bits: u8) -> Result<Self, PrefixError> {
        let prefix = Self { address, bits };
        if bits > length(address) {
            return Err(PrefixError::TooLong { bits, most: length(address) });
        }
        if number(address) & prefix.free_bits() != 0 {
            return Err(PrefixError::HostBits { prefix });
        }
        Ok(prefix)
    }

    /// The first address.
    pub const fn address(&self) -> IpAddr {
        self.address
    }

    /// How many bits the addresses share.
    pub const fn bits(&self) -> u8 {
        self.bits
    }

    /// Whether it is one address.
    pub const fn is_host(&self) -> bool {
        self.bits == length(self.address)
    }

    /// The last address.
    pub const fn last(&self) -> IpAddr {
        of_number(self.address, number(self.address) | self.free_bits())
    }

    /// Whether an address is among them.
    pub const fn contains(&self, address: IpAddr) -> bool {
        self.address.is_ipv4() == address.is_ipv4()
            && number(address) & !self.free_bits() == number(self.address)
    }

    /// The bits in which the addresses differ, network order; those of IPv4 in the first four bytes.
    pub const fn free_bytes(&self) -> [u8; 16] {
        let shift = 128 - length(self.address) as u32;
        (self.free_bits() << shift).to_be_bytes()
    }

    /// The bits in which the addresses differ, as a number of the family's width.
    const fn free_bits(&self) -> u128 {
        match length(self.address) - self.bits {
            0 => 0,
            free => u128::MAX >> (128 - free as u32),
        }
    }
}

/// Bits of an address.
const fn length(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

const fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_bits() as u128,
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

/// The address of a number, in the family of another.
#[expect(clippy::cast_possible_truncation, reason = "made of numbers of that width")]
const fn of_number(like: IpAddr, number: u128) -> IpAddr {
    match like {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::from_bits(number as u32)),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::from_bits(number)),
    }
}

impl From<IpAddr> for Prefix {
    fn from(address: IpAddr) -> Self {
        Self { address, bits: length(address) }
    }
}

impl fmt::Display for Prefix {
    /// `10.64.0.0/16`; one address without its length.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_host() {
            self.address.fmt(f)
        } else {
            write!(f, "{}/{}", self.address, self.bits)
        }
    }
}

impl Serialize for Prefix {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl FromStr for Prefix {
    type Err = PrefixError;

    fn from_str(text: &str) -> Result<Self, PrefixError> {
        let no_prefix = || PrefixError::NoPrefix { text: text.into() };
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok().ok_or_else(no_prefix)?;
        match bits {
            None => Ok(Self::from(address)),
            // A sign would pass for a number, too.
            Some(bits) if bits.bytes().all(|byte| byte.is_ascii_digit()) => {
                Self::new(address, bits.parse().ok().ok_or_else(no_prefix)?)
            }
            Some(_) => Err(no_prefix()),
        }
    }
}

/// What makes a text no prefix.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PrefixError {
    /// It is something else.
    #[error("{text:?} is neither an address nor a prefix such as 10.64.0.0/16")]
    NoPrefix {
        /// The text.
        text: String,
    },
    /// More bits than the address has.
    #[error("/{bits} is longer than the {most} bits of an address")]
    TooLong {
        /// The bits.
        bits: u8,
        /// As many as there are.
        most: u8,
    },
    /// The address has bits set behind the prefix.
    #[error("{prefix} has bits set behind the prefix")]
    HostBits {
        /// What would be the prefix.
        prefix: Prefix,
    },
}

#[cfg(test)]
mod tests;
