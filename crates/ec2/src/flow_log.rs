//! A flow log, and the file that holds what `aws ec2 describe-flow-logs` printed.

use serde::Deserialize;

/// What EC2 says of a flow log, as far as it decides how its records are read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct FlowLog {
    /// Its id: `fl-…`.
    #[serde(rename = "FlowLogId", default)]
    pub id: String,
    /// The log group that it delivers to, if it does to CloudWatch Logs.
    #[serde(rename = "LogGroupName", default)]
    pub log_group: Option<String>,
    /// The ARN of what it delivers to.
    #[serde(rename = "LogDestination", default)]
    pub destination: Option<String>,
    /// Its log format in AWS's text.
    #[serde(default)]
    pub log_format: String,
    /// The tags that it writes.
    #[serde(rename = "TagFieldSpecifications", default)]
    pub tags: Vec<TagKeys>,
}

/// The keys of the tags that a flow log writes of one type of resource, first and second.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct TagKeys {
    /// `instance`, `network-interface` or `auto-scaling-group`.
    pub resource_type: String,
    /// The keys in order.
    #[serde(default)]
    pub tag_keys: Vec<String>,
}

impl FlowLog {
    /// The log group that it delivers to, by its name or by the ARN of its destination.
    pub fn log_group(&self) -> Option<&str> {
        // arn:aws:logs:REGION:ACCOUNT:log-group:NAME, perhaps with `:*` behind it.
        let of_arn = || self.destination.as_deref()?.split_once(":log-group:")?.1.split(':').next();
        self.log_group.as_deref().or_else(of_arn)
    }

    /// The keys of its tags, each with the field that holds the tag's value.
    pub fn tag_fields(&self) -> impl Iterator<Item = (String, &str)> {
        self.tags.iter().flat_map(|tags| {
            let field = match tags.resource_type.as_str() {
                "network-interface" => "interface-tag",
                "auto-scaling-group" => "asg-tag",
                _ => "instance-tag",
            };
            tags.tag_keys.iter().enumerate().map(move |(i, key)| {
                let field = if i == 0 { field.to_owned() } else { format!("{field}-{}", i + 1) };
                (field, key.as_str())
            })
        })
    }
}

/// Reads the JSON that `aws ec2 describe-flow-logs` prints, or the list in it; `None` where it is something else.
pub fn read_saved(content: &[u8]) -> Option<Vec<FlowLog>> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Saved {
        Answer {
            #[serde(rename = "FlowLogs")]
            flow_logs: Vec<FlowLog>,
        },
        List(Vec<FlowLog>),
    }
    let found = match serde_json::from_slice(content).ok()? {
        Saved::Answer { flow_logs } => flow_logs,
        Saved::List(flow_logs) => flow_logs,
    };
    found.iter().all(|f| !f.log_format.is_empty()).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_groups_and_tags() {
        let json = r#"[{"FlowLogId": "fl-1", "LogFormat": "x", "LogDestination": "arn:aws:logs:eu-west-1:111122223333:log-group:/vpc/flow:*",
            "TagFieldSpecifications": [{"ResourceType": "instance", "TagKeys": ["Team", "Env"]}, {"ResourceType": "network-interface", "TagKeys": ["Name"]}]}]"#;
        let found = read_saved(json.as_bytes()).expect("a list");
        assert_eq!(found[0].log_group(), Some("/vpc/flow"));
        let tags: Vec<(String, &str)> = found[0].tag_fields().collect();
        let expected = [("instance-tag", "Team"), ("instance-tag-2", "Env"), ("interface-tag", "Name")];
        assert_eq!(tags, expected.map(|(field, key)| (field.to_owned(), key)));
        let to_s3 = FlowLog { destination: Some("arn:aws:s3:::logs/flow/".to_owned()), ..FlowLog::default() };
        assert_eq!(to_s3.log_group(), None);
    }

    #[test]
    fn other_files() {
        for text in ["", "{}", "[1]", r#"{"FlowLogs": [{"FlowLogId": "fl-1"}]}"#, "log_format = x"] {
            assert_eq!(read_saved(text.as_bytes()), None, "{text}");
        }
        assert_eq!(read_saved(br#"{"FlowLogs": []}"#), Some(Vec::new()));
    }
}
