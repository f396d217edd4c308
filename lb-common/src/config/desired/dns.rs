//! The words of DNS that a health check may use.

use serde::{Deserialize, Serialize};

/// Type of the records that are asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum DnsRecord {
    /// IPv4 addresses.
    A,
    /// IPv6 addresses.
    Aaaa,
    /// Another name of it.
    Cname,
    /// Mail servers.
    Mx,
    /// Servers of the zone.
    Ns,
    /// A name for an address.
    Ptr,
    /// The zone itself.
    Soa,
    /// Servers of a service.
    Srv,
    /// Text.
    Txt,
}

impl DnsRecord {
    /// Number in a question (IANA, DNS RR types).
    pub const fn number(self) -> u16 {
        match self {
            Self::A => 1,
            Self::Aaaa => 28,
            Self::Cname => 5,
            Self::Mx => 15,
            Self::Ns => 2,
            Self::Ptr => 12,
            Self::Soa => 6,
            Self::Srv => 33,
            Self::Txt => 16,
        }
    }

    /// Name as the configuration writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::Aaaa => "AAAA",
            Self::Cname => "CNAME",
            Self::Mx => "MX",
            Self::Ns => "NS",
            Self::Ptr => "PTR",
            Self::Soa => "SOA",
            Self::Srv => "SRV",
            Self::Txt => "TXT",
        }
    }
}

/// Response code of an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum DnsRcode {
    /// No error.
    NoError,
    /// The question was not understood.
    FormErr,
    /// The server has failed.
    ServFail,
    /// There is no such name.
    NxDomain,
    /// The server does not do that.
    NotImp,
    /// The server does not want to.
    Refused,
}

impl DnsRcode {
    /// Number in an answer (RFC 1035 §4.1.1).
    pub const fn number(self) -> u8 {
        match self {
            Self::NoError => 0,
            Self::FormErr => 1,
            Self::ServFail => 2,
            Self::NxDomain => 3,
            Self::NotImp => 4,
            Self::Refused => 5,
        }
    }

    /// Name as the configuration writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoError => "NOERROR",
            Self::FormErr => "FORMERR",
            Self::ServFail => "SERVFAIL",
            Self::NxDomain => "NXDOMAIN",
            Self::NotImp => "NOTIMP",
            Self::Refused => "REFUSED",
        }
    }
}
