package config

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"platform/internal/config/yaml"
)

// The parts of random routes. Many of these routes cover others.
var (
	somePaths = []string{
		"/*", "/api*", "/api", "/api/*", "/api/v1/*", "/api/v1", "/a?i/*", "/a", "/a/*", "/b/*", "/?", "/*.png",
		"/api/*.png", "/", "/shop/*/edit",
	}
	someHosts = []string{
		"*.com", "*.example.com", "*.eu.example.com", "a.example.com", "A.example.com", "b.eu.example.com",
	}
	someSources = []string{"0.0.0.0/0", "203.0.113.0/24"}
)

func randomRoute(random *rand.Rand) Route {
	some := func(of []string, most int) (values []string) {
		for range random.IntN(most + 1) {
			values = append(values, of[random.IntN(len(of))])
		}
		return values
	}
	r := Route{Paths: some(somePaths, 2), Hosts: some(someHosts, 2), Sources: some(someSources, 1)}
	if random.IntN(4) == 0 {
		r.Headers = map[string][]string{"X-A": {"1"}}
	}
	return r
}

// commonRoute returns a random route of a form that is common.
func commonRoute(random *rand.Rand) Route {
	one := func(of ...[]string) []string { return of[random.IntN(len(of))] }
	r := Route{
		Paths: one(nil, []string{"/*"}, []string{"/a"}, []string{"/a/*"}, []string{"/a", "/a/*"}, []string{"/a*"},
			[]string{"/a/b/*"}, []string{"/a/b", "/a/b/*"}, []string{"/a/*", "/b/*"}, []string{"/a", "/b"}),
		Hosts: one(nil, []string{"a.example.com"}, []string{"b.example.com"},
			[]string{"A.example.com", "b.example.com"}, []string{"*.example.com"},
			[]string{"*.eu.example.com"}, []string{"b.eu.example.com"}),
		Sources: one(nil, nil, []string{"203.0.113.0/24"}),
	}
	if random.IntN(4) == 0 {
		r.Headers = map[string][]string{"X-A": {"1"}}
	}
	return r
}

// Common routes are never in the wrong order. Few get the same number, for which a file must set
// another one.
func TestCommonRoutesAreInOrder(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 0))
	ordered, same := 0, 0
	for range 100_000 {
		broad, narrow := commonRoute(random), commonRoute(random)
		if !broad.covers(narrow) || narrow.covers(broad) {
			continue
		}
		ordered++
		first, second := derivedPriority("narrow", narrow), derivedPriority("broad", broad)
		same += choice(first == second)
		if first > second {
			t.Errorf("%+v has priority %d, and is covered by %+v with priority %d", narrow, first, broad, second)
		}
	}
	if ordered < 1000 || same > ordered/100 {
		t.Errorf("%d of %d pairs have the same priority", same, ordered)
	}
}

// Any text, valid or not, has an even priority that AWS accepts, and the one before it is not 0.
func FuzzPriority(f *testing.F) {
	f.Add("web", "/*", "/a", "a.example.com", "*.com")
	f.Add("", "", "", "", "")
	f.Add("a", "????", "*?*", "/[.", "\xff")
	f.Fuzz(func(t *testing.T, name, path, otherPath, host, otherHost string) {
		for _, r := range []Route{
			{Paths: []string{path}}, {Paths: []string{path, otherPath}, Hosts: []string{host, otherHost}},
		} {
			if got := derivedPriority(name, r); got < 2 || got > 49_998 || got%2 != 0 {
				t.Errorf("%q %+v: %d", name, r, got)
			}
		}
	})
}

// The whole range is used, and no step leaves a gap or an overlap: parts follow each other.
func TestPartsOfARangeFollowEachOther(t *testing.T) {
	t.Parallel()
	for _, size := range []int{1, 2, 7, 24_999} {
		s, next := span{5, size}, 5
		for i := range 4 {
			part := s.divide(i, 50, 30, 15, 5)
			if size > 50 && part.first != next || part.first < 5 || part.first+part.size > 5+size {
				t.Errorf("part %d of %+v is %+v", i, s, part)
			}
			next = part.first + part.size
		}
	}
}

// Of stacks with ten services with similar routes, few need to set a priority.
func TestSimilarRoutesGetDifferentPriorities(t *testing.T) {
	t.Parallel()
	for what, route := range map[string]func(name string) Route{
		"a path":    func(name string) Route { return Route{Paths: []string{"/" + name + "/*"}} },
		"two paths": func(name string) Route { return Route{Paths: []string{"/" + name, "/" + name + "/*"}} },
		"a host":    func(name string) Route { return Route{Hosts: []string{name + ".example.com"}} },
	} {
		random, duplicates := rand.New(rand.NewPCG(1, 0)), 0
		const stacks = 2000
		for range stacks {
			names, taken := map[string]bool{}, map[int]bool{}
			for len(names) < 10 {
				names[randomName(random)] = true
			}
			for name := range names {
				taken[derivedPriority(name, route(name))] = true
			}
			duplicates += choice(len(taken) < 10)
		}
		if t.Logf("%s: %d of %d", what, duplicates, stacks); duplicates > stacks/20 {
			t.Errorf("%s: %d of %d stacks have duplicate priorities", what, duplicates, stacks)
		}
	}
}

// randomName returns three to ten letters.
func randomName(random *rand.Rand) (name string) {
	for range 3 + random.IntN(8) {
		name += string(rune('a' + random.IntN(26)))
	}
	return name
}

// In every accepted configuration, a route comes before all routes that cover it, and derived
// priorities are the same without the other services.
func TestPrioritiesOfRandomServices(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 0))
	accepted := 0
	for range 2000 {
		cfg := Config{Services: map[string]Service{}}
		for i := range 2 + random.IntN(5) {
			cfg.Services[fmt.Sprintf("s%d", i)] = Service{Route: randomRoute(random)}
		}
		doc := yaml.Decode("config/test.yaml", []byte("{}"), &Config{}, yaml.Hooks{})
		cfg.derivePriorities()
		checker{newPlace(&cfg, doc)}.at("services").routes(cfg.Services)
		if doc.Err() != nil {
			continue
		}
		accepted++
		for name, s := range cfg.Services {
			alone := Config{Services: map[string]Service{name: s}}
			alone.derivePriorities()
			if alone.Services[name].Route.Priority != s.Route.Priority {
				t.Errorf("the priority of %s depends on other services", name)
			}
			for other, o := range cfg.Services {
				if name == other || !s.Routed() || !o.Routed() || !o.Route.covers(s.Route) {
					continue
				}
				if s.Route.Priority >= o.Route.Priority {
					t.Errorf("%+v comes after %+v, which covers it", s.Route, o.Route)
				}
			}
		}
	}
	if accepted < 500 {
		t.Errorf("only %d accepted", accepted)
	}
}

func TestFreePriorityIsNearAndAccepted(t *testing.T) {
	t.Parallel()
	services := map[string]Service{}
	for name, priority := range map[string]int{"a": 49_998, "b": 2, "c": 10, "d": 12, "e": 14} {
		services[name] = Service{Route: Route{Priority: priority}}
	}
	for priority, want := range map[int]int{49_998: 49_996, 2: 4, 10: 8, 12: 16} {
		if got := freePriority(priority, services); got != want {
			t.Errorf("the nearest free priority to %d is %d, want %d", priority, got, want)
		}
	}
}
