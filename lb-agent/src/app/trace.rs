//! `trace`: where the loaded program sends a packet, and why.
//!
//! The verdict is the kernel's: the program itself runs once on a made-up frame. The steps come
//! from the same pipeline run here over what the maps are known to hold, with every look-up noted.
//! The two must agree; that they do is part of the answer.

use std::cell::RefCell;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use lb_common::abi::{BackendIndex, PoolEntry, Scheduler};
use lb_common::api::{Trace, TraceRequest, TraceStep};
use lb_common::config::Protocol;
use lb_common::datapath::{Context, classify, pool_hash, process, slot_number};
use lb_common::image::{Buffer, Lookups, Recorder, State};
use lb_common::verdict::Verdict;
use lb_common::wire::Ports;
use lb_common::wire::ethernet::{self, Ethernet};
use lb_common::wire::ipv4::{self, Ipv4};
use lb_common::wire::ipv6::Ipv6;
use zerocopy::FromBytes;
use zerocopy::IntoBytes;
use zerocopy::big_endian::{U16, U32};

use super::agent::Agent;
use super::views;
use crate::core::way::Way;
use crate::io::api_server::Answer;
use crate::io::clock;

/// Room in front of the frame, as XDP drivers leave (`XDP_PACKET_HEADROOM`).
const HEADROOM: usize = 256;

impl Agent {
    /// Traces one packet.
    pub(super) fn trace(&self, request: &TraceRequest) -> Answer {
        let protocol = protocol(&request.protocol)?;
        let frame = frame(request.source, request.destination, protocol)?;
        // Any attached interface: they all run the same program.
        let ifindex = self.attachments.iter().next().map_or(0, |(_, each)| each.ifindex);
        let context = Context {
            hash_seed: self.desired.hash_seed,
            ingress_ifindex: ifindex,
            features: self.settings.features,
        };

        // A copy: what the rules would do to the pins, they do to this one.
        let state = self.state_copy();
        let tables = Recorder::new(&self.observed, &state, clock::monotonic_ns());
        let mut modelled = Buffer::new(&frame, HEADROOM);
        let reason = process(&mut modelled, &tables, &context);
        let lookups = tables.take_lookups();

        let outcome = self.datapath.test_run(&frame, ifindex).map_err(|error| {
            let title = "the loaded program could not be run";
            let detail = Some(format!("{error}: {}", error.cure()));
            lb_common::api::Problem { detail, ..views::problem("internal", 500, title) }
        })?;
        // Who is next in turn depends on what other packets have done meanwhile.
        let placed = lookups.pool.is_some_and(|(_, pool)| scheduler(&pool).pins_every_flow());
        let model_agrees = outcome.verdict == Some(reason.verdict())
            && (placed || outcome.frame == modelled.as_slice());
        let verdict = outcome.verdict.map_or("unknown", Verdict::name);
        let backend = lookups.backend.map(|(index, _)| self.backend_name(index));
        let mut steps = self.steps(&frame, &lookups, &context);
        steps.push(step("verdict", format!("{verdict}: {}", reason.help())));
        let trace = Trace {
            verdict: verdict.to_owned(),
            reason: reason.name().to_owned(),
            help: reason.help().to_owned(),
            service: lookups.service.map(|(_, entry)| self.service_name(entry.service)),
            backend: backend.filter(|_| leaves(outcome.verdict)),
            outer_destination: leaves(outcome.verdict)
                .then(|| outer_destination(&outcome.frame))
                .flatten(),
            steps,
            model_agrees,
        };
        views::item(self, "Trace", trace)
    }

    /// What the program keeps for itself, as it is now.
    fn state_copy(&self) -> State {
        let maps = &self.datapath.maps;
        let mut state = State::from_pins(maps.pins());
        self.settings.put_into(&mut state);
        #[expect(clippy::cast_possible_truncation, reason = "the program, too, takes the low half")]
        let turns = self.observed.pools.keys().map(|index| (*index, maps.turn(*index) as u32));
        state.turns = RefCell::new(turns.collect());
        let loads = self.observed.backends.keys().map(|index| (*index, maps.load(*index)));
        state.loads = RefCell::new(loads.collect());
        state
    }

    fn steps(&self, frame: &[u8], lookups: &Lookups, context: &Context) -> Vec<TraceStep> {
        let mut steps = Vec::new();
        let Some((key, service)) = lookups.service else {
            steps.push(step("service", "no service has this address, protocol and port"));
            return steps;
        };
        let any_port = if key == key.any_port() { " (any port)" } else { "" };
        steps.push(step("service", format!("{}{any_port}", self.service_name(service.service))));
        if let Some((index, pool)) = lookups.pool {
            let name = self
                .desired
                .pools
                .keys()
                .find(|name| self.derived.naming.ids.pool(name) == Some(index));
            let name = name.map_or("?", String::as_str);
            let slots = pool.table.slots();
            steps.push(step("pool", format!("{name}, a table of {slots} slots")));
            let scheduler = scheduler(&pool);
            let configured = self.desired.pools.get(name).map_or("?", |pool| pool.scheduler.name());
            let how = if scheduler.pins_every_flow() { "places each new flow" } else { "by slot" };
            steps.push(step("scheduler", format!("{configured}, {how}")));
            if let Ok(packet) = classify(&Buffer::new(frame, 0)) {
                let hash = pool_hash(context, &pool, &packet.flow);
                let number = slot_number(scheduler, hash, slots);
                steps.push(step("hash", format!("{hash:#018x}, slot {number}")));
                let slot = self.observed.slot(pool.table, number);
                let state = if slot.consult() { "in transition" } else { "clean" };
                let current = self.backend_name(slot.current());
                steps.push(step("slot", format!("{state}, current backend {current}")));
            }
        }
        if let Some((index, entry)) = lookups.backend {
            steps.push(step("backend", self.backend_name(index)));
            steps.extend(self.next_hop_step(index));
            if entry.egress_ifindex != context.ingress_ifindex {
                let name = |index| self.interface_name(index);
                let (to, from) = (name(entry.egress_ifindex), name(context.ingress_ifindex));
                steps.push(step("redirect", format!("in by {from}, out by {to}")));
            }
        }
        steps
    }

    fn interface_name(&self, ifindex: u32) -> String {
        let attached = self.attachments.iter().find(|(_, each)| each.ifindex == ifindex);
        let on_a_way = self.ways.values().find_map(|way| match way {
            Way::Known { link, .. } if link.index == ifindex => Some(&link.name),
            Way::Known { .. } | Way::Unknown { .. } => None,
        });
        let name = attached.map(|(name, _)| name).or(on_a_way);
        name.cloned().unwrap_or_else(|| format!("interface {ifindex}"))
    }

    fn next_hop_step(&self, index: BackendIndex) -> Option<TraceStep> {
        let (pool, name) = self.find_backend(index)?;
        let backend = self.desired.pools.get(pool)?.backends.get(name)?;
        let way = views::next_hop(self, pool, backend.address);
        let detail = way.problem.unwrap_or_else(|| {
            format!(
                "{} by {} ({}) on {}, MTU {}",
                backend.address,
                way.gateway.map(|gateway| gateway.to_string()).unwrap_or_default(),
                way.mac.unwrap_or_default(),
                way.interface.unwrap_or_default(),
                way.mtu_bytes.unwrap_or_default(),
            )
        });
        Some(step("next_hop", detail))
    }

    fn find_backend(&self, index: BackendIndex) -> Option<(&str, &str)> {
        let (pool, name) = self.derived.naming.backends.get(&index)?;
        Some((pool, name))
    }

    fn backend_name(&self, index: BackendIndex) -> String {
        match self.find_backend(index) {
            Some((pool, name)) => format!("{pool}/{name}"),
            None => "none".to_owned(),
        }
    }

    fn service_name(&self, index: u32) -> String {
        let mut names = self.desired.services.keys();
        let name = names.find(|name| self.derived.naming.ids.service(name) == Some(index));
        name.cloned().unwrap_or_else(|| "?".to_owned())
    }
}

const fn scheduler(pool: &PoolEntry) -> Scheduler {
    Scheduler::from_code(pool.scheduler)
}

const fn leaves(verdict: Option<Verdict>) -> bool {
    matches!(verdict, Some(Verdict::Tx | Verdict::Redirect))
}

fn step(step: &str, detail: impl Into<String>) -> TraceStep {
    TraceStep { step: step.to_owned(), detail: detail.into() }
}

fn protocol(name: &str) -> Result<Protocol, lb_common::api::Problem> {
    [Protocol::Tcp, Protocol::Udp].into_iter().find(|known| known.name() == name).ok_or_else(|| {
        let title = format!("protocol {name:?} is neither tcp nor udp");
        views::problem("invalid_request", 400, title)
    })
}

/// A frame as a router would send it: SYN or an empty datagram, checksums left at zero, since the
/// program does not look at them.
fn frame(
    source: SocketAddr,
    destination: SocketAddr,
    protocol: Protocol,
) -> Result<Vec<u8>, lb_common::api::Problem> {
    let ports =
        Ports { source: U16::new(source.port()), destination: U16::new(destination.port()) };
    let mut transport = ports.as_bytes().to_vec();
    transport.extend_from_slice(match protocol {
        // Sequence and acknowledgement numbers, data offset 5, SYN, window, checksum, urgent.
        Protocol::Tcp => &[0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0x02, 0xff, 0xff, 0, 0, 0, 0],
        Protocol::Udp => &[0, 8, 0, 0],
    });
    match (source.ip(), destination.ip()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            Ok(with_ipv4(source, destination, protocol, &transport))
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            Ok(with_ipv6(source, destination, protocol, &transport))
        }
        _ => Err(views::problem("invalid_request", 400, "source and destination differ in family")),
    }
}

fn with_ipv4(source: Ipv4Addr, destination: Ipv4Addr, protocol: Protocol, rest: &[u8]) -> Vec<u8> {
    let mut header = Ipv4 {
        version_ihl: 0x45,
        type_of_service: 0,
        total_length: U16::new(u16::try_from(ipv4::HEADER_BYTES + rest.len()).unwrap_or(u16::MAX)),
        identification: U16::ZERO,
        fragment: U16::new(ipv4::DONT_FRAGMENT),
        time_to_live: 64,
        protocol: protocol.number(),
        checksum: U16::ZERO,
        source: source.octets(),
        destination: destination.octets(),
    };
    header.checksum = ipv4::checksum(&header);
    [ethernet_to(ethernet::TYPE_IPV4).as_bytes(), header.as_bytes(), rest].concat()
}

fn with_ipv6(source: Ipv6Addr, destination: Ipv6Addr, protocol: Protocol, rest: &[u8]) -> Vec<u8> {
    let header = Ipv6 {
        version_class_label: U32::new(6 << 28),
        payload_length: U16::new(u16::try_from(rest.len()).unwrap_or(u16::MAX)),
        next_header: protocol.number(),
        hop_limit: 64,
        source: source.octets(),
        destination: destination.octets(),
    };
    [ethernet_to(ethernet::TYPE_IPV6).as_bytes(), header.as_bytes(), rest].concat()
}

fn ethernet_to(ethertype: u16) -> Ethernet {
    Ethernet { destination: [0; 6], source: [0; 6], ethertype: U16::new(ethertype) }
}

/// The destination of the outer header of a forwarded frame.
fn outer_destination(frame: &[u8]) -> Option<IpAddr> {
    let (front, rest) = Ethernet::ref_from_prefix(frame).ok()?;
    match front.ethertype.get() {
        ethernet::TYPE_IPV4 => {
            Ipv4::ref_from_prefix(rest).ok().map(|(ip, _)| IpAddr::from(ip.destination))
        }
        ethernet::TYPE_IPV6 => {
            Ipv6::ref_from_prefix(rest).ok().map(|(ip, _)| IpAddr::from(ip.destination))
        }
        _ => None,
    }
}
