//! Places on the command line: sources, and which of their objects are wanted.

use clap::Args;
pub(crate) use flowquet_command::places::{
    S3Args, Target, absolute, endpoint, open_special, table_store, target,
};
use flowquet_format::{KeyFilter, is_account};
use flowquet_sources::Source;
use flowquet_store::Location;

use crate::clock::{age_s, now_s, time_text};
use crate::exit::Exit;
use crate::output::Failure;

/// Which objects are wanted.
#[derive(Debug, Args)]
#[command(next_help_heading = "Choosing objects")]
pub(crate) struct FilterArgs {
    /// First day of delivery, by the keys: YYYY-MM-DD (UTC), or an age such as 2d
    #[arg(long, value_name = "DATE", value_parser = day)]
    since: Option<String>,

    /// Last day of delivery, included. Records go to the partitions of their own times
    #[arg(long, value_name = "DATE", value_parser = day)]
    until: Option<String>,

    /// Accounts, comma-separated
    #[arg(long, value_name = "IDS", value_delimiter = ',', value_parser = account)]
    account: Vec<String>,

    /// Regions of the flow logs, comma-separated
    #[arg(long, value_name = "REGIONS", value_delimiter = ',', value_parser = region)]
    flow_region: Vec<String>,

    /// Flow log ids (fl-…), comma-separated
    #[arg(long, value_name = "IDS", value_delimiter = ',', value_parser = flow_log_id)]
    flow_log_id: Vec<String>,

    /// Globs of keys below the source to take; `*` stays within a folder, `**` crosses folders
    #[arg(long, value_name = "GLOB")]
    include: Vec<String>,

    /// Globs of keys below the source to skip
    #[arg(long, value_name = "GLOB")]
    exclude: Vec<String>,
}

impl FilterArgs {
    pub(crate) fn filter(&self) -> Result<KeyFilter, Failure> {
        let mut filter = KeyFilter::default();
        filter.accounts = self.account.clone();
        filter.regions = self.flow_region.clone();
        filter.flow_log_ids = self.flow_log_id.clone();
        let usage = |message: String| Failure::message(Exit::Usage, &message, None);
        let days = filter.set_days(self.since.as_deref(), self.until.as_deref());
        days.map_err(|message| usage(format!("--since, --until: {message}")))?;
        filter.set_globs(&self.include, &self.exclude).map_err(usage)?;
        Ok(filter)
    }

    /// Regions of the flow logs that are wanted; none for all.
    pub(crate) fn regions(&self) -> &[String] {
        &self.flow_region
    }

    /// Flow logs that are wanted; none for all.
    pub(crate) fn flow_log_ids(&self) -> &[String] {
        &self.flow_log_id
    }

    /// The filters as words of a command line.
    pub(crate) fn words(&self) -> Vec<String> {
        let mut words = Vec::new();
        for (option, value) in [("--since", &self.since), ("--until", &self.until)] {
            words.extend(value.iter().flat_map(|v| [option.to_owned(), v.clone()]));
        }
        for (option, values) in [
            ("--account", &self.account),
            ("--flow-region", &self.flow_region),
            ("--flow-log-id", &self.flow_log_id),
        ] {
            if !values.is_empty() {
                words.extend([option.to_owned(), values.join(",")]);
            }
        }
        for (option, values) in [("--include", &self.include), ("--exclude", &self.exclude)] {
            words.extend(values.iter().flat_map(|v| [option.to_owned(), v.clone()]));
        }
        words
    }

    /// The filters as a shell takes them; empty without any.
    pub(crate) fn text(&self) -> String {
        self.words().iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
    }
}

/// A day, or the one that was so long ago, as `YYYY-MM-DD`.
fn day(text: &str) -> Result<String, String> {
    let day = match age_s(text) {
        Some(age) => time_text(now_s().saturating_sub(age)).chars().take(10).collect(),
        None => text.to_owned(),
    };
    match KeyFilter::default().set_days(Some(&day), None) {
        Ok(()) => Ok(day),
        Err(_) => {
            Err(format!("expected a date such as 2024-01-31, or an age such as 2d or 36h, found `{text}`"))
        }
    }
}

/// The id of an account, of a list that may have blanks.
fn account(text: &str) -> Result<String, String> {
    let id = text.trim();
    if is_account(id) {
        return Ok(id.to_owned());
    }
    Err(format!("expected an account id of 12 digits, found `{id}`"))
}

/// A region, of a list that may have blanks.
fn region(text: &str) -> Result<String, String> {
    one_word(text).ok_or_else(|| format!("expected a region such as eu-west-1, found `{}`", text.trim()))
}

/// The id of a flow log, of a list that may have blanks.
pub(crate) fn flow_log_id(text: &str) -> Result<String, String> {
    one_word(text).ok_or_else(|| format!("expected the id of a flow log, fl-…, found `{}`", text.trim()))
}

/// Why somebody does something, for whoever asks later.
pub(crate) fn reason(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("expected a reason in words, found nothing".to_owned()),
        words => Ok(words.to_owned()),
    }
}

/// What names one thing: no blank within, and not nothing.
fn one_word(text: &str) -> Option<String> {
    let word = text.trim();
    (!word.is_empty() && !word.contains(char::is_whitespace)).then(|| word.to_owned())
}

/// A word as a shell takes it.
pub(crate) fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// `-`, a path or an S3 URL.
pub(crate) fn source(text: &str) -> Result<Source, String> {
    if text == "-" { Ok(Source::Stdin) } else { Location::parse(text).map(Source::At) }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        filter: FilterArgs,
    }

    #[test]
    fn lists_may_have_blanks_and_no_holes() {
        let filter = |words: &[&str]| {
            let line = Line::try_parse_from(std::iter::once(&"x").chain(words))?;
            Ok::<_, clap::Error>(line.filter)
        };
        let found = filter(&[
            "--account",
            "111111111111, 222222222222",
            "--flow-region",
            "us-east-1, eu-west-1 ",
            "--flow-log-id",
            " fl-1",
        ]);
        let found = found.expect("lists").filter().expect("a filter");
        assert_eq!(found.accounts, ["111111111111", "222222222222"]);
        assert_eq!(found.regions, ["us-east-1", "eu-west-1"]);
        assert_eq!(found.flow_log_ids, ["fl-1"]);
        for (option, text, what) in [
            ("--account", "1111-1111-1111", "expected an account id of 12 digits, found `1111-1111-1111`"),
            ("--account", "111111111111,", "expected an account id of 12 digits, found ``"),
            ("--account", "", "expected an account id of 12 digits, found ``"),
            ("--flow-region", "", "expected a region such as eu-west-1, found ``"),
            ("--flow-region", "us-east-1 eu-west-1", "found `us-east-1 eu-west-1`"),
            ("--flow-log-id", " ", "expected the id of a flow log, fl-…, found ``"),
        ] {
            let error = filter(&[option, text]).expect_err(text).to_string();
            assert!(error.contains(what), "{error}");
        }
        let found = filter(&["--include", ""]).expect("a line");
        assert!(found.filter().is_err(), "an empty glob takes no object");
    }

    #[test]
    fn days_may_be_ages() {
        let today = day("0d").expect("an age");
        assert_eq!(today.len(), "2024-01-31".len(), "{today}");
        assert_eq!(day("2024-01-31").as_deref(), Ok("2024-01-31"));
        assert!(day("2d").expect("two days ago") < today);
        assert_eq!((age_s("48h"), age_s("90m")), (age_s("2d"), Some(5_400)));
        for text in ["2", "d", "-2d", "2w", "2024-13-31", "yesterday", ""] {
            let error = day(text).expect_err(text);
            assert!(error.ends_with(&format!("or 36h, found `{text}`")), "{error}");
        }
    }

    #[test]
    fn words_are_quoted_for_a_shell() {
        for (word, expected) in [
            ("s3://b/x", "s3://b/x"),
            ("a b", "'a b'"),
            ("it's", r"'it'\''s'"),
            ("**/x", "'**/x'"),
            ("", "''"),
        ] {
            assert_eq!(quoted(word), expected);
        }
    }
}
