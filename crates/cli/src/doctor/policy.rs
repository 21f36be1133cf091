//! Statements of policies that allow what was denied.

use flowquet_store::Location;
use serde_json::{Value, json};

/// The partition of AWS that a region belongs to.
fn partition(region: &str) -> &'static str {
    match region.split('-').next() {
        Some("cn") => "aws-cn",
        Some("us") if region.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    }
}

/// To list what is below a prefix.
pub(super) fn list(region: &str, bucket: &str, prefix: &str) -> Value {
    let statement = json!({
        "Effect": "Allow",
        "Action": "s3:ListBucket",
        "Resource": format!("arn:{}:s3:::{bucket}", partition(region)),
    });
    with_prefix(statement, prefix)
}

fn with_prefix(mut statement: Value, prefix: &str) -> Value {
    if !prefix.is_empty() {
        statement["Condition"] = json!({"StringLike": {"s3:prefix": format!("{prefix}*")}});
    }
    statement
}

/// To do something with the objects below a prefix.
pub(super) fn objects(region: &str, bucket: &str, prefix: &str, action: &str) -> Value {
    let arn = format!("arn:{}:s3:::{bucket}/{prefix}*", partition(region));
    json!({"Effect": "Allow", "Action": action, "Resource": arn})
}

/// To read the lifecycle rules of a bucket.
pub(super) fn lifecycle(region: &str, bucket: &str) -> Value {
    let arn = format!("arn:{}:s3:::{bucket}", partition(region));
    json!({"Effect": "Allow", "Action": "s3:GetLifecycleConfiguration", "Resource": arn})
}

/// To do something with a database or table of the catalog. Glue asks for the catalog's permission as well.
/// Source: docs.aws.amazon.com/glue/latest/dg/glue-specifying-resource-arns.html.
pub(super) fn glue(
    region: &str,
    account: &str,
    actions: &[&str],
    database: &str,
    table: Option<&str>,
) -> Value {
    let arn = |what: &str| format!("arn:{}:glue:{region}:{account}:{what}", partition(region));
    let mut resources = vec![arn("catalog"), arn(&format!("database/{database}"))];
    resources.extend(table.map(|table| arn(&format!("table/{database}/{table}"))));
    json!({"Effect": "Allow", "Action": actions, "Resource": resources})
}

/// To do with a KMS key what `words` say that nobody allows, if they speak of one. S3 refuses with the words of KMS: `… is not authorized to perform:
/// kms:GenerateDataKey on resource: arn:aws:kms:eu-west-1:111122223333:key/1a2b because no identity-based policy allows …`.
pub(super) fn key(words: &str) -> Option<Value> {
    let word = |is: &dyn Fn(&str) -> bool| {
        let mut words = words.split_whitespace().map(|word| word.trim_end_matches(['.', ',', ')']));
        words.find(|word| is(word)).map(str::to_owned)
    };
    word(&|word| word.starts_with("kms:"))?;
    let key = word(&|word| word.starts_with("arn:") && word.contains(":kms:") && word.contains("key/"));
    // Who writes under a key also reads what was written, and parts of an upload are put together by reading.
    let actions = ["kms:GenerateDataKey", "kms:Decrypt"];
    Some(json!({"Effect": "Allow", "Action": actions, "Resource": key.unwrap_or_else(|| "*".to_owned())}))
}

/// Bucket and prefix of a place in S3; the prefix is empty or ends in a slash.
pub(super) fn place(location: &Location) -> Option<(&str, String)> {
    match location {
        Location::Local(_) => None,
        Location::S3 { bucket, prefix } if prefix.is_empty() => Some((bucket, String::new())),
        Location::S3 { bucket, prefix } => Some((bucket, format!("{}/", prefix.trim_end_matches('/')))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements() {
        let all = list("eu-west-1", "logs", "");
        assert_eq!(all["Resource"], "arn:aws:s3:::logs");
        assert!(all.get("Condition").is_none());
        assert_eq!(list("cn-north-1", "logs", "a/")["Condition"]["StringLike"]["s3:prefix"], "a/*");
        assert_eq!(
            objects("us-gov-west-1", "lake", "t/", "s3:PutObject")["Resource"],
            "arn:aws-us-gov:s3:::lake/t/*"
        );
        assert_eq!(
            glue("eu-west-1", "1", &["glue:GetTable"], "lake", Some("t"))["Resource"],
            json!([
                "arn:aws:glue:eu-west-1:1:catalog",
                "arn:aws:glue:eu-west-1:1:database/lake",
                "arn:aws:glue:eu-west-1:1:table/lake/t"
            ])
        );
        let told = "AccessDenied: User: arn:aws:iam::1:user/x is not authorized to perform: kms:GenerateDataKey on resource: arn:aws:kms:eu-west-1:1:key/1a because no identity-based policy allows the kms:GenerateDataKey action";
        assert_eq!(key(told).expect("a key")["Resource"], "arn:aws:kms:eu-west-1:1:key/1a");
        assert_eq!(key("not allowed to perform: kms:Decrypt").expect("a key")["Resource"], "*");
        assert_eq!(key("access denied: AccessDenied: Access Denied"), None);
        let location = Location::parse("s3://lake/t").expect("a location");
        assert_eq!(place(&location), Some(("lake", "t/".to_owned())));
    }
}
