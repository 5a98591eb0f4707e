//! How often each number came: what medians, percentiles and deviations are computed from. It grows with
//! the different numbers, not with how many there are.

use std::collections::BTreeMap;

/// Numbers and how often each came.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    counts: BTreeMap<i64, u64>,
    total: u64,
}

/// Bits that have the order of the numbers; the same turns them back.
fn ordered(bits: i64) -> i64 {
    bits ^ (((bits >> 63).cast_unsigned()) >> 1).cast_signed()
}

impl Tally {
    pub(super) fn add(&mut self, number: f64) {
        self.add_many(ordered(number.to_bits().cast_signed()), 1);
    }

    fn add_many(&mut self, key: i64, n: u64) {
        *self.counts.entry(key).or_default() += n;
        self.total += n;
    }

    pub(super) fn merge(&mut self, other: Tally) {
        for (key, n) in other.counts {
            self.add_many(key, n);
        }
    }

    /// How many different numbers it holds.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.counts.len()
    }

    /// The numbers in their order, and how often each came.
    fn iter(&self) -> impl Iterator<Item = (f64, u64)> {
        self.counts.iter().map(|(key, n)| (f64::from_bits(ordered(*key).cast_unsigned()), *n))
    }

    /// The number at a place of the sorted list of all.
    fn at(&self, place: u64) -> Option<f64> {
        let mut before = 0;
        self.iter().find_map(|(number, n)| {
            before += n;
            (place < before).then_some(number)
        })
    }

    /// The value at a share of the sorted list of all, interpolated.
    pub(super) fn quantile(&self, share: f64) -> Option<f64> {
        let at = share * (self.total.checked_sub(1)? as f64);
        let (low, high) = (self.at(at.floor() as u64)?, self.at(at.ceil() as u64)?);
        Some(low + (high - low) * (at - at.floor()))
    }

    /// The median distance from the median.
    pub(super) fn median_deviation(&self) -> Option<f64> {
        let middle = self.quantile(0.5)?;
        let mut far = Tally::default();
        for (number, n) in self.iter() {
            far.add_many(ordered((number - middle).abs().to_bits().cast_signed()), n);
        }
        far.quantile(0.5)
    }

    /// The mean square of the distances from the mean.
    pub(super) fn variance(&self) -> Option<f64> {
        let n = self.total as f64;
        let mean = self.iter().map(|(v, n)| v * n as f64).sum::<f64>() / n;
        (self.total > 0).then(|| self.iter().map(|(v, n)| (v - mean).powi(2) * n as f64).sum::<f64>() / n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tally(numbers: &[f64]) -> Tally {
        let mut t = Tally::default();
        numbers.iter().for_each(|n| t.add(*n));
        t
    }

    #[test]
    fn quantiles_lie_between_the_two_nearest() {
        let t = tally(&[1.0, 4.0, 2.0, 3.0]);
        assert_eq!((t.quantile(0.0), t.quantile(0.5), t.quantile(1.0)), (Some(1.0), Some(2.5), Some(4.0)));
        assert_eq!(tally(&[0.0, 2.0, 5.0, 6.0]).median_deviation(), Some(2.0));
        assert_eq!(tally(&[2.0, 4.0]).variance(), Some(1.0));
        assert_eq!((tally(&[]).quantile(0.5), tally(&[]).variance()), (None, None));
    }

    proptest! {
        #[test]
        fn a_tally_has_the_quantiles_of_the_list(
            numbers in prop::collection::vec((-40i32..40).prop_map(|n| f64::from(n) / 4.0), 1..60),
            cut in 0usize..60,
            percent in 0u8..=100,
        ) {
            let (a, b) = numbers.split_at(cut.min(numbers.len()));
            let mut t = tally(a);
            t.merge(tally(b));
            let mut sorted = numbers.clone();
            sorted.sort_by(f64::total_cmp);
            let at = f64::from(percent) / 100.0 * (sorted.len() - 1) as f64;
            let (low, high) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
            prop_assert_eq!(t.quantile(f64::from(percent) / 100.0), Some(low + (high - low) * (at - at.floor())));
            prop_assert!(t.len() <= 80);
        }
    }
}
