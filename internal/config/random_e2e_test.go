//go:build e2e

package config_test

func init() { randomFiles = 6000 }
