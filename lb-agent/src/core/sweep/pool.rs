//! One pool during a sweep: which of its pins live on, and what becomes of its slots.

use lb_common::abi::{
    Pin, PinState, PoolEntry, SLOT_BITS, SLOTS_PER_PAGE, Scheduler, Slot, TableRef, Ticks,
};
use lb_common::datapath::slot_number;
use lb_common::image::Image;

use super::restless::{Restless, pages};
use super::{IdleTimeouts, Swept};

/// An embryonic pin lives this long: a handshake that takes longer has failed.
const EMBRYONIC_TICKS: u16 = 10;

/// More than this is no age: a packet has been seen since the sweep looked at the clock. No
/// time-out is as long, and the counter takes as much again to come round.
const AGE_MAX_TICKS: u16 = 1 << 14;

/// A pool whose pins are being looked at.
pub(super) struct Pool<'s> {
    /// Its index.
    pub(super) index: u32,
    /// Whether its scheduler places, and pins, every flow.
    pub(super) pins_every_flow: bool,
    scheduler: Scheduler,
    /// How long a pin lives, by its state.
    limits: [u16; 4],
    slots: u32,
    moving: Option<Moving<'s>>,
}

/// What is in transition in it.
struct Moving<'s> {
    pages: Vec<&'s [Slot]>,
    restless: &'s mut Restless,
    /// Slots whose window has closed.
    closed: Vec<u32>,
}

impl<'s> Pool<'s> {
    /// A pool with nothing in transition.
    pub(super) fn new(index: u32, entry: &PoolEntry, timeouts: IdleTimeouts) -> Self {
        let scheduler = Scheduler::from_code(entry.scheduler);
        Self {
            index,
            pins_every_flow: scheduler.pins_every_flow(),
            scheduler,
            limits: limits(timeouts),
            slots: entry.table.slots(),
            moving: None,
        }
    }

    /// The same with these slots in transition, of which some windows have closed.
    pub(super) fn moving(
        self,
        image: &'s Image,
        table: TableRef,
        restless: &'s mut Restless,
        closed: Vec<u32>,
    ) -> Self {
        restless.held.clear();
        for number in &closed {
            restless.waiting.set(*number);
        }
        Self { moving: Some(Moving { pages: pages(image, table), restless, closed }), ..self }
    }

    /// Whether a pin lives on, and so perhaps keeps its slot in transition.
    pub(super) fn holds(&mut self, pin: Pin, now: Ticks) -> bool {
        // Looked up, since the states of one pin after another are anybody's guess.
        let limit = self.limits.get(pin.state() as usize).copied().unwrap_or(0);
        let age = pin.last_seen().until(now);
        if age > limit && age < AGE_MAX_TICKS {
            return false;
        }
        if self.pins_every_flow {
            return true;
        }
        let number = slot_number(self.scheduler, pin.tag(), self.slots);
        self.moving.as_mut().is_some_and(|moving| moving.holds(number, pin))
    }

    /// Says what becomes of its slots, once all its pins have been looked at.
    pub(super) fn settle(self, swept: &mut Swept) {
        let Some(Moving { pages, restless, closed }) = self.moving else { return };
        let settled = restless.settle();
        let mut change = |number: u32, after: fn(Slot) -> Slot| {
            let Some(before) = slot(&pages, number) else { return };
            if after(before) != before {
                swept.slots.push((self.index, number, after(before)));
            }
        };
        for number in settled {
            change(number, |slot| Slot::clean(slot.current()));
        }
        for number in closed.into_iter().filter(|number| restless.consult.has(*number)) {
            change(number, Slot::without_previous);
        }
        swept.restless += restless.count();
    }
}

impl Moving<'_> {
    /// Whether a pin keeps its slot in transition: it is, and does not say itself what the pin says.
    fn holds(&mut self, number: u32, pin: Pin) -> bool {
        let Restless { consult, waiting, held } = &mut *self.restless;
        let says = || slot(&self.pages, number).is_some_and(|slot| slot.current() == pin.backend());
        if !consult.has(number) || waiting.has(number) && says() {
            return false;
        }
        held.set(number);
        true
    }
}

fn slot(pages: &[&[Slot]], number: u32) -> Option<Slot> {
    let page = pages.get((number >> SLOT_BITS) as usize)?;
    page.get((number & (SLOTS_PER_PAGE - 1)) as usize).copied()
}

/// How long a pin lives in each state.
fn limits(timeouts: IdleTimeouts) -> [u16; 4] {
    let flow = ticks(timeouts.flow_ns);
    let mut limits = [0; 4];
    for (state, limit) in [
        (PinState::Established, flow),
        (PinState::Embryonic, EMBRYONIC_TICKS),
        (PinState::Udp, ticks(timeouts.udp_ns)),
        (PinState::Closing, flow),
    ] {
        if let Some(place) = limits.get_mut(state as usize) {
            *place = limit;
        }
    }
    limits
}

/// A duration in ticks, rounded up, so that no pin ends early.
fn ticks(ns: u64) -> u16 {
    u16::try_from((ns >> Ticks::NANOSECONDS_BITS) + 1).unwrap_or(u16::MAX)
}
