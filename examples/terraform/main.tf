# A bucket for the table, a role that may convert, an hourly task on Fargate, and an alarm. Logs, network and image are there already.

terraform {
  required_version = ">= 1.5"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0"
    }
  }
}

locals {
  source_url = "s3://${var.logs_bucket}/${var.logs_prefix}"
  table_url  = "s3://${aws_s3_bucket.lake.bucket}/${var.table_prefix}"
}

resource "aws_s3_bucket" "lake" {
  bucket = var.lake_bucket
}

resource "aws_s3_bucket_public_access_block" "lake" {
  bucket                  = aws_s3_bucket.lake.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

# A process that is killed leaves parts of uploads behind.
resource "aws_s3_bucket_lifecycle_configuration" "lake" {
  bucket = aws_s3_bucket.lake.id

  rule {
    id     = "parts-of-uploads"
    status = "Enabled"
    filter {}
    abort_incomplete_multipart_upload {
      days_after_initiation = 2
    }
  }
}

data "aws_iam_policy_document" "convert" {
  statement {
    sid       = "ListLogs"
    actions   = ["s3:ListBucket"]
    resources = ["arn:aws:s3:::${var.logs_bucket}"]
    condition {
      test     = "StringLike"
      variable = "s3:prefix"
      values   = [trimsuffix(var.logs_prefix, "/"), "${trimsuffix(var.logs_prefix, "/")}/*"]
    }
  }
  statement {
    sid       = "ReadLogs"
    actions   = ["s3:GetObject"]
    resources = ["arn:aws:s3:::${var.logs_bucket}/${trimsuffix(var.logs_prefix, "/")}/*"]
  }
  statement {
    sid       = "ListTable"
    actions   = ["s3:ListBucket"]
    resources = [aws_s3_bucket.lake.arn]
    condition {
      test     = "StringLike"
      variable = "s3:prefix"
      values   = ["${trimsuffix(var.table_prefix, "/")}/*"]
    }
  }
  statement {
    sid       = "WriteTable"
    actions   = ["s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload", "s3:DeleteObject"]
    resources = ["${aws_s3_bucket.lake.arn}/${trimsuffix(var.table_prefix, "/")}/*"]
  }
}

data "aws_iam_policy_document" "tasks" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["ecs-tasks.amazonaws.com"]
    }
  }
}

data "aws_iam_policy_document" "scheduler" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["scheduler.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "convert" {
  name               = "${var.name}-convert"
  assume_role_policy = data.aws_iam_policy_document.tasks.json
}

resource "aws_iam_role_policy" "convert" {
  role   = aws_iam_role.convert.id
  policy = data.aws_iam_policy_document.convert.json
}

resource "aws_iam_role" "execution" {
  name               = "${var.name}-execution"
  assume_role_policy = data.aws_iam_policy_document.tasks.json
}

resource "aws_iam_role_policy_attachment" "execution" {
  role       = aws_iam_role.execution.name
  policy_arn = "arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy"
}

data "aws_iam_policy_document" "schedule" {
  statement {
    actions   = ["ecs:RunTask"]
    resources = [aws_ecs_task_definition.convert.arn]
  }
  statement {
    actions   = ["iam:PassRole"]
    resources = [aws_iam_role.convert.arn, aws_iam_role.execution.arn]
  }
}

resource "aws_iam_role" "schedule" {
  name               = "${var.name}-schedule"
  assume_role_policy = data.aws_iam_policy_document.scheduler.json
}

resource "aws_iam_role_policy" "schedule" {
  role   = aws_iam_role.schedule.id
  policy = data.aws_iam_policy_document.schedule.json
}

resource "aws_cloudwatch_log_group" "convert" {
  name              = "/${var.name}/convert"
  retention_in_days = 30
}

resource "aws_ecs_task_definition" "convert" {
  family                   = var.name
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = var.cpu
  memory                   = var.memory_mib
  task_role_arn            = aws_iam_role.convert.arn
  execution_role_arn       = aws_iam_role.execution.arn

  container_definitions = jsonencode([{
    name                   = "flowquet"
    image                  = var.image
    essential              = true
    command                = ["convert", local.source_url, "--out", local.table_url, "--quiet", "--log-format", "json"]
    readonlyRootFilesystem = true
    user                   = "65532:65532"
    stopTimeout            = 120
    logConfiguration = {
      logDriver = "awslogs"
      options = {
        "awslogs-group"         = aws_cloudwatch_log_group.convert.name
        "awslogs-region"        = var.region
        "awslogs-stream-prefix" = "convert"
      }
    }
  }])
}

resource "aws_scheduler_schedule" "convert" {
  name                = var.name
  schedule_expression = var.schedule

  flexible_time_window {
    mode                      = "FLEXIBLE"
    maximum_window_in_minutes = 10
  }

  target {
    arn      = var.cluster_arn
    role_arn = aws_iam_role.schedule.arn

    ecs_parameters {
      task_definition_arn = aws_ecs_task_definition.convert.arn
      launch_type         = "FARGATE"
      network_configuration {
        subnets         = var.subnets
        security_groups = var.security_groups
      }
    }
    retry_policy {
      maximum_retry_attempts       = 3
      maximum_event_age_in_seconds = 3600
    }
  }
}

# A task that ended with another exit code than 0.
resource "aws_cloudwatch_event_rule" "failed" {
  name = "${var.name}-failed"
  event_pattern = jsonencode({
    source        = ["aws.ecs"]
    "detail-type" = ["ECS Task State Change"]
    detail = {
      clusterArn = [var.cluster_arn]
      lastStatus = ["STOPPED"]
      group      = ["family:${var.name}"]
      containers = { exitCode = [{ "anything-but" = 0 }] }
    }
  })
}

resource "aws_cloudwatch_event_target" "failed" {
  count = var.alarm_topic_arn == null ? 0 : 1
  rule  = aws_cloudwatch_event_rule.failed.name
  arn   = var.alarm_topic_arn
}
