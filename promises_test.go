package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"platform/internal/stacktest"
)

// promises are what every stack keeps. Each list is in the test file of the module that it is
// about.
func promises() []stacktest.Promise {
	return slices.Concat(
		databaseTLSPromises,
		securityGroupPromises,
		networkPromises,
		endpointPromises,
		loadBalancerPromises,
		routePromises,
		firewallPromises,
		orderPromises,
		bucketOrderPromises,
		requestScalingPromises,
		taskPromises,
		imagePromises,
		repositoryPromises,
		containerPromises,
		execPromises,
		servicePromises,
		clusterPromises,
		prometheusPromises,
		scalingPromises,
		bucketPromises,
		logGroupPromises,
		tagPromises,
		namePromises,
		backendPromises,
		protectionPromises,
		pathPromises,
		databasePromises,
		withoutDatabasePromises,
		databaseUserPromises,
		rolePromises,
		permissionPromises,
		keyPromises,
		encryptionPromises,
		keyUsePromises,
		topicPromises,
		secretPromises,
		generatedPromises,
		policyPromises,
		alarmPromises,
		alarmLimitPromises,
		dashboardPromises,
		backupPromises,
		copyPromises, dumpCopyPromises,
		dumpPromises,
	)
}

func TestPromisesHold(t *testing.T) {
	stacktest.Hold(t, promises(), allStacks(t), shipped(t))
}

func TestPromisesFindWhatIsBroken(t *testing.T) {
	stacktest.FindBreaks(t, promises(), allStacks(t))
}

func TestPromisesHaveNamesOfTheirOwn(t *testing.T) {
	stacktest.Unambiguous(t, promises())
}

var (
	readStacks sync.Mutex
	stacksRead = map[string]stacktest.Stack{}
)

// allStacks returns the stacks that the promises are tested with, by name: those of config/, of
// examples/ and of otherStacks. Each is synthesised once.
func allStacks(t *testing.T) map[string]stacktest.Stack {
	t.Helper()
	readStacks.Lock()
	defer readStacks.Unlock()
	for _, name := range shipped(t) {
		if _, ok := stacksRead[name]; !ok {
			stacksRead[name] = parsed(t, shippedStack(t, name))
		}
	}
	for name, cfg := range examples(t) {
		name = "the example " + name
		if _, ok := stacksRead[name]; !ok {
			stacksRead[name] = parsed(t, synth(t, cfg, placeholder(t)))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(otherStacks)) {
		if _, ok := stacksRead[name]; !ok {
			cfg := parse(t, otherStacks[name].environment, otherConfig(name))
			stacksRead[name] = parsed(t, synth(t, cfg, placeholder(t)))
		}
	}
	return stacksRead
}

// otherConfig is the text of a configuration of otherStacks.
func otherConfig(name string) string {
	text := otherStacks[name].config
	if strings.Contains(text, "\nname:") {
		return text
	}
	return "name: platform\nregion: eu-central-1\n" + text
}

// parsed reads a synthesised stack for the promises.
func parsed(t *testing.T, stack tree) stacktest.Stack {
	t.Helper()
	s, err := stacktest.Parse(text(t, stack))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func idOf(address string) string { return "${" + address + ".id}" }

func arnOf(address string) string { return "${" + address + ".arn}" }

// ---- Stacks -------------------------------------------------------------------------------------

// otherStacks are configurations beside the shipped ones, chosen to have what those have not.
var otherStacks = map[string]struct{ environment, config string }{
	"two services": {"dev", `
services:
  web: {` + demonstration + `}
  jobs:
    image: public.ecr.aws/docker/library/busybox:1.37.0
    database:
      access: owner
      variables: {DATABASE_URL: url, DB_HOST: host, DB_USER: user, JDBC_URL: jdbc_url}
      url_parameters: sslmode=verify-full&connect_timeout=5
  reports:
    image: quay.io/x/reports:1
    database: {access: owner, name: reports, variables: {DB_NAME: name, DB_URL: url, JDBC_URL: jdbc_url}}
  plain: {image: 'quay.io/x/plain:1'}
`},
	"metrics": {"dev", `
services:
  web: {` + unrouted + `, metrics: {enabled: true, port: 8080}, route: {hosts: [app.example.com], paths: ['/*']}}
  admin:
    image: quay.io/x/admin:1
    metrics: {enabled: true}
    route: {priority: 10, hosts: [admin.example.com], headers: {X-Inside: ['yes']}, sources: [203.0.113.0/24]}
`},
	"no NAT": {"dev", `
network:
  nat: none
  endpoints: [` + everyEndpoint + `]
` + privateImages + `
services:
  web:
    image: 123456789012.dkr.ecr.eu-central-1.amazonaws.com/x/web:1
    database: {access: owner}
    route: {paths: ['/*']}
    secrets: {SIGNATURE: 'arn:aws:ssm:eu-central-1:123456789012:parameter/web/signature'}
`},
	"no NAT and the fewest endpoints": {"dev", `
network:
  nat: none
  endpoints: [ec2, ecr.api, ecr.dkr, ecs, kms, logs, monitoring, secretsmanager, sns, ssmmessages, sts, tagging]
` + privateImages + `
services:
  web:
    image: 123456789012.dkr.ecr.eu-central-1.amazonaws.com/x/web:1
    database: {access: owner}
    route: {paths: ['/*']}
`},
	"no NAT and no Prometheus": {"dev", `
network: {nat: none, endpoints: [ecr.api, ecr.dkr, ecs, logs, secretsmanager]}
services:
  web:
    image: 123456789012.dkr.ecr.eu-central-1.amazonaws.com/x/web:1
    database: {access: owner}
    route: {paths: ['/*']}
    metrics: {enabled: true}
monitoring:
  prometheus: {enabled: false, config_image: '123456789012.dkr.ecr.eu-central-1.amazonaws.com/x/aws-cli:2'}
`},
	"NAT and endpoints": {"dev", `
network: {nat: per-zone, zones: [a, b, c, d, e, f], endpoints: [ecr.api, logs]}
`},
	"a service with everything": {"dev", `
tags: {Team: shop, Owner: me, CostCenter: '42', Project: shop, Criticality: low, Data: internal}
services:
  web:
    image: 123456789012.dkr.ecr.eu-central-1.amazonaws.com/platform-dev/web:1
    database: {access: owner}
    route: {paths: ['/*']}
    repository: true
    exec: true
    spot: false
    tasks: 2
    command: [serve, --port, '8080']
    environment: {GREETING: 'hello ${name}', LEVEL: debug}
    secrets:
      SIGNATURE: 'arn:aws:secretsmanager:eu-central-1:123456789012:secret:web/signature-AbCdEf:value::'
      LICENCE: arn:aws:ssm:eu-central-1:123456789012:parameter/web/licence
    secret_keys: ['arn:aws:kms:eu-central-1:123456789012:key/00000000-0000-0000-0000-000000000000']
    permissions: [{actions: ['s3:GetObject'], resources: ['arn:aws:s3:::uploads/*']}]
    health_check: {command: [/healthy]}
    scaling: {max: 6, requests: 500, schedules: {night: ` + everyNight + `}}
`},
	"a service that needs more": {"dev", `
services:
  web:
    image: quay.io/x/web:1
    database: {access: owner}
    route: {paths: ['/*']}
    egress: [587, {port: 6379, to: [203.0.113.0/24, 10.20.0.0/16]}]
    calls: [search]
    generated: [SESSION_SECRET, SECRET_KEY_BASE]
    secrets: {STRIPE_KEY: shop/stripe, STRIPE_HOOK: 'shop/stripe:hook', MAIL: /shop/mail}
    alarms: {latency: 20, errors: 100}
  search:
    image: quay.io/x/search:1
    registry_secret: shop/quay
    permissions: [{actions: [cloudwatch:PutMetricData], resources: ['*']}]
    port: 9200
    calls: [web]
    generated: [SECRET_KEY_BASE]
    user: image
    entrypoint: [/usr/bin/env]
    command: [search]
    writable: [/run, {path: /data, on: disk}, {path: /var/lib/search, on: disk}]
    disk: 50
    allow_execution: true
    open_files: 65536
    health_check: {command: [/healthy], command_interval: 10, command_timeout: 3, command_retries: 6}
  other:
    image: quay.io/x/other:1
    port: 80
    user: '0'
    writable: [/]
    single: true
    route: {paths: [/other], sticky: 3600}
    alarms: {latency: 0}
    health_check: {healthy_threshold: 4, unhealthy_threshold: 5}
`},
	"images in the stack's repositories": {"dev", `
services:
  admin:
    image: '123456789012.dkr.ecr.eu-central-1.amazonaws.com/platform-dev/web:1@sha256:` + strings.Repeat("0", 64) + `'
  idle:
    image: 123456789012.dkr.ecr.eu-central-1.amazonaws.com/platform-dev/idle:1
    repository: true
    tasks: 0
  web:
    image: 123456789012.dkr.ecr.eu-central-1.amazonaws.com/platform-dev/web:1
    database: {access: owner}
    route: {paths: ['/*']}
    repository: true
`},
	"databases of services' own": {"live", `
profile: production
state: {backend: local}
load_balancer: {allow_http: true}
backup: {copy: {region: eu-west-1}}
services:
  web: {` + demonstration + `}
  metabase: {image: 'quay.io/x/metabase:1', database: {access: owner, name: metabase}}
  reports: {image: 'quay.io/x/reports:1', database: {access: read, name: metabase}}
  forms: {image: 'quay.io/x/forms:1', database: {access: owner, name: ` + strings.Repeat("f", 40) + `}}
`},
	"more than a hundred alarms": {"dev", manyServices(20)},
	"a durable history of metrics": {"live", `
profile: production
state: {backend: local}
load_balancer: {allow_http: true}
monitoring: {durable: true}
`},
	"off at night": {"dev", `
load_balancer: {idle_timeout: 2}
database: {parameters: {max_connections: '60'}}
services:
  web:
    image: quay.io/x/web:1
    database: {access: owner}
    route: {paths: ['/*']}
    tasks: 2
    scaling:
      max: 4
      cpu: 95
      memory: 95
      schedules:
        evening: {at: 'cron(0 19 ? * MON-FRI *)', min: 0, max: 0}
        morning: {at: 'cron(0 7 ? * MON-FRI *)', min: 2, max: 4}
  worker: {image: 'quay.io/x/worker:1', tasks: 2, scaling: {max: 3, schedules: {night: ` + everyNight + `}}}
`},
	"a restored database": {"dev", `
database:
  version: '18'
  active: yesterday
  restores:
    migrated: {snapshot: platform-dev-before-migration}
    yesterday: {time: '2026-11-22T03:00:00Z'}
`},
	"production over HTTP": {"live", `
profile: production
state: {backend: local}
load_balancer: {allow_http: true}
database: {version: '14', storage: {initial: 500, max: 500}, restores: {copy: {snapshot: before}}}
backup: {object_lock: 30, retention: 400}
`},
	"production, to be destroyed": {"live", `
profile: production
protected: false
state: {backend: local}
services: {web: {` + demonstration + `, scaling: {max: 6}, generated: [SECRET_KEY_BASE]}}
load_balancer:
  domain: app.example.com
  certificate_arn: arn:aws:acm:eu-central-1:123456789012:certificate/00000000-0000-0000-0000-000000000000
  sources: [203.0.113.0/24, 198.51.100.0/24]
`},
	"copies in another region": {"live", `
profile: production
state: {backend: local}
load_balancer: {allow_http: true}
backup: {object_lock: 30, object_lock_mode: compliance, copy: {region: eu-west-1}}
database:
  restores:
    latest: {automated_backup: 'arn:aws:rds:eu-central-1:123456789012:auto-backup:ab-x2ifp2bxplx7yv2gqx3example'}
    earlier:
      automated_backup: arn:aws:rds:eu-central-1:123456789012:auto-backup:ab-x2ifp2bxplx7yv2gqx3example
      time: '2026-11-22T03:00:00Z'
`},
	"no database": {"dev", `
load_balancer: {default_status: 404}
database: {enabled: false}
services:
  web:
    image: quay.io/x/web:1
    route: {hosts: [web.example.com]}
    calls: [worker]
    generated: [SECRET_KEY_BASE]
    metrics: {enabled: true}
  worker:
    image: quay.io/x/worker:1
    secrets: {STRIPE_KEY: shop/stripe}
    scaling: {max: 3, schedules: {night: ` + everyNight + `}}
`},
	"no database, and no NAT": {"dev", `
network: {nat: none, endpoints: [ecr.api, ecr.dkr, logs]}
database: {enabled: false}
services: {worker: {image: 123456789012.dkr.ecr.eu-central-1.amazonaws.com/x/worker:1}}
monitoring: {prometheus: {enabled: false}}
`},
	"no database, in production": {"live", `
profile: production
state: {backend: local}
load_balancer: {allow_http: true}
database: {enabled: false}
backup: {object_lock: 30, object_lock_mode: compliance, copy: {region: eu-west-1}}
`},
	"no database, in production without protection": {"live", `
profile: production
protected: false
state: {backend: local}
load_balancer: {allow_http: true}
database: {enabled: false}
services: {web: {image: quay.io/x/web:1, route: {paths: ['/*']}, generated: [SECRET_KEY_BASE]}}
`},
	// As long as names may be: 22 for the stack, 24 for a service, 14 for a region, 15
	// for a restored database.
	"the longest names": {"integration", `
name: warehouses
region: ap-southeast-1
services:
  web: {` + demonstration + `}
  abcdefghijkl-mnopqrstuvw:
    database: {access: write}
    image: quay.io/x/y:1
    repository: true
    route: {priority: 10, paths: [/long/*]}
    metrics: {enabled: true}
    scaling: {max: 3, requests: 100, schedules: {abcdefghijklmnop: {at: 'cron(0 22 * * ? *)', min: 1, max: 2}}}
database: {restores: {abcdefghijklmno: {snapshot: before}}}
`},
	"services named like the platform's own parts": {"dev", `
services:
  web: {` + demonstration + `}
  alerts: {image: 'quay.io/x/y:1'}
  backup: {image: 'quay.io/x/y:1'}
  cluster: {image: 'quay.io/x/y:1'}
  database: {image: 'quay.io/x/y:1', database: {access: read}, calls: [database-dump, vpc]}
  database-dump: {image: 'quay.io/x/y:1', database: {access: read}}
  prometheus: {image: 'quay.io/x/y:1', route: {paths: [/prometheus/*]}}
  vpc: {image: 'quay.io/x/y:1'}
  vpc-endpoints: {image: 'quay.io/x/y:1', route: {paths: [/endpoints/*]}}
  web-database: {image: 'quay.io/x/y:1', database: {access: read}}
network: {endpoints: [logs]}
`},
}

// manyServices configures services with a route each.
func manyServices(n int) string {
	text := "services:\n"
	for i := range n {
		text += fmt.Sprintf("  s%d: {image: 'quay.io/x/y:1', route: {priority: %d, paths: [/s%[1]d/*]}}\n", i, i+1)
	}
	return text
}

const (
	everyEndpoint = "aps-workspaces, ec2, ecr.api, ecr.dkr, ecs, kms, lambda, logs, monitoring, rds, " +
		"secretsmanager, sns, sqs, ssm, ssmmessages, sts, tagging"
	everyNight = "{at: 'cron(0 22 * * ? *)', timezone: Europe/Berlin, min: 1, max: 2}"
)

const privateImages = `
monitoring:
  prometheus:
    image: 123456789012.dkr.ecr.eu-central-1.amazonaws.com/x/prometheus:v3
    config_image: 123456789012.dkr.ecr.eu-central-1.amazonaws.com/x/aws-cli:2
    alertmanager_image: 123456789012.dkr.ecr.eu-central-1.amazonaws.com/x/alertmanager:v0
    cloudwatch_image: 123456789012.dkr.ecr.eu-central-1.amazonaws.com/x/cloudwatch:v0
`
