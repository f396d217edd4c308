//! Ranges that the schema and the validation share.

use core::ops::RangeInclusive;

use crate::abi::{BackendIndex, PoolEntry};

/// Weight of a backend.
pub const WEIGHT: RangeInclusive<u32> = 0..=crate::config::Weight::MAX as u32;
/// Tier of a backend.
pub const TIER: RangeInclusive<u32> = 0..=255;
/// A port that must be one port.
pub const PORT: RangeInclusive<u32> = 1..=65_535;
/// A port of a service, 0 being any.
pub const SERVICE_PORT: RangeInclusive<u32> = 0..=65_535;
/// Slots of a pool's table.
pub const TABLE_SLOTS: RangeInclusive<u32> = 251..=16_777_213;
/// Successes or failures in a row that turn a backend's health.
pub const STREAK: RangeInclusive<u32> = 1..=100;
/// Shares of a whole.
pub const PERCENT: RangeInclusive<u32> = 0..=100;
/// Shares that are never none.
pub const SHARE: RangeInclusive<u32> = 1..=100;
/// Percent points of a change of weight that is worth one.
pub const STEP: RangeInclusive<u32> = 5..=100;
/// Time between two changes of weights, milliseconds.
pub const EVERY_MS: RangeInclusive<u64> = 1000..=3_600_000;
/// Slow start, and the first time that a backend is held down, milliseconds.
pub const SLOW_MS: RangeInclusive<u64> = 0..=3_600_000;
/// Delay of failback, and the longest that a backend is held down, milliseconds.
pub const DELAY_MS: RangeInclusive<u64> = 0..=86_400_000;
/// Interval and timeout of a health check, milliseconds.
pub const CHECK_TIME_MS: RangeInclusive<u64> = 10..=3_600_000;
/// HTTP statuses.
pub const STATUS: RangeInclusive<u16> = 100..=599;
/// Bytes of a Host header.
pub const HOST_BYTES: RangeInclusive<usize> = 1..=255;
/// Bytes of the name of a gRPC service.
pub const SERVICE_BYTES: RangeInclusive<usize> = 0..=1024;
/// Words of a command.
pub const COMMAND_WORDS: RangeInclusive<usize> = 1..=64;
/// Bytes of the name of a user.
pub const USER_BYTES: RangeInclusive<usize> = 1..=32;
/// Bytes of the name of a host.
pub const HOST_NAME_BYTES: RangeInclusive<usize> = 1..=253;
/// Bytes of a text that an answer must have, or of a word that is sent.
pub const TEXT_BYTES: RangeInclusive<usize> = 1..=1024;
/// Characters of a hash seed.
pub const HASH_SEED_CHARS: RangeInclusive<usize> = 16..=1024;
/// Entries of the service map.
pub const SERVICES: RangeInclusive<u32> = 1..=1_048_576;
/// Pools.
pub const POOLS: RangeInclusive<u32> = 1..=65_536;
/// Backends: every index a slot can hold, but one that is kept free.
pub const BACKENDS: RangeInclusive<u32> = 1..=BackendIndex::MAX as u32 - 1;
/// Pins: up to 1 GiB.
pub const PINS: RangeInclusive<u32> = 8..=134_217_728;
/// Datagrams in fragments: up to 1 GiB.
pub const FRAGMENTS: RangeInclusive<u32> = 8..=134_217_728;
/// Prefix lengths of outer sources: none so short that it holds anything but hosts.
pub const SOURCE_BITS_V4: RangeInclusive<u8> = 8..=32;
/// The same of IPv6.
pub const SOURCE_BITS_V6: RangeInclusive<u8> = 16..=128;
/// ICMP messages of one kind a second and CPU; 0 for none.
pub const ICMP_PER_SECOND: RangeInclusive<u32> = 0..=1_000_000;
/// QUIC-LB configurations: the eighth code says that a connection id names no server.
pub const QUIC_CONFIG_ID: RangeInclusive<u32> = 0..=6;
const _: () = assert!(PoolEntry::QUIC_CONFIGS == 7, "one for each of them");
/// Bytes of a QUIC server id.
pub const QUIC_SERVER_ID_BYTES: RangeInclusive<u32> = 1..=15;
/// Idle time-outs of flows, milliseconds; pins keep time modulo 9.8 hours.
pub const FLOW_IDLE_MS: RangeInclusive<u64> = 0..=7_200_000;
/// Slots of all tables: up to 1 GiB.
pub const ALL_TABLE_SLOTS: RangeInclusive<u32> = 1..=268_435_456;
