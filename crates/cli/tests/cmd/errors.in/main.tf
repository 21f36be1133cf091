resource "aws_flow_log" "a" {
  log_format = "$${version} $${bytes}"
}
resource "aws_flow_log" "b" {
  log_format = "$${version} $${vpc-id}"
}
