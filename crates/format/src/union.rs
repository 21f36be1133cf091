//! Several log formats as one: the fields that files of a table have in common.

use crate::catalogue::Catalogue;
use crate::log_format::{Field, LogFormat};

/// The fields of all of `formats`, each once. Of one format, and of several with the same fields in the same order, they stand in
/// that order; else in the catalogue's, and fields that it does not know behind them by name.
pub fn union_fields<'a>(
    formats: impl IntoIterator<Item = &'a LogFormat>,
    catalogue: &Catalogue,
) -> Vec<Field> {
    let mut fields: Vec<Field> = Vec::new();
    let mut first: Option<&LogFormat> = None;
    let mut is_one = true;
    for format in formats {
        is_one &= *first.get_or_insert(format) == format;
        for field in format.fields() {
            if fields.iter().all(|f| f.name() != field.name()) {
                fields.push(field.clone());
            }
        }
    }
    if !is_one {
        fields.sort_by_cached_key(|f| (catalogue.place(f.name()), f.name().to_owned()));
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(formats: &[&str], expected: &str) {
        let catalogue = Catalogue::builtin();
        let formats: Vec<LogFormat> =
            formats.iter().map(|f| LogFormat::parse(f, catalogue).expect("valid")).collect();
        let fields = union_fields(&formats, catalogue);
        assert_eq!(fields.iter().map(Field::name).collect::<Vec<_>>().join(" "), expected);
    }

    #[test]
    fn one_format_keeps_its_order_and_several_have_the_catalogues() {
        check(&[], "");
        check(&["${bytes} ${srcaddr} ${x}", "${bytes} ${srcaddr} ${x}"], "bytes srcaddr x");
        check(&["${bytes} ${z} ${srcaddr}", "${a} ${tgw-id} ${bytes}"], "srcaddr bytes tgw-id a z");
        check(&["${a} ${tgw-id} ${bytes}", "${bytes} ${z} ${srcaddr}"], "srcaddr bytes tgw-id a z");
        check(&["${bytes} ${srcaddr}", "${srcaddr} ${bytes}"], "srcaddr bytes");
        check(&["${bytes} ${srcaddr}", "${bytes}"], "srcaddr bytes");
    }
}
