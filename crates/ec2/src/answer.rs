//! Answers of EC2's Query API: XML.

use flowquet_aws::quoted;
use serde::Deserialize;

use crate::flow_log::{FlowLog, TagKeys};

/// One page of flow logs, and where the next one begins.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Page {
    pub(crate) flow_logs: Vec<FlowLog>,
    pub(crate) next: Option<String>,
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "T: Deserialize<'de>"))]
struct Set<T> {
    #[serde(rename = "item", default = "Vec::new")]
    items: Vec<T>,
}

impl<T> Default for Set<T> {
    fn default() -> Self {
        Self { items: Vec::new() }
    }
}

#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "flowLogSet", default)]
    flow_logs: Set<Item>,
    #[serde(rename = "nextToken", default)]
    next: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Item {
    #[serde(default)]
    flow_log_id: String,
    #[serde(default)]
    log_group_name: Option<String>,
    #[serde(default)]
    log_destination: Option<String>,
    #[serde(default)]
    log_format: String,
    #[serde(default)]
    tag_field_specification_set: Set<TagItem>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TagItem {
    #[serde(default)]
    resource_type: String,
    #[serde(default)]
    tag_key_set: Set<String>,
}

impl From<Item> for FlowLog {
    fn from(item: Item) -> Self {
        let tags = item.tag_field_specification_set.items.into_iter();
        let tags = tags.map(|t| TagKeys { resource_type: t.resource_type, tag_keys: t.tag_key_set.items });
        Self {
            id: item.flow_log_id,
            log_group: item.log_group_name.filter(|name| !name.is_empty()),
            destination: item.log_destination.filter(|arn| !arn.is_empty()),
            log_format: item.log_format,
            tags: tags.collect(),
        }
    }
}

/// Reads a page of the answer to `DescribeFlowLogs`.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn page(body: &str) -> Result<Page, String> {
    // Any document without these elements would be an empty answer.
    if !body.contains("DescribeFlowLogsResponse") {
        return Err(format!("expected a DescribeFlowLogsResponse, found `{}`", quoted(body)));
    }
    let answer: Answer = quick_xml::de::from_str(body).map_err(|e| format!("read the answer: {e}"))?;
    let flow_logs = answer.flow_logs.items.into_iter().map(FlowLog::from).collect();
    Ok(Page { flow_logs, next: answer.next.filter(|token| !token.is_empty()) })
}

/// Code and message of a refusal; `None` where the answer has none.
pub(crate) fn refusal(body: &str) -> Option<(String, String)> {
    /// EC2 has its errors in a list, STS has one.
    #[derive(Deserialize)]
    struct Response {
        #[serde(rename = "Errors", default)]
        errors: Errors,
        #[serde(rename = "Error")]
        error: Option<Refusal>,
    }
    #[derive(Default, Deserialize)]
    struct Errors {
        #[serde(rename = "Error")]
        error: Vec<Refusal>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Refusal {
        code: String,
        #[serde(default)]
        message: String,
    }
    let response: Response = quick_xml::de::from_str(body).ok()?;
    response.error.or(response.errors.error.into_iter().next()).map(|e| (e.code, e.message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages() {
        let body = r#"<?xml version="1.0" encoding="UTF-8"?>
<DescribeFlowLogsResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/">
  <requestId>1</requestId>
  <flowLogSet>
    <item><flowLogId>fl-1</flowLogId><logFormat>${srcaddr} ${bytes}</logFormat><logGroupName>a&amp;b</logGroupName><tagSet/>
      <tagFieldSpecificationSet><item><resourceType>instance</resourceType><tagKeySet><item>Team</item><item>Env</item></tagKeySet></item></tagFieldSpecificationSet></item>
    <item><flowLogId>fl-2</flowLogId><logFormat>${bytes}</logFormat><logDestination>arn:aws:s3:::logs</logDestination></item>
  </flowLogSet>
  <nextToken>more</nextToken>
</DescribeFlowLogsResponse>"#;
        let page = page(body).expect("an answer");
        assert_eq!(page.next.as_deref(), Some("more"));
        let [one, two] = page.flow_logs.as_slice() else { panic!("{page:?}") };
        assert_eq!((one.id.as_str(), one.log_group()), ("fl-1", Some("a&b")));
        assert_eq!(one.log_format, "${srcaddr} ${bytes}");
        assert_eq!(one.tags[0].tag_keys, ["Team", "Env"]);
        assert_eq!((two.log_group(), two.destination.as_deref()), (None, Some("arn:aws:s3:::logs")));
    }

    #[test]
    fn no_flow_logs() {
        for set in ["", "<flowLogSet/>", "<flowLogSet></flowLogSet><nextToken/>"] {
            let body = format!("<DescribeFlowLogsResponse>{set}</DescribeFlowLogsResponse>");
            assert_eq!(page(&body), Ok(Page { flow_logs: Vec::new(), next: None }), "{set}");
        }
    }

    #[test]
    fn what_is_no_answer() {
        assert_eq!(
            page("<html>\n  <body>Sign in</body>"),
            Err("expected a DescribeFlowLogsResponse, found `<html> <body>Sign in</body>`".to_owned())
        );
        assert!(page("<DescribeFlowLogsResponse><flowLogSet>").is_err(), "cut short");
    }

    #[test]
    fn refusals() {
        let body = "<Response><Errors><Error><Code>UnauthorizedOperation</Code><Message>You are not authorized.</Message></Error></Errors><RequestID>1</RequestID></Response>";
        let expected = ("UnauthorizedOperation".to_owned(), "You are not authorized.".to_owned());
        assert_eq!(refusal(body), Some(expected));
        let body = "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type><Code>ExpiredToken</Code><Message>expired</Message></Error></ErrorResponse>";
        assert_eq!(refusal(body), Some(("ExpiredToken".to_owned(), "expired".to_owned())));
        assert_eq!(refusal("<html/>"), None);
    }
}
