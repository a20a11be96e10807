//go:build e2e

package e2e

import (
	"encoding/json"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/iam"
)

// policy is a policy document, of which IAM writes every list of one as that one.
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

func (w *standing) policy(text string) policy {
	w.Helper()
	if strings.HasPrefix(text, "%7B") { // as IAM tells it
		text, _ = url.PathUnescape(text)
	}
	var p policy
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		w.Fatalf("%v\n%s", err, text)
	}
	for i, s := range p.Statement {
		// Two ways to write the same.
		if who, ok := s.Principal.(map[string]any); ok && who["AWS"] == "*" {
			p.Statement[i].Principal = "*"
		}
	}
	return p
}

// trusts wants a role to be there, and one service alone to take it on.
func (w *standing) trusts(role, service string) {
	w.Helper()
	name := role[strings.LastIndex(role, "/")+1:]
	found, err := w.iam.GetRole(alive, &iam.GetRoleInput{RoleName: &name})
	if err != nil {
		w.Errorf("role %s is not there: %v", name, err)
		return
	}
	for _, s := range w.policy(*found.Role.AssumeRolePolicyDocument).Statement {
		w.equal("who may take on "+name, s.Principal, map[string]any{"Service": service})
	}
}

// permissions are what a role is allowed, by action.
func (w *standing) permissions(role string) map[string][]string {
	w.Helper()
	name := role[strings.LastIndex(role, "/")+1:]
	may := map[string][]string{}
	for p := range pages(w.T, iam.NewListRolePoliciesPaginator(w.iam, &iam.ListRolePoliciesInput{RoleName: &name})) {
		for _, policy := range p.PolicyNames {
			text := said(w.iam.GetRolePolicy(alive, &iam.GetRolePolicyInput{
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
	attached := said(w.iam.ListAttachedRolePolicies(alive, &iam.ListAttachedRolePoliciesInput{
		RoleName: &name,
	}))(w.T).AttachedPolicies
	if len(attached) > 0 {
		w.Errorf("role %s has a policy attached that is not its own: %s", name, *attached[0].PolicyArn)
	}
	return may
}
