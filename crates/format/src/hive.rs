//! Names of folders as Hive has them: `account=123456789012/date=2024-01-15`, what separates or hides written as `%XX`.

use percent_encoding::percent_decode_str;

/// The value of a folder for what has none.
pub const HIVE_NULL: &str = "__HIVE_DEFAULT_PARTITION__";

/// The folder of a value of `column`: `date=2024-01-15`. No value, and an empty one, is [`HIVE_NULL`].
///
/// Escapes what `FileUtils.escapePathName` of Hive does; letters of all alphabets stay.
pub fn hive_folder(column: &str, value: Option<&str>) -> String {
    let Some(value) = value.filter(|value| !value.is_empty()) else { return format!("{column}={HIVE_NULL}") };
    let mut folder = format!("{column}=");
    for c in value.chars() {
        if c.is_ascii_control() || "\"#%'*/:=?\\{[]^".contains(c) {
            folder.push_str(&format!("%{:02X}", u32::from(c)));
        } else {
            folder.push(c);
        }
    }
    folder
}

/// The values in a folder, in the order of its columns; [`HIVE_NULL`] stays that. A part without a name is a value too.
pub fn hive_values(folder: &str) -> Vec<String> {
    let value = |part: &str| {
        let value = part.split_once('=').map_or(part, |(_, value)| value);
        percent_decode_str(value).decode_utf8_lossy().into_owned()
    };
    folder.split('/').filter(|part| !part.is_empty()).map(value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn folders_and_values() {
        assert_eq!(hive_folder("account", Some("a/b=c%")), "account=a%2Fb%3Dc%25");
        assert_eq!(hive_folder("region", Some("us-east-1")), "region=us-east-1");
        assert_eq!(hive_folder("region", Some("é\u{7f}")), "region=é%7F");
        assert_eq!(hive_folder("date", None), "date=__HIVE_DEFAULT_PARTITION__");
        assert_eq!(hive_folder("date", Some("")), "date=__HIVE_DEFAULT_PARTITION__");
        assert_eq!(hive_values(""), [""; 0]);
        assert_eq!(hive_values("account=1/date=2024-01-15/hour=05"), ["1", "2024-01-15", "05"]);
        assert_eq!(hive_values("account=a%2Fb%3Dc%25/x"), ["a/b=c%", "x"]);
        assert_eq!(hive_values("date=%+1%4"), ["%+1%4"]);
        assert_eq!(hive_values(&hive_folder("date", None)), [HIVE_NULL]);
    }

    proptest! {
        #[test]
        fn values_come_back(values in proptest::collection::vec(".{1,12}", 1..4)) {
            let folders: Vec<String> = values.iter().map(|v| hive_folder("account", Some(v))).collect();
            prop_assert!(folders.iter().all(|folder| !folder.contains('/')));
            prop_assert_eq!(hive_values(&folders.join("/")), values);
        }
    }
}
