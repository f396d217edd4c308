//! The slots in transition of a pool, as sets: what a pin wants to know of its slot takes an eighth
//! of a byte each. Tables fill megabytes, and pins come in no order.

use lb_common::abi::{BackendIndex, SLOTS_PER_PAGE, Slot, TableRef};
use lb_common::image::Image;

/// A pool's slots in transition.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Restless {
    /// All of them.
    pub(super) consult: Bits,
    /// Those of them without a `previous`, and clean ones.
    pub(super) waiting: Bits,
    /// Those that a pin keeps in transition, as far as this sweep has seen.
    pub(super) held: Bits,
}

impl Restless {
    /// What is in transition in a table.
    pub(super) fn of(image: &Image, table: TableRef) -> Self {
        let words = table.pages() as usize * SLOTS_PER_PAGE as usize / 64;
        let (mut consult, mut waiting) = (Vec::with_capacity(words), Vec::with_capacity(words));
        // A page fills whole words.
        for slots in pages(image, table).iter().flat_map(|page| page.chunks(64)) {
            let (mut consults, mut waits) = (0, 0);
            // The last first: each bit moves on by as many places as bits follow it.
            for slot in slots.iter().rev() {
                consults = consults << 1 | u64::from(slot.consult());
                waits = waits << 1 | u64::from(slot.previous() == BackendIndex::NONE);
            }
            consult.push(consults);
            waiting.push(waits);
        }
        let held = Bits(vec![0; consult.len()]);
        Self { consult: Bits(consult), waiting: Bits(waiting), held }
    }

    /// Whether there is any.
    pub(super) fn any(&self) -> bool {
        self.consult.0.iter().any(|word| *word != 0)
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.consult.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Takes out those that nothing keeps in transition any more; their numbers.
    pub(super) fn settle(&mut self) -> Vec<u32> {
        let mut settled = Vec::new();
        let words = self.consult.0.iter_mut().zip(&self.waiting.0).zip(&self.held.0);
        for (first, ((consult, waiting), held)) in (0..).step_by(64).zip(words) {
            let mut rest = *consult & waiting & !held;
            *consult &= !rest;
            while rest != 0 {
                settled.push(first + rest.trailing_zeros());
                rest &= rest - 1;
            }
        }
        settled
    }
}

/// The pages of a table, in order.
pub(super) fn pages(image: &Image, table: TableRef) -> Vec<&[Slot]> {
    (table.first_page()..table.first_page() + table.pages())
        .map(|page| image.pages.get(&page).map(|page| page.as_slice()).unwrap_or_default())
        .collect()
}

/// A set of small numbers.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Bits(Vec<u64>);

impl Bits {
    /// Adds a number below the bound.
    #[inline]
    pub(super) fn set(&mut self, number: u32) {
        if let Some(word) = self.0.get_mut((number / u64::BITS) as usize) {
            *word |= 1 << (number % u64::BITS);
        }
    }

    /// Whether a number is in it.
    #[inline]
    pub(super) fn has(&self, number: u32) -> bool {
        let word = self.0.get((number / u64::BITS) as usize);
        word.is_some_and(|word| word >> (number % u64::BITS) & 1 != 0)
    }

    /// Takes all out.
    pub(super) fn clear(&mut self) {
        self.0.fill(0);
    }
}
