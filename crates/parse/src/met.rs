//! Log formats that were met, one value each: objects mostly have the same, and a pointer tells them apart.

use std::sync::Arc;

use flowquet_format::LogFormat;

/// Formats that are kept: an object with more is rare, and pays for it.
const MET_MAX: usize = 16;

/// Formats of headers that were met, the newest last.
#[derive(Debug, Default)]
pub(crate) struct MetFormats(Vec<Arc<LogFormat>>);

impl MetFormats {
    /// The one value that stands for a format.
    pub(crate) fn shared(&mut self, format: LogFormat) -> Arc<LogFormat> {
        if let Some(met) = self.0.iter().rfind(|met| ***met == format) {
            return met.clone();
        }
        if self.0.len() == MET_MAX {
            self.0.remove(0);
        }
        let format = Arc::new(format);
        self.0.push(format.clone());
        format
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flowquet_format::Catalogue;

    #[test]
    fn the_newest_are_kept() {
        let format = |i: usize| {
            LogFormat::parse(&format!("${{srcaddr}} ${{x-{i}}}"), Catalogue::builtin()).expect("valid")
        };
        let mut met = MetFormats::default();
        let first = met.shared(format(0));
        assert!(Arc::ptr_eq(&first, &met.shared(format(0))));
        (1..=MET_MAX).for_each(|i| drop(met.shared(format(i))));
        assert!(!Arc::ptr_eq(&first, &met.shared(format(0))));
        assert_eq!(met.0.len(), MET_MAX);
    }
}
