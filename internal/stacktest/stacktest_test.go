package stacktest

import (
	"encoding/json"
	"slices"
	"testing"

	"platform/internal/golden"
)

const (
	functionPolicy = "aws_iam_role_policy.backup_function_role_policy"
	webDefinition  = "aws_ecs_task_definition.service_web_task_definition"
	parameterGroup = "aws_db_parameter_group.database_parameter_group"
	firewall       = "aws_wafv2_web_acl.firewall"
	webService     = "aws_ecs_service.service_web_service"
	dashboard      = "aws_cloudwatch_dashboard.dashboard"
)

// prod is the production environment as it is shipped.
func prod(t *testing.T) Stack {
	t.Helper()
	files, err := golden.Read("../../testdata/prod")
	if err != nil {
		t.Fatal(err)
	}
	joined, err := golden.Join(files)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(joined)
	if err != nil {
		t.Fatal(err)
	}
	s, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestPathsSelectByField(t *testing.T) {
	s := prod(t)
	for path, c := range map[string]struct {
		address string
		want    any
	}{
		"policy.Statement[Sid=Prune].Effect":                                    {functionPolicy, "Allow"},
		"container_definitions[name=web].environment[name=PGSSLMODE].value":     {webDefinition, "verify-full"},
		"parameter[name=rds.force_ssl].value":                                   {parameterGroup, "1"},
		"dashboard_body.widgets[properties.title=Running tasks].type":           {dashboard, "metric"},
		"lifecycle.create_before_destroy":                                       {parameterGroup, true},
		"network_configuration.assign_public_ip":                                {webService, false},
		"rule[action].name":                                                     {firewall, "rate-limit"},
		"rule[override_action].name":                                            {firewall, nil}, // more than one
		"rule[missing].name":                                                    {firewall, nil},
		"parameter[name=missing].value":                                         {parameterGroup, nil},
		"policy.Statement.Effect":                                               {functionPolicy, nil}, // which one?
		"policy.Statement[Effect=Allow].Sid":                                    {functionPolicy, nil}, // more than one
		"policy.Statement[Sid=Prune].Condition.StringEquals.aws:ResourceTag/No": {functionPolicy, nil},
	} {
		if got := s.Resource(c.address).At(path); got != c.want {
			t.Errorf("%s is %v, want %v", path, got, c.want)
		}
	}
	got := s.Resource(functionPolicy).Strings("policy.Statement[Sid=Prune].Action")
	if !slices.Equal(got, []string{"rds:DeleteDBSnapshot"}) {
		t.Errorf("actions are %v", got)
	}
}

func TestMutationsChangeACopyAndFailWithoutASubject(t *testing.T) {
	whole := prod(t)
	const effect = "policy.Statement[Sid=Prune].Effect"
	for name, c := range map[string]struct {
		by      Mutation
		address string
		path    string
		want    any // at the path afterwards
	}{
		"set": {Set(functionPolicy, effect, "Deny"), functionPolicy, effect, "Deny"},
		"add": {Add(webService, "tags.New", "x"), webService, "tags.New", "x"},
		"remove": {
			Remove(parameterGroup, "lifecycle.create_before_destroy"),
			parameterGroup, "lifecycle.create_before_destroy", nil,
		},
		"remove an element": {Remove(functionPolicy, "policy.Statement[Sid=Prune]"), functionPolicy, effect, nil},
		"replace": {
			Replace(webDefinition, "family", "web", "x"), webDefinition, "family", "platform-prod-x",
		},
		"delete": {Delete(webService), webService, "name", nil},
		"create like": {
			CreateLike(webService, "aws_ecs_service.other", "name", "other"),
			"aws_ecs_service.other", "name", "other",
		},
		"one after another": {
			All(Set(webService, "name", "a"), Replace(webService, "name", "a", "b")), webService, "name", "b",
		},
	} {
		t.Run(name, func(t *testing.T) {
			before := whole.Resource(c.address).At(c.path)
			broken := whole.Copy()
			if err := c.by(broken); err != nil {
				t.Fatal(err)
			}
			if got := broken.Resource(c.address).At(c.path); got != c.want {
				t.Errorf("is %v, want %v", got, c.want)
			}
			if after := whole.Resource(c.address).At(c.path); after != before {
				t.Errorf("changed the original from %v to %v", before, after)
			}
		})
	}
	for name, by := range map[string]Mutation{
		"set what is not there":       Set(webService, "missing", 1),
		"set of a missing resource":   Set("aws_vpc.missing", "cidr_block", "x"),
		"add what is there":           Add(webService, "name", "x"),
		"remove what is not there":    Remove(webService, "missing"),
		"remove a missing element":    Remove(functionPolicy, "policy.Statement[Sid=Missing]"),
		"replace what is not there":   Replace(webService, "name", "missing", "x"),
		"delete a missing resource":   Delete("aws_vpc.missing"),
		"create what is there":        Create(webService, nil),
		"a dependency that is absent": RemoveDependency(webService, "aws_vpc.missing"),
		"append to what is no list":   Append(webService, "name", "x"),
	} {
		if by(whole.Copy()) == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestMutationsReachOutsideOfTheResources(t *testing.T) {
	const tag = "provider.aws.default_tags.tags.ManagedBy"
	s := prod(t)
	for name, by := range map[string]Mutation{"set": SetRoot(tag, nil), "remove": RemoveRoot(tag)} {
		broken := s.Copy()
		if err := by(broken); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if s.At(tag) == nil || broken.At(tag) != nil {
			t.Errorf("%s: is %v, was %v", name, broken.At(tag), s.At(tag))
		}
		if by(broken) == nil {
			t.Errorf("%s what is not there: no error", name)
		}
	}
}

func TestOrderFollowsReferencesAndDependencies(t *testing.T) {
	before := prod(t).Order().Before(webService)
	for _, address := range []string{webDefinition, functionPolicyOfExecution, "aws_vpc.vpc"} {
		if !before[address] {
			t.Errorf("%s does not come after %s", webService, address)
		}
	}
	if before["aws_cloudwatch_dashboard.dashboard"] {
		t.Error("the service comes after the dashboard")
	}
}

const functionPolicyOfExecution = "aws_iam_role_policy.service_web_execution_role_policy"

// A condition that no break has denied, and a break that finds nothing, are faults of the tests.
func TestDenialsAreNoted(t *testing.T) {
	s, d := prod(t), &denials{}
	p := Promise{Name: "a service has a name", Check: func(s Stack, v *Violations) {
		v.Want(s.Resource(webService).Has("name"), webService, "has no name")
		v.Want(s.Resource(webService).Has("cluster"), webService, "has no cluster")
	}}
	broken := s.Copy()
	if err := Remove(webService, "name")(broken); err != nil {
		t.Fatal(err)
	}
	if got := check(p, broken, d); !slices.Equal(got, []string{webService + ": has no name (stacktest_test.go:167)"}) {
		t.Errorf("found %q", got)
	}
	never := 0
	for _, denied := range d.at {
		if !denied {
			never++
		}
	}
	if len(d.at) != 2 || never != 1 {
		t.Errorf("noted %v", d.at)
	}
}

func TestStatementsSayForWhomAndWhen(t *testing.T) {
	s := prod(t)
	for _, c := range []struct {
		statement  Resource
		principals []string
		conditions []string
	}{
		{
			s.Resource("aws_iam_role.service_web_execution_role").Statements("assume_role_policy")[0],
			[]string{"Service:ecs-tasks.amazonaws.com"},
			[]string{
				"StringEquals aws:SourceAccount ${data.aws_caller_identity.caller.account_id}",
				"ArnLike aws:SourceArn arn:aws:ecs:eu-central-1:${data.aws_caller_identity.caller.account_id}:*",
			},
		},
		{s.Resource("aws_s3_bucket_policy.backup_bucket_policy").Statements("policy")[0],
			[]string{"AWS:*"}, []string{"Bool aws:SecureTransport false"}},
		{s.Resource(functionPolicy).Statements("policy")[0], nil, nil},
		{Resource{body: map[string]any{"Principal": "*"}}, []string{"*"}, nil},
	} {
		if got := c.statement.Principals(); !slices.Equal(got, c.principals) {
			t.Errorf("%s is for %q, want %q", c.statement.Address, got, c.principals)
		}
		if got := c.statement.Conditions(); !slices.Equal(got, c.conditions) {
			t.Errorf("%s is on %q, want %q", c.statement.Address, got, c.conditions)
		}
	}
}

func TestPoliciesOfAnotherFormAreRefused(t *testing.T) {
	for name, policy := range map[string]string{
		"an old version":       `{"Version": "2008-10-17", "Statement": []}`,
		"no version":           `{"Statement": []}`,
		"one statement":        `{"Version": "2012-10-17", "Statement": {"Effect": "Allow"}}`,
		"a misspelled element": `{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Actions": "s3:*"}]}`,
		"an unknown element":   `{"Version": "2012-10-17", "Statements": [], "Statement": []}`,
	} {
		r := Resource{"aws_kms_key.key", map[string]any{"policy": policy}}
		if r.decode("policy") == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
