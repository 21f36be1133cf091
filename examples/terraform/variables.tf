variable "name" {
  description = "Name of the task, the schedule and the roles."
  type        = string
  default     = "flowquet"
}

variable "region" {
  description = "Region of the task."
  type        = string
}

variable "image" {
  description = "The image, in a registry that the task can reach."
  type        = string
}

variable "logs_bucket" {
  description = "Bucket that the flow logs are delivered to."
  type        = string
}

variable "logs_prefix" {
  description = "Folder of that bucket."
  type        = string
  default     = "AWSLogs/"
}

variable "lake_bucket" {
  description = "Bucket to make for the table."
  type        = string
}

variable "table_prefix" {
  description = "Folder of the table."
  type        = string
  default     = "vpc_flow_logs/"
}

variable "cluster_arn" {
  description = "ECS cluster."
  type        = string
}

variable "subnets" {
  description = "Subnets with a way to S3, best by a gateway endpoint."
  type        = list(string)
}

variable "security_groups" {
  description = "Security groups of the task, which needs no way in."
  type        = list(string)
}

variable "schedule" {
  description = "When to convert."
  type        = string
  default     = "rate(1 hour)"
}

variable "cpu" {
  description = "CPU units of the task: 1024 are a core."
  type        = number
  default     = 1024
}

variable "memory_mib" {
  description = "Memory of the task."
  type        = number
  default     = 2048
}

variable "alarm_topic_arn" {
  description = "SNS topic that is told of tasks that fail."
  type        = string
  default     = null
}
