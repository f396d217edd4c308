//! Numbers out of rounds: minimum, median, and the median of the paired ratio.

/// What one candidate cost, round by round, net of the driver.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Series(Vec<f64>);

impl Series {
    /// The series of these values, one a round.
    pub const fn new(values: Vec<f64>) -> Self {
        Self(values)
    }

    /// Adds the value of the next round.
    pub fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    /// Value by value less the other's of the same round.
    #[must_use]
    pub fn less(&self, other: &Self) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(own, others)| own - others).collect())
    }

    /// The smallest value; nothing without rounds.
    pub fn minimum(&self) -> Option<f64> {
        self.0.iter().copied().min_by(f64::total_cmp)
    }

    /// The middle value, or the mean of the two in the middle; nothing without rounds.
    pub fn median(&self) -> Option<f64> {
        self.quantile(0.5)
    }

    /// The value that this share of the values is below, interpolated between two neighbours.
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let last = sorted.len().checked_sub(1)?;
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a position in a list that fits into memory"
        )]
        let (position, below) = {
            let position = share.clamp(0.0, 1.0) * last as f64;
            (position.fract(), position as usize)
        };
        let low = sorted.get(below)?;
        let high = sorted.get(below + 1).unwrap_or(low);
        Some(low + (high - low) * position)
    }

    /// Median of the ratios to the other's value of the same round. Rounds in which the other is
    /// not above zero say nothing and are left out.
    pub fn ratio_to(&self, other: &Self) -> Option<f64> {
        let pairs = self.0.iter().zip(&other.0);
        let ratios = pairs.filter(|(_, others)| **others > 0.0).map(|(own, others)| own / others);
        Self(ratios.collect()).median()
    }
}

impl FromIterator<f64> for Series {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        Self(values.into_iter().collect())
    }
}

#[cfg(test)]
mod tests;
