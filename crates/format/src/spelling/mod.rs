//! The spellings of a log format: as AWS prints it, and as shells, templates and programs have it.
//!
//! A text becomes tokens ([`token`]), and tokens become names by one grammar ([`grammar`]) that takes known punctuation only: a
//! word that it does not know is an error, never passed over. What languages and documents say in words of their own is put into
//! those of the grammar before ([`plain`], [`terraform`], [`loops`]). [`find`] looks for formats in whole files: it chooses pieces of
//! the text, and the grammar judges them. [`ate`] knows what a shell leaves of a format in double quotes.
//!
//! | from | example |
//! |---|---|
//! | AWS, shell in single quotes | `${version} ${vpc-id}` |
//! | Terraform, docker-compose, make | `log_format = "$${version} $${vpc-id}"` |
//! | Terraform | `join(" ", ["$${version}", "$${vpc-id}"])`, `[for f in local.fields : "$${${f}}"]`, `<<-EOT … EOT` |
//! | shell in double quotes, JavaScript | `\${version}`, `$\{version}`, `` `\${version}` `` |
//! | Python and .NET templates | `f"${{version}}"`, `" ".join(f"${{{f}}}" for f in FIELDS)` |
//! | CloudFormation | `LogFormat: !Sub '${!version} ${!vpc-id}'`, `Fn::Sub: >-` |
//! | CDK | `[ec2.LogFormat.VERSION, ec2.LogFormat.custom('${vpc-id}')]` |
//! | lists of names | `version, vpc-id`, `["version", "vpcId"]`, `- version` a line |
//! | CloudWatch Logs, Athena | `[version, eni, action="REJECT"]`, `CREATE TABLE x (version int, …)`, `version int, …` |
//! | heads of tables | `version\|account-id`, `version;account-id`, `Version, Account Id` |

mod ate;
mod calls;
mod cdk;
mod document;
mod find;
mod found;
mod given;
mod grammar;
mod list;
mod loops;
mod owner;
mod pattern;
mod plain;
mod row;
mod terraform;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_of_tools;
mod token;

pub(crate) use ate::eaten;
pub use find::find_formats;
pub(crate) use find::{announced, line_of};
pub use found::FoundFormat;
pub(crate) use given::{given_names, readable};
pub(crate) use grammar::{Named, names};
pub(crate) use list::listed;
