//! Target `pipeline`: any frames through the balancer, over the maps of the fixtures.
//!
//! An input is three control bytes, then frames. Each frame has a word before it: how long it is,
//! and how long after the one before it comes. What an input says too much or too little of is cut
//! short, so that every input means something.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use lb_common::abi::{Counter, Features, Ticks};
use lb_common::datapath::{Context, process, unusual};
use lb_common::image::{Buffer, Image, Lookups, PinTable, Recorder, State};
use lb_common::verdict::{Reason, Reply, Verdict};

use super::{forwarded, replied};
use crate::fixture::{
    HASH_SEED, INGRESS_IFINDEX, OTHER_IFINDEX, PIN_BUCKETS, REPLY_INTERVALS_NS, moving, standard,
};

/// Bytes of the outer IPv4 source that are spread if an input asks for it, network order.
const SPREAD_IPV4: [u8; 4] = [0, 0, 0x0f, 0xff];
/// Bits of a frame's word that are its length.
const LENGTH_BITS: u32 = 11;

/// In the second control byte: the maps are those with slots in transition.
const MOVING: u8 = 1;
/// Frames come in by the other interface.
const BY_OTHER: u8 = 1 << 1;
/// Outer sources are spread.
const SPREAD: u8 = 1 << 2;
/// The balancer may not answer.
const SILENT: u8 = 1 << 3;

/// What is asked of the pipeline besides frames.
#[derive(Clone, Copy, Debug)]
pub(super) struct Control {
    /// [`Features`], all of which fit one byte.
    features: u8,
    options: u8,
    /// Room in front of each frame, bytes.
    headroom: u8,
}

impl Control {
    /// Everything is there, as in the fixtures.
    pub(super) const FIXTURES: Self = Self { features: 0xff, options: 0, headroom: 0xff };
    /// The same over the maps with slots in transition.
    pub(super) const MOVING: Self = Self { options: MOVING, ..Self::FIXTURES };

    fn image(self) -> &'static Image {
        static IMAGES: LazyLock<[Image; 2]> = LazyLock::new(|| [standard(), moving()]);
        &IMAGES[usize::from(self.options & MOVING)]
    }

    fn context(self) -> Context {
        let by_other = self.options & BY_OTHER != 0;
        Context {
            hash_seed: HASH_SEED,
            ingress_ifindex: if by_other { OTHER_IFINDEX } else { INGRESS_IFINDEX },
            features: Features(self.features.into()),
        }
    }

    fn spread(self) -> forwarded::Spread {
        let context = self.context();
        if self.options & SPREAD == 0 || !context.features.has(Features::SOURCE_SPREAD) {
            return forwarded::Spread::default();
        }
        let mut ipv6 = [0; 16];
        ipv6[12..].copy_from_slice(&SPREAD_IPV4);
        forwarded::Spread { ipv4: SPREAD_IPV4, ipv6 }
    }

    fn state(self) -> State {
        let mut state = State::new(PIN_BUCKETS);
        state.reply_intervals_ns = REPLY_INTERVALS_NS;
        state.fragments = PinTable::new(PIN_BUCKETS);
        if self.options & SPREAD != 0 {
            state.source_spread_v4 = u32::from_ne_bytes(SPREAD_IPV4);
            state.source_spread_v6 = [0, 0, 0, u32::from_ne_bytes(SPREAD_IPV4)];
        }
        if self.options & SILENT != 0 {
            state.reply_intervals_ns = [0; Reply::ALL.len()];
        }
        state
    }
}

/// The bytes of an input.
pub(super) fn input<'f>(control: Control, frames: impl IntoIterator<Item = &'f [u8]>) -> Vec<u8> {
    let mut bytes = vec![control.features, control.options, control.headroom];
    for frame in frames {
        let length = u16::try_from(frame.len()).unwrap_or(u16::MAX).min((1 << LENGTH_BITS) - 1);
        bytes.extend(length.to_be_bytes());
        bytes.extend(frame.iter().take(length.into()));
    }
    bytes
}

/// The next frame of an input, and how many ticks after the one before it comes.
fn next_frame<'i>(rest: &mut &'i [u8]) -> Option<(&'i [u8], u64)> {
    let (word, behind) = rest.split_first_chunk()?;
    let word = u16::from_be_bytes(*word);
    let length = usize::from(word & ((1 << LENGTH_BITS) - 1)).min(behind.len());
    let (frame, behind) = behind.split_at(length);
    *rest = behind;
    Some((frame, u64::from(word >> LENGTH_BITS)))
}

/// Takes the frames of an input through the pipeline, by both ways and by the unusual one alone.
///
/// # Panics
/// A claim about one of them does not hold.
pub fn pipeline(input: &[u8]) {
    let Some(([features, options, headroom], mut frames)) = input.split_first_chunk() else {
        return;
    };
    let control = Control { features: *features, options: *options, headroom: *headroom };
    let (both, alone) = (control.state(), control.state());
    let mut ticks = 77;
    while let Some((frame, later)) = next_frame(&mut frames) {
        ticks += later;
        let outcome = Outcome::of(control, &both, frame, ticks, Way::Both);
        outcome.check(control, frame);
        let unusual = Outcome::of(control, &alone, frame, ticks, Way::Unusual);
        assert_eq!(
            (outcome.reason, &outcome.frame),
            (unusual.reason, &unusual.frame),
            "what both ways can do, both do alike"
        );
    }
    let different = |one: &PinTable, other: &PinTable| {
        one.iter().zip(other.iter()).find(|(one, other)| one != other)
    };
    assert_eq!(different(&both.pins, &alone.pins), None, "both ways pin alike");
    let fragments = different(&both.fragments, &alone.fragments);
    assert_eq!(fragments, None, "both ways remember fragments alike");
    assert_eq!(both.loads, alone.loads, "both ways count flows alike");
}

#[derive(Clone, Copy)]
enum Way {
    Both,
    Unusual,
}

/// How a frame ended.
pub(super) struct Outcome {
    pub(super) reason: Reason,
    pub(super) frame: Vec<u8>,
    pub(super) lookups: Lookups,
    services: BTreeMap<u32, Counter>,
    backends: Vec<Counter>,
}

impl Outcome {
    /// Of one frame through both ways, over the fixtures' maps, with nothing pinned before.
    pub(super) fn on_its_own(frame: &[u8]) -> Self {
        let control = Control::FIXTURES;
        let outcome = Self::of(control, &control.state(), frame, 77, Way::Both);
        outcome.check(control, frame);
        outcome
    }

    fn of(control: Control, state: &State, frame: &[u8], ticks: u64, way: Way) -> Self {
        let mut buffer = Buffer::new(frame, control.headroom.into());
        let tables = Recorder::new(control.image(), state, ticks << Ticks::NANOSECONDS_BITS);
        let context = control.context();
        let reason = match way {
            Way::Both => process(&mut buffer, &tables, &context),
            Way::Unusual => unusual(&mut buffer, &tables, &context),
        };
        Self {
            reason,
            frame: buffer.as_slice().to_vec(),
            lookups: tables.take_lookups(),
            services: tables.service_counters(),
            backends: tables.backend_counters().into_values().collect(),
        }
    }

    fn check(&self, control: Control, came: &[u8]) {
        let is_sent = matches!(self.reason, Reason::Forwarded | Reason::Redirected);
        if is_sent {
            let (_, backend) = self.lookups.backend.expect("a backend was looked up");
            let redirected = self.reason == Reason::Redirected;
            forwarded::check(came, &self.frame, &backend, &control.spread(), redirected);
        } else if self.reason.verdict() == Verdict::Tx {
            replied::check(came, &self.frame, self.reason);
        } else if self.reason == Reason::NoHeadroom && came.len() > self.frame.len() {
            // Tags that would not have gone out by another interface had been taken off by then.
            let tags = came.len() - self.frame.len();
            assert!(matches!(tags, 4 | 8) && came.ends_with(&self.frame), "{tags} bytes are gone");
        } else {
            assert_eq!(self.frame, came, "{:?}: passed or dropped as it came", self.reason);
        }
        let once = Counter { packets: 1, bytes: came.len() as u64 };
        let counted = if is_sent { vec![once] } else { Vec::new() };
        assert_eq!(self.backends, counted, "counted for a backend if it was sent to one");
        // Later fragments are not: which service they are of is not known.
        let for_services: Vec<_> = self.services.values().copied().collect();
        assert!(for_services.is_empty() || for_services == counted, "{for_services:?}");
    }
}
