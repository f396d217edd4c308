//! The maps that candidates look up: everything the benchmark knows of the maps' layout.
//!
//! 100 services for each IP version, one pool for each, 100 backends in a pool, tables of 65,521
//! slots built by the same function as the agent's; next hops are known and lead out of the
//! interface that test-runs come in by.

#![allow(clippy::needless_update, reason = "a field that entries gain keeps its default here")]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::{Context as _, Result};
use lb_agent::core::settings::Settings;
use lb_agent::io::maps::{Maps, pin_buckets};
use lb_common::abi::{
    BackendEntry, BackendIndex, Encapsulation, Features, PINS_PER_BUCKET, Pin, PoolEntry,
    Scheduler, ServiceEntry, ServiceKey, Slot, TableRef, Ticks, address_bytes,
};
use lb_common::bench::PART_POOL;
use lb_common::config::Limits;
use lb_common::image::Image;
use lb_common::maglev::{Entry, TableInput, build};
use lb_common::wire::protocol::TCP;

use crate::fixture::{HASH_SEED, INGRESS_IFINDEX, kernel::writes};

/// VIPs of each IP version.
pub const SERVICES: u8 = 100;
/// Backends of each pool.
pub const BACKENDS: u16 = 100;
/// The pool of IPv4; that of IPv6 comes next.
#[expect(clippy::cast_possible_truncation, reason = "one of a handful of pools")]
const POOL: u16 = PART_POOL as u16;
/// Slots of each table.
pub const SLOTS: u32 = 65_521;
/// Port of every service.
pub const PORT: u16 = 80;

/// One slot in this many is in transition where some are.
const MOVING_SHARE: usize = 10;
/// Pins where the table is to be full.
const FEW_PINS: u32 = 65_536;
/// Pins where there is room: the agent's default.
const MANY_PINS: u32 = 1_048_576;
/// Room for an outer header on links of 1,500 bytes.
const MTU_BYTES: u16 = 1_600;
/// Pages between the tables of two pools: 65,521 slots, 1,024 a page.
const PAGES_PER_POOL: u32 = 64;

/// What the balancer's maps are like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Setup {
    /// Which slots are in transition.
    pub moving: Moving,
    /// Whether every place of the pin table is taken by an established flow that sends nothing.
    pub pins_full: bool,
    /// The interface that packets come in and leave by.
    pub ifindex: u32,
    /// How packets are wrapped.
    pub wrap: Wrap,
    /// Who takes new flows.
    pub scheduler: Scheduler,
}

impl Setup {
    /// Nothing is changing: the ordinary case.
    pub const CLEAN: Self = Self {
        moving: Moving::None,
        pins_full: false,
        ifindex: INGRESS_IFINDEX,
        wrap: Wrap::Ipip,
        scheduler: Scheduler::Maglev,
    };

    /// Sizes of its maps.
    pub const fn limits(self) -> Limits {
        Limits {
            services: 1_024,
            pools: 16,
            backends: 1_024,
            table_slots: 256 * 1_024,
            pins: if self.pins_full { FEW_PINS } else { MANY_PINS },
            fragments: 1_024,
        }
    }
}

/// Which slots are in transition, with a previous backend that is still usable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Moving {
    /// None.
    None,
    /// One in ten.
    Tenth,
    /// Every one.
    All,
}

/// How packets are wrapped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wrap {
    /// IP in IP.
    Ipip,
    /// GUE.
    Gue,
    /// GRE.
    Gre,
    /// Link-layer addresses alone.
    L2,
}

impl Wrap {
    const fn encapsulation(self, is_v4: bool) -> Encapsulation {
        match (self, is_v4) {
            (Self::Ipip, true) => Encapsulation::IpipV4,
            (Self::Ipip, false) => Encapsulation::IpipV6,
            (Self::Gue, true) => Encapsulation::GueV4,
            (Self::Gue, false) => Encapsulation::GueV6,
            (Self::Gre, true) => Encapsulation::GreV4,
            (Self::Gre, false) => Encapsulation::GreV6,
            (Self::L2, _) => Encapsulation::L2,
        }
    }

    const fn features(self) -> Features {
        match self {
            Self::Ipip => Features(0),
            Self::Gue => Features::GUE,
            Self::Gre => Features::GRE,
            Self::L2 => Features::L2,
        }
    }
}

impl Setup {
    /// What the balancer is loaded with: no more than these maps need.
    pub fn settings(self) -> Settings {
        let by_scheduler = match self.scheduler {
            Scheduler::Maglev => Features(0),
            Scheduler::SourceHash => Features::SOURCE_HASH,
            Scheduler::Rotation | Scheduler::Random | Scheduler::LeastConnections => {
                Features::SCHEDULERS
            }
        };
        Settings { features: self.wrap.features().with(by_scheduler), ..Settings::default() }
    }
}

/// One IP version's half of the maps.
struct Half {
    pool: u16,
    first_backend: u16,
    address_of: fn(u16) -> IpAddr,
    outer_source: IpAddr,
}

const V4: Half = Half {
    pool: POOL,
    first_backend: 1,
    address_of: |number| IpAddr::V4(Ipv4Addr::from_bits(0x0a03_0000 | u32::from(number))),
    outer_source: IpAddr::V4(Ipv4Addr::new(10, 2, 0, 2)),
};

const V6: Half = Half {
    pool: POOL + 1,
    first_backend: 1 + BACKENDS,
    address_of: |number| IpAddr::V6(Ipv6Addr::new(0xfd00, 3, 0, 0, 0, 0, 0, number)),
    outer_source: IpAddr::V6(Ipv6Addr::new(0xfd00, 2, 0, 0, 0, 0, 0, 2)),
};

/// The VIP of IPv4 service number `number`.
pub const fn vip_v4(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(203, 0, 113, number)
}

/// The VIP of IPv6 service number `number`.
pub const fn vip_v6(number: u8) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, number as u16)
}

/// What the maps hold.
///
/// # Errors
/// The table cannot be built.
pub fn image(setup: Setup) -> Result<Image> {
    let mut image = Image::default();
    for half in [V4, V6] {
        put_half(&mut image, &half, setup)?;
    }
    for number in 0..SERVICES {
        let service = u32::from(number);
        put_service(&mut image, vip_v4(number).into(), V4.pool.into(), service);
        put_service(
            &mut image,
            vip_v6(number).into(),
            V6.pool.into(),
            u32::from(SERVICES) + service,
        );
    }
    Ok(image)
}

/// Fills empty maps from an image, and the pin table as the setup wants it.
///
/// # Errors
/// The kernel refuses.
pub fn fill(maps: &mut Maps, image: &Image, setup: Setup) -> Result<()> {
    for op in writes(image) {
        maps.execute(&op).context("filling the maps")?;
    }
    if setup.pins_full {
        let places = pin_buckets(&setup.limits()) as usize * PINS_PER_BUCKET;
        let backend = backend_index(V4.first_backend)?;
        for (place, number) in (0..places).zip(1_u64..) {
            // Tags no flow of a workload has but by chance, 8 in 2^32.
            let pin =
                Pin::new(number.wrapping_mul(0x9e37_79b9_7f4a_7c15), backend, Ticks::default());
            maps.replace_pin(place, Pin::EMPTY, pin);
        }
    }
    Ok(())
}

fn put_half(image: &mut Image, half: &Half, setup: Setup) -> Result<()> {
    let names: Vec<String> = (0..BACKENDS).map(|number| format!("web-{number}")).collect();
    for number in 0..BACKENDS {
        let index = backend_index(half.first_backend + number)?;
        image.backends.insert(index, half.backend(number, setup));
    }
    let entries: Vec<_> = names.iter().map(|name| Entry { name, weight: 100 }).collect();
    let input = TableInput { pool: "web", slots: SLOTS, seed: HASH_SEED, entries: &entries };
    let owners = build(&input).context("building the table")?;
    let slots: Vec<Slot> = (0..)
        .zip(owners)
        .map(|(slot, owner)| half.slot(slot, owner, setup))
        .collect::<Result<_>>()?;
    let first_page = u32::from(half.pool) * PAGES_PER_POOL;
    image.put_table(first_page, &slots);
    let entry = PoolEntry {
        table: TableRef::new(first_page, SLOTS),
        name_hash: u64::from(half.pool),
        // A long one: what counts is that it is stepped through.
        rotation: TableRef::new(first_page, SLOTS),
        scheduler: setup.scheduler.code(),
        ..PoolEntry::default()
    };
    image.pools.insert(half.pool.into(), entry);
    Ok(())
}

fn put_service(image: &mut Image, vip: IpAddr, pool: u32, service: u32) {
    let entry = ServiceEntry { pool, service, name_hash: 1, ..ServiceEntry::default() };
    image.services.insert(ServiceKey::new(vip, TCP, PORT), entry);
}

impl Half {
    fn backend(&self, number: u16, setup: Setup) -> BackendEntry {
        let [high, low] = number.to_be_bytes();
        BackendEntry {
            next_hop_mac: [2, 0xbb, 0, 0, high, low],
            mtu_bytes: MTU_BYTES,
            source_mac: [2, 0xee, 0, 0, 0, 1],
            encapsulation: setup.wrap.encapsulation(self.outer_source.is_ipv4()).code(),
            flags: BackendEntry::NEXT_HOP_KNOWN | BackendEntry::USABLE | BackendEntry::ACCEPTS_NEW,
            outer_destination: address_bytes((self.address_of)(number)).0,
            outer_source: address_bytes(self.outer_source).0,
            egress_ifindex: setup.ifindex,
            pool: self.pool,
            weight: 100,
            name_hash: u64::from(number) + 1,
            ..BackendEntry::default()
        }
    }

    /// Slot number `slot`, which the table gives to backend number `owner` of the pool.
    fn slot(&self, slot: usize, owner: u32, setup: Setup) -> Result<Slot> {
        let owner = u16::try_from(owner).context("more backends than there can be")?;
        let current = backend_index(self.first_backend + owner)?;
        let moving = match setup.moving {
            Moving::None => false,
            Moving::Tenth => slot.is_multiple_of(MOVING_SHARE),
            Moving::All => true,
        };
        if !moving {
            return Ok(Slot::clean(current));
        }
        let previous = backend_index(self.first_backend + (owner + 1) % BACKENDS)?;
        Ok(Slot::in_transition(current, previous))
    }
}

fn backend_index(index: u16) -> Result<BackendIndex> {
    BackendIndex::new(index).context("a backend index out of range")
}

const _: () = assert!(SLOTS <= PAGES_PER_POOL * 1_024);
