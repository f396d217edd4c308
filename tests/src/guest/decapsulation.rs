//! What takes the outer headers off on an origin: devices of the kernel, or lb-origin.
//!
//! The commands are those of docs/operations.md; this is where they are tried.

use std::fmt::{self, Display};
use std::net::IpAddr;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::topology::{BALANCER_V4, BALANCER_V6, ORIGIN_NAMES, ORIGINS_V4, ORIGINS_V6, Origin};

/// UDP port of GUE (IANA).
const GUE_PORT: u16 = 6080;

/// How the balancer wraps packets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Encapsulation {
    /// IP in IP.
    Ipip,
    /// IP in UDP.
    Gue,
    /// IP in GRE.
    Gre,
}

impl Encapsulation {
    /// As configuration files have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ipip => "ipip",
            Self::Gue => "gue",
            Self::Gre => "gre",
        }
    }
}

/// Version of an IP header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V4 => "4",
            Self::V6 => "6",
        })
    }
}

/// A packet in a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tunnel {
    /// How.
    pub encapsulation: Encapsulation,
    /// What clients send.
    pub inner: Family,
    /// What the balancer sends.
    pub outer: Family,
}

/// Who unwraps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Decapsulator {
    /// The kernel's tunnel device.
    Device,
    /// The program of this repository.
    LbOrigin,
}

impl Display for Decapsulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Device => "device",
            Self::LbOrigin => "lb-origin",
        })
    }
}

impl Decapsulator {
    /// Makes `origin` unwrap what the balancer sends.
    ///
    /// # Errors
    /// When a command fails.
    pub fn attach(self, tunnel: Tunnel, origin: &Origin) -> Result<()> {
        match self {
            Self::LbOrigin => origin.attach(),
            Self::Device => origin.host.ip(&commands(tunnel, origin)?.make),
        }
    }

    /// Undoes it.
    ///
    /// # Errors
    /// When a command fails.
    pub fn detach(self, tunnel: Tunnel, origin: &Origin) -> Result<()> {
        match self {
            Self::LbOrigin => origin.detach(),
            Self::Device => origin.host.ip(&commands(tunnel, origin)?.remove),
        }
    }

    /// Packets it has unwrapped so far.
    ///
    /// # Errors
    /// When it is not attached.
    pub fn packets(self, tunnel: Tunnel, origin: &Origin) -> Result<u64> {
        match self {
            Self::LbOrigin => origin.packets("decapsulated"),
            Self::Device => {
                let device = commands(tunnel, origin)?.device;
                let link = origin.host.ip_json(&["-statistics", "link", "show", "dev", device])?;
                let packets = link.pointer("/0/stats64/rx/packets").and_then(Value::as_u64);
                packets.with_context(|| format!("no packets of {device} in {link}"))
            }
        }
    }
}

/// `ip` commands for one tunnel on one origin.
struct Commands {
    /// The device that counts what it unwraps.
    device: &'static str,
    make: String,
    remove: String,
}

fn commands(tunnel: Tunnel, origin: &Origin) -> Result<Commands> {
    let number = ORIGIN_NAMES.iter().position(|name| *name == origin.name());
    let number = number.with_context(|| format!("{} is no origin", origin.name()))?;
    let ends = match tunnel.outer {
        Family::V4 => (ORIGINS_V4.get(number).copied().map(IpAddr::from), BALANCER_V4.into()),
        Family::V6 => (ORIGINS_V6.get(number).copied().map(IpAddr::from), BALANCER_V6.into()),
    };
    let (Some(local), remote) = ends else { anyhow::bail!("{} has no address", origin.name()) };
    Ok(match tunnel.encapsulation {
        Encapsulation::Ipip => ip_in_ip(tunnel, local, remote),
        Encapsulation::Gue => {
            // The socket takes UDP and GUE off, and the devices of IP in IP do the rest.
            let Commands { device, make, remove } = ip_in_ip(tunnel, local, remote);
            let family = match tunnel.outer {
                Family::V4 => "",
                Family::V6 => " -6",
            };
            Commands {
                device,
                make: format!("fou add port {GUE_PORT} gue{family}\n{make}"),
                remove: format!("{remove}fou del port {GUE_PORT}{family}\n"),
            }
        }
        Encapsulation::Gre => match tunnel.outer {
            Family::V4 => pair("lbgre", "gre", local, remote),
            Family::V6 => pair("lbgre", "ip6gre", local, remote),
        },
    })
}

fn ip_in_ip(tunnel: Tunnel, local: IpAddr, remote: IpAddr) -> Commands {
    match (tunnel.inner, tunnel.outer) {
        (Family::V4, Family::V4) => ready_made("tunl0"),
        (Family::V6, Family::V4) => ready_made("sit0"),
        (Family::V6, Family::V6) => ready_made("ip6tnl0"),
        (Family::V4, Family::V6) => pair("lb46", "ip6tnl mode ipip6", local, remote),
    }
}

/// A device that its module brings, for packets from anybody.
fn ready_made(device: &'static str) -> Commands {
    Commands {
        device,
        make: format!("link set {device} up\n"),
        remove: format!("link set {device} down\n"),
    }
}

/// A device for packets from one balancer.
fn pair(device: &'static str, kind: &str, local: IpAddr, remote: IpAddr) -> Commands {
    Commands {
        device,
        make: format!(
            "link add {device} type {kind} local {local} remote {remote}\nlink set {device} up\n"
        ),
        remove: format!("link del {device}\n"),
    }
}
