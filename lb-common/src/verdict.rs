//! Where packets end: one reason per way out of the pipeline, one counter per reason.
//!
//! Counters, metrics, `lb-ctl status` and docs/metrics.md are all made from these enums.

/// What becomes of the frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// The kernel goes on with it, untouched (for lb-origin: decapsulated or untouched).
    Pass,
    /// Out of the interface it came in by.
    Tx,
    /// Out of another interface.
    Redirect,
    /// Dropped.
    Drop,
}

impl Verdict {
    /// The name used in metrics, tables and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Tx => "tx",
            Self::Redirect => "redirect",
            Self::Drop => "drop",
        }
    }
}

macro_rules! reasons {
    ($(#[$meta:meta])* $name:ident { $($variant:ident = $verdict:ident, $slug:literal, $help:literal;)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[repr(u32)]
        pub enum $name {
            $(#[doc = $help] $variant,)*
        }

        impl $name {
            /// Every reason, in the order of their counters.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Number of reasons, and so of counters.
            #[expect(clippy::cast_possible_truncation, reason = "a handful of variants")]
            pub const COUNT: u32 = Self::ALL.len() as u32;

            /// Place of the reason's counter.
            #[inline]
            pub const fn index(self) -> u32 {
                self as u32
            }

            /// What becomes of a packet that ends for this reason.
            #[inline]
            pub const fn verdict(self) -> Verdict {
                match self { $(Self::$variant => Verdict::$verdict,)* }
            }

            /// The name used in metrics, tables and JSON.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $slug,)* }
            }

            /// One sentence for the operator.
            pub const fn help(self) -> &'static str {
                match self { $(Self::$variant => $help,)* }
            }
        }
    };
}

reasons! {
    /// Why the balancer let a packet go the way it went.
    Reason {
        Forwarded = Tx, "forwarded", "Sent towards its backend.";
        Redirected = Redirect, "redirected", "Sent towards its backend by another interface.";
        EchoAnswered = Tx, "echo_answered", "An ICMP echo to a VIP, answered.";
        TooBigReported = Tx, "too_big_reported", "Too large for the path to the backend; the sender was told the size that fits.";
        HopLimitReported = Tx, "hop_limit_reported", "No hop left for the way to the backend; the sender was told.";
        NotIp = Pass, "not_ip", "Neither IPv4 nor IPv6 (ARP, LLDP, more than two VLAN tags).";
        Malformed = Pass, "malformed", "An IP or transport header is cut short or contradicts itself.";
        OtherProtocol = Pass, "other_protocol", "Neither TCP nor UDP, nor an ICMP message that concerns a service.";
        NoService = Pass, "no_service", "No service has this address, protocol and port.";
        Truncated = Drop, "truncated", "For a service, but the frame ends before the IP packet does.";
        NoBackend = Drop, "no_backend", "The service's pool has no backend that takes traffic.";
        NextHopUnknown = Drop, "next_hop_unknown", "The backend's next hop has not been resolved.";
        WrongInterface = Drop, "wrong_interface", "The backend is reached through an interface that the balancer does not send by.";
        FragmentUnknown = Drop, "fragment_unknown", "A fragment for a VIP whose first fragment has not been seen: it carries no ports.";
        TooBig = Drop, "too_big", "Too large for the path to the backend; the sender could not be told.";
        HopLimit = Drop, "hop_limit", "No hop left for the way to the backend; the sender could not be told.";
        EchoLimited = Drop, "echo_limited", "An ICMP echo to a VIP above the rate that is answered.";
        NoHeadroom = Drop, "no_headroom", "The driver left no room in front of the frame.";
    }
}

/// What the balancer itself says in a VIP's name; each kind has a budget of its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Reply {
    /// ICMP errors.
    Error,
    /// Echo replies.
    Echo,
}

impl Reply {
    /// Every kind, in the order of their budgets.
    pub const ALL: [Self; 2] = [Self::Error, Self::Echo];
    /// Number of kinds.
    pub const COUNT: u32 = 2;

    /// Place of the kind's budget.
    #[inline]
    pub const fn index(self) -> u32 {
        self as u32
    }
}

reasons! {
    /// Why lb-origin let a packet go the way it went.
    OriginReason {
        NotTunnelled = Pass, "not_tunnelled", "Ordinary traffic.";
        Decapsulated = Pass, "decapsulated", "Outer headers removed: for a VIP, from a balancer.";
        UnknownSource = Drop, "unknown_source", "Tunnelled by an address that is no configured balancer.";
        UnknownVip = Drop, "unknown_vip", "Tunnelled, but the inner destination is no configured VIP.";
        MalformedTunnel = Drop, "malformed_tunnel", "Tunnelled, but a header is cut short or contradicts itself.";
        FragmentedTunnel = Drop, "fragmented_tunnel", "A fragment of a tunnelled packet.";
        CongestionLost = Drop, "congestion_lost", "Marked as congested on the way, but its sender cannot be told so (RFC 6040).";
    }
}

/// What can go wrong when a flow is to be pinned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum PinEvent {
    /// A pin of a connection that never went on gave way to another flow's.
    Evicted,
    /// No place for a flow: its bucket is full of established ones.
    Full,
}

impl PinEvent {
    /// Every event, in the order of their counters.
    pub const ALL: [Self; 2] = [Self::Evicted, Self::Full];
    /// Number of events, and so of counters.
    pub const COUNT: u32 = 2;

    /// Place of the event's counter.
    #[inline]
    pub const fn index(self) -> u32 {
        self as u32
    }

    /// The name used in metrics, tables and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Evicted => "evicted",
            Self::Full => "full",
        }
    }

    /// One sentence for the operator.
    pub const fn help(self) -> &'static str {
        match self {
            Self::Evicted => "An unconfirmed connection's pin gave way to a newer one's.",
            Self::Full => "A flow found no room for its pin; it may move when its slot settles.",
        }
    }
}

#[cfg(test)]
mod tests;
