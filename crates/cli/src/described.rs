//! The flow logs that `--describe-flow-logs` gives: asked of EC2, or read from what `aws ec2 describe-flow-logs` printed.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use flowquet_aws::AwsOptions;
use flowquet_ec2::{ErrorKind, FlowLog, describe, read_saved};
use flowquet_format::Catalogue;

use crate::exit::Exit;
use crate::failure::hint_of_ec2;
use crate::given::{found_in_text, text_of_file};
use crate::output::{Failure, shown, shown_lines};
use crate::places::S3Args;
use crate::signals::stop;

/// The option's name.
pub(crate) const OPTION: &str = "--describe-flow-logs";

/// What the option says instead of a file, so that EC2 is asked; regions may stand behind it: `aws:eu-west-1,us-east-1`.
pub(crate) const ASK: &str = "aws";

/// The regions that the option's value names, if it is no file.
fn regions_of(from: &str) -> Option<Vec<String>> {
    match from.strip_prefix(ASK)?.strip_prefix(':') {
        None if from == ASK => Some(Vec::new()),
        None => None,
        Some(names) => Some(names.split(',').map(|name| name.trim().to_owned()).collect()),
    }
}

/// Who is asked, and of which flow logs.
pub(crate) struct Asked<'a> {
    /// How AWS is spoken to.
    pub(crate) aws: AwsOptions,
    /// The regions of the flow logs; none for the configured one.
    pub(crate) regions: &'a [String],
    /// Those that are wanted; none for all.
    pub(crate) ids: &'a [String],
    pub(crate) stop: &'a AtomicBool,
}

impl<'a> Asked<'a> {
    /// As the store is spoken to, but at the endpoint that environment and profile name.
    pub(crate) fn of(s3: &S3Args, regions: &'a [String], ids: &'a [String]) -> Self {
        Self { aws: s3.glue(None), regions, ids, stop: stop() }
    }
}

/// The flow logs that the option's value `from` leads to, of the log groups `groups` if there are any; at least one.
pub(crate) fn described(
    from: &str,
    groups: &[String],
    asked: &Asked<'_>,
    catalogue: &Catalogue,
) -> Result<Vec<FlowLog>, Failure> {
    let regions = regions_of(from);
    let place = if regions.is_some() { "EC2" } else { from };
    let found = match &regions {
        Some(regions) => of_ec2(regions, asked)?,
        None => in_file(Path::new(from), catalogue)?,
    };
    if found.is_empty() {
        let hint = match regions {
            Some(_) => "each region describes its own flow logs: give --describe-flow-logs=aws:REGION,REGION",
            None => {
                "`aws ec2 describe-flow-logs > FILE` writes the flow logs of one region with their formats"
            }
        };
        let message =
            format!("read {OPTION} {}: expected flow logs with a LogFormat, found none", shown(place));
        return Err(Failure::message(Exit::Usage, &message, Some(hint)));
    }
    let all = found.len();
    let is_wanted = |log: &FlowLog| {
        (asked.ids.is_empty() || log.id.is_empty() || asked.ids.contains(&log.id))
            && (groups.is_empty() || log.log_group().is_some_and(|group| groups.iter().any(|g| g == group)))
    };
    let mut known: Vec<String> = found.iter().filter_map(FlowLog::log_group).map(str::to_owned).collect();
    let wanted: Vec<FlowLog> = found.into_iter().filter(is_wanted).collect();
    if wanted.is_empty() {
        let message = format!("read {OPTION} {}: none of {all} flow logs is chosen", shown(place));
        known.sort_unstable();
        known.dedup();
        let hint = match (groups, known.as_slice()) {
            ([], _) => "check --flow-log-id".to_owned(),
            (_, []) => "none of them delivers to a log group: leave --log-group out".to_owned(),
            (_, known) => format!("they deliver to the log groups {}", shown(&known.join(", "))),
        };
        return Err(Failure::message(Exit::Usage, &message, Some(&hint)));
    }
    Ok(wanted)
}

fn of_ec2(regions: &[String], asked: &Asked<'_>) -> Result<Vec<FlowLog>, Failure> {
    let regions = if regions.is_empty() { asked.regions } else { regions };
    describe(&asked.aws, regions, asked.stop).map_err(|error| {
        let exit = match error.kind() {
            ErrorKind::Stopped => Exit::Interrupted,
            ErrorKind::Throttled | ErrorKind::Unavailable => Exit::Unavailable,
            _ => Exit::Failed,
        };
        Failure::message(exit, &shown_lines(&error.to_string()), hint_of_ec2(&error))
    })
}

/// Its JSON says all of a flow log; of other documents that hold formats, each is one.
fn in_file(path: &Path, catalogue: &Catalogue) -> Result<Vec<FlowLog>, Failure> {
    let place = format!("read {OPTION} {}", path.display());
    let content = text_of_file(&place, path)?;
    if let Some(found) = read_saved(content.as_bytes()) {
        return Ok(found);
    }
    let found = found_in_text(&place, &content, catalogue)?.into_iter();
    let flow_log = |found: flowquet_format::FoundFormat| FlowLog {
        id: found.name.filter(|name| name.starts_with("fl-")).unwrap_or_default(),
        log_format: found.format.to_string(),
        ..FlowLog::default()
    };
    Ok(found.map(flow_log).collect())
}

#[cfg(test)]
mod tests {
    use super::regions_of;

    #[test]
    fn what_is_a_file_and_what_is_asked() {
        let regions = |names: &[&str]| Some(names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>());
        assert_eq!(regions_of("aws"), regions(&[]));
        assert_eq!(regions_of("aws:eu-west-1, us-east-1"), regions(&["eu-west-1", "us-east-1"]));
        for file in ["./aws", "aws.json", "awsome", "logs.json"] {
            assert_eq!(regions_of(file), None, "{file}");
        }
    }
}
