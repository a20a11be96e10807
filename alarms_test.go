package main

const (
	backupAgeAlarm = "aws_cloudwatch_metric_alarm.backup_age_alarm"
)
