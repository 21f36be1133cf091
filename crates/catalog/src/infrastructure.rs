//! The table as infrastructure code has it: a resource of Terraform, and a template of CloudFormation.

use std::fmt::Write as _;

use serde_json::json;

use crate::glue_table::{INPUT_FORMAT, OUTPUT_FORMAT, SERDE, TABLE_TYPE, parameters, table_input_value};
use crate::table::{DESCRIPTION, TableDefinition, hive_type, partition_comment};

/// Terraform: an `aws_glue_catalog_table`, and before it, where the log format is known, that of an `aws_flow_log` as a local value.
pub fn terraform(table: &TableDefinition, log_format: Option<&str>) -> String {
    let mut text = String::new();
    let name = table.name.as_str();
    // A name in Terraform begins with no digit.
    let label =
        if name.starts_with(|c: char| c.is_ascii_digit()) { format!("_{name}") } else { name.to_owned() };
    if let Some(format) = log_format {
        text.push_str(&format!(
            "locals {{\n  # log_format = local.{label}_log_format, in the aws_flow_log that delivers the logs\n  {label}_log_format = {}\n}}\n\n",
            hcl_string(format)
        ));
    }
    let mut line = |depth: usize, words: String| {
        writeln!(text, "{}{words}", "  ".repeat(depth)).expect("a string takes all");
    };
    line(0, format!("resource \"aws_glue_catalog_table\" \"{label}\" {{"));
    for (name, value) in [
        ("database_name", table.database.as_str()),
        ("name", name),
        ("description", DESCRIPTION),
        ("table_type", TABLE_TYPE),
    ] {
        line(1, format!("{name} = {}", hcl_string(value)));
    }
    line(1, "parameters = {".to_owned());
    for (name, value) in parameters(table) {
        line(2, format!("{} = {}", hcl_string(&name), hcl_string(&value)));
    }
    line(1, "}".to_owned());
    for key in table.partition_by.columns() {
        column(1, "partition_keys", [key.name(), "string", partition_comment(*key)], &mut line);
    }
    line(1, "storage_descriptor {".to_owned());
    for (name, value) in [
        ("location", table.location.as_str()),
        ("input_format", INPUT_FORMAT),
        ("output_format", OUTPUT_FORMAT),
    ] {
        line(2, format!("{name} = {}", hcl_string(value)));
    }
    line(2, "ser_de_info {".to_owned());
    line(3, format!("serialization_library = {}", hcl_string(SERDE)));
    line(3, "parameters = {".to_owned());
    line(4, "\"serialization.format\" = \"1\"".to_owned());
    line(3, "}".to_owned());
    line(2, "}".to_owned());
    for c in &table.columns {
        column(2, "columns", [&c.name, hive_type(c.column_type), &c.comment], &mut line);
    }
    line(1, "}".to_owned());
    line(0, "}".to_owned());
    text
}

/// A block for a column.
fn column(depth: usize, block: &str, [name, kind, comment]: [&str; 3], line: &mut dyn FnMut(usize, String)) {
    line(depth, format!("{block} {{"));
    line(depth + 1, format!("name    = {}", hcl_string(name)));
    line(depth + 1, format!("type    = {}", hcl_string(kind)));
    line(depth + 1, format!("comment = {}", hcl_string(comment)));
    line(depth, "}".to_owned());
}

/// CloudFormation: a template with an `AWS::Glue::Table`. JSON, which is YAML too.
pub fn cloudformation(table: &TableDefinition) -> String {
    // Logical ids are letters and digits.
    let words = table.name.as_str().split('_').filter(|word| !word.is_empty());
    let id: String = words.map(|word| word[..1].to_ascii_uppercase() + &word[1..]).collect();
    let id = if id.is_empty() { "Table".to_owned() } else { id };
    let template = json!({
        "AWSTemplateFormatVersion": "2010-09-09",
        "Resources": {
            id: {
                "Type": "AWS::Glue::Table",
                "Properties": {
                    "CatalogId": { "Ref": "AWS::AccountId" },
                    "DatabaseName": table.database.as_str(),
                    "TableInput": table_input_value(table),
                },
            },
        },
    });
    format!("{}\n", serde_json::to_string_pretty(&template).expect("plain values"))
}

/// A string of HCL: what begins a template in it is doubled.
fn hcl_string(text: &str) -> String {
    let mut out = String::from("\"");
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '$' | '%' if chars.peek() == Some(&'{') => out.extend([c, c]),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::tests::definition;

    #[test]
    fn strings_of_hcl() {
        for (text, expected) in [
            ("plain", r#""plain""#),
            ("${a} %{b} $c 5%", r#""$${a} %%{b} $c 5%""#),
            ("say \"\\\"\n", r#""say \"\\\"\n""#),
        ] {
            assert_eq!(hcl_string(text), expected);
        }
    }

    #[test]
    fn both_have_all_columns() {
        let table = definition("${srcaddr} ${start} ${bytes}", "account,date");
        let terraform = terraform(&table, Some("${srcaddr} ${start} ${bytes}"));
        assert!(terraform.contains(r#"vpc_flow_logs_log_format = "$${srcaddr} $${start} $${bytes}""#));
        assert_eq!(terraform.matches("columns {").count(), table.columns.len());
        assert_eq!(terraform.matches("partition_keys {").count(), 2);
        let template: serde_json::Value = serde_json::from_str(&cloudformation(&table)).expect("JSON");
        let properties = &template["Resources"]["VpcFlowLogs"]["Properties"];
        assert_eq!(properties["TableInput"], table_input_value(&table));
    }
}
