//! Any text as a key: the folders of a table that are made of it stay inside the table, and are such as Hive's readers take apart.

use flowquet_format::{
    KeyFilter, KeyGroup, LogKind, ObjectKey, PartitionSpec, folder_region, service_of_name, service_of_path,
};
use flowquet_store::Location;
use flowquet_table::{OutputRecord, output_name, task_of_output};

use super::world::{is_inside, key};

const ID: &str = "0123456789abcdef";

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let hive = "AWSLogs/aws-account-id=123456789012/aws-service=vpcflowlogs/aws-region=us-east-1/year=2024/month=01/day=15/hour=03/x.log.gz";
    let keys = [
        key(1, 15, 3),
        hive.to_owned(),
        format!("s3://logs/{}", key(2, 16, 4)),
        "AWSLogs/123456789012/vpcflowlogs/../2024/01/15/x".to_owned(),
        "AWSLogs/aws-account-id=123456789012/aws-service=vpcflowlogs/aws-region=a%2F..%2Fb/year=2024/month=02/day=30/x".to_owned(),
        "https://lake.s3.eu-west-1.amazonaws.com/x".to_owned(),
        "arn:aws:s3:::lake/x".to_owned(),
    ];
    keys.into_iter().map(String::into_bytes).collect()
}

pub(super) fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let parsed = ObjectKey::parse(&text);
    assert_eq!(ObjectKey::flow_log_id_of(&text), parsed.flow_log_id.as_deref());
    // A record may name any text as its region.
    let region = folder_region(data).or(parsed.region.as_deref());
    for columns in ["date", "account,region,date", "account,region,hour,date"] {
        let Ok(spec) = columns.parse::<PartitionSpec>() else { continue };
        let folder = spec.folder(&parsed, region, LogKind::Vpc, spec.delivery_slot(&parsed));
        assert!(is_inside(&folder) && !folder.contains(char::is_control), "{folder:?} of {text:?}");
        let parts: Vec<&str> = folder.split('/').collect();
        assert!(
            parts.iter().all(|part| part.split_once('=').is_some_and(|(_, value)| !value.is_empty())),
            "{folder:?}"
        );
        // What was written is read: a record that names it decodes.
        let key = output_name(&folder, ID, 7);
        assert_eq!(task_of_output(&key), Some(ID));
        let record = serde_json::json!({ "key": key, "partition": folder, "rows": 1, "bytes": 1, "format": "${start}" });
        let record = serde_json::from_value::<OutputRecord>(record);
        assert!(record.is_ok_and(|record| record.key == key), "{key:?}");
    }
    let (_, _) = KeyGroup::of(&text, &text);
    let (_, _) = (service_of_name(&text), service_of_path(&text));
    let mut filter = KeyFilter::default();
    filter.set_days(Some("2024-01-10"), Some("2024-01-20")).expect("days");
    let _ = filter.admits(&text, &text);
    let _ = filter.descent(&text, text.matches('/').count());
    if let Ok(location) = Location::parse(&text) {
        // As it is told, it is typed: but for paths that are no text.
        let again = Location::parse(&location.to_string());
        let is_url = text.starts_with("file://");
        assert!(is_url || again.as_ref() == Ok(&location), "{location:?} is read as {again:?}");
    }
}
