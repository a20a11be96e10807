//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	ecrtypes "github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"platform/internal/emulator"
)

// repositories matches the repositories and the lookups of images in them.
var repositories = regexp.MustCompile(`^(data\.)?aws_ecr_`)

// withRepository gives web a repository, and an image with a tag in it.
func withRepository(tag string) string {
	return `services: {web: {` + demonstration + `, repository: true, ` +
		`image: "123456789012.dkr.ecr.eu-central-1.amazonaws.com/platform-dev/web:` + tag + `"}}`
}

// A deployment that needs an image which is not in the stack's repository fails in seconds, and
// the next one succeeds after a push. `make destroy` needs no image.
func TestDeploymentFailsAtOnceWithoutTheImage(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, "dev")
	c := s.clients("eu-central-1")
	synthesise := func(tag string) {
		t.Helper()
		s.synthesise(t, patched(s.shipped(t), document(t, withRepository(tag))))
		s.rewrite(t, func(stack map[string]any) map[string]any { return cutDown(stack, repositories) })
	}
	// Without the override, terraform looks images up as in AWS.
	synthesiseForAWS := func(tag string) {
		t.Helper()
		synthesise(tag)
		if err := os.Remove(filepath.Join(s.stack, emulator.OverrideName)); err != nil {
			t.Fatal(err)
		}
	}
	synthesiseForAWS("1")
	empty := s.inventory(t)
	missing := []string{"reading ECR Images: couldn't find resource", "data.aws_ecr_image.service_web_image"}
	within(t, "an empty repository", minute, func() string {
		return strings.Join(terraformErrors(s.deployFails(t, missing...)), " | ")
	})
	synthesise("1")
	within(t, "the emulator needs no image", minute, func() string { return summaryOf(t, s.deploy(t)) })
	synthesiseForAWS("1")
	pushed, err := c.ecr.PutImage(alive, &ecr.PutImageInput{
		RepositoryName: aws.String("platform-dev/web"),
		ImageTag:       aws.String("1"),
		ImageManifest: aws.String(`{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", ` +
			`"config": {"mediaType": "application/vnd.oci.image.config.v1+json", "size": 2, "digest": "sha256:0"}, ` +
			`"layers": []}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	within(t, "after the push", minute, func() string { return summaryOf(t, s.deploy(t)) })
	within(t, "nothing to change", minute, func() string { return s.nothingToChange(t) })

	synthesiseForAWS("2")
	within(t, "a tag that was never pushed", minute, func() string {
		out, err := s.cdktf(t, "diff")
		wantFailure(t, out, err, missing...)
		return strings.Join(terraformErrors(out), " | ")
	})
	synthesiseForAWS("1")
	if _, err := c.ecr.BatchDeleteImage(alive, &ecr.BatchDeleteImageInput{
		RepositoryName: aws.String("platform-dev/web"),
		ImageIds:       []ecrtypes.ImageIdentifier{*pushed.Image.ImageId},
	}); err != nil {
		t.Fatal(err)
	}
	within(t, "the destruction without the image", minute, func() string {
		out, err := s.run(t, destroyer, "cdktf.out", "--auto-approve")
		if err != nil {
			t.Fatalf("destroy: %v\n%s", err, tail(out, 60))
		}
		compareInventories(t, "the destruction", empty, s.inventory(t))
		return summaryOf(t, out)
	})
}
