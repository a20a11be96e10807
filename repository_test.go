package main

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"platform/internal/stacktest"
)

const (
	webImageLookup   = "data.aws_ecr_image.service_web_image"
	adminImageLookup = "data.aws_ecr_image.service_admin_image"
)

var repositoryPromises = []stacktest.Promise{{
	Name:  "a service with an image in a repository of the stack waits until the image is found there",
	Check: imagesAreFound,
	BrokenBy: []stacktest.Break{{
		Name:  "no data source looks the image up",
		Stack: "images in the stack's repositories",
		By:    stacktest.Delete(webImageLookup),
		Found: webService,
	}, {
		Name:  "the service does not wait for the image",
		Stack: "images in the stack's repositories",
		By:    stacktest.RemoveDependency(webService, webImageLookup),
		Found: webService,
	}, {
		Name:  "the service waits for another tag",
		Stack: "images in the stack's repositories",
		By:    stacktest.Set(webImageLookup, "image_tag", "2"),
		Found: webService,
	}, {
		Name:  "the service waits for a tag that the reference has beside a digest",
		Stack: "images in the stack's repositories",
		By:    stacktest.Add(adminImageLookup, "image_tag", "1"),
		Found: adminService,
	}, {
		Name:  "the service waits for another digest",
		Stack: "images in the stack's repositories",
		By:    stacktest.Set(adminImageLookup, "image_digest", "sha256:0"),
		Found: adminService,
	}, {
		Name:  "the first plan looks for the image before the repository exists",
		Stack: "images in the stack's repositories",
		By:    stacktest.Set(webImageLookup, "repository_name", "${aws_ecr_repository.service_web_repository.name}"),
		Found: webService,
	}, {
		Name:  "a service without tasks waits for an image",
		Stack: "images in the stack's repositories",
		By:    stacktest.Set(webService, "desired_count", 0.0),
		Found: webService,
	}, {
		Name:  "an image that may be in another account is looked up in this one",
		Stack: "images in the stack's repositories",
		By:    stacktest.Remove(webImageLookup, "count"),
		Found: webImageLookup,
	}, {
		Name:  "no image is looked up, because the account is compared with a text",
		Stack: "images in the stack's repositories",
		By: stacktest.Set(webImageLookup, "count",
			`${"data.aws_caller_identity.caller.account_id" == "123456789012" ? 1 : 0}`),
		Found: webImageLookup,
	}},
}}

var inStacksAccount = regexp.MustCompile(
	`^\$\{data\.aws_caller_identity\.caller\.account_id == "[0-9]{12}" \? 1 : 0\}$`)

func imagesAreFound(s stacktest.Stack, v *stacktest.Violations) {
	repositories := map[string]string{} // addresses by name
	for _, r := range s.Resources("aws_ecr_repository") {
		repositories[r.String("name")] = r.Address
	}
	for _, t := range serviceTasks(s) {
		waits := stacktest.Filter(s.DataSources("aws_ecr_image"), func(lookup stacktest.Resource) bool {
			return slices.Contains(t.service.Strings("depends_on"), lookup.Address)
		})
		for _, c := range t.containers() {
			_, path, _ := strings.Cut(c.String("image"), ".dkr.ecr."+s.Region()+".amazonaws.com/")
			name, digest, _ := strings.Cut(path, "@")
			name, tag, _ := strings.Cut(name, ":")
			if digest != "" {
				tag = ""
			}
			if repositories[name] == "" {
				continue
			}
			// The ID is unknown until the repository exists; the name is not.
			found := stacktest.Filter(waits, func(lookup stacktest.Resource) bool {
				return lookup.Is("repository_name", "${"+repositories[name]+".id}") &&
					lookup.String("image_tag") == tag && lookup.String("image_digest") == digest
			})
			if t.service.Number("desired_count") == 0 {
				v.Want(len(waits) == 0, t.service.Address, "has no tasks, but waits for an image")
				continue
			}
			v.Want(len(found) == 1, t.service.Address, "does not wait until %s is found", c.String("image"))
		}
	}
	// The account is known when the program runs, or when Terraform does.
	known := len(s.Provider().Strings("allowed_account_ids")) > 0
	for _, lookup := range s.DataSources("aws_ecr_image") {
		v.Want(known || inStacksAccount.MatchString(lookup.String("count")),
			lookup.Address, "want a lookup in the image's account only, have count %v", lookup.At("count"))
	}
}

// The image of a service without tasks, of another registry, account or region, or in a repository
// that the stack does not declare, is not looked up.
func TestOnlyImagesInTheStacksRepositoriesAreLookedUp(t *testing.T) {
	t.Parallel()
	const registry = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/"
	for name, c := range map[string]struct {
		account, web string
		want         []string
	}{
		"in the repository": {"", "image: " + registry + "platform-dev/web:1", []string{webImageLookup}},
		"in the account": {
			"account: '123456789012'", "image: " + registry + "platform-dev/web:1", []string{webImageLookup},
		},
		"in another account":    {"account: '210987654321'", "image: " + registry + "platform-dev/web:1", nil},
		"in another repository": {"", "image: " + registry + "shop/web:1", nil},
		"in another stack's":    {"", "image: " + registry + "platform-dev2/web:1", nil},
		"of an unknown service": {"", "image: " + registry + "platform-dev/webs:1", nil},
		"in another region": {
			"", "image: 123456789012.dkr.ecr.us-east-1.amazonaws.com/platform-dev/web:1", nil,
		},
		"in no registry of AWS": {"", "image: quay.io/platform-dev/web:1", nil},
		"without tasks": {
			"", "tasks: 0\n    scaling: {max: 0}\n    image: " + registry + "platform-dev/web:1", nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := parse(t, "dev", "name: platform\nregion: eu-central-1\n"+c.account+
				"\nservices:\n  web:\n    database: {access: owner}\n    route: {paths: ['/*']}\n"+
				"    repository: true\n    "+c.web+"\n")
			stack := parsed(t, synth(t, cfg, placeholder(t)))
			var have []string
			for _, lookup := range stack.DataSources("aws_ecr_image") {
				have = append(have, lookup.Address)
				if lookup.Has("count") == (c.account != "") {
					t.Errorf("%s has count %v", lookup.Address, lookup.At("count"))
				}
			}
			if !slices.Equal(have, c.want) {
				t.Errorf("looks up %v, want %v", have, c.want)
			}
		})
	}
}
