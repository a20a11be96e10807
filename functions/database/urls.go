package main

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
)

// urlKey is the key of the URL in a service's secret.
const urlKey = "url"

// url returns the URL with which credentials of a service log in.
func (f *function) url(service, parameters string, c credentials) string {
	s := f.settings
	u := url.URL{
		Scheme:   "postgresql",
		User:     url.UserPassword(c.Username, c.Password),
		Host:     net.JoinHostPort(s.host, strconv.Itoa(int(s.port))),
		Path:     "/" + s.databaseOf(service),
		RawQuery: parameters,
	}
	return u.String()
}

// complete returns a version of a service's secret with the URL of its credentials, if the service
// asks for one. If the service does not ask any more, the version has no URL: with the next password,
// it would be wrong. Something else that a person added as url stays.
func (f *function) complete(service string, v secretVersion) secretVersion {
	others := maps.Clone(v.others)
	if others == nil {
		others = map[string]any{}
	}
	if parameters := f.settings.services[service].URL; parameters != nil {
		others[urlKey] = f.url(service, *parameters, v.credentials)
	} else if ofService(service, others[urlKey]) {
		delete(others, urlKey)
	}
	v.others = others
	return v
}

// ofService tells whether a value is a URL of one of a service's users.
func ofService(service string, value any) bool {
	text, _ := value.(string)
	u, err := url.Parse(text)
	return err == nil && u.Scheme == "postgresql" && u.User != nil && slices.Contains(users(service), u.User.Username())
}

// rewritten is the label of a version with the same credentials as the one before it, and another
// URL.
const rewritten = "REWRITTEN"

// writeURL makes sure that the current version of a service's secret, which v is, has the right URL.
// The URL changes without the password if the database has another address, or a setting changed.
// A URL that nobody asks for any more stays until the next rotation, for tasks that still need it.
//
// The new version gets AWSCURRENT only if v still has it: a rotation that finishes at the same time
// is not undone. AWSPENDING is removed from v first, where it may be since the last rotation: Secrets
// Manager takes the label on a version that is not current for a rotation that has not ended.
func (f *function) writeURL(ctx context.Context, service string, v secretVersion) error {
	next := f.complete(service, v)
	if f.settings.services[service].URL == nil || v.others[urlKey] == next.others[urlKey] {
		return nil
	}
	name := f.settings.secret(service)
	id, err := f.put(ctx, name, rewritten, "", next)
	if err != nil {
		return err
	}
	secret, err := f.describe(ctx, name)
	if err != nil {
		return err
	}
	if labels := secret.VersionIdsToStages[v.id]; slices.Contains(labels, pending) && slices.Contains(labels, current) {
		if err := f.move(ctx, name, pending, v.id, ""); err != nil {
			return err
		}
	}
	// Somebody else may have moved the label: the invocation is tried again.
	if err := f.move(ctx, name, current, v.id, id); err != nil {
		return passing{err}
	}
	f.log.InfoContext(ctx, "wrote the URL", "service", service)
	return nil
}

// move moves a label of a secret from a version to another one, or from a version alone. It fails if
// the label is not on that version.
func (f *function) move(ctx context.Context, secret, label, from, to string) error {
	input := &secretsmanager.UpdateSecretVersionStageInput{
		SecretId: &secret, VersionStage: &label, RemoveFromVersionId: &from,
	}
	if to != "" {
		input.MoveToVersionId = aws.String(to)
	}
	err := f.permitted(ctx, func() error {
		_, err := f.secrets.UpdateSecretVersionStage(ctx, input)
		return err
	})
	if err != nil {
		return fmt.Errorf("secret %s: %s: %w", secret, label, err)
	}
	return nil
}
