package main

import (
	"github.com/aws/jsii-runtime-go"
	"github.com/hashicorp/terraform-cdk-go/cdktf"
)

// output is what an operator or another stack needs to know. Each module declares its own;
// newOutputs creates them. The name is the construct's id too.
type output struct {
	name, description string
	value             any
}

func newOutputs(s *scope, outputs []output) {
	for _, o := range outputs {
		cdktf.NewTerraformOutput(s.stack, jsii.String(o.name), &cdktf.TerraformOutputConfig{
			Value: o.value, Description: jsii.String(o.description),
		})
	}
}
