package config

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Allowed describes the valid values of a setting, as the allowed tag of its field does:
//
//	1..35 days          a number from 1 to 35, in days
//	0 or 30..900        or 0
//	none|single         one of these
//	@endpoints          one of the list of that name
//	~email              a text that matches the pattern of that name
//	within 512..2048    a necessary condition, for the schema; the section has the exact check
//
// The tag of a list or a map applies to each element.
type Allowed struct {
	Numbered  bool // a number from Low to High
	Low, High int
	OrZero    bool           // or 0
	Values    []string       // one of these; numbers are in decimal
	Form      *regexp.Regexp // a text that matches
	Unit      string         // of a number, for a person
	Within    bool           // a necessary condition only
}

var allowedRange = regexp.MustCompile(`^(0 or )?([0-9]+)\.\.([0-9]+)(?: (.+))?$`)

// ReadAllowed reads the allowed tag of a field. It panics on an invalid tag, which is a mistake in
// this package.
func ReadAllowed(tag reflect.StructTag) (a Allowed) {
	text, within := strings.CutPrefix(tag.Get("allowed"), "within ")
	a.Within = within
	name, unit, _ := strings.Cut(text, " ")
	switch parts := allowedRange.FindStringSubmatch(text); {
	case text == "":
	case parts != nil:
		a.Numbered, a.OrZero, a.Unit = true, parts[1] != "", parts[4]
		a.Low, _ = strconv.Atoi(parts[2])
		a.High, _ = strconv.Atoi(parts[3])
	case name[0] == '@' && lists[name[1:]] != nil:
		a.Values, a.Unit = lists[name[1:]], unit
	case name[0] == '~' && forms[name[1:]] != nil:
		a.Form = forms[name[1:]]
	case strings.Contains(text, "|"):
		a.Values = strings.Split(text, "|")
	default:
		panic("unknown allowed tag " + strconv.Quote(text))
	}
	return a
}

// lists and forms are the names that a tag may use.
var (
	lists = map[string][]string{}
	forms = map[string]*regexp.Regexp{}
)

// list lets tags refer to values as @name.
func list(name string, values ...string) []string {
	lists[name] = values
	return values
}

// numberList lets tags refer to numbers as @name.
func numberList(name string, values ...int) []int {
	for _, n := range values {
		lists[name] = append(lists[name], strconv.Itoa(n))
	}
	return values
}

// form lets tags refer to a pattern as ~name. The pattern is part of the schema only: the checks of
// the section report a text that does not match, because they have a better message.
func form(name, pattern string) *regexp.Regexp {
	forms[name] = regexp.MustCompile(pattern)
	return forms[name]
}

// allowed checks each setting against its allowed tag.
func (c checker) allowed() {
	eachScalar(c.cfg, func(n node) {
		a := ReadAllowed(n.tag)
		switch {
		case a.Within:
		case a.Numbered:
			number := int(n.value.Int())
			ok := number >= a.Low && number <= a.High || a.OrZero && number == 0
			zero := ""
			if a.OrZero {
				zero = "0 or "
			}
			c.want(ok, n.path, "want %s%d to %d, have %d", zero, a.Low, a.High, number)
		case len(a.Values) > 0:
			text := fmt.Sprint(n.value.Interface())
			shown := text
			if n.value.Kind() == reflect.String {
				shown = strconv.Quote(text)
			}
			ok := slices.Contains(a.Values, text)
			c.want(ok, n.path, "want one of %s, have %s", strings.Join(a.Values, ", "), shown)
		}
	})
}
