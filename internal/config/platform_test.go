package config

import (
	"reflect"
	"testing"
)

func TestNameAndRegionAreEnough(t *testing.T) {
	t.Parallel()
	got := parse(t, "dev", minimal)
	want := defaultConfig(ProfileDevelopment)
	want.Environment, want.Name, want.Region, want.State.Region = "dev", "shop", "eu-central-1", "eu-central-1"
	want.Database.CertificateImage = DefaultConfigImage
	if !reflect.DeepEqual(*got, want) {
		t.Errorf("got\n%+v\nwant\n%+v", *got, want)
	}
}

func TestProfilePicksTheDefaults(t *testing.T) {
	t.Parallel()
	got := parse(t, "live", minimal+"profile: production\nstate: {bucket: states}\nload_balancer: {allow_http: true}\n")
	want := defaultConfig(ProfileProduction)
	want.Environment, want.Name, want.Region, want.State.Region = "live", "shop", "eu-central-1", "eu-central-1"
	want.State.Bucket, want.LoadBalancer.AllowHTTP = "states", true
	want.Database.CertificateImage = DefaultConfigImage
	if !reflect.DeepEqual(*got, want) {
		t.Errorf("got\n%+v\nwant\n%+v", *got, want)
	}
	development := defaultConfig(ProfileDevelopment)
	if development.Protected || !want.Protected || development.Network.NAT == want.Network.NAT {
		t.Error("the profiles do not differ")
	}
}

// The file's name picks nothing: an environment called production is a small one, unless it says
// otherwise.
func TestEnvironmentsNamePicksNothing(t *testing.T) {
	t.Parallel()
	one, other := *parse(t, "dev", minimal), *parse(t, "prod", minimal)
	other.Environment = "dev"
	if !reflect.DeepEqual(one, other) {
		t.Errorf("dev is\n%+v\nprod is\n%+v", one, other)
	}
}

// A list or a mapping that two services, or two configurations, had in common would change in one
// with the other.
func TestDefaultsAreNotShared(t *testing.T) {
	t.Parallel()
	seen := map[uintptr]string{}
	var walk func(path string, v reflect.Value)
	walk = func(path string, v reflect.Value) {
		switch v.Kind() {
		case reflect.Struct:
			for i := range v.NumField() {
				walk(path+"."+v.Type().Field(i).Name, v.Field(i))
			}
		case reflect.Map, reflect.Slice:
			if v.Len() == 0 {
				return
			}
			if other, shared := seen[v.Pointer()]; shared {
				t.Errorf("%s is %s", path, other)
			}
			seen[v.Pointer()] = path
			if v.Kind() == reflect.Map {
				for _, key := range v.MapKeys() {
					walk(path+"."+key.String(), v.MapIndex(key))
				}
			}
		}
	}
	for _, p := range []profile{ProfileDevelopment, ProfileProduction} {
		for _, name := range []string{"one", "other"} {
			walk(string(p)+" "+name, reflect.ValueOf(defaultConfig(p)))
			walk(string(p)+" "+name+" service", reflect.ValueOf(serviceDefaults("web", p)))
		}
	}
	if len(seen) < 8 {
		t.Errorf("looked at %d lists and mappings only", len(seen))
	}
	cfg := parse(t, "dev", minimal+`services:
  web:
  api: {image: 'quay.io/x/y:1', route: {priority: 1, paths: [/api]}}
`)
	walk("parsed", reflect.ValueOf(*cfg))
}

func TestStatesRegionIsTheStacksUnlessGiven(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"state: {backend: s3, bucket: states}":                    "eu-central-1",
		"state: {backend: s3, bucket: states, region: eu-west-1}": "eu-west-1",
	} {
		if got := parse(t, "dev", minimal+text+"\n").State.Region; got != want {
			t.Errorf("%s: is in %s, want %s", text, got, want)
		}
	}
	// A wrong region is one problem, though the state's follows from it.
	wantProblems(t, "name: shop\nregion: here\nstate: {backend: s3, bucket: states}\n",
		`2:1: region: want an AWS region of the commercial partition, such as eu-central-1, have "here"`)
}
