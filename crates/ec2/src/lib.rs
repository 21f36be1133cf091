//! The flow logs of an account, as EC2 describes them: which log format each has, and where it delivers to.
//!
//! The same road leads to STS, which tells who asks ([`who_am_i`]).
//!
//! One call of EC2 is needed, `DescribeFlowLogs`. The SDK's crate of EC2 is the largest of all, and takes minutes to build; so the
//! request is made by [`flowquet_aws::Caller`], and its answer is read as XML.
//!
//! ```
//! let saved = br#"{"FlowLogs": [{"FlowLogId": "fl-1", "LogGroupName": "flow", "LogFormat": "${srcaddr} ${bytes}"}]}"#;
//! let found = flowquet_ec2::read_saved(saved).expect("what `aws ec2 describe-flow-logs` prints");
//! assert_eq!(found[0].log_format, "${srcaddr} ${bytes}");
//! ```

mod answer;
mod describe;
mod error;
mod flow_log;
mod identity;
mod request;

pub use describe::describe;
pub use error::{Error, ErrorKind};
pub use flow_log::{FlowLog, TagKeys, read_saved};
pub use identity::{Identity, WhoAmI, who_am_i};
