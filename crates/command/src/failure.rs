//! Errors of stores and of a table's log as the programs tell them: exit codes, and what to do.

use flowquet_store::{Error as StoreError, ErrorKind, Permission};
use flowquet_table::{Error as LogError, RecordError};

use crate::exit::Exit;
use crate::output::{Diagnostic, Failure, shown, with_causes};

/// What to do where our own invariants do not hold.
pub const BROKEN: &str =
    "please report this, with the table's _flowquet folder if you can; nothing was committed";

/// What to do about a record that somebody changed.
pub const RECORD_EDITED: &str = "records must not be edited; restore the file";

/// The exit code where a store failed.
pub fn exit_of_store_error(error: &StoreError) -> Exit {
    match error.kind() {
        ErrorKind::InvalidEndpoint => Exit::Usage,
        kind if kind.is_transient() => Exit::Unavailable,
        _ => Exit::Failed,
    }
}

/// What to do about an error of a table's log, where something can be said.
pub fn hint_of_log(error: &LogError) -> Option<&'static str> {
    Some(match error {
        LogError::Broken { .. } => BROKEN,
        LogError::Checkpoint { .. } => {
            "run the same command again; if that does not help, delete the folder `_flowquet/checkpoints`, which holds nothing unique"
        }
        LogError::NoTable(_) => {
            "check the path; `flowquet convert` creates a table, also from Parquet files that AWS delivered"
        }
        LogError::Record { error: RecordError::Version { .. }, .. } => {
            "another version of flowquet wrote this table: use that one, or a newer one"
        }
        LogError::Record { .. } => RECORD_EDITED,
        LogError::StalePlan { .. } => "make the plan again with `flowquet plan`",
        LogError::Contract(_) | LogError::Store(_) => return None,
    })
}

/// What to do where no credentials are found, or none that the service accepts.
pub const CREDENTIALS: &str = "give --profile or set AWS_PROFILE (then `aws sso login` where it uses SSO), set AWS_ACCESS_KEY_ID and \
     AWS_SECRET_ACCESS_KEY, or run with a role; `aws sts get-caller-identity` checks them";

/// What to do about an error of a store, where something can be said.
pub fn hint_of_store(error: &StoreError) -> Option<String> {
    let hint = match error.kind() {
        ErrorKind::Archived => {
            "restore it: `flowquet convert --restore` asks for it, and converts it once it is restored"
        }
        ErrorKind::Changed => "run the same command again: it lists the objects afresh",
        ErrorKind::Credentials | ErrorKind::NoCredentials => CREDENTIALS,
        ErrorKind::Denied if error.is_s3() => return Some(hint_of_permission(error.permission())),
        ErrorKind::Denied => "check the owner and permissions of the folder",
        ErrorKind::Folder => "name the files in it, or give the folder as SOURCE",
        ErrorKind::Full => "free some room and run the same command again to finish",
        ErrorKind::InvalidEndpoint => {
            "an endpoint is http://HOST or https://HOST: correct --endpoint-url, AWS_ENDPOINT_URL, AWS_ENDPOINT_URL_S3 or the profile's endpoint_url"
        }
        ErrorKind::InvalidKey => "rename the file: keys are UTF-8",
        ErrorKind::NoBucket => "check the bucket's name; a store other than AWS's needs --endpoint-url",
        ErrorKind::NotAFile => "pipes are read from standard input: `-`",
        ErrorKind::NotAFolder => "check the path",
        ErrorKind::NotFound if error.is_s3() => "check bucket and prefix; `aws s3 ls` lists them",
        ErrorKind::NotFound => "check the path",
        ErrorKind::NotImplemented => {
            "check --endpoint-url: what answers there may be another service than S3"
        }
        ErrorKind::ReadOnly => "mount it so that it can be written to, or choose another place",
        ErrorKind::Outside => "a table's own folder holds no links: put the folder itself there",
        ErrorKind::TooLarge => "give a smaller --file-bytes",
        ErrorKind::TooMany => {
            "move away what is not part of the table; `flowquet compact` merges many files into few"
        }
        ErrorKind::Throttled => "run the same command again later to finish",
        ErrorKind::Unavailable | ErrorKind::Unreachable => {
            "check the network, --region and --endpoint-url; then run the same command again to finish"
        }
        ErrorKind::WrongRegion => {
            "give the bucket's own region with --region, or drop the option: the region is detected"
        }
        ErrorKind::AlreadyExists | ErrorKind::Interrupted | ErrorKind::Other => return None,
    };
    Some(hint.to_owned())
}

/// What the credentials need where S3 denies something.
pub fn hint_of_permission(permission: Permission) -> String {
    let needed = match permission {
        Permission::AbortUpload => "s3:AbortMultipartUpload on the object",
        Permission::Delete => "s3:DeleteObject on the object",
        Permission::List => "s3:ListBucket on the bucket",
        Permission::Read => "s3:GetObject on the object, and kms:Decrypt where a KMS key encrypts it",
        Permission::Restore => "s3:RestoreObject on the object",
        Permission::Write => {
            "s3:PutObject on the object, and kms:GenerateDataKey and kms:Decrypt where a KMS key encrypts it"
        }
    };
    let payer = match permission {
        Permission::List | Permission::Read => "; a Requester Pays bucket needs --requester-pays, too",
        _ => "",
    };
    format!("the credentials need {needed}{payer}; docs/S3.md shows a policy that is enough")
}

/// The message for an error of a store that ends a command.
pub fn store_failure(error: &StoreError) -> Failure {
    let mut message = with_causes(error);
    error.notes().iter().for_each(|note| message.push_str(&format!("\n  {}", shown(note))));
    Diagnostic { hint: hint_of_store(error), ..Diagnostic::new(exit_of_store_error(error), message) }.into()
}

/// The message for an error of a table's log that ends a command which reads the table.
pub fn log_failure(error: &LogError) -> Failure {
    match error {
        LogError::Store(error) => store_failure(error),
        _ => Failure::new(Exit::Failed, error, hint_of_log(error).map(str::to_owned)),
    }
}
