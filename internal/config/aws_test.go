package config

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The checks use the list; the containers get the files.
func TestCertificateRegionsMatchTheFiles(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../functions/database/certificates/*.pem")
	if err != nil || len(files) == 0 {
		t.Fatalf("no certificates: %v", err)
	}
	var regions []string
	for _, file := range files {
		regions = append(regions, strings.TrimSuffix(filepath.Base(file), ".pem"))
	}
	slices.Sort(regions)
	if !slices.Equal(regions, certificateRegions) {
		t.Errorf("files for %v, listed %v", regions, certificateRegions)
	}
}

// From AWS's table of instance classes.
func TestInstanceClassWithUnknownSizeIsRejected(t *testing.T) {
	t.Parallel()
	for _, class := range []string{
		"db.m5.3xlarge", "db.m5.02xlarge", "db.t4g.4xlarge", "db.r8g.99999999999xlarge",
		"db.m6g.32xlarge", "db.r5.48xlarge", "db.m7g.24xlarge", "db.x2g.48xlarge", "db.m6g.24xlarge",
	} {
		if gib, err := ClassMemory(class); err == nil {
			t.Errorf("%s has %d GiB", class, gib)
		}
	}
}

func TestMemoryOfInstanceClasses(t *testing.T) {
	t.Parallel()
	for class, want := range map[string]int{
		"db.t3.micro":      1,
		"db.t3.small":      2,
		"db.t3.medium":     4,
		"db.t3.large":      8,
		"db.t3.xlarge":     16,
		"db.t3.2xlarge":    32,
		"db.t4g.micro":     1,
		"db.t4g.small":     2,
		"db.t4g.medium":    4,
		"db.t4g.large":     8,
		"db.t4g.xlarge":    16,
		"db.t4g.2xlarge":   32,
		"db.m5.large":      8,
		"db.m5.xlarge":     16,
		"db.m5.2xlarge":    32,
		"db.m5.24xlarge":   384,
		"db.m6g.large":     8,
		"db.m6g.16xlarge":  256,
		"db.m6i.32xlarge":  512,
		"db.m7g.large":     8,
		"db.m7g.4xlarge":   64,
		"db.m7i.48xlarge":  768,
		"db.m8g.12xlarge":  192,
		"db.r5.large":      16,
		"db.r5.12xlarge":   384,
		"db.r6g.xlarge":    32,
		"db.r6g.16xlarge":  512,
		"db.r6i.32xlarge":  1024,
		"db.r7g.2xlarge":   64,
		"db.r7i.8xlarge":   256,
		"db.r8g.large":     16,
		"db.x2g.large":     32,
		"db.x2g.xlarge":    64,
		"db.x2g.16xlarge":  1024,
		"db.m6gd.large":    8,
		"db.m6id.large":    8,
		"db.r6gd.large":    16,
		"db.r6id.large":    16,
		"db.r5b.24xlarge":  768,
		"db.x2iedn.xlarge": 128,
	} {
		t.Run(class, func(t *testing.T) {
			got, err := ClassMemory(class)
			if err != nil || got != want {
				t.Errorf("has %d GiB (%v), want %d", got, err, want)
			}
		})
	}
}

func TestUnknownInstanceClassesAreRejected(t *testing.T) {
	t.Parallel()
	for name, class := range map[string]string{
		"nothing":                               "",
		"without the prefix db":                 "t3.micro",
		"no size":                               "db.t3",
		"a size without a family":               "db..micro",
		"an unknown size":                       "db.t3.nano",
		"in capitals":                           "DB.T3.MICRO",
		"a trailing newline":                    "db.t3.micro\n",
		"an unsupported old family":             "db.t2.micro",
		"a family of another engine":            "db.z1d.large",
		"a previous generation":                 "db.m4.large",
		"a family of Aurora only":               "db.x2idn.16xlarge",
		"a size that the family begins above":   "db.x2iedn.large",
		"serverless":                            "db.serverless",
		"a family of EC2 only":                  "db.c7g.large",
		"small of a family from large":          "db.m5.small",
		"medium of a family from large":         "db.r5.medium",
		"above the sizes of a burstable family": "db.t3.4xlarge",
		"1xlarge":                               "db.m5.1xlarge",
		"0xlarge":                               "db.m5.0xlarge",
		"more than counts":                      "db.m5.99999999999999999999xlarge",
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ClassMemory(class)
			if err == nil {
				t.Fatalf("%q has %d GiB", class, got)
			}
			text := err.Error()
			wanted := strings.HasPrefix(text, "want ") && strings.Contains(text, ", have ")
			if !wanted || strings.Contains(text, "\n") {
				t.Errorf("%q: says %s", class, text)
			}
		})
	}
}

// RDS's formula is LEAST(DBInstanceClassMemory/9531392, 5000). The values are calculated by hand,
// with three quarters of the memory of burstable classes and nine tenths of others.
func TestMaxConnectionsAreLessThanTheFormulaOfRDS(t *testing.T) {
	t.Parallel()
	for class, want := range map[string]int{
		"db.t4g.micro":    84,
		"db.t4g.small":    168, // 181 on an instance
		"db.t4g.medium":   337,
		"db.m7g.large":    811,
		"db.r7g.large":    1622,
		"db.r6g.xlarge":   3244,
		"db.m7g.4xlarge":  5000,
		"db.r6i.32xlarge": 5000,
	} {
		t.Run(class, func(t *testing.T) {
			if got := maxConnections(class); got != want {
				t.Errorf("takes %d connections, want %d", got, want)
			}
		})
	}
}

// The generated files are those that the program wrote, and no other file is in the folder.
func TestGeneratedListsAreNotEdited(t *testing.T) {
	t.Parallel()
	const root = "../../"
	sums, err := os.ReadFile(root + "tools/aws_lists.sum")
	if err != nil {
		t.Fatal(err)
	}
	listed := 0
	for line := range strings.Lines(string(sums)) {
		want, name, _ := strings.Cut(strings.TrimSpace(line), "  ")
		text, err := os.ReadFile(root + name)
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprintf("%x", sha256.Sum256(text)); got != want {
			t.Errorf("%s was edited: run python3 tools/aws_lists.py", name)
		}
		listed++
	}
	if want := 2 + len(certificateRegions); listed != want {
		t.Errorf("tools/aws_lists.sum lists %d files, want %d", listed, want)
	}
}

func TestListsAreOfTheVersionsInUse(t *testing.T) {
	t.Parallel()
	for name, list := range map[string][]string{
		"provider": providerRegions, "backend": backendRegions, "certificates": certificateRegions,
	} {
		for _, region := range list {
			if !slices.Contains(awsRegions, region) || !regionName.MatchString(region) {
				t.Errorf("%s: %s is no region", name, region)
			}
		}
	}
	provider, err := os.ReadFile("../../provider.go")
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile("../../tools/aws_lists.py")
	if err != nil {
		t.Fatal(err)
	}
	version := regexp.MustCompile(`[0-9]+\.100\.[0-9]+`).FindString(string(provider))
	if version == "" || !strings.Contains(string(program), "provider "+version) {
		t.Errorf("tools/aws_lists.py does not know the provider's version %q: read the regions that it knows", version)
	}
}
