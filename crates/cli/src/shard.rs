//! Which shard of a plan a process performs: as it is told, or as the job array that it is part of tells.

use std::str::FromStr;

use flowquet_plan::{Shard, divide};
use indicatif::HumanCount;

use crate::exit::Exit;
use crate::output::{Failure, say};
use crate::plan_file::PlanFile;

/// What `--shard` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ShardArg {
    /// `I`: of the shards that the plan is divided into.
    Index(u64),
    /// `I/N`: of so many, whatever the plan says.
    Of(Shard),
}

impl FromStr for ShardArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self::Index).or_else(|_| text.parse().map(Self::Of))
    }
}

/// A place in an array of jobs.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    /// The variable that tells it.
    variable: &'static str,
    /// From 0.
    index: u64,
    /// Jobs of the array, where the scheduler tells.
    of: Option<u64>,
}

/// The places of the tasks that are to be performed: by `asked`, or by the variables that `variable` looks up.
///
/// Sources: docs.aws.amazon.com/batch/latest/userguide/array_jobs.html, kubernetes.io/docs/concepts/workloads/controllers/job
/// (completion mode), slurm.schedmd.com/job_array.html.
pub(crate) fn tasks_of_shard(
    asked: Option<ShardArg>,
    file: &PlanFile,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<Vec<usize>, Failure> {
    let divided = file.shards.as_ref().map(|shards| shards.len() as u64);
    let Shard { index, of } = shard(asked, divided, variable)?;
    if let Some(warning) = other_division(of, divided) {
        say(&format!("warning: {warning}"));
    }
    let stored = file.shards.as_ref().filter(|_| divided == Some(of));
    let place = usize::try_from(index).ok();
    Ok(match (stored, place) {
        (Some(shards), Some(place)) => shards[place].tasks.clone(),
        (None, Some(place)) => {
            let tasks = file.plan.as_ref().map_or(&[][..], |plan| &plan.tasks);
            divide(tasks, of).into_iter().nth(place).unwrap_or_default()
        }
        (_, None) => Vec::new(),
    })
}

/// What to mind where a plan is divided otherwise than it was; that it is run as a whole needs no mind.
fn other_division(of: u64, divided: Option<u64>) -> Option<String> {
    let divided = divided.filter(|shards| *shards != of && of > 1)?;
    let (of, last, divided) = (HumanCount(of), HumanCount(of - 1), HumanCount(divided));
    Some(format!(
        "the plan has {divided} shards, and --shard names {of}: the plan is divided into {of} instead; run all of 0/{of} to {last}/{of}"
    ))
}

/// The shard, of the plan's if it is `divided` into so many.
fn shard(
    asked: Option<ShardArg>,
    divided: Option<u64>,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<Shard, Failure> {
    let wrong = |message: String, hint: &str| Failure::message(Exit::Usage, &message, Some(hint));
    let (told_by, index, of) = match asked {
        Some(ShardArg::Of(shard)) => return Ok(shard),
        Some(ShardArg::Index(index)) => ("--shard", index, None),
        None => {
            let Some(Place { variable, index, of }) = place(variable)? else {
                let message = "--plan needs to know which shard of the plan to run".to_owned();
                let hint = "give --shard I/N, or run it in an array of AWS Batch, Kubernetes or Slurm; --shard 0/1 runs all of it";
                return Err(wrong(message, hint));
            };
            (variable, index, of)
        }
    };
    match (divided, of) {
        (Some(shards), Some(of)) if shards != of => {
            let (shards, of) = (HumanCount(shards), HumanCount(of));
            let message = format!("the plan is divided into {shards} shards, and the array has {of} tasks");
            let hint =
                "submit as many tasks as there are shards; to run some again, give --shard I, counted from 0";
            Err(wrong(message, hint))
        }
        (None, None) => {
            let message =
                format!("{told_by} is {index}, but the number of shards is unknown: the plan is not divided");
            Err(wrong(message, "make the plan with `flowquet plan --shards N`, or give --shard I/N"))
        }
        (Some(of), _) | (_, Some(of)) if index < of => Ok(Shard { index, of }),
        (Some(of), _) | (_, Some(of)) => {
            let last = HumanCount(of.saturating_sub(1));
            let message =
                format!("there is no shard {}: {told_by} counts from 0 to {last}", HumanCount(index));
            Err(wrong(message, "submit as many tasks as the plan has shards, counted from 0"))
        }
    }
}

/// The place that the environment tells.
fn place(variable: &dyn Fn(&str) -> Option<String>) -> Result<Option<Place>, Failure> {
    let number = |name: &str| -> Result<Option<u64>, Failure> {
        let Some(text) = variable(name).filter(|text| !text.is_empty()) else { return Ok(None) };
        text.parse().map(Some).map_err(|_| {
            let message = format!("expected a number in {name}, found `{text}`");
            Failure::message(
                Exit::Usage,
                &message,
                Some("give --shard I/N, which goes before the environment"),
            )
        })
    };
    let mut places = Vec::new();
    for name in ["AWS_BATCH_JOB_ARRAY_INDEX", "JOB_COMPLETION_INDEX"] {
        places.extend(number(name)?.map(|index| Place { variable: name, index, of: None }));
    }
    if let Some(id) = number("SLURM_ARRAY_TASK_ID")? {
        let (min, max, step, of) = (
            number("SLURM_ARRAY_TASK_MIN")?.unwrap_or(0),
            number("SLURM_ARRAY_TASK_MAX")?,
            number("SLURM_ARRAY_TASK_STEP")?.unwrap_or(1).max(1),
            number("SLURM_ARRAY_TASK_COUNT")?,
        );
        // Ids that begin elsewhere, or are some apart, count from 0 here; a list of some has no such count.
        let is_even =
            max.zip(of).is_none_or(|(max, of)| max.checked_sub(min).is_some_and(|d| d / step + 1 == of));
        let index = id.checked_sub(min).filter(|d| d % step == 0).map(|d| d / step).filter(|_| is_even);
        let Some(index) = index else {
            let message = format!(
                "task {id} of the Slurm array has no place in it: ids {min} to {} are not all {step} apart",
                max.unwrap_or(id)
            );
            let hint = "submit with `sbatch --array=0-N`; to run some of its tasks again, give --shard I, counted from 0";
            return Err(Failure::message(Exit::Usage, &message, Some(hint)));
        };
        places.push(Place { variable: "SLURM_ARRAY_TASK_ID", index, of });
    }
    if let [first, others @ ..] = places.as_slice()
        && let Some(other) = others.iter().find(|other| other.index != first.index)
    {
        let message = format!(
            "two schedulers give different shards: {} is {}, {} is {}",
            first.variable, first.index, other.variable, other.index
        );
        return Err(Failure::message(Exit::Usage, &message, Some("give --shard I, which goes before both")));
    }
    let of = places.iter().find_map(|place| place.of);
    Ok(places.into_iter().next().map(|place| Place { of, ..place }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(asked: Option<&str>, divided: Option<u64>, variables: &[(&str, &str)]) -> String {
        let look =
            |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
        let asked = asked.map(|text| text.parse().expect("as it is typed"));
        match shard(asked, divided, &look) {
            Ok(Shard { index, of }) => format!("{index}/{of}"),
            Err(Failure::Error(error)) if error.exit == Exit::Usage => error.to_string(),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[track_caller]
    fn check(asked: Option<&str>, divided: Option<u64>, variables: &[(&str, &str)], expected: &str) {
        let said = said(asked, divided, variables);
        let is_expected = if expected.contains('/') { said == expected } else { said.contains(expected) };
        assert!(is_expected, "{said}");
    }

    #[test]
    fn shards_that_arrays_tell() {
        const BATCH: &str = "AWS_BATCH_JOB_ARRAY_INDEX";
        const KUBERNETES: &str = "JOB_COMPLETION_INDEX";
        check(None, Some(10), &[(BATCH, "9")], "9/10");
        check(None, Some(10), &[(KUBERNETES, "0")], "0/10");
        check(
            None,
            Some(10),
            &[(BATCH, "10")],
            "there is no shard 10: AWS_BATCH_JOB_ARRAY_INDEX counts from 0 to 9",
        );
        check(None, None, &[(BATCH, "3")], "the plan is not divided");
        check(None, Some(10), &[(BATCH, "3"), (KUBERNETES, "3")], "3/10");
        check(None, Some(10), &[(BATCH, "3"), (KUBERNETES, "4")], "two schedulers give different shards");
        check(None, Some(10), &[(BATCH, "x")], "expected a number in AWS_BATCH_JOB_ARRAY_INDEX, found `x`");
        check(None, Some(10), &[(BATCH, "")], "which shard of the plan");
        check(None, Some(0), &[(BATCH, "0")], "there is no shard 0");
    }

    #[test]
    fn shards_that_slurm_tells() {
        let of = |id, count, min, max, step| {
            [
                ("SLURM_ARRAY_TASK_ID", id),
                ("SLURM_ARRAY_TASK_COUNT", count),
                ("SLURM_ARRAY_TASK_MIN", min),
                ("SLURM_ARRAY_TASK_MAX", max),
                ("SLURM_ARRAY_TASK_STEP", step),
            ]
        };
        check(None, None, &of("5", "6", "0", "5", "1"), "5/6");
        check(None, Some(6), &of("5", "6", "0", "5", "1"), "5/6");
        // --array=1-6, --array=100-200:20, and its last id beyond the last step.
        check(None, None, &of("6", "6", "1", "6", "1"), "5/6");
        check(None, None, &of("160", "6", "100", "200", "20"), "3/6");
        check(None, None, &of("80", "3", "0", "100", "40"), "2/3");
        // Some tasks of an array again: which shards they were is not told.
        check(
            None,
            Some(6),
            &of("5", "2", "3", "5", "1"),
            "has no place in it: ids 3 to 5 are not all 1 apart",
        );
        check(
            None,
            Some(6),
            &of("4", "2", "3", "4", "1"),
            "the plan is divided into 6 shards, and the array has 2 tasks",
        );
        check(Some("5"), Some(6), &of("5", "2", "3", "5", "1"), "5/6");
    }

    #[test]
    fn a_plan_that_is_divided_anew() {
        let warning = other_division(5, Some(4)).expect("a warning");
        assert!(warning.starts_with("the plan has 4 shards, and --shard names 5"), "{warning}");
        for (of, divided) in [(4, Some(4)), (1, Some(4)), (5, None)] {
            assert_eq!(other_division(of, divided), None);
        }
    }

    #[test]
    fn shards_that_are_given() {
        check(Some("3/7"), Some(10), &[("AWS_BATCH_JOB_ARRAY_INDEX", "9")], "3/7");
        check(Some("3"), Some(10), &[], "3/10");
        check(Some("10"), Some(10), &[], "there is no shard 10: --shard counts from 0 to 9");
        check(Some("3"), None, &[], "the plan is not divided");
        check(None, Some(10), &[], "which shard of the plan");
        for text in ["", "3/", "3/3", "a", "-1"] {
            assert!(text.parse::<ShardArg>().is_err(), "{text}");
        }
    }
}
