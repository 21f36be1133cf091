//! Rows of a block and their integers together: rows with a bad one are rejected, and both are put in another order.

use flowquet_format::FieldKind;

use super::{BAD, IntegerColumns, parse_integer};
use crate::block::{Block, Row};
use crate::reject::{Reject, RejectReason};

impl Block<'_> {
    /// Takes rows with a bad integer out of the block and of `integers`, and adds them to `rejects`.
    pub fn reject_bad_integers(&mut self, integers: &mut IntegerColumns, rejects: &mut Vec<Reject>) {
        self.is_even = false;
        let mut keep = Vec::with_capacity(self.rows.len());
        for (i, row) in self.rows.iter().enumerate() {
            let bad = (0..integers.len())
                .filter(|c| integers.column(*c)[i] == BAD)
                .map(|c| integers.field(c))
                .min();
            rejects.extend(bad.map(|field| self.reject_field(*row, field)));
            keep.push(bad.is_none());
        }
        integers.retain(&keep);
        let mut keep = keep.into_iter();
        self.rows.retain(|_| keep.next().expect("one flag a row"));
    }

    /// Sorts rows and `integers` by `key`, one a row, keeping the order of equals.
    pub fn sort_rows_by_key<K: Ord + Copy>(&mut self, integers: &mut IntegerColumns, keys: &mut Vec<K>) {
        self.is_even = false;
        let mut order: Vec<u32> = (0..self.rows.len() as u32).collect();
        order.sort_by_key(|&i| keys[i as usize]);
        integers.permute(&order, &mut Vec::new());
        *self.rows = order.iter().map(|&i| self.rows[i as usize]).collect();
        *keys = order.iter().map(|&i| keys[i as usize]).collect();
    }

    fn reject_field(&self, row: Row, field: usize) -> Reject {
        /// A value is quoted up to this many bytes; the whole line is kept beside it.
        const QUOTED_MAX: usize = 40;
        let value = self.field(row, field);
        let is_number = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
        let spec = &self.format.fields()[field];
        let (mut shown, more) = (String::from_utf8_lossy(value).into_owned(), value.len() > QUOTED_MAX);
        if more {
            shown = shown.chars().take(QUOTED_MAX).chain(['…']).collect();
        }
        debug_assert!(
            !is_number || parse_integer(value) == BAD || spec.column_type().integer_max().is_some()
        );
        let detail = if is_number {
            let max = spec.column_type().integer_max().unwrap_or(i64::MAX);
            format!("expected a number up to {max} in `{}`, found `{shown}`", spec.name())
        } else if value.contains(&b':') && spec.spec().is_some_and(|s| s.kind == FieldKind::Time) {
            format!(
                "expected seconds since 1970, or in a table a whole second with its zone, such as `2024-01-01T00:00:00Z`, in `{}`, found `{shown}`",
                spec.name()
            )
        } else {
            format!("expected a whole number or `-` in `{}`, found `{shown}`", spec.name())
        };
        let reason = if is_number { RejectReason::NumberOutOfRange } else { RejectReason::NotANumber };
        Reject { field: Some(spec.name().to_owned()), ..self.reject_row(row, reason, detail) }
    }
}
