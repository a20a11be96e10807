//go:build e2e

package e2e

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rds"
)

func (w *standing) databaseIsKeptSafe() {
	db := w.database
	w.equal("the database's encryption", aws.ToBool(db.StorageEncrypted), true)
	w.equal("the database's key", aws.ToString(db.KmsKeyId), w.key("database"))
	w.equal("the database's standby", *db.MultiAZ, w.standby)
	w.equal("the database's protection", *db.DeletionProtection, w.protected)
	w.equal("days for which the database can be taken back", *db.BackupRetentionPeriod, int32(w.snapshotDays))
	if db.MasterUserSecret == nil {
		w.Fatalf("the master's password is in Terraform's state")
	}
	w.equal("the key of the master's password", *db.MasterUserSecret.KmsKeyId, w.key("database"))
	w.trusts(aws.ToString(db.MonitoringRoleArn), "monitoring.rds.amazonaws.com")

	var subnets []string
	group := said(w.rds.DescribeDBSubnetGroups(alive, &rds.DescribeDBSubnetGroupsInput{
		DBSubnetGroupName: db.DBSubnetGroup.DBSubnetGroupName,
	}))(w.T).DBSubnetGroups[0]
	for _, subnet := range group.Subnets {
		subnets = append(subnets, *subnet.SubnetIdentifier)
	}
	w.same("the database's subnets", subnets, w.tier("database"))

	name := only(w.T, "parameter group", db.DBParameterGroups).DBParameterGroupName
	parameters := map[string]string{}
	for p := range pages(w.T, rds.NewDescribeDBParametersPaginator(w.rds, &rds.DescribeDBParametersInput{
		DBParameterGroupName: name,
	})) {
		for _, parameter := range p.Parameters {
			parameters[*parameter.ParameterName] = aws.ToString(parameter.ParameterValue)
		}
	}
	w.equal("that the database refuses who comes without TLS", parameters["rds.force_ssl"], "1")
	for _, log := range db.EnabledCloudwatchLogsExports {
		w.logGroup("the database's log group", "/aws/rds/instance/"+*db.DBInstanceIdentifier+"/"+log)
	}
	subscription := only(w.T, "event subscription",
		said(w.rds.DescribeEventSubscriptions(alive, nil))(w.T).EventSubscriptionsList)
	w.equal("where the database's events go", *subscription.SnsTopicArn, w.topic)
	w.same("whose events go there", subscription.SourceIdsList, []string{*db.DBInstanceIdentifier})
}
