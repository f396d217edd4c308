//! What the agent tells Prometheus: one row for each metric.
//!
//! The agent encodes from this table, and docs/metrics.md is generated from it. Labels are bounded
//! by the configuration: services, pools, backends and interfaces by name, never a client.

/// What kind of number it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MetricKind {
    /// It only grows, but begins anew with new maps or a new agent.
    Counter,
    /// It goes up and down.
    Gauge,
}

macro_rules! metrics {
    ($($variant:ident = $kind:ident, $name:literal, [$($label:literal),*], $help:literal;)*) => {
        /// One metric.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum Metric {
            $(#[doc = $help] $variant,)*
        }

        impl Metric {
            /// Every metric, in the order in which they are told.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Its name. Prometheus adds `_total` to the name of a counter.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// What kind of number it is.
            pub const fn kind(self) -> MetricKind {
                match self { $(Self::$variant => MetricKind::$kind,)* }
            }

            /// The names of its labels.
            pub const fn labels(self) -> &'static [&'static str] {
                match self { $(Self::$variant => &[$($label),*],)* }
            }

            /// One sentence for the operator.
            pub const fn help(self) -> &'static str {
                match self { $(Self::$variant => $help,)* }
            }
        }
    };
}

metrics! {
    AgentInfo = Gauge, "lb_agent_info", ["node", "version"], "Always 1; the labels say which agent this is.";
    AgentStartTime = Gauge, "lb_agent_start_time_seconds", [], "When the agent started, in seconds of Unix time.";
    LoopLag = Gauge, "lb_agent_loop_lag_seconds", [], "The longest that the agent's loop came late in the last minute or two; what a command may have to wait.";
    ConfigGeneration = Gauge, "lb_config_generation", [], "Generation of the running configuration, operators' commands included.";
    ConfigRefused = Counter, "lb_config_refused", [], "Configurations that were refused since the agent started, by reload or API.";
    EventsLost = Counter, "lb_events_lost", [], "Events that followers were too slow for since the agent started.";
    InterfaceAttached = Gauge, "lb_interface_attached", ["interface", "mode"], "1 where the program runs, in the driver (native) or in the stack (generic); 0 where it should and does not (none).";
    ReasonPackets = Counter, "lb_reason_packets", ["reason", "verdict"], "Packets that ended for this reason.";
    ReasonBytes = Counter, "lb_reason_bytes", ["reason", "verdict"], "Bytes of these packets as received.";
    ServicePackets = Counter, "lb_service_packets", ["service"], "Packets of a service that were forwarded.";
    ServiceBytes = Counter, "lb_service_bytes", ["service"], "Bytes of these packets as received.";
    PoolActive = Gauge, "lb_pool_active_backends", ["pool"], "Backends of a pool that take new flows.";
    PoolPanic = Gauge, "lb_pool_panic", ["pool"], "1 while so few backends of a pool are up that its checks are not believed.";
    BackendPackets = Counter, "lb_backend_packets", ["pool", "backend"], "Packets that were sent to a backend.";
    BackendBytes = Counter, "lb_backend_bytes", ["pool", "backend"], "Bytes of these packets as received.";
    BackendUp = Gauge, "lb_backend_up", ["pool", "backend"], "1 if a backend passes its checks, 0 if it fails them or has not been asked; absent without checks.";
    BackendActive = Gauge, "lb_backend_active", ["pool", "backend"], "1 if a backend takes new flows.";
    BackendWeight = Gauge, "lb_backend_weight", ["pool", "backend"], "Weight in force, 0 while drained.";
    BackendFlows = Gauge, "lb_backend_flows", ["pool", "backend"], "Flows pinned to a backend, as the last sweep found them.";
    Checks = Counter, "lb_checks", ["pool", "backend", "result"], "Results of checks (passed, failed, or `not_made`: nobody could be asked) since the agent started or the check changed.";
    CheckDuration = Gauge, "lb_check_duration_seconds", ["pool", "backend"], "How long the last check took.";
    PinsUsed = Gauge, "lb_pins_used", [], "Flows that are pinned, as the last sweep found them.";
    PinsCapacity = Gauge, "lb_pins_capacity", [], "Pins there is room for.";
    PinEvents = Counter, "lb_pin_events", ["event"], "Trouble with pins: evicted, full.";
    SlotsInTransition = Gauge, "lb_slots_in_transition", [], "Slots whose flows are pinned because their backend has changed.";
}
