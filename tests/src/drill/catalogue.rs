//! Every drill. To add one: a row in [`DRILLS`], and what it does in a file beside this one.

use std::time::Duration;

use super::{Bound, Drill, Failures, agents, backends, changes, network};
use crate::topology::HEALTH_PATH;
use crate::topology::configuration::{WEIGHT, web};

/// How the drills' backends are checked.
const INTERVAL_MS: u64 = 100;
const TIMEOUT_MS: u64 = 50;
const RISE: u64 = 2;
const FALL: u64 = 2;
/// What the balancer itself may take besides.
const ITSELF_MS: u64 = 50;
/// Until nothing is sent to a backend that fails its checks.
const FOUND_OUT: Duration = ms(FALL * INTERVAL_MS + TIMEOUT_MS + ITSELF_MS);
/// Until a backend that passes them again is used again.
const TAKEN_BACK: Duration = ms(RISE * INTERVAL_MS + TIMEOUT_MS + ITSELF_MS);
/// Until a command of an operator holds: `lb-ctl` has to start, and the agent to answer.
const COMMAND: Duration = ms(250);
/// Until a reload holds, and a client has been told.
const RELOAD: Duration = ms(500);
/// Until the next agent has come to what the file says; its kernel has to verify the programs.
const RESTART: Duration = ms(2000);
/// The same with 1,200 backends and 60 large tables to build.
const LARGE_RESTART: Duration = ms(4000);
/// Until the kernel has found the next hop again, for which it asks once a second, and the agent has
/// followed.
const NEXT_HOP_FOUND: Duration = ms(1250);
/// Until the agent has followed a next hop that says where it is.
const NEXT_HOP_FOLLOWED: Duration = ms(150);

/// One backend dies.
const SECOND_DIES: Bound = dies(&["origin2"]);

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// These fail their checks, and their own connections may break.
const fn dies(of: &'static [&'static str]) -> Bound {
    Bound { failures: Failures::AfterHarm(FOUND_OUT), of, settled: FOUND_OUT }
}

/// Everything fails until it is mended, and for this time after that.
const fn outage(of: &'static [&'static str], settled: Duration) -> Bound {
    Bound { failures: Failures::AfterMend(settled), of, settled }
}

/// A drill that begins with everything in order.
const fn drill(
    name: &'static str,
    bound: Bound,
    configuration: fn() -> String,
    act: super::Act,
) -> Drill {
    Drill { name, bound, configuration, prepare: None, act }
}

/// All of them.
pub const DRILLS: &[Drill] = &[
    drill("backend process killed", SECOND_DIES, checked, backends::killed),
    drill("backend host cut", SECOND_DIES, checked, backends::cut_off),
    drill("slow backend", SECOND_DIES, checked, backends::slow),
    drill("flapping backend", SECOND_DIES, hardly_held, backends::flapping),
    drill(
        "all backends down",
        outage(&["origin1", "origin2", "origin3"], TAKEN_BACK),
        checked,
        backends::all_down,
    ),
    drill("bad deploy", Bound::nothing(FOUND_OUT), cautious, backends::bad_deploy),
    drill("primary tier lost", dies(&["origin1", "origin2"]), tiers, backends::primaries_lost),
    Drill {
        name: "primary tier back",
        bound: Bound::nothing(TAKEN_BACK),
        configuration: tiers,
        prepare: Some(backends::without_primaries),
        act: backends::primaries_back,
    },
    drill("link to the router lost", outage(&[], NEXT_HOP_FOUND), checked, network::link_lost),
    drill(
        "next-hop MAC changed",
        outage(&[], NEXT_HOP_FOLLOWED),
        checked,
        network::next_hop_changed,
    ),
    drill(
        "agent killed -9 in a plan",
        Bound::nothing(LARGE_RESTART),
        checked,
        agents::killed_in_plans,
    ),
    drill("agent upgraded", Bound::nothing(RESTART), checked, agents::upgraded),
    drill("configuration reloaded 100 times", Bound::nothing(RELOAD), checked, changes::reloaded),
    drill("backend drained", Bound::nothing(COMMAND), checked, changes::drained),
    drill("backend re-weighted", Bound::nothing(COMMAND), checked, changes::weighed),
];

/// The same harm to balancers that lack what would avert it: none of these may keep its bound, or the
/// bounds prove nothing.
pub const SABOTAGED: &[Drill] = &[
    drill("backend killed, no checks", SECOND_DIES, unchecked, backends::killed),
    drill("backend cut, late checks", SECOND_DIES, seldom_checked, backends::cut_off),
    drill("bad deploy, no threshold", Bound::nothing(FOUND_OUT), reckless, backends::bad_deploy),
    drill("drained, no transition", Bound::nothing(COMMAND), forgetful, changes::drained),
    drill(
        "killed -9, then detached",
        Bound::nothing(RESTART),
        checked,
        agents::killed_and_detached,
    ),
];

fn unchecked() -> String {
    web([WEIGHT; 3])
}

/// The usual pool, checked.
pub(super) fn checked() -> String {
    checked_text(&unchecked())
}

/// The first pool of `text` with the drills' check.
pub(super) fn checked_text(text: &str) -> String {
    let pool = "- name: web\n";
    let health = format!(
        "health: {{ type: http, path: {HEALTH_PATH}, interval: {INTERVAL_MS}ms, \
         timeout: {TIMEOUT_MS}ms, rise: {RISE}, fall: {FALL} }}"
    );
    text.replacen(pool, &format!("{pool}    {health}\n"), 1)
}

/// Backends that flap are held for a second at most.
fn hardly_held() -> String {
    let failover = "failover: { hold_down: 250ms, hold_down_max: 1s }";
    checked().replacen("- name: web\n", &format!("- name: web\n    {failover}\n"), 1)
}

/// Checks that find out later than the bound says.
fn seldom_checked() -> String {
    checked().replace(&format!("fall: {FALL} }}"), "fall: 6 }")
}

/// Checks are always believed.
fn reckless() -> String {
    checked().replacen(" }\n    backends", ", panic_threshold: 0 }\n    backends", 1)
}

/// Flows are not remembered while tables change.
fn forgetful() -> String {
    checked().replacen("- name: web\n", "- name: web\n    flow_idle_timeout: 0s\n", 1)
}

/// Checks are not believed as soon as one of three backends fails them.
fn cautious() -> String {
    checked().replacen(" }\n    backends", ", panic_threshold: 70 }\n    backends", 1)
}

/// The third origin is a standby.
fn tiers() -> String {
    let third = "name: origin3,";
    checked().replacen(third, &format!("{third} tier: 1,"), 1)
}
