//! Events: every change of state that an operator may want to know of, with its reason.
//!
//! The agent keeps the last ones and serves them as a list or, line by line, as they happen. Log
//! line and event are made from the same value. docs/events.md is generated from [`EventKind`].

use std::string::String;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Severity;

/// `GET /v1/events`: one change of state.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Event {
    /// Number of the event. Later ones have larger numbers, those of a restarted agent included;
    /// `since` of a request takes it.
    pub sequence: u64,
    /// When, RFC 3339 with milliseconds.
    pub at: String,
    /// Generation of the configuration from then on.
    pub generation: u64,
    /// What happened.
    pub kind: EventKind,
    /// To what: `backend web/web-1`, `pool web`, `interface eth0`, `next_hop 10.2.0.1`, `agent`,
    /// `configuration`, `slots`, `events`.
    pub object: String,
    /// What was before, if that can be said.
    pub from: Option<String>,
    /// What is now, if that can be said.
    pub to: Option<String>,
    /// Why, in words.
    pub reason: String,
}

/// `GET /v1/events?since=SEQUENCE&follow=true`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventsQuery {
    /// Only later events than the one of this number.
    #[serde(default)]
    pub since: Option<u64>,
    /// Stay, and give one event a line as they happen.
    #[serde(default)]
    pub follow: bool,
}

macro_rules! kinds {
    ($($variant:ident = $severity:ident, $slug:literal, $help:literal;)*) => {
        /// What happened.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[derive(Serialize, Deserialize, ToSchema)]
        pub enum EventKind {
            $(#[doc = $help] #[serde(rename = $slug)] $variant,)*
        }

        impl EventKind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name in JSON and tables.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $slug,)* }
            }

            /// One sentence for the operator.
            pub const fn help(self) -> &'static str {
                match self { $(Self::$variant => $help,)* }
            }

            /// How bad it is; the level of its line in the log.
            pub const fn severity(self) -> Severity {
                match self { $(Self::$variant => Severity::$severity,)* }
            }
        }
    };
}

kinds! {
    AgentStarted = Ok, "agent_started", "The agent is up to date and answers; the reason says whether it adopted maps.";
    AgentStopping = Ok, "agent_stopping", "The agent was told to stop; forwarding goes on, unless it was started with `--no-keep`.";
    ConfigApplied = Ok, "config_applied", "A configuration came by the API and is in force.";
    ConfigReloaded = Ok, "config_reloaded", "The file was read again and is in force.";
    ConfigRefused = Error, "config_refused", "A configuration was refused; the running one stays.";
    BackendUp = Ok, "backend_up", "A backend passes its checks; the reason is what the last one said.";
    BackendDown = Warning, "backend_down", "A backend fails its checks; the reason is what the last one said.";
    CheckNotMade = Warning, "check_not_made", "A check of a backend cannot be made; what was known of it stays.";
    CheckMadeAgain = Ok, "check_made_again", "The checks of a backend are made again.";
    PanicBegun = Warning, "panic_begun", "So few backends of a pool are up that its checks are not believed.";
    PanicEnded = Ok, "panic_ended", "The checks of a pool are believed again.";
    EjectionCapped = Warning, "ejection_capped", "So many backends of a pool are out that others that fail their checks stay in use, as `max_ejected` says.";
    EjectionUncapped = Ok, "ejection_uncapped", "All backends of a pool that fail their checks are out again.";
    TierChanged = Warning, "tier_changed", "Another tier of a pool takes the traffic, or none does.";
    WeightChanged = Ok, "weight_changed", "The weight of a backend was changed by command.";
    DrainBegun = Ok, "drain_begun", "A backend is drained by command.";
    DrainChanged = Ok, "drain_changed", "A drain under way was given another deadline.";
    DrainDone = Ok, "drain_done", "Nothing leads to a drained backend any more.";
    DrainForced = Warning, "drain_forced", "The flows left at a drain's deadline were ended, as was ordered.";
    DrainTakenBack = Ok, "drain_taken_back", "A drained backend takes new flows again.";
    DrainReported = Warning, "drain_reported", "A server reports that it wants no new flows.";
    DrainReportEnded = Ok, "drain_report_ended", "A server reports that it takes new flows again.";
    InterfaceAttached = Ok, "interface_attached", "The program runs on an interface.";
    InterfaceGeneric = Warning, "interface_generic", "The driver would not run the program, and the stack does, which is slow.";
    InterfaceDetached = Warning, "interface_detached", "The program runs on an interface no longer.";
    InterfaceNotAttached = Warning, "interface_not_attached", "An interface of the configuration cannot be attached.";
    NextHopKnown = Ok, "next_hop_known", "Packets can be sent by a next hop.";
    NextHopUnknown = Warning, "next_hop_unknown", "Packets cannot be sent to some backends.";
    TransitionBegun = Ok, "transition_begun", "Slots have changed their backends: their flows are pinned for a while.";
    TransitionEnded = Ok, "transition_ended", "No slot is in transition any more.";
    EventsLost = Warning, "events_lost", "Events that whoever asks has missed: there were too many.";
}

#[cfg(test)]
mod tests;
