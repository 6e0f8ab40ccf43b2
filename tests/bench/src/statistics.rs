//! What is said of many measurements of one thing.

use serde::Serialize;

/// Median and quartiles, in the unit of what was measured.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Summary {
    /// How many measurements there are.
    pub(crate) count: usize,
    pub(crate) lower_quartile: f64,
    pub(crate) median: f64,
    pub(crate) upper_quartile: f64,
}

impl Summary {
    /// `None` of no measurements.
    pub(crate) fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        Some(Self {
            count: values.len(),
            lower_quartile: quantile(&values, 0.25)?,
            median: quantile(&values, 0.5)?,
            upper_quartile: quantile(&values, 0.75)?,
        })
    }
}

/// A quantile of sorted values, between two of them where it falls between (type 7 of Hyndman and Fan, as R, NumPy and spreadsheets have it).
fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a place among some thousand measurements"
    )]
    let (place, below) = {
        let place = sorted.len().checked_sub(1)? as f64 * share;
        (place, place.floor() as usize)
    };
    let lower = *sorted.get(below)?;
    let upper = *sorted.get(below + 1).unwrap_or(&lower);
    Some(lower + (upper - lower) * place.fract())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles_lie_between_measurements() {
        let summary = Summary::of(vec![4.0, 1.0, 2.0, 3.0]);
        let expected = Summary {
            count: 4,
            lower_quartile: 1.75,
            median: 2.5,
            upper_quartile: 3.25,
        };
        assert_eq!(summary, Some(expected));
        assert_eq!(Summary::of(vec![7.0]).map(|summary| summary.upper_quartile), Some(7.0));
        assert_eq!(Summary::of(Vec::new()), None);
    }
}
