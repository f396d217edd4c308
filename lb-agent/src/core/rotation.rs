//! The order in which a pool's backends take turns.
//!
//! A rotation is laid out like a table and gone through once and again. Caller: `tables`.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use lb_common::abi::{BackendIndex, Slot};
use lb_common::config::Scheduler;

/// Comparisons that a rotation may cost: some tens of milliseconds.
const WORK_MAX: u64 = 1 << 26;

/// Who takes the flows one after another, for the program's scheduler of that name.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Rotation {
    /// The scheduler has no use for one, or nobody takes new flows.
    #[default]
    None,
    /// The pool's own table: it has the right proportions, and an order as good as any.
    Table,
    /// These.
    Own(Arc<[Slot]>),
}

impl Rotation {
    /// The rotation of a pool whose backends have these weights, in the order of their names, and
    /// whose table has so many slots.
    pub fn of(
        scheduler: Scheduler,
        weights: impl Iterator<Item = (BackendIndex, u16)>,
        table_slots: u32,
    ) -> Self {
        let accepting: Vec<_> = weights.filter(|(_, weight)| *weight > 0).collect();
        match scheduler {
            _ if accepting.is_empty() => Self::None,
            Scheduler::RoundRobin => {
                Self::Own(accepting.iter().map(|(index, _)| Slot::clean(*index)).collect())
            }
            Scheduler::WeightedRoundRobin => weighted(&accepting, table_slots),
            Scheduler::Maglev
            | Scheduler::SourceHash
            | Scheduler::LeastConnections
            | Scheduler::Random => Self::None,
        }
    }
}

/// Backends of one weight, of which there is at least one, in the order of their turns.
struct Class {
    weight: u64,
    /// Place in the order of names, backend, turns taken.
    turns: VecDeque<(usize, BackendIndex, u64)>,
}

/// Smooth weighted round-robin (nginx, `ngx_http_upstream_round_robin.c`): each backend's credit
/// grows by its weight at every step, the one with the most takes the turn, and pays with the sum
/// of all weights. Among equals the first by name. Backends of one weight simply alternate, so only
/// the next of each weight need be compared.
fn weighted(accepting: &[(BackendIndex, u16)], table_slots: u32) -> Rotation {
    let divisor = accepting.iter().map(|(_, weight)| u64::from(*weight)).fold(0, gcd);
    let mut classes: BTreeMap<u64, Class> = BTreeMap::new();
    for (place, (index, weight)) in accepting.iter().enumerate() {
        let weight = u64::from(*weight) / divisor;
        let empty = || Class { weight, turns: VecDeque::new() };
        classes.entry(weight).or_insert_with(empty).turns.push_back((place, *index, 0));
    }
    let mut classes: Vec<_> = classes.into_values().collect();
    let sum: u64 = classes.iter().map(|class| class.weight * class.turns.len() as u64).sum();
    if sum > table_slots.into() || sum * classes.len() as u64 > WORK_MAX {
        return Rotation::Table;
    }
    Rotation::Own((1..=sum).filter_map(|step| turn(&mut classes, step, sum)).collect())
}

/// Who takes the turn of a step, counted from 1.
fn turn(classes: &mut [Class], step: u64, sum: u64) -> Option<Slot> {
    let credit = |class: &Class| {
        let (place, _, taken) = class.turns.front()?;
        let credit = (class.weight * step).cast_signed() - (*taken * sum).cast_signed();
        Some((credit, std::cmp::Reverse(*place)))
    };
    let class = classes.iter_mut().max_by_key(|class| credit(class))?;
    let (place, index, taken) = class.turns.pop_front()?;
    class.turns.push_back((place, index, taken + 1));
    Some(Slot::clean(index))
}

/// Greatest common divisor; that of 0 and a number is the number.
const fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests;
