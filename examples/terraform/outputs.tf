output "table" {
  description = "The table, for engines and for other commands."
  value       = local.table_url
}

output "convert_role_arn" {
  description = "The role that may convert."
  value       = aws_iam_role.convert.arn
}
