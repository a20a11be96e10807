//go:build e2e

package e2e

import (
	"encoding/json"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/iam"
)

// policy is a policy document. IAM writes a list with one element as that element.
type policy struct {
	Statement []struct {
		Sid, Effect      string
		Principal        any
		Action, Resource list
		Condition        map[string]map[string]list
	}
}

type list []string

func (l *list) UnmarshalJSON(text []byte) error {
	if text[0] == '[' {
		return json.Unmarshal(text, (*[]string)(l))
	}
	*l = list{""}
	return json.Unmarshal(text, &(*l)[0])
}

func (w *deployed) policy(text string) policy {
	w.Helper()
	if strings.HasPrefix(text, "%7B") { // URL-encoded, as IAM returns it
		text, _ = url.PathUnescape(text)
	}
	var p policy
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		w.Fatalf("%v\n%s", err, text)
	}
	for i, s := range p.Statement {
		// Both forms have the same meaning.
		if who, ok := s.Principal.(map[string]any); ok && who["AWS"] == "*" {
			p.Statement[i].Principal = "*"
		}
	}
	return p
}

// trusts checks that a role exists and that only one AWS service can assume it.
func (w *deployed) trusts(role, service string) {
	w.Helper()
	name := role[strings.LastIndex(role, "/")+1:]
	found, err := w.iam.GetRole(alive, &iam.GetRoleInput{RoleName: &name})
	if err != nil {
		w.Errorf("role %s does not exist: %v", name, err)
		return
	}
	for _, s := range w.policy(*found.Role.AssumeRolePolicyDocument).Statement {
		w.equal("principal of the trust policy of "+name, s.Principal, map[string]any{"Service": service})
	}
}

// permissions returns the resources that a role may use, by action.
func (w *deployed) permissions(role string) map[string][]string {
	w.Helper()
	name := role[strings.LastIndex(role, "/")+1:]
	may := map[string][]string{}
	for p := range pages(w.T, iam.NewListRolePoliciesPaginator(w.iam, &iam.ListRolePoliciesInput{RoleName: &name})) {
		for _, policy := range p.PolicyNames {
			text := must(w.iam.GetRolePolicy(alive, &iam.GetRolePolicyInput{
				RoleName:   &name,
				PolicyName: &policy,
			}))(w.T).PolicyDocument
			for _, s := range w.policy(*text).Statement {
				for _, action := range s.Action {
					for _, resource := range s.Resource {
						may[action] = append(may[action], strings.TrimSuffix(resource, ":*")) // a log group's streams
					}
				}
			}
		}
	}
	attached := must(w.iam.ListAttachedRolePolicies(alive, &iam.ListAttachedRolePoliciesInput{
		RoleName: &name,
	}))(w.T).AttachedPolicies
	if len(attached) > 0 {
		w.Errorf("role %s has an attached managed policy: %s", name, *attached[0].PolicyArn)
	}
	return may
}
