package config

import (
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Allowed is what a setting may hold, as the tag of its field in config.go says it:
//
//	1..35 days          a number from 1 to 35, in days
//	0 or 30..900        or none
//	none|single         one of these
//	@endpoints          one of the list of that name
//	~email              a text of the form of that name
//	within 512..2048    at least so much can be told without looking at other settings; what it is exactly, checks.go says
//
// Of lists and maps it is said of each element.
type Allowed struct {
	Numbered  bool
	Low, High int // of a number
	OrZero    bool
	Values    []string // in decimal, if it is a number
	Form      *regexp.Regexp
	Unit      string
	Within    bool
}

var allowedRange = regexp.MustCompile(`^(0 or )?([0-9]+)\.\.([0-9]+)(?: (.+))?$`)

// ReadAllowed reads a field's tag. A tag that says nothing of the kind is a fault of this program.
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
	case name[0] == '@' && settingLists[name[1:]] != nil:
		a.Values, a.Unit = settingLists[name[1:]], unit
	case name[0] == '~' && settingForms[name[1:]] != nil:
		a.Form = settingForms[name[1:]]
	case strings.Contains(text, "|"):
		a.Values = strings.Split(text, "|")
	default:
		panic("a field may hold " + text)
	}
	return a
}

var settingLists = map[string][]string{
	"retentions": numbers(retentions), "cpu": numbers([]int{256, 512, 1024, 2048, 4096, 8192, 16384}), "versions": postgresVersions,
	"endpoints": InterfaceEndpoints, "common_rules": commonRules,
}

func numbers(list []int) (texts []string) {
	for _, n := range list {
		texts = append(texts, strconv.Itoa(n))
	}
	return texts
}

// settingForms are what can be told of a text by itself. checks.go tells what is wanted where one does not match, and looks further.
var settingForms = map[string]*regexp.Regexp{
	"account": accountID, "backup_window": backupWindow, "bucket": bucketName, "certificate": certificateARN, "class": instanceClass, "codes": codes,
	"database": databaseName, "domain": domainName, "email": emailAddress, "host": hostPattern, "image": imageReference, "key": keyARN,
	"maintenance_window": maintenance, "name": environmentName, "region": regionName, "secret": secretARN, "snapshot": snapshotName, "user": numericUser,
	"zone": zoneLetter, "at": regexp.MustCompile(`^(cron|at)\([^()]+\)$`), "schedule": regexp.MustCompile(`^(cron|rate)\([^()]+\)$`),
	"cidr": regexp.MustCompile(`^[0-9]{1,3}(\.[0-9]{1,3}){3}/[0-9]{1,2}$`), "path": regexp.MustCompile(`^/`),
	"time": regexp.MustCompile(`^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})$`),
}

// scalar is one value of a configuration that is no list and no mapping: where it is, what it may hold, and a way to change it.
type scalar struct {
	path    string
	allowed Allowed
	value   reflect.Value
	set     func() // keeps what value was set to
}

// eachScalar visits all values there are, those of maps in the order of their keys.
func eachScalar(cfg *Config, visit func(scalar)) {
	walkScalars("", Allowed{}, reflect.ValueOf(cfg).Elem(), func() {}, visit)
}

func walkScalars(path string, a Allowed, v reflect.Value, keep func(), visit func(scalar)) {
	below := func(key string) string { return strings.TrimPrefix(path+"."+key, ".") }
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if field := v.Type().Field(i); field.Tag.Get("yaml") != "-" {
				walkScalars(below(field.Tag.Get("yaml")), ReadAllowed(field.Tag), v.Field(i), keep, visit)
			}
		}
	case reflect.Map:
		for _, key := range slices.SortedFunc(slices.Values(v.MapKeys()), func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) }) {
			element := reflect.New(v.Type().Elem()).Elem() // one in a map cannot be changed in its place
			element.Set(v.MapIndex(key))
			walkScalars(below(key.String()), a, element, func() { v.SetMapIndex(key, element); keep() }, visit)
		}
	case reflect.Slice:
		for i := range v.Len() {
			walkScalars(below(strconv.Itoa(i)), a, v.Index(i), keep, visit)
		}
	default:
		visit(scalar{path, a, v, keep})
	}
}

// checkAllowed looks at each value by itself.
func checkAllowed(c *Config, add adder) {
	eachScalar(c, func(s scalar) {
		a := s.allowed
		switch {
		case a.Within:
		case a.Numbered:
			if n := int(s.value.Int()); (n < a.Low || n > a.High) && !(a.OrZero && n == 0) {
				add(s.path, "want %d to %d, have %d", a.Low, a.High, n)
			}
		case len(a.Values) > 0:
			if !slices.Contains(a.Values, s.value.String()) {
				add(s.path, "want one of %s, have %q", strings.Join(a.Values, ", "), s.value.String())
			}
		}
	})
}

// settingCalled is the path of a setting of the given name, where there is just one such: somebody knows the name and not its place.
func settingCalled(name string) string {
	var paths []string
	cfg := defaultConfig(ProfileDevelopment)
	eachScalar(&cfg, func(s scalar) {
		for path := s.path; path != ""; path = parent(path) {
			if path[strings.LastIndexByte(path, '.')+1:] == name && !slices.Contains(paths, path) {
				paths = append(paths, path)
			}
		}
	})
	if len(paths) != 1 {
		return ""
	}
	return paths[0]
}

// ---- Variables -------------------------------------------------------------------------------------------------------

// A variable of the environment stands for a setting: INFRA_SERVICES_WEB_IMAGE for services.web.image. strictVariable alone is none.
const variablePrefix, strictVariable = "INFRA_", "INFRA_STRICT"

var notInVariables = regexp.MustCompile(`[^A-Z0-9]`)

// variableOf is the name of the variable for a path.
func variableOf(path string) string {
	return variablePrefix + notInVariables.ReplaceAllString(strings.ToUpper(path), "_")
}

// infraVariables are those of the environment's that are meant for a configuration, by name.
func infraVariables(environ []string) map[string]string {
	variables := map[string]string{}
	for _, entry := range environ {
		if name, value, _ := strings.Cut(entry, "="); strings.HasPrefix(name, variablePrefix) && name != strictVariable {
			variables[name] = value
		}
	}
	return variables
}

// override puts the variables' values over the file's. It reaches every scalar that the file or a default has, the elements of lists and maps
// included; it adds none. What is wrong is noted under the variable's name.
func (doc *Document) override(cfg *Config, variables map[string]string) {
	if len(variables) == 0 {
		return
	}
	scalars := map[string][]scalar{}
	eachScalar(cfg, func(s scalar) {
		if name := variableOf(s.path); variables[name] != "" {
			scalars[name] = append(scalars[name], s)
		} else {
			scalars[name] = nil // for nearest
		}
	})
	for _, name := range slices.Sorted(maps.Keys(variables)) {
		at, targets := position{variable: name}, scalars[name]
		_, known := scalars[name]
		switch {
		case !known:
			hint := ""
			if near := nearest(name, slices.Sorted(maps.Keys(scalars))); near != "" {
				hint = ", did you mean " + near + "?"
			}
			doc.note(at, "", "stands for no setting that there is%s", hint)
			continue
		case variables[name] == "":
			doc.note(at, "", "is empty: give it a value or unset it")
			continue
		case len(targets) > 1:
			doc.note(at, "", "stands for both %s and %s: give one of them another name", targets[0].path, targets[1].path)
			continue
		}
		doc.positions[targets[0].path] = at
		doc.take(targets[0], at, variables[name])
	}
}

// take sets a scalar from a variable's text.
func (doc *Document) take(s scalar, at position, text string) {
	switch s.value.Kind() {
	case reflect.Bool:
		if text != "true" && text != "false" {
			doc.refuse(at, s.path, "want true or false, have %q", text)
			return
		}
		s.value.SetBool(text == "true")
	case reflect.Int:
		n, err := strconv.Atoi(text)
		if err != nil || !decimal.MatchString(text) {
			doc.refuse(at, s.path, "want a whole number in decimal digits, without leading zeros, have %q", text)
			return
		}
		s.value.SetInt(int64(n))
	default:
		s.value.SetString(text)
	}
	s.set()
	doc.unread[s.path] = false
}

// readStrict tells whether a warning is to count as a problem: INFRA_STRICT is true.
func readStrict(environ []string) (bool, error) {
	for _, entry := range environ {
		if name, value, _ := strings.Cut(entry, "="); name == strictVariable {
			if value != "true" && value != "false" && value != "" {
				return false, fmt.Errorf("%s: want true or false, have %q", strictVariable, value)
			}
			return value == "true", nil
		}
	}
	return false, nil
}
