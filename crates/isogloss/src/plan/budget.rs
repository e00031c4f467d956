use std::fmt;
use std::str::FromStr;

use crate::decimal::percent;

/// How many parameters all updates together may have.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Budget {
    /// A share of the base's, such as 0.01.
    Share(f64),
    /// So many.
    Parameters(usize),
}

/// A budget that can't be read.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{text}` is no budget; expected a share of the base such as `1%`, or parameters such as `500k`, `2M` or `1327104`"
)]
pub struct BudgetError {
    text: String,
}

impl Budget {
    /// The budget for a base of so many parameters.
    #[must_use]
    pub fn parameters(self, base: usize) -> usize {
        match self {
            Budget::Share(share) => (share * base as f64).floor() as usize,
            Budget::Parameters(parameters) => parameters,
        }
    }
}

impl FromStr for Budget {
    type Err = BudgetError;

    fn from_str(text: &str) -> Result<Self, BudgetError> {
        let wrong = || BudgetError {
            text: text.to_owned(),
        };
        let trimmed = text.trim();
        let number = |digits: &str| {
            let number = digits.trim().parse::<f64>().ok();
            number.filter(|x| x.is_finite() && *x > 0.0 && *x < 1e15)
        };
        if let Some(percent) = trimmed.strip_suffix('%') {
            let percent = number(percent).filter(|&x| x <= 100.0);
            return percent.map(|x| Budget::Share(x / 100.0)).ok_or_else(wrong);
        }
        let (digits, factor) = match trimmed.char_indices().next_back() {
            Some((at, 'k' | 'K')) => (&trimmed[..at], 1e3),
            Some((at, 'm' | 'M')) => (&trimmed[..at], 1e6),
            _ => (trimmed, 1.0),
        };
        let parameters = number(digits).map(|x| (x * factor).round() as usize);
        let parameters = parameters.filter(|&n| n > 0);
        parameters.map(Budget::Parameters).ok_or_else(wrong)
    }
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Budget::Share(share) => write!(f, "{}% of the base", percent(*share, 6)),
            Budget::Parameters(parameters) => write!(f, "{parameters} parameters"),
        }
    }
}
