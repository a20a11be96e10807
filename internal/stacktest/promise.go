package stacktest

import (
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// Promise is what holds in every stack that the program writes, whatever its configuration. Goldens
// show that something changed and are rewritten when the change is meant; a promise says what must
// never change.
//
// Each promise brings the ways to break it, so that none can stop finding anything unnoticed.
type Promise struct {
	Name     string // a sentence that makes sense alone
	Check    func(Stack, *Violations)
	Shipped  bool // about what config/ asks for; another configuration may ask for something else
	BrokenBy []Break
}

// Break is one way to break a promise.
type Break struct {
	Name  string // what somebody did
	Stack string // the name of the stack that is broken
	By    Mutation
	Found string // what a violation must name
}

// Violations collects how a promise is broken, a line for each: the address, and what is wrong.
type Violations struct {
	found   []string
	denials *denials
}

// Want adds a violation if something is not as it should be.
func (v *Violations) Want(ok bool, address, format string, args ...any) {
	v.wantFor(2, ok, address, format, args...)
}

// wantFor is Want for a helper: level 2 is the line that called the helper.
func (v *Violations) wantFor(level int, ok bool, address, format string, args ...any) {
	_, file, line, _ := runtime.Caller(level)
	at := place{filepath.Base(file), line}
	v.denials.note(at, !ok)
	if !ok {
		v.found = append(v.found, fmt.Sprintf("%s: %s (%s)", address, fmt.Sprintf(format, args...), at))
	}
}

// WantBefore adds a violation for each of the resources that r does not depend on.
func (v *Violations) WantBefore(o Order, r Resource, needed []Resource, why string) {
	before := o.Before(r.Address)
	for _, n := range needed {
		v.wantFor(2, before[n.Address], r.Address, "does not depend on %s: %s", n.Address, why)
	}
}

// Check returns the violations of a promise in a stack, sorted.
func Check(p Promise, s Stack) []string { return check(p, s, &denials{}) }

func check(p Promise, s Stack, d *denials) []string {
	v := &Violations{denials: d}
	p.Check(s, v)
	slices.Sort(v.found)
	return v.found
}

// place is a line of a test.
type place struct {
	file string
	line int
}

func (p place) String() string { return fmt.Sprintf("%s:%d", p.file, p.line) }

// denials tell, for each condition that was reached, whether it ever failed.
type denials struct {
	sync.Mutex
	at map[place]bool
}

func (d *denials) note(at place, denied bool) {
	d.Lock()
	defer d.Unlock()
	if d.at == nil {
		d.at = map[place]bool{}
	}
	d.at[at] = d.at[at] || denied
}

// Hold tests that every promise holds in every stack; those about what was shipped, only in the
// stacks whose names are listed.
func Hold(t *testing.T, promises []Promise, stacks map[string]Stack, shipped []string) {
	for _, p := range promises {
		t.Run(p.Name, func(t *testing.T) {
			t.Parallel() // no promise changes a stack
			for name, s := range stacks {
				if p.Shipped && !slices.Contains(shipped, name) {
					continue
				}
				for _, violation := range Check(p, s) {
					t.Errorf("%s: %s", name, violation)
				}
			}
		})
	}
}

// FindBreaks tests that every promise finds each of its breaks. At the end each condition in the
// tests of the current folder must have failed once: one that no break reaches may be written so that
// nothing can fail it.
func FindBreaks(t *testing.T, promises []Promise, stacks map[string]Stack) {
	d, cases, done := &denials{}, 0, atomic.Int64{}
	for _, p := range promises {
		cases += len(p.BrokenBy)
		t.Run(p.Name, func(t *testing.T) {
			t.Parallel() // each break changes a copy
			if len(p.BrokenBy) == 0 {
				t.Fatal("no break shows that this finds anything")
			}
			whole := map[string][]string{} // the violations in each stack before it is broken
			for _, b := range p.BrokenBy {
				if _, ok := whole[b.Stack]; !ok {
					whole[b.Stack] = check(p, stacks[b.Stack], d)
				}
				t.Run(b.Name, func(t *testing.T) {
					done.Add(1)
					s, ok := stacks[b.Stack]
					if !ok {
						t.Fatalf("no stack is called %q", b.Stack)
					}
					broken := s.Copy()
					if err := b.By(broken); err != nil {
						t.Fatalf("there is nothing to break: %v", err)
					}
					wantNew(t, b.Found, whole[b.Stack], check(p, broken, d))
				})
			}
		})
	}
	t.Cleanup(func() { // when the parallel tests have ended
		if int(done.Load()) < cases {
			return // -run chose some
		}
		for _, condition := range conditions(t) {
			if !condition.failed(d) {
				t.Errorf("%s: no break shows that this finds anything", condition.place)
			}
		}
	})
}

// wantNew tests that there is a violation after a break, and not before it, that names something.
func wantNew(t *testing.T, name string, before, after []string) {
	t.Helper()
	isNew := func(violation string) bool {
		return !slices.Contains(before, violation) && strings.Contains(violation, name)
	}
	if !slices.ContainsFunc(after, isNew) {
		t.Errorf("no new violation names %s; found: %q", name, after)
	}
}

// Unambiguous tests that no two promises, and no two breaks of a promise, have the same name.
func Unambiguous(t *testing.T, promises []Promise) {
	names := map[string]bool{}
	for _, p := range promises {
		if names[p.Name] {
			t.Errorf("two promises are called %q", p.Name)
		}
		names[p.Name] = true
		breaks := map[string]bool{}
		for _, b := range p.BrokenBy {
			if breaks[b.Name] {
				t.Errorf("two breaks of %q are called %q", p.Name, b.Name)
			}
			breaks[b.Name] = true
		}
	}
}
