//! Calls to the Glue Data Catalog. Each is tried again where Glue is throttled or ill.
//!
//! Its protocol is JSON over one URL, with the call's name in a header (smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html).

use std::time::Duration;

use flowquet_aws::{AwsOptions, Caller, Service, Unanswered, pause};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};

use crate::error::{Error, ErrorKind, kind_of};
use crate::glue_table::{Column, Partition, Table};
use crate::partitions::PartitionPlace;
use crate::table::TableName;

const GLUE: Service = Service { name: "glue", id: "Glue", is_fips_in_gov: false };

/// Attempts at a call, in all.
const ATTEMPTS_MAX: u32 = 10;

/// First and longest pause between attempts; each is a random part of it.
const PAUSE_FIRST: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(20);

/// Rounds that ask for partitions and are answered with none of them read, after which we give up.
const IDLE_ROUNDS_MAX: u32 = 5;

/// Entries of a batch that makes or changes partitions (docs.aws.amazon.com/glue/latest/webapi/API_BatchCreatePartition.html).
pub(crate) const BATCH_MAX: usize = 100;

/// Entries of a batch that asks for partitions (…/API_BatchGetPartition.html).
const GET_BATCH_MAX: usize = 1_000;

/// The Glue Data Catalog of an account and region. Calls wait.
#[derive(Debug)]
pub struct Glue {
    runtime: Runtime,
    caller: Caller,
}

/// Partitions of a batch that Glue did not take: their place in it, and why.
pub(crate) type Refused = Vec<(usize, ErrorKind, String)>;

/// Why a call failed, and whether it may succeed if it is made again.
#[derive(Debug, PartialEq, Eq)]
struct Failed {
    kind: ErrorKind,
    is_passing: bool,
    detail: String,
}

impl Glue {
    /// The catalog that `options`, environment and profiles lead to. Nothing is asked yet.
    pub fn new(options: &AwsOptions) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime without threads");
        let config = runtime.block_on(flowquet_aws::load(options));
        let region = config.region().map_or("us-east-1", |region| region.as_ref());
        let caller = Caller::new(&config, options, GLUE, region);
        Self { runtime, caller }
    }

    /// Makes a call until it succeeds, fails for good, or has failed too often. `doing` says of an error what was tried, and on what.
    pub(crate) fn call<A: DeserializeOwned>(
        &self,
        name: &str,
        doing: (&'static str, &str),
        body: &Value,
    ) -> Result<A, Error> {
        let body = body.to_string();
        let target = format!("AWSGlue.{name}");
        let headers = [("content-type", "application/x-amz-json-1.1"), ("x-amz-target", target.as_str())];
        self.runtime.block_on(async {
            let mut attempts = 0;
            loop {
                attempts += 1;
                let answer = self.caller.post(&headers, &body).await.map_err(unanswered);
                match answer.and_then(|answer| read(&self.caller, &answer)) {
                    Ok(answer) => return Ok(answer),
                    Err(failed) if failed.is_passing && attempts < ATTEMPTS_MAX => {
                        tokio::time::sleep(pause(attempts, PAUSE_FIRST, PAUSE_MAX)).await;
                    }
                    Err(failed) => return Err(Error::new(failed.kind, doing.0, doing.1, failed.detail)),
                }
            }
        })
    }

    /// The table, if there is one.
    pub(crate) fn table(&self, database: &TableName, name: &TableName) -> Result<Option<Table>, Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Answer {
            table: Option<Table>,
        }
        let ask = json!({ "DatabaseName": database.as_str(), "Name": name.as_str() });
        match self.call::<Answer>("GetTable", ("read", &format!("{database}.{name}")), &ask) {
            Ok(answer) => Ok(answer.table),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether there is a database of this name.
    ///
    /// # Errors
    /// As Glue reports.
    pub fn has_database(&self, name: &TableName) -> Result<bool, Error> {
        let ask = json!({ "Name": name.as_str() });
        match self.call::<IgnoredAny>("GetDatabase", ("read database", name.as_str()), &ask) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether there is a table of this name; also where there is no such database.
    ///
    /// # Errors
    /// As Glue reports.
    pub fn has_table(&self, database: &TableName, name: &TableName) -> Result<bool, Error> {
        self.table(database, name).map(|table| table.is_some())
    }

    /// Makes a database unless there is one.
    pub(crate) fn create_database(&self, name: &TableName) -> Result<(), Error> {
        let ask = json!({ "DatabaseInput": { "Name": name.as_str() } });
        match self.call::<IgnoredAny>("CreateDatabase", ("create database", name.as_str()), &ask) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
            _ => Ok(()),
        }
    }

    pub(crate) fn create_table(&self, database: &TableName, input: &Table) -> Result<(), Error> {
        let ask = json!({ "DatabaseName": database.as_str(), "TableInput": input });
        let name = format!("{database}.{}", input.name);
        self.call::<IgnoredAny>("CreateTable", ("create table", &name), &ask).map(drop)
    }

    /// Changes a table that still has the version that was read.
    pub(crate) fn update_table(
        &self,
        database: &TableName,
        input: &Table,
        version: Option<&str>,
    ) -> Result<(), Error> {
        let mut ask = json!({ "DatabaseName": database.as_str(), "TableInput": input });
        if let Some(version) = version {
            ask["VersionId"] = version.into();
        }
        let name = format!("{database}.{}", input.name);
        self.call::<IgnoredAny>("UpdateTable", ("update table", &name), &ask).map(drop)
    }

    /// Those of `places` that the catalog knows.
    pub(crate) fn partitions(
        &self,
        database: &TableName,
        name: &TableName,
        places: &[PartitionPlace],
    ) -> Result<Vec<Partition>, Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Answer {
            partitions: Option<Vec<Partition>>,
            unprocessed_keys: Option<Vec<Value>>,
        }
        let mut found = Vec::new();
        for some in places.chunks(GET_BATCH_MAX) {
            let mut wanted: Vec<Value> = some.iter().map(|p| json!({ "Values": p.values })).collect();
            // Rounds of which Glue did nothing.
            let mut idle = 0;
            while !wanted.is_empty() {
                let ask = json!({ "DatabaseName": database.as_str(), "TableName": name.as_str(), "PartitionsToGet": wanted });
                let doing = ("read partitions of", &*format!("{database}.{name}"));
                let answer: Answer = self.call("BatchGetPartition", doing, &ask)?;
                found.extend(answer.partitions.unwrap_or_default());
                let left = answer.unprocessed_keys.unwrap_or_default();
                idle = if left.len() < wanted.len() { 0 } else { idle + 1 };
                if idle >= IDLE_ROUNDS_MAX {
                    let detail = format!(
                        "Glue left {} of {} partitions unread {idle} times",
                        left.len(),
                        wanted.len()
                    );
                    return Err(Error::new(ErrorKind::Throttled, doing.0, doing.1, detail));
                }
                if idle > 0 {
                    self.runtime
                        .block_on(async { tokio::time::sleep(pause(idle, PAUSE_FIRST, PAUSE_MAX)).await });
                }
                wanted = left;
            }
        }
        Ok(found)
    }

    /// Makes up to [`BATCH_MAX`] partitions.
    pub(crate) fn create_partitions(
        &self,
        database: &TableName,
        name: &TableName,
        columns: &[Column],
        places: &[&PartitionPlace],
    ) -> Result<Refused, Error> {
        let inputs: Vec<Partition> = places.iter().map(|p| Partition::new(columns, p)).collect();
        let ask = json!({ "DatabaseName": database.as_str(), "TableName": name.as_str(), "PartitionInputList": inputs });
        let doing = ("create partitions of", &*format!("{database}.{name}"));
        Ok(refused(places, self.call("BatchCreatePartition", doing, &ask)?))
    }

    /// Changes up to [`BATCH_MAX`] partitions.
    pub(crate) fn update_partitions(
        &self,
        database: &TableName,
        name: &TableName,
        columns: &[Column],
        places: &[&PartitionPlace],
    ) -> Result<Refused, Error> {
        let entry = |p: &&PartitionPlace| json!({ "PartitionValueList": p.values, "PartitionInput": Partition::new(columns, p) });
        let entries: Vec<Value> = places.iter().map(entry).collect();
        let ask =
            json!({ "DatabaseName": database.as_str(), "TableName": name.as_str(), "Entries": entries });
        let doing = ("update partitions of", &*format!("{database}.{name}"));
        Ok(refused(places, self.call("BatchUpdatePartition", doing, &ask)?))
    }
}

/// What the calls say that make or change partitions.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct OfBatch {
    errors: Option<Vec<OfPartition>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct OfPartition {
    /// Each call has a name of its own for it.
    #[serde(alias = "PartitionValueList", default)]
    partition_values: Vec<String>,
    error_detail: Option<Detail>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Detail {
    error_code: Option<String>,
    error_message: Option<String>,
}

fn refused(places: &[&PartitionPlace], answer: OfBatch) -> Refused {
    let of = |error: OfPartition| {
        let place = places.iter().position(|p| p.values == error.partition_values)?;
        let detail = error.error_detail.unwrap_or_default();
        let code = detail.error_code.unwrap_or_default();
        let message = detail.error_message.unwrap_or_else(|| "no reason given".to_owned());
        Some((place, kind_of(&code), format!("{code}: {message}")))
    };
    answer.errors.unwrap_or_default().into_iter().filter_map(of).collect()
}

fn unanswered(unanswered: Unanswered) -> Failed {
    let (kind, is_passing, detail) = match unanswered {
        Unanswered::Credentials(words) => (ErrorKind::Credentials, false, words),
        Unanswered::Invalid(words) => (ErrorKind::Other, false, words),
        Unanswered::Unreachable(words) => (ErrorKind::Unavailable, true, words),
    };
    Failed { kind, is_passing, detail }
}

fn read<A: DeserializeOwned>(caller: &Caller, answer: &http::Response<String>) -> Result<A, Failed> {
    let status = answer.status().as_u16();
    if answer.status().is_success() {
        // Calls that tell nothing may have no body.
        let body = if answer.body().trim().is_empty() { "{}" } else { answer.body() };
        return serde_json::from_str(body).map_err(|error| Failed {
            kind: ErrorKind::Unavailable,
            is_passing: true,
            detail: format!("{}: {error}", caller.unexpected(answer)),
        });
    }
    if status == 501 {
        let detail = caller.unexpected(answer);
        return Err(Failed { kind: ErrorKind::NotImplemented, is_passing: false, detail });
    }
    let Some((code, message)) = refusal(answer) else {
        let kind = match status {
            401 | 403 => ErrorKind::Denied,
            429 => ErrorKind::Throttled,
            500.. => ErrorKind::Unavailable,
            _ => ErrorKind::Other,
        };
        let is_passing = matches!(kind, ErrorKind::Throttled | ErrorKind::Unavailable);
        return Err(Failed { kind, is_passing, detail: caller.unexpected(answer) });
    };
    let kind = match kind_of(&code) {
        ErrorKind::Other if status >= 500 => ErrorKind::Unavailable,
        kind => kind,
    };
    // A limit of what there may be is still there a second later.
    let is_passing = matches!(kind, ErrorKind::Throttled | ErrorKind::Unavailable)
        && code != "ResourceNumberLimitExceededException";
    Err(Failed { kind, is_passing, detail: format!("{code}: {message}") })
}

/// Code and message of an answer that refuses; `None` where it has none. The code stands in a header or in the body, between a
/// name of its service and an address, either of which may be missing: `com.amazon.coral#Refused:http://…`.
fn refusal(answer: &http::Response<String>) -> Option<(String, String)> {
    let body: Value = serde_json::from_str(answer.body()).unwrap_or_default();
    let text = |names: &[&str]| names.iter().find_map(|name| body[*name].as_str()).map(str::to_owned);
    let header = answer.headers().get("x-amzn-errortype").and_then(|code| code.to_str().ok());
    let code = header.map(str::to_owned).or_else(|| text(&["__type", "code"]))?;
    let code = code.split(':').next().unwrap_or_default();
    let code = code.rsplit('#').next().unwrap_or_default().to_owned();
    let message = text(&["message", "Message", "errorMessage"]);
    Some((code, message.unwrap_or_else(|| "no reason given".to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(status: u16, header: Option<&str>, body: &str, expected: Option<(&str, &str)>) {
        let mut answer = http::Response::builder().status(status);
        if let Some(header) = header {
            answer = answer.header("x-amzn-errortype", header);
        }
        let answer = answer.body(body.to_owned()).expect("valid");
        let expected = expected.map(|(code, message)| (code.to_owned(), message.to_owned()));
        assert_eq!(refusal(&answer), expected);
    }

    #[test]
    fn refusals() {
        let body = r#"{"__type": "EntityNotFoundException", "Message": "Database x not found."}"#;
        check(400, None, body, Some(("EntityNotFoundException", "Database x not found.")));
        let body = r#"{"__type": "com.amazon.coral#Refused:http://x/", "message": "no", "Message": "other"}"#;
        check(400, None, body, Some(("Refused", "no")));
        check(400, Some("a#Denied:http://x/"), "", Some(("Denied", "no reason given")));
        check(500, Some("One"), r#"{"code": "Two"}"#, Some(("One", "no reason given")));
        for body in ["<html>", "{}", "", "7", r#"{"__type": 1}"#] {
            check(503, None, body, None);
        }
    }

    #[test]
    fn what_may_pass() {
        let config = aws_config::SdkConfig::builder().endpoint_url("http://x").build();
        let caller = Caller::new(&config, &AwsOptions::default(), GLUE, "eu-west-1");
        let failed = |status: u16, body: &str| {
            let answer = http::Response::builder().status(status).body(body.to_owned()).expect("valid");
            let failed = read::<IgnoredAny>(&caller, &answer).err();
            failed.map(|failed| (failed.kind, failed.is_passing, failed.detail))
        };
        let of = |code: &str| format!(r#"{{"__type": "{code}", "message": "why"}}"#);
        let told = |code: &str| format!("{code}: why");
        for (status, code, kind, is_passing) in [
            (400, "ThrottlingException", ErrorKind::Throttled, true),
            (400, "InternalServiceException", ErrorKind::Unavailable, true),
            (500, "OfTomorrow", ErrorKind::Unavailable, true),
            (400, "OfTomorrow", ErrorKind::Other, false),
            (400, "AccessDeniedException", ErrorKind::Denied, false),
            (400, "ResourceNumberLimitExceededException", ErrorKind::Throttled, false),
        ] {
            assert_eq!(failed(status, &of(code)), Some((kind, is_passing, told(code))));
        }
        let shown = "http://x/ answered 502: `<html> bad`".to_owned();
        assert_eq!(failed(502, "<html>\n bad"), Some((ErrorKind::Unavailable, true, shown)));
        let shown = "http://x/ answered 403: ``".to_owned();
        assert_eq!(failed(403, ""), Some((ErrorKind::Denied, false, shown)));
        let (kind, is_passing, detail) = failed(200, "<html>").expect("no answer of Glue");
        assert_eq!((kind, is_passing), (ErrorKind::Unavailable, true));
        assert!(detail.starts_with("http://x/ answered 200: `<html>`: expected value"), "{detail}");
        assert_eq!((failed(200, "{}"), failed(200, "")), (None, None));
    }

    #[test]
    fn partitions_that_are_refused() {
        let place = |value: &str| PartitionPlace {
            values: vec![value.to_owned()],
            location: String::new(),
            may_move: false,
        };
        let (one, two) = (place("1"), place("2"));
        for name in ["PartitionValues", "PartitionValueList"] {
            let detail = json!({ "ErrorCode": "ThrottlingException", "ErrorMessage": "slow down" });
            let answer = json!({ "Errors": [{ name: ["2"], "ErrorDetail": detail }, { name: ["3"] }, { name: ["1"] }] });
            let found = refused(&[&one, &two], serde_json::from_value(answer).expect("an answer"));
            assert_eq!(
                found,
                [
                    (1, ErrorKind::Throttled, "ThrottlingException: slow down".to_owned()),
                    (0, ErrorKind::Other, ": no reason given".to_owned())
                ]
            );
        }
        assert!(refused(&[&one], serde_json::from_value(json!({})).expect("an answer")).is_empty());
    }
}
