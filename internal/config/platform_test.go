package config

import (
	"reflect"
	"testing"
)

func TestNameAndRegionAreTheOnlyRequiredSettings(t *testing.T) {
	t.Parallel()
	got := parse(t, "dev", minimal)
	want := defaultConfig(ProfileDevelopment)
	want.Environment, want.Name, want.Region, want.State.Region = "dev", "shop", "eu-central-1", "eu-central-1"
	want.Database.CertificateImage = DefaultConfigImage
	want.derivePriorities()
	if !reflect.DeepEqual(*got, want) {
		t.Errorf("got\n%+v\nwant\n%+v", *got, want)
	}
}

func TestProfileSelectsTheDefaults(t *testing.T) {
	t.Parallel()
	got := parse(t, "live", minimal+"profile: production\nstate: {bucket: states}\nload_balancer: {allow_http: true}\n")
	want := defaultConfig(ProfileProduction)
	want.Environment, want.Name, want.Region, want.State.Region = "live", "shop", "eu-central-1", "eu-central-1"
	want.State.Bucket, want.LoadBalancer.AllowHTTP = "states", true
	want.Database.CertificateImage = DefaultConfigImage
	want.derivePriorities()
	if !reflect.DeepEqual(*got, want) {
		t.Errorf("got\n%+v\nwant\n%+v", *got, want)
	}
	development := defaultConfig(ProfileDevelopment)
	if development.Protected || !want.Protected || development.Network.NAT == want.Network.NAT {
		t.Error("the profiles do not differ")
	}
}

// The name of the file selects no defaults: an environment called production has the profile
// development unless it sets another one.
func TestNameOfTheEnvironmentDoesNotSelectDefaults(t *testing.T) {
	t.Parallel()
	one, other := *parse(t, "dev", minimal), *parse(t, "prod", minimal)
	other.Environment = "dev"
	if !reflect.DeepEqual(one, other) {
		t.Errorf("dev is\n%+v\nprod is\n%+v", one, other)
	}
}

// If two services or configurations shared a list or a map, a change of one would change the other.
func TestDefaultsAreNotShared(t *testing.T) {
	t.Parallel()
	seen := map[uintptr]string{}
	look := func(name string, cfg Config) {
		walk(&cfg, func(n node) bool {
			kind := n.value.Kind()
			if kind != reflect.Map && kind != reflect.Slice || n.value.Len() == 0 {
				return true
			}
			if other, shared := seen[n.value.Pointer()]; shared {
				t.Errorf("%s of %s is %s", n.path, name, other)
			}
			seen[n.value.Pointer()] = n.path + " of " + name
			return true
		})
	}
	for _, p := range []profile{ProfileDevelopment, ProfileProduction} {
		for _, name := range []string{"one", "other"} {
			look(name+" "+string(p), defaultConfig(p))
			service := serviceDefaults(p)
			look(name+" service of "+string(p), Config{Services: map[string]Service{"web": service}})
		}
	}
	if len(seen) < 8 {
		t.Errorf("looked at %d lists and mappings only", len(seen))
	}
	cfg := parse(t, "dev", minimal+`services:
  web: {image: 'quay.io/x/y:1'}
  api: {image: 'quay.io/x/y:1', route: {priority: 1, paths: [/api]}}
`)
	look("a file", *cfg)
}

func TestRegionOfTheStateDefaultsToTheStacks(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"state: {backend: s3, bucket: states}":                    "eu-central-1",
		"state: {backend: s3, bucket: states, region: eu-west-1}": "eu-west-1",
	} {
		if got := parse(t, "dev", minimal+text+"\n").State.Region; got != want {
			t.Errorf("%s: is in %s, want %s", text, got, want)
		}
	}
	// An invalid region is one problem, although it is also the default of the state's region.
	wantProblems(t, "name: shop\nregion: here\nstate: {backend: s3, bucket: states}\n",
		`2:1: region: want an AWS region of the commercial partition, such as eu-central-1, have "here"`)
}

func TestNamesContainStackAndRegion(t *testing.T) {
	t.Parallel()
	cfg := parse(t, "dev", minimal)
	for got, want := range map[string]string{
		cfg.Stack():             "shop-dev",
		cfg.ResourceName("web"): "shop-dev-web",
		cfg.IAMName("web"):      "shop-dev-eu-central-1-web",
		cfg.StateFile():         "terraform.shop-dev.tfstate",
	} {
		if got != want {
			t.Errorf("is %s, want %s", got, want)
		}
	}
}

// The data of production is always kept; the data of development only if it is protected.
func TestKeepsDataInProductionOrIfProtected(t *testing.T) {
	t.Parallel()
	const production = "profile: production\nstate: {backend: local}\nload_balancer: {allow_http: true}\n"
	for text, want := range map[string]bool{
		"protected: false\n":              false,
		"protected: true\n":               true,
		production + "protected: false\n": true,
	} {
		if got := parse(t, "dev", minimal+text).KeepsData(); got != want {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
	}
}
