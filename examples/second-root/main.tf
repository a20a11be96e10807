# Resources beside the platform that its services use: Valkey, a bucket, a task on a schedule and one
# more domain. docs/second-root.md explains it.

terraform {
  required_version = ">= 1.11"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "5.100.0"
    }
  }
}

provider "aws" {
  region = "eu-central-1"
}

variable "stack" {
  description = "The platform's stack, <name>-<environment>"
  default     = "shop-dev"
}

# With state.backend: s3, use the backend s3 with the bucket, the key and the region of the platform.
data "terraform_remote_state" "platform" {
  backend = "local"
  config  = { path = "../terraform.${var.stack}.tfstate" }
}

locals {
  platform = data.terraform_remote_state.platform.outputs
}

# ---- Valkey, for the services web and worker ------------------------------------------------------

resource "aws_elasticache_subnet_group" "valkey" {
  name       = "${var.stack}-valkey"
  subnet_ids = local.platform.private_subnet_ids
}

resource "aws_security_group" "valkey" {
  name_prefix = "${var.stack}-valkey-"
  description = "Valkey: the services web and worker"
  vpc_id      = local.platform.vpc_id

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_vpc_security_group_ingress_rule" "valkey" {
  for_each                     = toset(["web", "worker"])
  security_group_id            = aws_security_group.valkey.id
  referenced_security_group_id = local.platform.service_security_group_ids[each.key]
  ip_protocol                  = "tcp"
  from_port                    = 6379
  to_port                      = 6379
}

# A queue must not lose entries when memory is full. For a cache, use allkeys-lru instead.
resource "aws_elasticache_parameter_group" "valkey" {
  name   = "${var.stack}-valkey"
  family = "valkey8"

  parameter {
    name  = "maxmemory-policy"
    value = "noeviction"
  }
}

resource "aws_elasticache_replication_group" "valkey" {
  replication_group_id       = var.stack
  description                = "Queue of the service web"
  engine                     = "valkey"
  engine_version             = "8.0"
  node_type                  = "cache.t4g.micro"
  num_cache_clusters         = 1 # 2 and automatic_failover_enabled = true for production
  parameter_group_name       = aws_elasticache_parameter_group.valkey.name
  subnet_group_name          = aws_elasticache_subnet_group.valkey.name
  security_group_ids         = [aws_security_group.valkey.id]
  transit_encryption_enabled = true
  at_rest_encryption_enabled = true
}

# The services read the address from here: secrets: {REDIS_URL: /shop-dev/redis_url}.
resource "aws_ssm_parameter" "redis_url" {
  name  = "/${var.stack}/redis_url"
  type  = "String"
  value = "rediss://${aws_elasticache_replication_group.valkey.primary_endpoint_address}:6379/0"
}

# ---- A bucket for the uploads of web --------------------------------------------------------------

resource "aws_s3_bucket" "uploads" {
  bucket_prefix = "${var.stack}-uploads-"
}

resource "aws_s3_bucket_public_access_block" "uploads" {
  bucket                  = aws_s3_bucket.uploads.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_iam_role_policy" "uploads" {
  name = "uploads"
  role = local.platform.service_task_role_names.web
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Effect   = "Allow"
        Action   = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"]
        Resource = "${aws_s3_bucket.uploads.arn}/*"
      },
      { Effect = "Allow", Action = "s3:ListBucket", Resource = aws_s3_bucket.uploads.arn },
    ]
  })
}

# ---- A task of web every night --------------------------------------------------------------------

data "aws_caller_identity" "current" {}

data "aws_ecs_cluster" "platform" {
  cluster_name = local.platform.cluster_name
}

data "aws_iam_role" "web" {
  for_each = toset([
    local.platform.service_task_role_names.web,
    local.platform.service_execution_role_names.web,
  ])
  name = each.key
}

locals {
  # Without a revision: a task of the newest one is started.
  family = local.platform.service_task_definition_families.web
  task   = "arn:aws:ecs:eu-central-1:${data.aws_caller_identity.current.account_id}:task-definition/${local.family}"
}

resource "aws_iam_role" "nightly" {
  name_prefix = "${var.stack}-nightly-"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "scheduler.amazonaws.com" }
      Condition = { StringEquals = { "aws:SourceAccount" = data.aws_caller_identity.current.account_id } }
    }]
  })
}

resource "aws_iam_role_policy" "nightly" {
  name = "start"
  role = aws_iam_role.nightly.name
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Effect    = "Allow"
        Action    = "ecs:RunTask"
        Resource  = "${local.task}:*"
        Condition = { ArnEquals = { "ecs:cluster" = data.aws_ecs_cluster.platform.arn } }
      },
      {
        Effect    = "Allow"
        Action    = "iam:PassRole"
        Resource  = [for role in data.aws_iam_role.web : role.arn]
        Condition = { StringEquals = { "iam:PassedToService" = "ecs-tasks.amazonaws.com" } }
      },
    ]
  })
}

resource "aws_scheduler_schedule" "nightly" {
  name                         = "${var.stack}-nightly"
  schedule_expression          = "cron(30 4 * * ? *)"
  schedule_expression_timezone = "Europe/Berlin"

  flexible_time_window {
    mode = "OFF"
  }

  target {
    arn      = data.aws_ecs_cluster.platform.arn
    role_arn = aws_iam_role.nightly.arn
    input = jsonencode({
      containerOverrides = [{ name = "web", command = ["bin/nightly"] }]
    })

    ecs_parameters {
      task_definition_arn = local.task
      launch_type         = "FARGATE"

      network_configuration {
        subnets         = local.platform.private_subnet_ids
        security_groups = [local.platform.service_security_group_ids.web]
      }
    }
  }

  depends_on = [aws_iam_role_policy.nightly]
}

# ---- One more domain ------------------------------------------------------------------------------

variable "domain" {
  description = "A second domain of web; route.hosts must have it too"
  default     = "shop.example.org"
}

variable "hosted_zone" {
  description = "The Route 53 zone of the domain"
  default     = "example.org"
}

data "aws_route53_zone" "second" {
  name = var.hosted_zone
}

resource "aws_acm_certificate" "second" {
  domain_name       = var.domain
  validation_method = "DNS"

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_route53_record" "validation" {
  for_each = { for option in aws_acm_certificate.second.domain_validation_options : option.domain_name => option }
  zone_id  = data.aws_route53_zone.second.zone_id
  name     = each.value.resource_record_name
  type     = each.value.resource_record_type
  records  = [each.value.resource_record_value]
  ttl      = 300
}

resource "aws_acm_certificate_validation" "second" {
  certificate_arn         = aws_acm_certificate.second.arn
  validation_record_fqdns = [for record in aws_route53_record.validation : record.fqdn]
}

# Only a platform with a domain, and so with HTTPS, has a listener that takes certificates.
resource "aws_lb_listener_certificate" "second" {
  listener_arn    = local.platform.listener_arn
  certificate_arn = aws_acm_certificate_validation.second.certificate_arn
}

resource "aws_route53_record" "second" {
  zone_id = data.aws_route53_zone.second.zone_id
  name    = var.domain
  type    = "A"

  alias {
    name                   = local.platform.load_balancer_dns_name
    zone_id                = local.platform.load_balancer_zone_id
    evaluate_target_health = true
  }
}
