//go:build e2e

package e2e

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rds"
)

func (w *deployed) databaseIsProtected() {
	db := w.database
	w.equal("the database's storage encryption", aws.ToBool(db.StorageEncrypted), true)
	w.equal("the database's KMS key", aws.ToString(db.KmsKeyId), w.key("database"))
	w.equal("the database's Multi-AZ setting", *db.MultiAZ, w.standby)
	w.equal("the database's deletion protection", *db.DeletionProtection, w.protected)
	w.equal("days of point-in-time recovery", *db.BackupRetentionPeriod, int32(w.snapshotDays))
	if db.MasterUserSecret == nil {
		w.Fatalf("RDS does not manage the master user's password")
	}
	w.equal("the KMS key of the master user's secret", *db.MasterUserSecret.KmsKeyId, w.key("database"))
	w.trusts(aws.ToString(db.MonitoringRoleArn), "monitoring.rds.amazonaws.com")

	var subnets []string
	group := must(w.rds.DescribeDBSubnetGroups(alive, &rds.DescribeDBSubnetGroupsInput{
		DBSubnetGroupName: db.DBSubnetGroup.DBSubnetGroupName,
	}))(w.T).DBSubnetGroups[0]
	for _, subnet := range group.Subnets {
		subnets = append(subnets, *subnet.SubnetIdentifier)
	}
	w.sameElements("the database's subnets", subnets, w.subnetIDs("database"))

	name := only(w.T, "parameter group", db.DBParameterGroups).DBParameterGroupName
	parameters := map[string]string{}
	for p := range pages(w.T, rds.NewDescribeDBParametersPaginator(w.rds, &rds.DescribeDBParametersInput{
		DBParameterGroupName: name,
	})) {
		for _, parameter := range p.Parameters {
			parameters[*parameter.ParameterName] = aws.ToString(parameter.ParameterValue)
		}
	}
	w.equal("the parameter rds.force_ssl", parameters["rds.force_ssl"], "1")
	for _, log := range db.EnabledCloudwatchLogsExports {
		w.logGroup("the database's log group", "/aws/rds/instance/"+*db.DBInstanceIdentifier+"/"+log)
	}
	subscription := only(w.T, "event subscription",
		must(w.rds.DescribeEventSubscriptions(alive, nil))(w.T).EventSubscriptionsList)
	w.equal("topic of the event subscription", *subscription.SnsTopicArn, w.topic)
	w.sameElements("sources of the event subscription", subscription.SourceIdsList, []string{*db.DBInstanceIdentifier})
}
