//! Limits as they are typed: `1%`.

use std::fmt;
use std::str::FromStr;

/// How many rejects a run tolerates.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum RejectLimit {
    /// This many lines.
    Lines(u64),
    /// This share of lines, in percent.
    Percent(f64),
}

impl RejectLimit {
    pub(crate) fn is_passed(self, rejects: u64, lines: u64) -> bool {
        match self {
            Self::Lines(max) => rejects > max,
            Self::Percent(max) => rejects as f64 * 100.0 > max * lines as f64,
        }
    }
}

impl fmt::Display for RejectLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lines(n) => write!(f, "{n}"),
            Self::Percent(p) => write!(f, "{p} %"),
        }
    }
}

impl FromStr for RejectLimit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || format!("expected a number of lines or a percentage such as `1%`, found `{text}`");
        match text.strip_suffix('%') {
            Some(percent) => {
                let percent: f64 = percent.trim().parse().map_err(|_| error())?;
                if (0.0..=100.0).contains(&percent) { Ok(Self::Percent(percent)) } else { Err(error()) }
            }
            None => Ok(Self::Lines(text.parse().map_err(|_| error())?)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reject_limits() {
        assert_eq!("0".parse(), Ok(RejectLimit::Lines(0)));
        assert_eq!("1.5%".parse(), Ok(RejectLimit::Percent(1.5)));
        assert!(["", "x", "-1", "101%", "%"].iter().all(|t| t.parse::<RejectLimit>().is_err()));
        assert!(RejectLimit::Percent(1.0).is_passed(2, 100) && !RejectLimit::Percent(1.0).is_passed(1, 100));
        assert!(RejectLimit::Lines(0).is_passed(1, 100) && !RejectLimit::Lines(0).is_passed(0, 100));
    }
}
