package main

import (
	"github.com/aws/jsii-runtime-go"
	"github.com/cdktf/cdktf-provider-aws-go/aws/v19/vpcendpoint"
	tables "github.com/cdktf/cdktf-provider-aws-go/aws/v19/vpcendpointroutetableassociation"
	subnets "github.com/cdktf/cdktf-provider-aws-go/aws/v19/vpcendpointsubnetassociation"
	"github.com/hashicorp/terraform-cdk-go/cdktf"
)

// s3Endpoint is the gateway endpoint of S3.
type s3Endpoint struct{ vpcendpoint.VpcEndpoint }

// newS3Endpoint keeps traffic to S3 off the NAT gateways, where it would cost; the endpoint itself
// is free. Its policy is AWS's default: a narrower one would have to know every bucket of the
// application, and those of ECR's image layers.
func newS3Endpoint(s *scope, vpcID *string) s3Endpoint {
	return s3Endpoint{vpcendpoint.NewVpcEndpoint(s.stack, jsii.String("s3_endpoint"), &vpcendpoint.VpcEndpointConfig{
		VpcId:           vpcID,
		ServiceName:     jsii.String("com.amazonaws." + s.cfg.Region + ".s3"),
		VpcEndpointType: jsii.String("Gateway"),
		Tags:            s.tags("s3"),
	})}
}

// associate sends a zone's traffic to S3 through the endpoint.
func (e s3Endpoint) associate(s *scope, zone string, routeTable *string) cdktf.ITerraformDependable {
	return tables.NewVpcEndpointRouteTableAssociation(s.stack, jsii.String("s3_endpoint_route_table_association_"+zone),
		&tables.VpcEndpointRouteTableAssociationConfig{
			VpcEndpointId: e.Id(), RouteTableId: routeTable, Lifecycle: createBeforeDestroy(),
		})
}

func newEndpointsSecurityGroup(s *scope, vpcID *string) *securityGroup {
	return newSecurityGroup(s, vpcID, groupSpec{
		id: "endpoints_security_group", noun: "vpc_endpoints",
		description: "Interface endpoints: AWS services inside the VPC",
	})
}

// newEndpoints brings the configured AWS services into the private subnets, given in the order of
// their zones. Subnets are associated one by one, so that a new zone adds associations and changes
// none.
func newEndpoints(s *scope, vpcID *string, group *securityGroup, privateSubnets []*string) (ready dependencies) {
	for _, name := range s.cfg.Network.Endpoints {
		id := "endpoint_" + underscored(name)
		endpoint := vpcendpoint.NewVpcEndpoint(s.stack, jsii.String(id), &vpcendpoint.VpcEndpointConfig{
			VpcId:             vpcID,
			ServiceName:       jsii.String("com.amazonaws." + s.cfg.Region + "." + name),
			VpcEndpointType:   jsii.String("Interface"),
			PrivateDnsEnabled: true,
			SecurityGroupIds:  &[]*string{group.ID},
			Tags:              s.tags(dashed(underscored(name))),
			// The associations below set the subnets; without this the two would undo each other.
			Lifecycle: &cdktf.TerraformResourceLifecycle{IgnoreChanges: &[]*string{jsii.String("subnet_ids")}},
		})
		for i, zone := range s.cfg.SortedZones() {
			ready = append(ready, subnets.NewVpcEndpointSubnetAssociation(s.stack,
				jsii.String(id+"_subnet_association_"+zone),
				&subnets.VpcEndpointSubnetAssociationConfig{VpcEndpointId: endpoint.Id(), SubnetId: privateSubnets[i]}))
		}
	}
	return ready
}
