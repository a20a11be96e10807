package main

const (
	backupFunction = "aws_lambda_function.backup_function"
)
