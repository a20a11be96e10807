package main

import (
	"slices"
	"strings"

	"platform/internal/stacktest"
)

const (
	restoredDatabase = "aws_db_instance.database_restored_copy"
)

var protectionPromises = []stacktest.Promise{{
	Name:  "a protected stack refuses to be destroyed in the plan, before anything is deleted",
	Check: protectedStacksStay,
	BrokenBy: []stacktest.Break{{
		Name:  "Terraform may destroy the database of a protected stack",
		Stack: "prod",
		By:    stacktest.Remove(databaseInstance, "lifecycle.prevent_destroy"),
		Found: databaseInstance,
	}, {
		Name:  "Terraform may destroy a restored database of a protected stack",
		Stack: "production over HTTP",
		By:    stacktest.Remove(restoredDatabase, "lifecycle.prevent_destroy"),
		Found: restoredDatabase,
	}, {
		Name:  "Terraform may destroy the backup bucket of a protected stack",
		Stack: "prod",
		By:    stacktest.Remove(backupBucket, "lifecycle.prevent_destroy"),
		Found: backupBucket,
	}, {
		Name:  "Terraform may destroy a KMS key of a protected stack",
		Stack: "prod",
		By:    stacktest.Remove("aws_kms_key.backup_key", "lifecycle.prevent_destroy"),
		Found: "aws_kms_key.backup_key",
	}, {
		Name:  "Terraform may destroy the load balancer of a protected stack",
		Stack: "prod",
		By:    stacktest.Remove(loadBalancer, "lifecycle.prevent_destroy"),
		Found: loadBalancer,
	}, {
		Name:  "the load balancer of a protected stack has no deletion protection",
		Stack: "prod",
		By:    stacktest.Set(loadBalancer, "enable_deletion_protection", false),
		Found: loadBalancer,
	}, {
		Name:  "Terraform may delete the durable history of metrics",
		Stack: "a durable history of metrics",
		By:    stacktest.Remove(prometheusWorkspace, "lifecycle.prevent_destroy"),
		Found: prometheusWorkspace,
	}, {
		Name:  "a restored database of a protected stack has no deletion protection",
		Stack: "production over HTTP",
		By:    stacktest.Set(restoredDatabase, "deletion_protection", false),
		Found: restoredDatabase,
	}, {
		Name:  "a bucket of a protected stack is deleted with its objects",
		Stack: "prod",
		By:    stacktest.Set(accessLogsBucket, "force_destroy", true),
		Found: accessLogsBucket,
	}, {
		Name:  "the database of a protected stack has no final snapshot",
		Stack: "prod",
		By:    stacktest.Set(databaseInstance, "skip_final_snapshot", true),
		Found: databaseInstance,
	}, {
		Name:  "the automated backups of a protected stack are deleted with the database",
		Stack: "prod",
		By:    stacktest.Set(databaseInstance, "delete_automated_backups", true),
		Found: databaseInstance,
	}, {
		Name:  "the snapshots of a protected stack are cleaned up",
		Stack: "prod",
		By:    stacktest.Create(snapshotCleanup, map[string]any{"lifecycle_scope": "CRUD"}),
		Found: snapshotCleanup,
	}, {
		Name:  "the KMS keys of a protected stack are deleted after a week",
		Stack: "prod",
		By:    stacktest.Set("aws_kms_key.database_key", "deletion_window_in_days", 7.0),
		Found: "aws_kms_key.database_key",
	}},
}, {
	Name:  "an unprotected stack can be destroyed, and leaves nothing behind that costs money",
	Check: unprotectedStacksAreDeleted,
	BrokenBy: []stacktest.Break{{
		Name:  "a bucket of an unprotected stack is not deleted while it has objects",
		Stack: "dev",
		By:    stacktest.Set(accessLogsBucket, "force_destroy", false),
		Found: accessLogsBucket,
	}, {
		Name:  "a resource of an unprotected stack has prevent_destroy",
		Stack: "dev",
		By:    stacktest.Add("aws_kms_key.logs_key", "lifecycle", map[string]any{"prevent_destroy": true}),
		Found: "aws_kms_key.logs_key",
	}, {
		Name:  "the database of an unprotected stack needs a final snapshot but has no name for it",
		Stack: "dev",
		By:    stacktest.Set(databaseInstance, "skip_final_snapshot", false),
		Found: databaseInstance,
	}, {
		Name:  "the automated backups of an unprotected stack are kept",
		Stack: "dev",
		By:    stacktest.Set(databaseInstance, "delete_automated_backups", false),
		Found: databaseInstance,
	}, {
		Name:  "the snapshots of an unprotected stack are not cleaned up",
		Stack: "dev",
		By:    stacktest.Delete(snapshotCleanup),
		Found: backupFunction,
	}, {
		Name:  "the clean-up of an unprotected stack does not run when the stack is destroyed",
		Stack: "dev",
		By:    stacktest.Set(snapshotCleanup, "lifecycle_scope", "CREATE_ONLY"),
		Found: snapshotCleanup,
	}, {
		Name:  "a discovery service of an unprotected stack is not deleted while it has instances",
		Stack: "dev",
		By:    stacktest.Set("aws_service_discovery_service.service_web_discovery", "force_destroy", false),
		Found: "aws_service_discovery_service.service_web_discovery",
	}, {
		Name:  "a repository of an unprotected stack is not deleted while it has images",
		Stack: "a service with everything",
		By:    stacktest.Set(webRepository, "force_delete", false),
		Found: webRepository,
	}, {
		Name:  "the load balancer of an unprotected stack has deletion protection",
		Stack: "dev",
		By:    stacktest.Set(loadBalancer, "enable_deletion_protection", true),
		Found: loadBalancer,
	}, {
		Name:  "a secret of an unprotected stack keeps its name for 30 days",
		Stack: "dev",
		By:    stacktest.Create("aws_secretsmanager_secret.web", map[string]any{"recovery_window_in_days": 30.0}),
		Found: "aws_secretsmanager_secret.web",
	}},
}, {
	Name:  "backups that outlive the stack keep their bucket and their keys, and the keys' aliases are deleted",
	Check: backupsKeepTheirKeys,
	BrokenBy: []stacktest.Break{{
		Name:  "the key of the final snapshot is destroyed together with the stack",
		Stack: "production, to be destroyed",
		By:    stacktest.Remove(databaseKey, "lifecycle"),
		Found: databaseKey,
	}, {
		Name:  "the key of the automated backups is deleted after a week",
		Stack: "production, to be destroyed",
		By:    stacktest.Set(databaseKey, "deletion_window_in_days", 7.0),
		Found: databaseKey,
	}, {
		Name:  "the final snapshot of a development stack loses its key",
		Stack: "dev",
		By: stacktest.All(
			stacktest.Set(databaseInstance, "skip_final_snapshot", false),
			stacktest.Add(databaseInstance, "final_snapshot_identifier", "last"),
		),
		Found: databaseKey,
	}, {
		Name:  "the backup bucket is destroyed together with its objects",
		Stack: "production, to be destroyed",
		By:    stacktest.Set(backupBucket, "force_destroy", true),
		Found: backupBucket,
	}, {
		Name:  "the backup bucket is destroyed together with the stack",
		Stack: "production, to be destroyed",
		By:    stacktest.Remove(backupBucket, "lifecycle"),
		Found: backupBucket,
	}, {
		Name:  "the key of the backup bucket is destroyed together with the stack",
		Stack: "production, to be destroyed",
		By:    stacktest.Remove("aws_kms_key.backup_key", "lifecycle"),
		Found: "aws_kms_key.backup_key",
	}, {
		Name:  "the key of a database that was removed is scheduled for deletion",
		Stack: "no database, in production without protection",
		By:    stacktest.Delete(databaseKey),
		Found: databaseKey,
	}, {
		Name:  "the backup bucket of a database that was removed is destroyed together with the stack",
		Stack: "no database, in production without protection",
		By:    stacktest.Remove(backupBucket, "lifecycle"),
		Found: backupBucket,
	}, {
		Name:  "a generated secret is destroyed together with the stack",
		Stack: "production, to be destroyed",
		By:    stacktest.Remove(generatedSecretAddress, "lifecycle.prevent_destroy"),
		Found: generatedSecretAddress,
	}, {
		Name:  "the value of a generated secret is destroyed together with the stack",
		Stack: "production, to be destroyed",
		By:    stacktest.Remove(generatedVersion, "lifecycle.prevent_destroy"),
		Found: generatedVersion,
	}, {
		Name:  "the key of a generated secret is destroyed together with the stack",
		Stack: "production, to be destroyed",
		By:    stacktest.Remove("aws_kms_key.secrets_key", "lifecycle"),
		Found: "aws_kms_key.secrets_key",
	}, {
		Name:  "a key's alias outlives the stack",
		Stack: "production, to be destroyed",
		By: stacktest.Add("aws_kms_alias.database_key_alias", "lifecycle",
			map[string]any{"prevent_destroy": true}),
		Found: "aws_kms_alias.database_key_alias",
	}},
}, {
	Name:  "the final snapshot has a new name for every database, and the same name in every plan",
	Check: finalSnapshotNameIsStable,
	BrokenBy: []stacktest.Break{{
		Name:  "the final snapshot's name changes with every plan",
		Stack: "prod",
		By:    stacktest.Set(databaseInstance, "final_snapshot_identifier", "platform-prod-${timestamp()}"),
		Found: databaseInstance,
	}, {
		Name:  "the final snapshot's name is the same for every database, so that RDS rejects the second",
		Stack: "prod",
		By:    stacktest.Set(databaseInstance, "final_snapshot_identifier", "platform-prod-final"),
		Found: databaseInstance,
	}, {
		Name:  "the final snapshot's suffix in the state may change",
		Stack: "prod",
		By:    stacktest.Remove("terraform_data.database_final_snapshot", "lifecycle.ignore_changes"),
		Found: databaseInstance,
	}},
}}

// isProtected tells whether the stack's databases have deletion protection, or without a database, the load
// balancer.
func isProtected(s stacktest.Stack) bool {
	if hasNoDatabase(s) {
		return s.Resource(loadBalancer).Is("enable_deletion_protection", true)
	}
	return slices.ContainsFunc(s.Resources("aws_db_instance"), func(instance stacktest.Resource) bool {
		return instance.Is("deletion_protection", true)
	})
}

// AWS refuses too, but only when Terraform comes to the resource: by then it has deleted listeners
// and services.
func protectedStacksStay(s stacktest.Stack, v *stacktest.Violations) {
	if !isProtected(s) {
		return
	}
	kinds := []string{"aws_db_instance", "aws_kms_key", "aws_lb", "aws_prometheus_workspace", "aws_vpc"}
	protected := append(s.Resources(kinds...), s.Resource(backupBucket))
	for _, r := range protected {
		v.Want(r.Is("lifecycle.prevent_destroy", true), r.Address, "may be destroyed by Terraform")
	}
	for _, instance := range s.Resources("aws_db_instance") {
		v.Want(instance.Is("deletion_protection", true), instance.Address, "has no deletion protection")
		v.Want(instance.Is("skip_final_snapshot", false) && instance.String("final_snapshot_identifier") != "",
			instance.Address, "has no final snapshot")
		v.Want(instance.Is("delete_automated_backups", false),
			instance.Address, "is deleted together with its automated backups")
	}
	for _, lb := range s.Resources("aws_lb") {
		v.Want(lb.Is("enable_deletion_protection", true), lb.Address, "has no deletion protection")
	}
	for _, key := range s.Resources("aws_kms_key") {
		v.Want(key.Is("deletion_window_in_days", 30.0),
			key.Address, "want a deletion window of 30 days, the longest, have %v", key.At("deletion_window_in_days"))
	}
	for _, bucket := range s.Resources("aws_s3_bucket") {
		v.Want(bucket.Is("force_destroy", false), bucket.Address, "is deleted together with its objects")
	}
	for _, invocation := range s.Resources("aws_lambda_invocation") {
		v.Want(!invocation.Is("lifecycle_scope", "CRUD"), invocation.Address, "deletes snapshots")
	}
}

// unprotectedStacksAreDeleted is about development, and about production before it is destroyed:
// there a final snapshot and the automated backups are kept on purpose.
func unprotectedStacksAreDeleted(s stacktest.Stack, v *stacktest.Violations) {
	if isProtected(s) {
		return
	}
	kept := outlivesStack(s)
	for _, r := range s.Resources() {
		v.Want(!r.Is("lifecycle.prevent_destroy", true) || slices.Contains(kept, r.Address),
			r.Address, "has prevent_destroy")
	}
	for kind, path := range map[string]string{
		"aws_s3_bucket":                 "force_destroy",
		"aws_service_discovery_service": "force_destroy",
		"aws_ecr_repository":            "force_delete",
	} {
		for _, r := range s.Resources(kind) {
			v.Want(r.Is(path, true) || slices.Contains(kept, r.Address),
				r.Address, "is not deleted while it is not empty: want %s", path)
		}
	}
	for _, lb := range s.Resources("aws_lb") {
		v.Want(lb.Is("enable_deletion_protection", false), lb.Address, "has deletion protection")
	}
	for _, instance := range s.Resources("aws_db_instance") {
		keepsAll := instance.Is("skip_final_snapshot", false) &&
			instance.String("final_snapshot_identifier") != "" &&
			instance.Is("delete_automated_backups", false)
		keepsNone := instance.Is("skip_final_snapshot", true) && instance.Is("delete_automated_backups", true)
		v.Want(keepsAll || keepsNone,
			instance.Address, "want the final snapshot and the automated backups kept, or neither")
	}
	for _, secret := range s.Resources("aws_secretsmanager_secret") {
		v.Want(secret.Is("recovery_window_in_days", 0.0) || slices.Contains(kept, secret.Address),
			secret.Address, "keeps its name for %v days", secret.At("recovery_window_in_days"))
	}
	invocations := s.Resources("aws_lambda_invocation")
	for _, f := range backupFunctions(s) {
		cleanups := stacktest.Filter(stacktest.Referring(invocations, "function_name", f.Address),
			func(i stacktest.Resource) bool { return !i.Is("input.action", "report") })
		v.Want(len(cleanups) == 1, f.Address, "is not invoked to clean up when the stack is destroyed")
		for _, invocation := range cleanups {
			v.Want(invocation.Is("lifecycle_scope", "CRUD"),
				invocation.Address, "does not run when the stack is destroyed")
		}
	}
}

// outlivesStack returns what has to outlive a stack that leaves backups: the bucket of the backups,
// its key, the keys of the databases, and generated secrets with their key.
func outlivesStack(s stacktest.Stack) (addresses []string) {
	for _, instance := range s.Resources("aws_db_instance") {
		if instance.Is("skip_final_snapshot", false) || instance.Is("delete_automated_backups", false) {
			addresses = append(addresses, instance.Reference("kms_key_id"), backupBucket,
				encryptionKey(s, backupBucket))
		}
	}
	if hasNoDatabase(s) && s.Resource(backupBucket).Exists() { // of an earlier database
		addresses = []string{databaseKey, backupBucket, encryptionKey(s, backupBucket)}
	}
	if addresses == nil {
		return nil
	}
	for _, version := range s.Resources("aws_secretsmanager_secret_version") {
		secret := version.Reference("secret_id")
		addresses = append(addresses, version.Address, secret, s.Resource(secret).Reference("kms_key_id"))
	}
	return addresses
}

// backupsKeepTheirKeys: a restore needs the key enabled, and a snapshot whose key is deleted cannot
// be read any more. https://repost.aws/knowledge-center/rds-aurora-inaccessible-state
func backupsKeepTheirKeys(s stacktest.Stack, v *stacktest.Violations) {
	for _, address := range outlivesStack(s) {
		r := s.Resource(address)
		v.Want(r.Is("lifecycle.prevent_destroy", true),
			address, "is destroyed together with the stack, which leaves backups that need it")
		v.Want(r.Kind() != "aws_kms_key" || r.Is("deletion_window_in_days", 30.0),
			address, "want a deletion window of 30 days, have %v", r.At("deletion_window_in_days"))
		v.Want(r.Kind() != "aws_s3_bucket" || r.Is("force_destroy", false),
			address, "is destroyed together with its objects")
	}
	for _, alias := range s.Resources("aws_kms_alias") {
		v.Want(!alias.Is("lifecycle.prevent_destroy", true),
			alias.Address, "outlives the stack, so that no other stack can have its name")
	}
}

func finalSnapshotNameIsStable(s stacktest.Stack, v *stacktest.Violations) {
	for _, instance := range s.Resources("aws_db_instance") {
		name := instance.String("final_snapshot_identifier")
		if name == "" {
			continue
		}
		v.Want(!strings.Contains(name, "timestamp("),
			instance.Address, "has another name for its final snapshot in every plan")
		suffix := s.Resource(instance.Reference("final_snapshot_identifier"))
		v.Want(suffix.Kind() == "terraform_data" &&
			slices.Equal(suffix.Strings("lifecycle.ignore_changes"), []string{"input"}),
			instance.Address, "want a suffix of its final snapshot's name that the state keeps, have %s", name)
	}
}
