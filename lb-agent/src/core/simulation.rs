//! The whole control loop in virtual time: random pools, servers that die and come back, reports,
//! commands, configurations, and crashes between any two writes.
//!
//! [`world`] is the agent's loop without its edges: the same pure parts, in the same order, on an
//! image instead of maps. [`invariants`] is what must hold whenever it has done something.

mod invariants;
mod world;

use proptest::collection::vec;
use proptest::prelude::*;

use world::{Event, World};

const SECOND_NS: u64 = 1_000_000_000;

/// What a configuration says of the one pool.
#[derive(Clone, Debug)]
struct PoolSpec {
    backends: Vec<(u16, u8)>,
    rise: u8,
    fall: u8,
    panic_threshold: u8,
    max_ejected: u8,
    hold_down_s: u8,
    failback_s: u8,
    slow_start_s: u8,
    adapt: bool,
}

impl PoolSpec {
    fn text(&self) -> String {
        let Self { rise, fall, panic_threshold, max_ejected, hold_down_s, .. } = self;
        let Self { failback_s, slow_start_s, .. } = self;
        let adapt = if self.adapt {
            "adapt: { report_port: 9000, response_time: true, floor: 20, step: 25, every: 2s },"
        } else {
            ""
        };
        let backend = |(number, (weight, tier)): (usize, &(u16, u8))| {
            format!(
                "{{ name: b{number}, address: 10.3.0.{number}, weight: {weight}, tier: {tier} }}"
            )
        };
        let backends: Vec<_> = (1..).zip(&self.backends).map(backend).collect();
        format!(
            "[{{ name: web, table_slots: 1021, {adapt} \
             health: {{ type: tcp, port: 80, interval: 1s, timeout: 500ms, rise: {rise}, \
             fall: {fall}, panic_threshold: {panic_threshold} }}, \
             failover: {{ max_ejected: {max_ejected}, hold_down: {hold_down_s}s, \
             hold_down_max: 1m, failback_delay: {failback_s}s, slow_start: {slow_start_s}s }}, \
             backends: [{}] }}]",
            backends.join(", ")
        )
    }
}

fn spec() -> impl Strategy<Value = PoolSpec> {
    let weight = prop_oneof![1 => Just(0_u16), 6 => 20..=300_u16];
    let backends = vec((weight, 0..=1_u8), 1..=6);
    let check = (1..=3_u8, 1..=3_u8, prop::sample::select(vec![0_u8, 1, 50]));
    let limits =
        (prop::sample::select(vec![1_u8, 34, 50, 100]), prop::sample::select(vec![0_u8, 5]));
    let times = (prop::sample::select(vec![0_u8, 7]), prop::sample::select(vec![0_u8, 10]));
    (backends, check, limits, times, any::<bool>()).prop_map(
        |(backends, (rise, fall, panic_threshold), (max_ejected, hold_down_s), times, adapt)| {
            let (failback_s, slow_start_s) = times;
            PoolSpec {
                backends,
                rise,
                fall,
                panic_threshold,
                max_ejected,
                hold_down_s,
                failback_s,
                slow_start_s,
                adapt,
            }
        },
    )
}

fn event() -> impl Strategy<Value = Event> {
    let backend = || 0..6_usize;
    prop_oneof![
        6 => (backend(), any::<bool>()).prop_map(|(backend, alive)| Event::Server { backend, alive }),
        2 => any::<bool>().prop_map(|alive| Event::AllServers { alive }),
        3 => (backend(), 0..=100_u8, proptest::option::of(any::<bool>()))
            .prop_map(|(backend, percent, drained)| Event::Report { backend, percent, drained }),
        2 => (backend(), 1..40_u64).prop_map(|(backend, ms)| Event::Slow { backend, ms }),
        3 => (backend(), proptest::option::of(0..=300_u16))
            .prop_map(|(backend, weight)| Event::Weight { backend, weight }),
        3 => (backend(), any::<bool>()).prop_map(|(backend, drain)| Event::Drain { backend, drain }),
        2 => spec().prop_map(Event::Configure),
        2 => Just(Event::Crash),
        3 => (0..12_usize).prop_map(|writes| Event::CrashIn { writes }),
        12 => (100..15_000_u64).prop_map(|ms| Event::Wait { ms }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn whatever_happens_the_loop_keeps_its_word(
        spec in spec(),
        events in vec(event(), 1..40),
    ) {
        let mut world = World::start(&spec);
        for event in events {
            world.happen(event);
        }
        world.calm_down();
    }
}

#[test]
fn a_rolling_restart_ends_where_it_began() {
    let spec = PoolSpec {
        backends: vec![(100, 0); 4],
        rise: 2,
        fall: 2,
        panic_threshold: 1,
        max_ejected: 50,
        hold_down_s: 5,
        failback_s: 0,
        slow_start_s: 10,
        adapt: false,
    };
    let mut world = World::start(&spec);
    for backend in 0..4 {
        for alive in [false, true] {
            world.happen(Event::Server { backend, alive });
            world.happen(Event::Wait { ms: 12_000 });
        }
    }
    // Out, in, and ten steps of its weight at most, for each of them; then the first start.
    assert!(world.changes() <= 4 * 12 + 4, "{} changes of the maps", world.changes());
    world.calm_down();
}
