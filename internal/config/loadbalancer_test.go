package config

import "testing"

func TestHTTPSNeedsACertificate(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"{}": false,
		"{domain: example.com, hosted_zone: example.com}":                             true,
		"{certificate_arn: 'arn:aws:acm:eu-central-1:123456789012:certificate/0a-1'}": true,
	} {
		if got := parse(t, "dev", minimal+"load_balancer: "+text+"\n").HTTPS(); got != want {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
	}
}
