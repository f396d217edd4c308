//! One backend: unknown, up or down, by results in a row.

use super::Condition;

/// The state machine of a backend.
///
/// ```text
///           first result passes                fall failures in a row
/// Unknown -----------------------> Up ---------------------------------> Down
///    |                              ^                                      |  ^
///    |  first result fails          +---- rise successes in a row ---------+  |
///    +------------------------------------------------------------------------+
/// ```
/// A result that agrees with the condition ends the row of those that do not: single failures that
/// are spread over a day never add up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Machine {
    condition: Condition,
    /// Results in a row that speak against the condition.
    against: u32,
}

impl Machine {
    /// A backend of which this is believed.
    pub const fn new(condition: Condition) -> Self {
        Self { condition, against: 0 }
    }

    /// What is known of it.
    pub const fn condition(&self) -> Condition {
        self.condition
    }

    /// Results in a row that speak against its condition.
    pub const fn against(&self) -> u32 {
        self.against
    }

    /// Takes a result in; the new condition if that is another.
    pub const fn record(&mut self, passed: bool, rise: u32, fall: u32) -> Option<Condition> {
        let (other, needed) = match (self.condition, passed) {
            (Condition::Unknown, true) => (Condition::Up, 1),
            (Condition::Unknown, false) => (Condition::Down, 1),
            (Condition::Up, false) => (Condition::Down, fall),
            (Condition::Down, true) => (Condition::Up, rise),
            (Condition::Up, true) | (Condition::Down, false) => {
                self.against = 0;
                return None;
            }
        };
        self.against = self.against.saturating_add(1);
        if self.against < needed {
            return None;
        }
        *self = Self::new(other);
        Some(other)
    }
}
