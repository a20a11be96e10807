package config

import (
	_ "embed"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Permission is one statement of the IAM policy of a service.
type Permission struct {
	Actions []string `yaml:"actions"` // names of actions, such as s3:GetObject
	// ARNs of resources; * for actions that AWS defines no resource for
	Resources []string `yaml:"resources"`
}

// everyResource is the resource of actions that AWS defines no resource for.
const everyResource = "*"

var (
	actionName = regexp.MustCompile(`^[a-z0-9-]+:[A-Za-z0-9]+$`)
	// resourceARN leaves out the region and the account where they may be missing, and takes *, but not
	// instead of the service or of the whole resource.
	resourceARN = regexp.MustCompile(`^arn:aws:[a-z0-9-]+:[a-z0-9*-]*:([0-9]{12}|\*|aws)?:[^*].*$`)
)

//go:embed aws_actions.txt
var actionsWithoutResource string

// withoutResource returns the actions that AWS defines no resource for.
var withoutResource = sync.OnceValue(func() map[string]bool {
	actions := map[string]bool{}
	for line := range strings.Lines(actionsWithoutResource) {
		service, names, _ := strings.Cut(line, ": ")
		if strings.HasPrefix(service, "#") {
			continue
		}
		for name := range strings.FieldsSeq(names) {
			actions[service+":"+name] = true
		}
	}
	return actions
})

func (c checker) permissions(s Service) {
	for i, p := range s.Permissions {
		c := c.at("permissions", strconv.Itoa(i))
		c.want(len(p.Actions) > 0 && len(p.Resources) > 0, "", "want at least one action and one resource")
		every := slices.Contains(p.Resources, everyResource)
		c.each("actions", p.Actions, func(c checker, action string) {
			valid := actionName.MatchString(action)
			c.want(valid, "", "want the name of an action, such as s3:GetObject, without *, have %q", action)
			c.want(!valid || !every || withoutResource()[action], "", "want ARNs in resources instead of *, "+
				"which only actions without a resource take, such as cloudwatch:PutMetricData, have %s", action)
		})
		c.want(!every || len(p.Resources) == 1, "resources", "want * alone: it includes every ARN")
		c.each("resources", p.Resources, func(c checker, resource string) {
			c.want(resource == everyResource || resourceARN.MatchString(resource), "",
				"want an ARN with a service and a resource, such as arn:aws:s3:::uploads/*, have %q", resource)
		})
	}
}
