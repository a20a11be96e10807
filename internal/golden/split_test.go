package golden

import (
	"encoding/json"
	"maps"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

var shop = Layout{
	Modules: []Module{
		{File: "outputs.json", Address: regexp.MustCompile(`^output$`)},
		{File: "service_$1.json", Address: regexp.MustCompile(`\.service_([a-z]+)_`)},
		{File: "backup.json", Address: regexp.MustCompile(`\.backup_`)},
	},
	Documents: []Document{
		{Kind: "aws_iam_role_policy", Argument: "policy", ID: "*_policy", File: "policies/*.json"},
		{Kind: "aws_scheduler_schedule", Argument: "target.input", ID: "*", File: "inputs/*.json"},
		{Kind: "aws_s3_object", Argument: "content", ID: "backup_readme", File: "objects/README.md"},
	},
}

// stack is JSON of a stack, parsed.
func stack(t *testing.T, text string) map[string]any {
	t.Helper()
	var parsed map[string]any
	if err := json.Unmarshal([]byte(text), &parsed); err != nil {
		t.Fatal(err)
	}
	return parsed
}

const whole = `{
	"output": {"url": {"value": "https://example.com/?a&b"}},
	"resource": {
		"aws_iam_role_policy": {
			"backup_role_policy": {"name": "backup", "policy": "{\"Version\":\"1\",\"Action\":[\"a:B\",\"a:C\"]}"}
		},
		"aws_scheduler_schedule": {
			"backup_schedule": {"target": {"arn": "x", "input": "{\"time\":\"<time>\",\"z\":1.50,\"a\":{}}"}}
		},
		"aws_s3_object": {"backup_readme": {"content": "# One\n\nTwo"}},
		"aws_ecs_service": {"service_web_service": {"desired_count": 12345678, "name": "web"}}
	}
}`

func TestSplitGivesEveryTextAFile(t *testing.T) {
	got, err := Split(stack(t, whole), shop)
	if err != nil {
		t.Fatal(err)
	}
	want := Files{
		"outputs.json": `{
  "output": {
    "url": {
      "value": "https://example.com/?a&b"
    }
  }
}
`,
		"service_web.json": `{
  "aws_ecs_service.service_web_service": {
    "desired_count": 12345678,
    "name": "web"
  }
}
`,
		"backup.json": `{
  "aws_iam_role_policy.backup_role_policy": {
    "name": "backup",
    "policy": "-> policies/backup_role.json"
  },
  "aws_s3_object.backup_readme": {
    "content": "-> objects/README.md"
  },
  "aws_scheduler_schedule.backup_schedule": {
    "target": {
      "arn": "x",
      "input": "-> inputs/backup_schedule.json"
    }
  }
}
`,
		"policies/backup_role.json": `{
  "Version": "1",
  "Action": [
    "a:B",
    "a:C"
  ]
}
`,
		"inputs/backup_schedule.json": `{
  "time": "<time>",
  "z": 1.50,
  "a": {}
}
`,
		"objects/README.md": "# One\n\nTwo",
	}
	for _, difference := range Differences(want, got) {
		t.Error(difference)
	}
}

// schedule is a stack with an input of a schedule.
func schedule(input string) map[string]any {
	return map[string]any{"resource": map[string]any{"aws_scheduler_schedule": map[string]any{
		"backup_schedule": map[string]any{"target": map[string]any{"input": input}},
	}}}
}

func TestJoinRestoresWhatWasSplit(t *testing.T) {
	for name, whole := range map[string]map[string]any{
		"every kind of part": stack(t, whole),
		"no resource":        stack(t, `{"output": {}}`),
		"nothing":            {},
		"key order":          schedule(`{"b":1,"a":[{"d":1,"c":2}]}`),
		"numbers":            schedule(`[1.50,1e3,12345678901234567890]`),
		"escapes":            schedule(`{"a":"\u003c<\/\"\\ \u00e9é"}`),
		"a repeated key":     schedule(`{"a":1,"a":2}`),
		"empty values":       schedule(`{"a":{},"b":[],"c":"","d":null}`),
		"several lines":      schedule(`{"a":"-----\n<\"x\">\n-----\n","b":["one\ntwo"]}`),
		"no object":          schedule(`"text"`),
		"an absent document": stack(t, `{"resource": {"aws_iam_role_policy": {"backup_role_policy": {"name": "x"}}}}`),
	} {
		t.Run(name, func(t *testing.T) {
			files, err := Split(whole, shop)
			if err != nil {
				t.Fatal(err)
			}
			got, err := Join(files)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, whole) {
				t.Errorf("got %v, want %v", got, whole)
			}
		})
	}
}

func TestLinesOfATextInADocumentAreInAFile(t *testing.T) {
	files, err := Split(schedule(`{"a":"one\ntwo\n","b":"three"}`), shop)
	if err != nil {
		t.Fatal(err)
	}
	if got := files["inputs/backup_schedule_1.txt"]; got != "one\ntwo\n" {
		t.Errorf("the text's file is %q", got)
	}
	if got := files["inputs/backup_schedule.json"]; !strings.Contains(got, `"a": "-> inputs/backup_schedule_1.txt"`) {
		t.Errorf("the document is %s", got)
	}
}

func TestSplitRefusesWhatItHasNoPlaceFor(t *testing.T) {
	for name, c := range map[string]struct {
		stack map[string]any
		want  string
	}{
		"a resource":     {stack(t, `{"resource": {"aws_vpc": {"vpc": {}}}}`), "aws_vpc.vpc: matches no module"},
		"a section":      {stack(t, `{"moved": []}`), "moved: matches no module"},
		"other JSON":     {stack(t, `{"output": {"x": {"value": "{\"a\": 1}"}}}`), "output: x: value: holds JSON"},
		"other lines":    {stack(t, `{"output": {"x": ["a\nb"]}}`), "output: x: holds JSON or several lines"},
		"a reference":    {stack(t, `{"output": {"x": "-> there"}}`), `begins like a reference to a file: "-> there"`},
		"one inside":     {schedule(`["-> there"]`), "refers to there, which is missing"},
		"spaces in JSON": {schedule(`{"a": 1}`), "target.input: want JSON as the program writes it"},
		"invalid JSON":   {schedule(`{`), "target.input: unexpected end of JSON input"},
		"two of a name": {
			stack(t, `{"resource": {"aws_scheduler_schedule": {
				"backup_a": {"target": {"input": "1"}}, "backup_b": {"target": {"input": "2"}}}}}`),
			"a second document in inputs/same.json",
		},
	} {
		t.Run(name, func(t *testing.T) {
			layout := shop
			if name == "two of a name" {
				layout.Documents = []Document{
					{Kind: "aws_scheduler_schedule", Argument: "target.input", ID: "*", File: "inputs/same.json"},
				}
			}
			if _, err := Split(c.stack, layout); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

func TestJoinRefusesFilesThatDoNotFit(t *testing.T) {
	split, err := Split(stack(t, whole), shop)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		damage func(Files)
		want   string
	}{
		"a document too few": {
			func(f Files) { delete(f, "policies/backup_role.json") },
			"refers to policies/backup_role.json, which is missing",
		},
		"a document too many": {
			func(f Files) { f["policies/other.json"] = "{}" }, "policies/other.json: no module refers to it",
		},
		"invalid JSON in a module":   {func(f Files) { f["backup.json"] = "{" }, "backup.json: unexpected end"},
		"invalid JSON in a document": {func(f Files) { f["policies/backup_role.json"] = "{" }, "unexpected end"},
	} {
		t.Run(name, func(t *testing.T) {
			files := maps.Clone(split)
			c.damage(files)
			if _, err := Join(files); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}
