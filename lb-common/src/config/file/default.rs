//! What holds when the file does not say.

use std::string::{String, ToString};

use crate::config::desired::{
    DnsRcode, DnsRecord, Encapsulation, HealthVia, Mode, Scheduler, StatusRange,
};

/// Slots of a pool's table: 655 for each of 100 backends, 64 pages of memory.
pub const TABLE_SLOTS: i64 = 65_521;
/// Weight of a backend.
pub const WEIGHT: i64 = 100;
/// Idle time-out of UDP flows.
pub const UDP_IDLE: core::time::Duration = core::time::Duration::from_secs(30);
/// The longest that a backend is held down.
pub const HOLD_DOWN_MAX: core::time::Duration = core::time::Duration::from_mins(5);
/// The seed's text if the file has none. Public: a cluster that clients must not be able to
/// aim collisions at sets its own.
pub const HASH_SEED: &str = "the seed of clusters that set none";

/// Statuses that pass an HTTP check.
pub const EXPECT_STATUS: StatusRange = StatusRange { first: 200, last: 299 };

/// Records that a DNS check asks for.
pub const DNS_RECORD: DnsRecord = DnsRecord::A;
/// Response code that passes a DNS check.
pub const DNS_RCODE: DnsRcode = DnsRcode::NoError;

/// ICMP messages of one kind a second and CPU.
pub const ICMP_PER_SECOND: i64 = 1000;

pub(in crate::config) const fn gue_port() -> i64 {
    crate::wire::gue::PORT as i64
}
pub(in crate::config) const fn mode() -> Mode {
    Mode::Auto
}
pub(in crate::config) const fn scheduler() -> Scheduler {
    Scheduler::Maglev
}
pub(in crate::config) const fn encapsulation() -> Encapsulation {
    Encapsulation::Ipip
}
pub(in crate::config) const fn table_slots() -> i64 {
    TABLE_SLOTS
}
pub(in crate::config) fn flow_idle_timeout() -> String {
    "5m".to_string()
}
pub(in crate::config) const fn weight() -> i64 {
    WEIGHT
}
pub(in crate::config) const fn via() -> HealthVia {
    HealthVia::Direct
}
pub(in crate::config) fn interval() -> String {
    "1s".to_string()
}
pub(in crate::config) fn timeout() -> String {
    "500ms".to_string()
}
pub(in crate::config) const fn rise() -> i64 {
    2
}
pub(in crate::config) const fn fall() -> i64 {
    3
}
pub(in crate::config) const fn floor() -> i64 {
    10
}
pub(in crate::config) const fn step() -> i64 {
    10
}
pub(in crate::config) fn every() -> String {
    "5s".to_string()
}
pub(in crate::config) const fn panic_threshold() -> i64 {
    1
}
