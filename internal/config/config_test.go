package config

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// One case for each thing that is checked: a file that breaks one rule, and all that is said about it.
func TestConfigurationIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		// Name and region.
		"no name":                              {"region: eu-central-1\n", []string{"1:1: name: is required: the application's name, such as shop"}},
		"no region":                            {"name: shop\n", []string{"1:1: region: is required: an AWS region, such as eu-central-1"}},
		"a name in capitals":                   {"{name: Shop, region: eu-central-1}\n", []string{`1:2: name: want lower-case letters, digits and single dashes, a letter first, have "Shop"`}},
		"a name with two dashes":               {"{name: my--shop, region: eu-central-1}\n", []string{`1:2: name: want lower-case letters, digits and single dashes, a letter first, have "my--shop"`}},
		"a name that begins with a digit":      {"{name: 2shop, region: eu-central-1}\n", []string{`1:2: name: want lower-case letters, digits and single dashes, a letter first, have "2shop"`}},
		"a name too long with its environment": {"{name: an-application-of-ours, region: eu-central-1}\n", []string{"1:2: name: want at most 22 characters together with the environment, since AWS names are made from it, have 27 (an-application-of-ours-test)"}},
		"a zone instead of a region":           {"{name: shop, region: eu-central-1a}\n", []string{`1:14: region: want an AWS region of the commercial partition, such as eu-central-1, have "eu-central-1a"`}},
		"a region of another partition":        {"{name: shop, region: cn-north-1}\n", []string{`1:14: region: want an AWS region of the commercial partition, such as eu-central-1, have "cn-north-1"`}},
		// The account, the profile, tags.
		"an account too short":                           {minimal + "account: '12345'\n", []string{`3:1: account: want 12 digits in quotes, have "12345"`}},
		"an account with letters":                        {minimal + "account: 'aws-account1'\n", []string{`3:1: account: want 12 digits in quotes, have "aws-account1"`}},
		"another profile":                                {minimal + "profile: staging\n", []string{`3:1: profile: want one of development, production, have "staging"`}},
		"a retention that CloudWatch Logs does not know": {minimal + "log_retention: 10\n", []string{"3:1: log_retention: want a number of days that CloudWatch Logs knows (1 3 5 7 14 30 60 90 120 150 180 365 400 545 731 1096 1827 2192 2557 2922 3288 3653), have 10"}},
		"a tag of AWS's own":                             {minimal + "tags: {'AWS:x': y}\n", []string{"3:8: tags.AWS:x: want letters, digits, spaces and _.:/=+-@, at most 128 in the key and 256 in the value, not beginning with aws:"}},
		"a tag with a character too many":                {minimal + "tags: {owner: 'a;b'}\n", []string{"3:8: tags.owner: want letters, digits, spaces and _.:/=+-@, at most 128 in the key and 256 in the value, not beginning with aws:"}},
		"a tag with a long key":                          {minimal + "tags: {" + strings.Repeat("k", 129) + ": a}\n", []string{"3:8: tags." + strings.Repeat("k", 129) + ": want letters, digits, spaces and _.:/=+-@, at most 128 in the key and 256 in the value, not beginning with aws:"}},
		"a tag with a long value":                        {minimal + "tags: {owner: " + strings.Repeat("v", 257) + "}\n", []string{"3:8: tags.owner: want letters, digits, spaces and _.:/=+-@, at most 128 in the key and 256 in the value, not beginning with aws:"}},
		"a tag that the platform has":                    {minimal + "tags: {Environment: other}\n", []string{"3:8: tags.Environment: want another key, since Application, Environment, ManagedBy, Name are the platform's own"}},
		"a tag without a key":                            {minimal + "tags: {'': a}\n", []string{"3:8: tags: want a plain name before the colon"}},
		"seven tags":                                     {minimal + "tags: {a: '1', b: '2', c: '3', d: '4', e: '5', f: '6', g: '7'}\n", []string{"3:1: tags: want at most 6: an object in S3 takes ten, and the platform has its own, have 7"}},
		// What AWS takes and breaks what this platform promises, or does not take.
		"a block that hosts may not have":       {minimal + "network: {cidr: 169.254.0.0/16, allow_public_cidr: true}\n", []string{"3:11: network.cidr: want a block that hosts may have, have 169.254.0.0/16"}},
		"a block of this machine":               {minimal + "network: {cidr: 127.0.0.0/16}\n", []string{"3:11: network.cidr: want a block that hosts may have, have 127.0.0.0/16"}},
		"a block of multicast":                  {minimal + "network: {cidr: 224.0.0.0/16}\n", []string{"3:11: network.cidr: want a block that hosts may have, have 224.0.0.0/16"}},
		"the first block of all":                {minimal + "network: {cidr: 0.0.0.0/16}\n", []string{"3:11: network.cidr: want a block that hosts may have, have 0.0.0.0/16"}},
		"a block for experiments":               {minimal + "network: {cidr: 240.0.0.0/16}\n", []string{"3:11: network.cidr: want a block that hosts may have, have 240.0.0.0/16"}},
		"more sources than a group takes":       {minimal + "load_balancer: {sources: [" + strings.Join(blocks(31), ", ") + "]}\n", []string{"3:17: load_balancer.sources: want at most 30, since a security group takes 60 rules and each is one for HTTP and one for HTTPS, have 31"}},
		"a secret of another region":            {minimal + "services: {web: {secrets: {A: 'arn:aws:ssm:eu-west-1:123456789012:parameter/a'}}}\n", []string{"3:28: services.web.secrets.A: want one in eu-central-1, where ECS looks for it, have one in eu-west-1"}},
		"a key of another region":               {minimal + "services: {web: {secrets: {A: 'arn:aws:ssm:eu-central-1:123456789012:parameter/a'}, secret_keys: ['arn:aws:kms:eu-west-1:123456789012:key/0a-1']}}\n", []string{"3:99: services.web.secret_keys.0: want one in eu-central-1, as the secrets, have one in eu-west-1"}},
		"AWS credentials in the clear":          {minimal + "services: {web: {environment: {AWS_SECRET_ACCESS_KEY: hunter2}}}\n", []string{"3:32: services.web.environment.AWS_SECRET_ACCESS_KEY: want services.web.permissions instead, or services.web.secrets: what stands here is in the state for all to read"}},
		"a variable of ECS's":                   {minimal + "services: {web: {environment: {ECS_CONTAINER_METADATA_URI_V4: a, AWS_EXECUTION_ENV: b}, secrets: {AWS_CONTAINER_CREDENTIALS_RELATIVE_URI: 'arn:aws:ssm:eu-central-1:123456789012:parameter/a'}}}\n", []string{"3:32: services.web.environment.ECS_CONTAINER_METADATA_URI_V4: is set by ECS", "3:66: services.web.environment.AWS_EXECUTION_ENV: is set by ECS", "3:99: services.web.secrets.AWS_CONTAINER_CREDENTIALS_RELATIVE_URI: is set by ECS"}},
		"seven wildcards":                       {minimal + "services: {web: {route: {paths: ['/*/*', '/?/*'], hosts: ['*.a.example.com', '*.*.example.com']}}}\n", []string{"3:18: services.web.route: want at most 6 of * and ? in all conditions together, which is AWS's limit, have 7"}},
		"seven wildcards, some in a header":     {minimal + "services: {web: {route: {paths: ['/*/*', '/?/*'], headers: {X-A: ['***']}}}}\n", []string{"3:18: services.web.route: want at most 6 of * and ? in all conditions together, which is AWS's limit, have 7"}},
		"a snapshot that is none":               {minimal + "database: {restores: {a: {snapshot: 'my_snapshot'}}}\n", []string{`3:27: database.restores.a.snapshot: want a snapshot's identifier or ARN, have "my_snapshot"`}},
		"a snapshot of another region":          {minimal + "database: {restores: {a: {snapshot: 'arn:aws:rds:eu-west-1:123456789012:snapshot:x'}}}\n", []string{"3:27: database.restores.a.snapshot: want a snapshot in eu-central-1: copy it there first, have one in eu-west-1"}},
		"a parameter without TLS":               {minimal + "database: {parameters: {rds.force_ssl: '0'}}\n", []string{`3:25: database.parameters.rds.force_ssl: want 1, since passwords and data go over the network, have "0"`}},
		"a parameter that is a setting":         {minimal + "database: {parameters: {log_min_duration_statement: '1'}}\n", []string{"3:25: database.parameters.log_min_duration_statement: want database.slow_query instead"}},
		"a parameter without a value":           {minimal + "database: {parameters: {work_mem: ''}}\n", []string{"3:25: database.parameters.work_mem: want a value"}},
		"an alarm before the next snapshot":     {minimal + "backup: {max_age: 23}\n", []string{"3:10: backup.max_age: want at least 24, the hours from one snapshot to the next by backup.schedule, have 23"}},
		"an alarm before the next of a rate":    {minimal + "backup: {schedule: rate(3 days), max_age: 71}\n", []string{"3:34: backup.max_age: want at least 72, the hours from one snapshot to the next by backup.schedule, have 71"}},
		"an alarm before the next of a minutes": {minimal + "backup: {schedule: rate(61 minutes), max_age: 1}\n", []string{"3:38: backup.max_age: want at least 2, the hours from one snapshot to the next by backup.schedule, have 1"}},
		"more rules than a balancer takes":      {manyRoutes(101), []string{"3:1: services: want at most 100 rules on the balancer, one for each route and one for each that hides metrics, have 101"}},
		// State.
		"another backend":                         {minimal + "state: {backend: gcs}\n", []string{`3:9: state.backend: want one of local, s3, have "gcs"`}},
		"a bucket that S3 refuses":                {minimal + "state: {backend: s3, bucket: State_Bucket}\n", []string{`3:22: state.bucket: want the name of an S3 bucket, have "State_Bucket"`}},
		"no bucket":                               {minimal + "state: {backend: s3}\n", []string{`3:1: state.bucket: want the name of an S3 bucket, have ""`}},
		"no bucket in production":                 {minimal + "profile: production\nload_balancer: {allow_http: true}\n", []string{"1:1: state: want state.bucket, an S3 bucket for Terraform's state, or state.backend: local if a state on one machine is meant"}},
		"a bucket without its backend":            {minimal + "state: {bucket: states}\n", []string{"3:9: state.bucket: has no meaning with state.backend: local"}},
		"a region of the state that there is not": {minimal + "state: {backend: s3, bucket: states, region: here}\n", []string{`3:38: state.region: want an AWS region, have "here"`}},
		// Network.
		"no block of addresses":                      {minimal + "network: {cidr: ten}\n", []string{`3:11: network.cidr: want an IPv4 block such as 10.0.0.0/16, have "ten"`}},
		"a block of IPv6":                            {minimal + "network: {cidr: 'fd00::/16'}\n", []string{`3:11: network.cidr: want an IPv4 block such as 10.0.0.0/16, have "fd00::/16"`}},
		"a block off its boundary":                   {minimal + "network: {cidr: 10.0.1.0/16}\n", []string{"3:11: network.cidr: want a block that begins at its own size: 10.0.0.0/16, have 10.0.1.0/16"}},
		"a block too large":                          {minimal + "network: {cidr: 10.0.0.0/15}\n", []string{"3:11: network.cidr: want /16 to /22 (AWS allows no larger one, and a balancer's subnet needs /27), have /15"}},
		"a block too small":                          {minimal + "network: {cidr: 10.0.0.0/23}\n", []string{"3:11: network.cidr: want /16 to /22 (AWS allows no larger one, and a balancer's subnet needs /27), have /23"}},
		"a public block":                             {minimal + "network: {cidr: 8.8.0.0/16}\n", []string{"3:11: network.cidr: want a private block (RFC 1918), or network.allow_public_cidr, have 8.8.0.0/16"}},
		"a single zone":                              {minimal + "network: {zones: [a]}\n", []string{"3:11: network.zones: want two to six zones, since the balancer and the database need two, have 1"}},
		"no zone":                                    {minimal + "network: {zones: []}\n", []string{"3:11: network.zones: want two to six zones, since the balancer and the database need two, have 0"}},
		"seven zones":                                {minimal + "network: {zones: [a, b, c, d, e, f, g]}\n", []string{"3:11: network.zones: want two to six zones, since the balancer and the database need two, have 7"}},
		"a zone with its region":                     {minimal + "network: {zones: [eu-central-1a, b]}\n", []string{`3:19: network.zones.0: want the letter of a zone, a to h, have "eu-central-1a"`}},
		"a zone beyond h":                            {minimal + "network: {zones: [a, i]}\n", []string{`3:22: network.zones.1: want the letter of a zone, a to h, have "i"`}},
		"a zone twice":                               {minimal + "network: {zones: [a, b, a]}\n", []string{`3:25: network.zones.2: want each zone once, "a" is there already`}},
		"another kind of NAT":                        {minimal + "network: {nat: both}\n", []string{`3:11: network.nat: want one of none, single, per-zone, have "both"`}},
		"an endpoint that there is not":              {minimal + "network: {endpoints: [ec2, s3]}\n", []string{`3:28: network.endpoints.1: want one of aps-workspaces, ec2, ecr.api, ecr.dkr, ecs, kms, lambda, logs, monitoring, rds, secretsmanager, sns, sqs, ssm, ssmmessages, sts, tagging, have "s3"`}},
		"an endpoint twice":                          {minimal + "network: {endpoints: [ec2, ec2]}\n", []string{`3:28: network.endpoints.1: want each endpoint once, "ec2" is there already`}},
		"no NAT without the endpoints":               {minimal + "network: {nat: none, endpoints: [ec2, ecr.api, ecr.dkr, ecs, logs]}\nservices: {web: {image: '123456789012.dkr.ecr.eu-central-1.amazonaws.com/web:1'}}\nmonitoring: {prometheus: {image: '123456789012.dkr.ecr.eu-central-1.amazonaws.com/p:1', config_image: '123456789012.dkr.ecr.eu-central-1.amazonaws.com/c:1'}}\n", []string{"3:22: network.endpoints: want kms too: with network.nat none a task reaches AWS through endpoints only", "3:22: network.endpoints: want secretsmanager too: with network.nat none a task reaches AWS through endpoints only", "3:22: network.endpoints: want ssmmessages too: with network.nat none a task reaches AWS through endpoints only"}},
		"no NAT with images from elsewhere":          {minimal + "network: {nat: none, endpoints: [ec2, ecr.api, ecr.dkr, ecs, kms, logs, secretsmanager, ssmmessages]}\nservices: {web: {image: '123456789012.dkr.ecr.eu-west-1.amazonaws.com/web:1'}}\nmonitoring: {prometheus: {image: 'quay.io/p/p:1', config_image: '123456789012.dkr.ecr.eu-central-1.amazonaws.com.evil.com/c:1'}}\n", []string{`4:18: services.web.image: want an image in ECR of eu-central-1: with network.nat none no other registry is reached, have "123456789012.dkr.ecr.eu-west-1.amazonaws.com/web:1"`, `5:27: monitoring.prometheus.image: want an image in ECR of eu-central-1: with network.nat none no other registry is reached, have "quay.io/p/p:1"`, `5:51: monitoring.prometheus.config_image: want an image in ECR of eu-central-1: with network.nat none no other registry is reached, have "123456789012.dkr.ecr.eu-central-1.amazonaws.com.evil.com/c:1"`}},
		"no NAT without the endpoint of a parameter": {minimal + strings.Replace(noNAT, "web:1'", "web:1', secrets: {A: 'arn:aws:ssm:eu-central-1:123456789012:parameter/x'}", 1), []string{"3:22: network.endpoints: want ssm too: with network.nat none a task reaches AWS through endpoints only"}},
		// Load balancer.
		"a domain that is none":              {minimal + "load_balancer: {domain: shop, hosted_zone: example.com}\n", []string{`3:17: load_balancer.domain: want a domain name such as shop.example.com, have "shop"`}},
		"a domain without its zone":          {minimal + "load_balancer: {domain: shop.example.com}\n", []string{"3:17: load_balancer.domain: want load_balancer.hosted_zone too, the Route 53 zone that proves the certificate, or load_balancer.certificate_arn"}},
		"a zone that is none":                {minimal + "load_balancer: {domain: shop.example.com, hosted_zone: Z123}\n", []string{`3:43: load_balancer.hosted_zone: want a zone's name such as example.com, have "Z123"`}},
		"a zone without a domain":            {minimal + "load_balancer: {hosted_zone: example.com}\n", []string{"3:17: load_balancer.hosted_zone: want load_balancer.domain too, the name to make in it"}},
		"a domain in another zone":           {minimal + "load_balancer: {domain: shop.example.com, hosted_zone: ample.com}\n", []string{`3:17: load_balancer.domain: want a name in load_balancer.hosted_zone ample.com, have "shop.example.com"`}},
		"a certificate that is none":         {minimal + "load_balancer: {certificate_arn: 'arn:aws:iam::123456789012:server-certificate/x'}\n", []string{`3:17: load_balancer.certificate_arn: want the ARN of a certificate in eu-central-1, have "arn:aws:iam::123456789012:server-certificate/x"`}},
		"a certificate of another region":    {minimal + "load_balancer: {certificate_arn: 'arn:aws:acm:us-east-1:123456789012:certificate/0a-1'}\n", []string{`3:17: load_balancer.certificate_arn: want the ARN of a certificate in eu-central-1, have "arn:aws:acm:us-east-1:123456789012:certificate/0a-1"`}},
		"plain HTTP in production":           {minimal + "profile: production\nstate: {backend: local}\n", []string{"1:1: load_balancer: want load_balancer.domain with hosted_zone, or certificate_arn: production serves HTTPS unless allow_http is true"}},
		"no source":                          {minimal + "load_balancer: {sources: []}\n", []string{"3:17: load_balancer.sources: want at least one CIDR block, such as 0.0.0.0/0"}},
		"a source that is an address":        {minimal + "load_balancer: {sources: [203.0.113.7]}\n", []string{`3:27: load_balancer.sources.0: want an IPv4 CIDR block such as 203.0.113.0/24, have "203.0.113.7"`}},
		"a source of IPv6":                   {minimal + "load_balancer: {sources: ['::/0']}\n", []string{`3:27: load_balancer.sources.0: want an IPv4 CIDR block such as 203.0.113.0/24, have "::/0"`}},
		"a source off its boundary":          {minimal + "load_balancer: {sources: [203.0.113.7/24]}\n", []string{`3:27: load_balancer.sources.0: want an IPv4 CIDR block such as 203.0.113.0/24, have "203.0.113.7/24"`}},
		"a source twice":                     {minimal + "load_balancer: {sources: [10.0.0.0/8, 10.0.0.0/8]}\n", []string{`3:39: load_balancer.sources.1: want each block once, "10.0.0.0/8" is there already`}},
		"an idle timeout of none":            {minimal + "load_balancer: {idle_timeout: 0}\n", []string{"3:17: load_balancer.idle_timeout: want 1 to 4000, have 0"}},
		"an idle timeout too long":           {minimal + "load_balancer: {idle_timeout: 4001}\n", []string{"3:17: load_balancer.idle_timeout: want 1 to 4000, have 4001"}},
		"access logs for ever":               {minimal + "load_balancer: {access_logs_retention: 0}\n", []string{"3:17: load_balancer.access_logs_retention: want 1 to 3650, have 0"}},
		"a rate limit below AWS's":           {minimal + "load_balancer: {firewall: {rate_limit: 9}}\n", []string{"3:28: load_balancer.firewall.rate_limit: want 10 to 2000000000, have 9"}},
		"a rule that the common set has not": {minimal + "load_balancer: {firewall: {count_only: [NoUserAgent_HEADER, SizeRestriction]}}\n", []string{"3:61: load_balancer.firewall.count_only.1: want one of " + strings.Join(commonRules, ", ") + `, have "SizeRestriction"`}},
		// Services.
		"no service":                                          {minimal + "services: {}\n", []string{"3:1: services: want at least one service"}},
		"a service with a dash":                               {minimal + "services: {my-web: {image: 'quay.io/x/y:1'}}\n", []string{"3:12: services.my-web: want a name of lower-case letters and digits, a letter first, at most 16 long"}},
		"a service with a long name":                          {minimal + "services: {abcdefghijklmnopq: {image: 'quay.io/x/y:1'}}\n", []string{"3:12: services.abcdefghijklmnopq: want a name of lower-case letters and digits, a letter first, at most 16 long"}},
		"a service of the platform's name":                    {minimal + "services: {prometheus: {image: 'quay.io/x/y:1'}}\n", []string{"3:12: services.prometheus: want another name, since database, endpoints, prometheus are the platform's own"}},
		"a service named as the database's security group":    {minimal + "services: {database: {image: 'quay.io/x/y:1'}}\n", []string{"3:12: services.database: want another name, since database, endpoints, prometheus are the platform's own"}},
		"a priority twice":                                    {minimal + "services:\n  api: {image: 'quay.io/x/y:1', route: {priority: 5, paths: [/api]}}\n  web: {route: {priority: 5}}\n", []string{"5:17: services.web.route.priority: want a priority of its own, 5 is taken by services.api"}},
		"a priority of the rule that hides another's metrics": {minimal + "services:\n  api: {image: 'quay.io/x/y:1', metrics: {enabled: true, port: 8080}, route: {priority: 5, paths: [/api]}}\n  web: {route: {priority: 4}}\n", []string{"5:17: services.web.route.priority: want a priority of its own, 4 is taken by the rule that hides metrics of services.api"}},
		"no room for the rule that hides metrics":             {minimal + "services:\n  api: {image: 'quay.io/x/y:1', route: {priority: 4, paths: [/api]}}\n  web: {metrics: {enabled: true, port: 8080}, route: {priority: 5}}\n", []string{"5:55: services.web.route.priority: want the priority before it free too, for the rule that hides its metrics, 4 is taken by services.api"}},
		"the same conditions twice":                           {minimal + "services:\n  api: {image: 'quay.io/x/y:1', route: {priority: 5, hosts: [b.example.com, a.example.com], headers: {X-A: [v, u]}}}\n  web: {route: {priority: 6, paths: [], hosts: [a.example.com, b.example.com], headers: {x-a: [u, v]}}}\n", []string{"5:9: services.web.route: want other conditions than those of services.api: one of the two would never get a request"}},
		"no image":                                            {minimal + "services: {api: {tasks: 1}}\n", []string{"3:12: services.api.image: is required: an image with a tag or digest"}},
		"an image without a registry":                         {minimal + "services: {web: {image: 'nginx:1'}}\n", []string{`3:18: services.web.image: want registry/name:tag, such as public.ecr.aws/nginx/nginx-unprivileged:1.30.5-alpine-slim, have "nginx:1"`}},
		"an image of Docker Hub by its short name":            {minimal + "services: {web: {image: 'library/nginx:1'}}\n", []string{`3:18: services.web.image: want registry/name:tag, such as public.ecr.aws/nginx/nginx-unprivileged:1.30.5-alpine-slim, have "library/nginx:1"`}},
		"an image with a capital":                             {minimal + "services: {web: {image: 'quay.io/X/y:1'}}\n", []string{`3:18: services.web.image: want registry/name:tag, such as public.ecr.aws/nginx/nginx-unprivileged:1.30.5-alpine-slim, have "quay.io/X/y:1"`}},
		"an image without a tag":                              {minimal + "services: {web: {image: quay.io/x/y}}\n", []string{`3:18: services.web.image: want a tag or digest, have "quay.io/x/y"`}},
		"an image without a tag, behind a port":               {minimal + "services: {web: {image: 'registry.example.com:5000/x/y'}}\n", []string{`3:18: services.web.image: want a tag or digest, have "registry.example.com:5000/x/y"`}},
		"an image that changes":                               {minimal + "services: {web: {image: 'quay.io/x/y:latest'}}\n", []string{`3:18: services.web.image: want a tag that stays what it is, or a digest, have "quay.io/x/y:latest"`}},
		"another architecture":                                {minimal + "services: {web: {architecture: arm64}}\n", []string{`3:18: services.web.architecture: want one of ARM64, X86_64, have "arm64"`}},
		"a CPU size that Fargate does not know":               {minimal + "services: {web: {cpu: 300}}\n", []string{"3:18: services.web.cpu: want 256, 512, 1024, 2048, 4096, 8192 or 16384 CPU units, have 300"}},
		"memory too small for the smallest CPU":               {minimal + "services: {web: {cpu: 256, memory: 768}}\n", []string{"3:28: services.web.memory: want 512, 1024 or 2048 MiB with services.web.cpu 256, have 768"}},
		"memory too small for the CPU":                        {minimal + "services: {web: {cpu: 1024, memory: 1024}}\n", []string{"3:29: services.web.memory: want 2048 to 8192 MiB in steps of 1024 with services.web.cpu 1024, have 1024"}},
		"memory too large for the CPU":                        {minimal + "services: {web: {cpu: 512, memory: 5120}}\n", []string{"3:28: services.web.memory: want 1024 to 4096 MiB in steps of 1024 with services.web.cpu 512, have 5120"}},
		"memory between the steps":                            {minimal + "services: {web: {cpu: 8192, memory: 17408}}\n", []string{"3:29: services.web.memory: want 16384 to 61440 MiB in steps of 4096 with services.web.cpu 8192, have 17408"}},
		"a privileged port":                                   {minimal + "services: {web: {port: 80}}\n", []string{"3:18: services.web.port: want 1024 to 65535, have 80"}},
		"a port beyond the last":                              {minimal + "services: {web: {port: 65536}}\n", []string{"3:18: services.web.port: want 1024 to 65535, have 65536"}},
		"the root user":                                       {minimal + "services: {web: {user: '0'}}\n", []string{`3:18: services.web.user: want a numeric user id in quotes, not 0, have "0"`}},
		"a user by name":                                      {minimal + "services: {web: {user: nginx}}\n", []string{`3:18: services.web.user: want a numeric user id in quotes, not 0, have "nginx"`}},
		"too little scratch space":                            {minimal + "services: {web: {scratch: 15}}\n", []string{"3:18: services.web.scratch: want 16 to half of services.web.memory (256), since it counts as memory, have 15"}},
		"too much scratch space":                              {minimal + "services: {web: {memory: 1024, scratch: 513}}\n", []string{"3:32: services.web.scratch: want 16 to half of services.web.memory (512), since it counts as memory, have 513"}},
		"a variable with a dash":                              {minimal + "services: {web: {environment: {MY-VAR: a}}}\n", []string{"3:32: services.web.environment.MY-VAR: want a name of letters, digits and underscores"}},
		"a variable that the platform sets":                   {minimal + "services: {web: {environment: {PGHOST: a}}}\n", []string{"3:32: services.web.environment.PGHOST: is set by the platform for the database"}},
		"a secret itself":                                     {minimal + "services: {web: {secrets: {TOKEN: abc}}}\n", []string{"3:28: services.web.secrets.TOKEN: want the ARN of a secret or parameter, never the secret itself"}},
		"a secret's variable with a dash":                     {minimal + "services: {web: {secrets: {MY-VAR: 'arn:aws:secretsmanager:eu-central-1:123456789012:secret:x-AbCdEf'}}}\n", []string{"3:28: services.web.secrets.MY-VAR: want a name of letters, digits and underscores"}},
		"a secret that the platform sets":                     {minimal + "services: {web: {secrets: {PGPASSWORD: 'arn:aws:secretsmanager:eu-central-1:123456789012:secret:x-AbCdEf'}}}\n", []string{"3:28: services.web.secrets.PGPASSWORD: is set by the platform for the database"}},
		"a variable that is a secret too":                     {minimal + "services: {web: {environment: {A: b}, secrets: {A: 'arn:aws:ssm:eu-central-1:123456789012:parameter/x'}}}\n", []string{"3:49: services.web.secrets.A: is in services.web.environment too"}},
		"a key by its alias":                                  {minimal + "services: {web: {secret_keys: ['arn:aws:kms:eu-central-1:123456789012:alias/x']}}\n", []string{"3:32: services.web.secret_keys.0: want the ARN of a KMS key, never a key itself"}},
		"a permission without actions":                        {minimal + "services: {web: {permissions: [{resources: ['arn:aws:s3:::b/*']}]}}\n", []string{"3:33: services.web.permissions.0: want actions and resources, at least one of each"}},
		"a permission without resources":                      {minimal + "services: {web: {permissions: [{actions: ['s3:GetObject']}]}}\n", []string{"3:33: services.web.permissions.0: want actions and resources, at least one of each"}},
		"all actions of a service":                            {minimal + "services: {web: {permissions: [{actions: ['s3:*'], resources: ['arn:aws:s3:::b/*']}]}}\n", []string{`3:43: services.web.permissions.0.actions.0: want each action by its name, such as s3:GetObject, without *, have "s3:*"`}},
		"an action without its service":                       {minimal + "services: {web: {permissions: [{actions: [GetObject], resources: ['arn:aws:s3:::b/*']}]}}\n", []string{`3:43: services.web.permissions.0.actions.0: want each action by its name, such as s3:GetObject, without *, have "GetObject"`}},
		"all resources":                                       {minimal + "services: {web: {permissions: [{actions: ['s3:GetObject'], resources: ['*']}]}}\n", []string{`3:72: services.web.permissions.0.resources.0: want ARNs, have "*"`}},
		"another role in the database":                        {minimal + "services: {web: {database: reader}}\n", []string{`3:18: services.web.database: want one of none, read, write, owner, have "reader"`}},
		// Routes.
		"a route without a priority":                            {minimal + "services: {api: {image: 'quay.io/x/y:1', route: {paths: [/api]}}}\n", []string{"3:42: services.api.route.priority: want 1 to 49999, have 0"}},
		"a priority beyond the last":                            {minimal + "services: {web: {route: {priority: 50000}}}\n", []string{"3:26: services.web.route.priority: want 1 to 49999, have 50000"}},
		"no priority before it for the rule that hides metrics": {minimal + "services: {web: {metrics: {enabled: true, port: 8080}, route: {priority: 1}}}\n", []string{"3:64: services.web.route.priority: want 2 to 49999, have 1"}},
		"a header without values":                               {minimal + "services: {web: {route: {headers: {X-A: []}}}}\n", []string{"3:36: services.web.route.headers.X-A: want at least one value"}},
		"a header with an empty value":                          {minimal + "services: {web: {route: {headers: {X-A: ['']}}}}\n", []string{"3:42: services.web.route.headers.X-A.0: want 1 to 128 characters, have 0"}},
		"a header that is none":                                 {minimal + "services: {web: {route: {headers: {'X A': [a]}}}}\n", []string{"3:36: services.web.route.headers.X A: want the name of an HTTP header, at most 40 characters, and route.hosts for Host"}},
		"the host as a header":                                  {minimal + "services: {web: {route: {headers: {Host: [a]}}}}\n", []string{"3:36: services.web.route.headers.Host: want the name of an HTTP header, at most 40 characters, and route.hosts for Host"}},
		"a host without a dot":                                  {minimal + "services: {web: {route: {hosts: [localhost]}}}\n", []string{`3:34: services.web.route.hosts.0: want a host such as shop.example.com or *.example.com, at most 128 long, have "localhost"`}},
		"a host that is an address":                             {minimal + "services: {web: {route: {hosts: ['https://example.com']}}}\n", []string{`3:34: services.web.route.hosts.0: want a host such as shop.example.com or *.example.com, at most 128 long, have "https://example.com"`}},
		"six values":                                            {minimal + "services: {web: {route: {paths: [/a, /b, /c], hosts: [a.example.com], sources: [10.0.0.0/8], headers: {X-A: [a]}}}}\n", []string{"3:18: services.web.route: want at most 5 values in all conditions together, which is AWS's limit, have 6"}},
		"six values with those that hide metrics":               {minimal + "services: {web: {metrics: {enabled: true, port: 8080}, route: {hosts: [a.example.com, b.example.com, c.example.com, d.example.com]}}}\n", []string{"3:56: services.web.route: want at most 5 values in all conditions together, which is AWS's limit, have 6"}},
		"a path without its slash":                              {minimal + "services: {web: {route: {paths: [api]}}}\n", []string{`3:34: services.web.route.paths.0: want a path that begins with /, at most 128 long, have "api"`}},
		"a path too long":                                       {minimal + "services: {web: {route: {paths: [/" + strings.Repeat("p", 128) + "]}}}\n", []string{`3:34: services.web.route.paths.0: want a path that begins with /, at most 128 long, have "/` + strings.Repeat("p", 128) + `"`}},
		"a route's source off its boundary":                     {minimal + "services: {web: {route: {sources: [10.1.0.0/8]}}}\n", []string{`3:36: services.web.route.sources.0: want an IPv4 CIDR block such as 203.0.113.0/24, have "10.1.0.0/8"`}},
		"scaling on requests that nobody sends":                 {minimal + "services: {api: {image: 'quay.io/x/y:1', scaling: {requests: 100}}}\n", []string{"3:52: services.api.scaling.requests: has no meaning without services.api.route"}},
		"a deregistration below nothing":                        {minimal + "services: {web: {route: {deregistration_lag: -1}}}\n", []string{"3:26: services.web.route.deregistration_lag: want 0 to 3600, have -1"}},
		"a slow start too short":                                {minimal + "services: {web: {route: {slow_start: 29}}}\n", []string{"3:26: services.web.route.slow_start: want 30 to 900, have 29"}},
		"a slow start too long":                                 {minimal + "services: {web: {route: {slow_start: 901}}}\n", []string{"3:26: services.web.route.slow_start: want 30 to 900, have 901"}},
		// Health checks and metrics.
		"a health check without its slash":   {minimal + "services: {web: {health_check: {path: up}}}\n", []string{`3:33: services.web.health_check.path: want a path that begins with /, have "up"`}},
		"codes that are none":                {minimal + "services: {web: {health_check: {codes: 2xx}}}\n", []string{`3:33: services.web.health_check.codes: want HTTP codes such as 200-299 or 200,204, have "2xx"`}},
		"codes of errors":                    {minimal + "services: {web: {health_check: {codes: '500'}}}\n", []string{`3:33: services.web.health_check.codes: want HTTP codes such as 200-299 or 200,204, have "500"`}},
		"an interval too short":              {minimal + "services: {web: {health_check: {interval: 4, timeout: 2}}}\n", []string{"3:33: services.web.health_check.interval: want 5 to 300, have 4"}},
		"a timeout too short":                {minimal + "services: {web: {health_check: {timeout: 1}}}\n", []string{"3:33: services.web.health_check.timeout: want 2 to 120, have 1"}},
		"a timeout as long as the interval":  {minimal + "services: {web: {health_check: {interval: 10, timeout: 10}}}\n", []string{"3:47: services.web.health_check.timeout: want less than services.web.health_check.interval (10), have 10"}},
		"a grace period too long":            {minimal + "services: {web: {health_check: {grace_period: 7201}}}\n", []string{"3:33: services.web.health_check.grace_period: want 0 to 7200, have 7201"}},
		"metrics on a privileged port":       {minimal + "services: {web: {metrics: {enabled: true, port: 443}}}\n", []string{"3:43: services.web.metrics.port: want 1024 to 65535, have 443"}},
		"metrics without their slash":        {minimal + "services: {web: {metrics: {enabled: true, path: metrics}}}\n", []string{`3:43: services.web.metrics.path: want a path that begins with /, have "metrics"`}},
		"metrics that would hide everything": {minimal + "services: {web: {metrics: {enabled: true, port: 8080, path: /}}}\n", []string{"3:55: services.web.metrics.path: want a path of its own, since the balancer hides it from the internet, have /"}},
		// Tasks and scaling.
		"fewer tasks than none":                        {minimal + "services: {web: {tasks: -1}}\n", []string{"3:18: services.web.tasks: want 0 to 1000, have -1"}},
		"too many tasks":                               {minimal + "services: {web: {tasks: 1001}}\n", []string{"3:18: services.web.tasks: want 0 to 1000, have 1001"}},
		"a maximum below the tasks":                    {minimal + "services: {web: {tasks: 3, scaling: {max: 2}}}\n", []string{"3:38: services.web.scaling.max: want 3 to 5000, have 2"}},
		"a maximum beyond AWS's":                       {minimal + "services: {web: {scaling: {max: 5001}}}\n", []string{"3:28: services.web.scaling.max: want 1 to 5000, have 5001"}},
		"a CPU to keep beyond all":                     {minimal + "services: {web: {scaling: {cpu: 100}}}\n", []string{"3:28: services.web.scaling.cpu: want 10 to 95, have 100"}},
		"a memory to keep below sense":                 {minimal + "services: {web: {scaling: {memory: 9}}}\n", []string{"3:28: services.web.scaling.memory: want 10 to 95, have 9"}},
		"fewer requests than none":                     {minimal + "services: {web: {scaling: {requests: -1}}}\n", []string{"3:28: services.web.scaling.requests: want 0 to 1000000, have -1"}},
		"a schedule with a dash":                       {minimal + "services: {web: {scaling: {schedules: {at-night: {at: 'cron(0 22 * * ? *)'}}}}}\n", []string{"3:40: services.web.scaling.schedules.at-night: want a name of lower-case letters and digits, at most 16 long"}},
		"a schedule of five fields":                    {minimal + "services: {web: {scaling: {schedules: {night: {at: 'cron(0 22 * * *)'}}}}}\n", []string{`3:48: services.web.scaling.schedules.night.at: want cron(minute hour day month weekday year), with ? for day or weekday, or at(yyyy-mm-ddThh:mm:ss), have "cron(0 22 * * *)"`}},
		"a schedule on the 31st of February":           {minimal + "services: {web: {scaling: {schedules: {night: {at: 'at(2027-02-31T03:00:00)'}}}}}\n", []string{`3:48: services.web.scaling.schedules.night.at: want cron(minute hour day month weekday year), with ? for day or weekday, or at(yyyy-mm-ddThh:mm:ss), have "at(2027-02-31T03:00:00)"`}},
		"a schedule at no time":                        {minimal + "services: {web: {scaling: {schedules: {night: {at: 'at(tomorrow)'}}}}}\n", []string{`3:48: services.web.scaling.schedules.night.at: want cron(minute hour day month weekday year), with ? for day or weekday, or at(yyyy-mm-ddThh:mm:ss), have "at(tomorrow)"`}},
		"a schedule in no time zone":                   {minimal + "services: {web: {scaling: {schedules: {night: {at: 'at(2026-11-23T03:00:00)', timezone: CET/Berlin}}}}}\n", []string{`3:79: services.web.scaling.schedules.night.timezone: want a time zone such as UTC or Europe/Berlin, have "CET/Berlin"`}},
		"a schedule with its bounds swapped":           {minimal + "services: {web: {scaling: {schedules: {night: {at: 'cron(0 22 * * ? *)', min: 2, max: 1}}}}}\n", []string{"3:82: services.web.scaling.schedules.night.max: want at least 2 (services.web.scaling.schedules.night.min), have 1"}},
		"a schedule below none":                        {minimal + "services: {web: {scaling: {schedules: {night: {at: 'cron(0 22 * * ? *)', min: -1, max: 1}}}}}\n", []string{"3:74: services.web.scaling.schedules.night.min: want 0 to 5000, have -1"}},
		"a stop that waits too long":                   {minimal + "services: {web: {stop_timeout: 121}}\n", []string{"3:18: services.web.stop_timeout: want 2 to 120, have 121"}},
		"an empty repository that scaling would start": {minimal + "services: {web: {repository: true, tasks: 0}}\n", []string{"3:12: services.web.scaling.max: want 0 while services.web.tasks is 0, have 1"}},
		// Database.
		"a version that RDS does not offer":              {minimal + "database: {version: '13'}\n", []string{`3:12: database.version: want a major version that RDS offers, one of 14, 15, 16, 17, 18 in quotes, have "13"`}},
		"a minor version":                                {minimal + "database: {version: '17.2'}\n", []string{`3:12: database.version: want a major version that RDS offers, one of 14, 15, 16, 17, 18 in quotes, have "17.2"`}},
		"a class of another family":                      {minimal + "database: {instance_class: db.z1d.large}\n", []string{`3:12: database.instance_class: want an instance class such as db.t4g.micro, of one of the families t3, t4g, m5, m6g, m6i, m7g, m7i, m8g, r5, r6g, r6i, r7g, r7i, r8g, x2g, have "db.z1d.large"`}},
		"too little storage":                             {minimal + "database: {storage: {initial: 19}}\n", []string{"3:22: database.storage.initial: want 20 to 65536, have 19"}},
		"a most below the storage":                       {minimal + "database: {storage: {initial: 100, max: 99}}\n", []string{"3:36: database.storage.max: want at least 100 (database.storage.initial), have 99"}},
		"a most too near to grow":                        {minimal + "database: {storage: {initial: 100, max: 109}}\n", []string{"3:36: database.storage.max: want at least a tenth more than database.storage.initial (100) for autoscaling, or the same for none, have 109"}},
		"a most beyond AWS's":                            {minimal + "database: {storage: {max: 65537}}\n", []string{"3:22: database.storage.max: want 20 to 65536, have 65537"}},
		"a database named as RDS' own":                   {minimal + "database: {name: rdsadmin}\n", []string{`3:12: database.name: want lower-case letters, digits and underscores, a letter first, and no name that PostgreSQL or RDS uses, have "rdsadmin"`}},
		"a database named by a word of SQL":              {minimal + "database: {name: user}\n", []string{`3:12: database.name: want lower-case letters, digits and underscores, a letter first, and no name that PostgreSQL or RDS uses, have "user"`}},
		"a database in capitals":                         {minimal + "database: {name: Shop}\n", []string{`3:12: database.name: want lower-case letters, digits and underscores, a letter first, and no name that PostgreSQL or RDS uses, have "Shop"`}},
		"no point-in-time recovery":                      {minimal + "database: {retention: 0}\n", []string{"3:12: database.retention: want 1 to 35, have 0"}},
		"a slow query below nothing":                     {minimal + "database: {slow_query: -1}\n", []string{"3:12: database.slow_query: want 0 to 3600000, have -1"}},
		"a backup window that is none":                   {minimal + "database: {backup_window: '1:00-2:00'}\n", []string{`3:12: database.backup_window: want hh:mm-hh:mm in UTC, such as 01:00-02:00, have "1:00-2:00"`}},
		"a backup window too short":                      {minimal + "database: {backup_window: '01:00-01:29'}\n", []string{"3:12: database.backup_window: want 30 minutes or more, have 29 (01:00-01:29)"}},
		"a maintenance window without days":              {minimal + "database: {maintenance_window: '04:00-05:00'}\n", []string{`3:12: database.maintenance_window: want ddd:hh:mm-ddd:hh:mm in UTC, such as sun:04:30-sun:05:30, have "04:00-05:00"`}},
		"a maintenance window too short":                 {minimal + "database: {maintenance_window: 'sun:04:30-sun:04:59'}\n", []string{"3:12: database.maintenance_window: want 30 minutes to a day, have 29 minutes (sun:04:30-sun:04:59)"}},
		"a maintenance window longer than a day":         {minimal + "database: {backup_window: '01:00-02:00', maintenance_window: 'sun:04:30-mon:04:31'}\n", []string{"3:42: database.maintenance_window: want 30 minutes to a day, have 1441 minutes (sun:04:30-mon:04:31)", "3:42: database.maintenance_window: want a window outside database.backup_window (01:00-02:00), have sun:04:30-mon:04:31"}},
		"windows that overlap":                           {minimal + "database: {backup_window: '04:00-05:00', maintenance_window: 'sun:04:30-sun:05:30'}\n", []string{"3:42: database.maintenance_window: want a window outside database.backup_window (04:00-05:00), have sun:04:30-sun:05:30"}},
		"a misspelt rule of the firewall":                {minimal + "load_balancer: {firewall: {count_only: [SizeRestriction_BODY]}}\n", []string{"3:41: load_balancer.firewall.count_only.0: want one of " + strings.Join(commonRules, ", ") + `, have "SizeRestriction_BODY"`}},
		"a restore named main":                           {minimal + "database: {restores: {main: {snapshot: x}}}\n", []string{"3:23: database.restores.main: want a name of lower-case letters and digits, a letter first, at most 15 long, and not main"}},
		"a restore with an underscore":                   {minimal + "database: {restores: {old_one: {snapshot: x}}}\n", []string{"3:23: database.restores.old_one: want a name of lower-case letters and digits, a letter first, at most 15 long, and not main"}},
		"a restore of nothing":                           {minimal + "database: {restores: {old: {}}}\n", []string{"3:23: database.restores.old: want either snapshot or time"}},
		"a restore of two things":                        {minimal + "database: {restores: {old: {snapshot: x, time: '2026-11-23T03:00:00Z'}}}\n", []string{"3:23: database.restores.old: want either snapshot or time"}},
		"a restore of a version that RDS does not offer": {minimal + "database: {restores: {old: {snapshot: x, version: '13'}}}\n", []string{`3:42: database.restores.old.version: want a major version that RDS offers, one of 14, 15, 16, 17, 18 in quotes, have "13"`}},
		"a wrong version, of which a restore is too":     {minimal + "database: {version: '13', restores: {old: {snapshot: x}}}\n", []string{`3:12: database.version: want a major version that RDS offers, one of 14, 15, 16, 17, 18 in quotes, have "13"`}},
		"a restore of no time":                           {minimal + "database: {restores: {old: {time: yesterday}}}\n", []string{`3:29: database.restores.old.time: want a time in UTC such as 2026-11-23T03:00:00Z, have "yesterday"`}},
		"a restore of local time":                        {minimal + "database: {restores: {old: {time: '2026-11-23T03:00:00+01:00'}}}\n", []string{`3:29: database.restores.old.time: want a time in UTC such as 2026-11-23T03:00:00Z, have "2026-11-23T03:00:00+01:00"`}},
		"a database in use that there is not":            {minimal + "database: {active: old}\n", []string{`3:12: database.active: want main or a key of database.restores, have "old"`}},
		// Monitoring.
		"an address without its host":       {minimal + "monitoring: {emails: [ops]}\n", []string{`3:23: monitoring.emails.0: want an e-mail address, have "ops"`}},
		"an address twice":                  {minimal + "monitoring: {emails: [ops@example.com, ops@example.com]}\n", []string{`3:40: monitoring.emails.1: want each address once, "ops@example.com" is there already`}},
		"a Prometheus without a tag":        {minimal + "monitoring: {prometheus: {image: quay.io/prometheus/prometheus}}\n", []string{`3:27: monitoring.prometheus.image: want a tag or digest, have "quay.io/prometheus/prometheus"`}},
		"a command line that changes":       {minimal + "monitoring: {prometheus: {config_image: 'public.ecr.aws/aws-cli/aws-cli:latest'}}\n", []string{`3:27: monitoring.prometheus.config_image: want a tag that stays what it is, or a digest, have "public.ecr.aws/aws-cli/aws-cli:latest"`}},
		"a Prometheus larger than its CPU":  {minimal + "monitoring: {prometheus: {cpu: 256, memory: 4096}}\n", []string{"3:37: monitoring.prometheus.memory: want 512, 1024 or 2048 MiB with monitoring.prometheus.cpu 256, have 4096"}},
		"a disk that every task has anyway": {minimal + "monitoring: {prometheus: {storage: 20}}\n", []string{"3:27: monitoring.prometheus.storage: want 21 to 200, have 20"}},
		"metrics for no day":                {minimal + "monitoring: {prometheus: {days: 0}}\n", []string{"3:27: monitoring.prometheus.days: want 1 to 3650, have 0"}},
		"a scrape every second":             {minimal + "monitoring: {prometheus: {scrape_interval: 1}}\n", []string{"3:27: monitoring.prometheus.scrape_interval: want 5 to 300, have 1"}},
		// Backup.
		"a schedule that is none":                 {minimal + "backup: {schedule: daily}\n", []string{`3:10: backup.schedule: want cron(minute hour day month weekday year), with ? for day or weekday, or rate(n hours), have "daily"`}},
		"a schedule of a cron of Unix":            {minimal + "backup: {schedule: 'cron(0 3 * * *)'}\n", []string{`3:10: backup.schedule: want cron(minute hour day month weekday year), with ? for day or weekday, or rate(n hours), have "cron(0 3 * * *)"`}},
		"a schedule on day and weekday":           {minimal + "backup: {schedule: 'cron(0 3 * * * *)'}\n", []string{`3:10: backup.schedule: want cron(minute hour day month weekday year), with ? for day or weekday, or rate(n hours), have "cron(0 3 * * * *)"`}},
		"a schedule on neither":                   {minimal + "backup: {schedule: 'cron(0 3 ? * ? *)'}\n", []string{`3:10: backup.schedule: want cron(minute hour day month weekday year), with ? for day or weekday, or rate(n hours), have "cron(0 3 ? * ? *)"`}},
		"a schedule at an hour that there is not": {minimal + "backup: {schedule: 'cron(0 24 * * ? *)'}\n", []string{`3:10: backup.schedule: want cron(minute hour day month weekday year), with ? for day or weekday, or rate(n hours), have "cron(0 24 * * ? *)"`}},
		"a rate of one hours":                     {minimal + "backup: {schedule: 'rate(1 hours)'}\n", []string{`3:10: backup.schedule: want cron(minute hour day month weekday year), with ? for day or weekday, or rate(n hours), have "rate(1 hours)"`}},
		"a rate of nothing":                       {minimal + "backup: {schedule: 'rate(0 hours)'}\n", []string{`3:10: backup.schedule: want cron(minute hour day month weekday year), with ? for day or weekday, or rate(n hours), have "rate(0 hours)"`}},
		"no time zone":                            {minimal + "backup: {timezone: ''}\n", []string{`3:10: backup.timezone: want a time zone such as UTC or Europe/Berlin, have ""`}},
		"the time zone of this machine":           {minimal + "backup: {timezone: Local}\n", []string{`3:10: backup.timezone: want a time zone such as UTC or Europe/Berlin, have "Local"`}},
		"a time zone that there is not":           {minimal + "backup: {timezone: Europe/Bonn}\n", []string{`3:10: backup.timezone: want a time zone such as UTC or Europe/Berlin, have "Europe/Bonn"`}},
		"a snapshot while RDS takes its own":      {minimal + "backup: {schedule: 'cron(30 1 * * ? *)'}\n", []string{`3:10: backup.schedule: want a time outside database.backup_window (01:00-02:00), since RDS refuses a snapshot while it takes its own, have "cron(30 1 * * ? *)"`}},
		"a retention of nothing":                  {minimal + "backup: {retention: 0}\n", []string{"3:10: backup.retention: want 1 to 3650, have 0"}},
		"a minimum of nothing":                    {minimal + "backup: {minimum: 0}\n", []string{"3:10: backup.minimum: want 1 to 100, have 0"}},
		"an age of months":                        {minimal + "backup: {max_age: 745}\n", []string{"3:10: backup.max_age: want 1 to 744, have 745"}},
		"a lock below nothing":                    {minimal + "backup: {object_lock: -1}\n", []string{"3:10: backup.object_lock: want 0 to 3650, have -1"}},
		// What Terraform would take for its own.
		"a template in a tag's value":                                       {minimal + "tags: {owner: '${var.x}'}\n", []string{"3:8: tags.owner: want letters, digits, spaces and _.:/=+-@, at most 128 in the key and 256 in the value, not beginning with aws:", "3:8: tags.owner: may not contain ${ or %{, which Terraform takes for an expression"}},
		"a directive in a command":                                          {minimal + "services: {web: {command: ['%{if true}x%{endif}']}}\n", []string{"3:28: services.web.command.0: may not contain ${ or %{, which Terraform takes for an expression"}},
		"a template in a parameter whose name looks like a variable's path": {minimal + "database: {parameters: {services.web.environment.x: '${var.x}'}}\n", []string{"3:25: database.parameters.services.web.environment.x: want the name of a parameter, such as work_mem or rds.log_retention_period", "3:25: database.parameters.services.web.environment.x: may not contain ${ or %{, which Terraform takes for an expression"}},
		"a template in the name of a parameter":                             {minimal + "database: {parameters: {'${var.x}': '1'}}\n", []string{"3:25: database.parameters.${var.x}: want the name of a parameter, such as work_mem or rds.log_retention_period", "3:25: database.parameters.${var.x}: may not contain ${ or %{, which Terraform takes for an expression"}},
		"a template in both":                                                {minimal + "database: {parameters: {'${var.x}': '${var.y}'}}\n", []string{"3:25: database.parameters.${var.x}: want the name of a parameter, such as work_mem or rds.log_retention_period", "3:25: database.parameters.${var.x}: may not contain ${ or %{, which Terraform takes for an expression"}},
		"a template in the value of a secret":                               {minimal + "services: {web: {secrets: {A: 'arn:aws:ssm:eu-central-1:123456789012:parameter/${var.x}'}}}\n", []string{"3:28: services.web.secrets.A: may not contain ${ or %{, which Terraform takes for an expression"}},
		"a template in a header whose name looks like a variable's path":    {minimal + "services: {web: {route: {headers: {A.environment.B: ['${var.x}']}}}}\n", []string{"3:54: services.web.route.headers.A.environment.B.0: may not contain ${ or %{, which Terraform takes for an expression"}},
	} {
		t.Run(name, func(t *testing.T) { wantProblems(t, c.text, c.want...) })
	}
}

// blocks are so many different CIDR blocks.
func blocks(n int) (list []string) {
	for i := range n {
		list = append(list, fmt.Sprintf("203.0.%d.0/24", i))
	}
	return list
}

// manyRoutes is a file with so many routed services.
func manyRoutes(n int) string {
	text := minimal + "services:\n"
	for i := range n {
		text += fmt.Sprintf("  s%d: {image: 'quay.io/x/y:1', route: {priority: %d, paths: [/%d]}}\n", i, i+1, i)
	}
	return text
}

// Every number is taken at its limits, and refused one beyond them with a line that names both. The text before %d is chosen so that
// nothing else is wrong at the limits.
func TestNumbersHaveLimits(t *testing.T) {
	const web = "services: {web: {"
	for path, c := range map[string]struct {
		text      string
		low, high int
	}{
		"load_balancer.idle_timeout":             {"load_balancer: {idle_timeout: %d}", 1, 4000},
		"load_balancer.access_logs_retention":    {"load_balancer: {access_logs_retention: %d}", 1, 3650},
		"load_balancer.firewall.rate_limit":      {"load_balancer: {firewall: {rate_limit: %d}}", 10, 2_000_000_000},
		"services.web.port":                      {web + "port: %d}}", 1024, 65535},
		"services.web.route.priority":            {web + "route: {priority: %d}}}", 1, 49999},
		"services.web.route.deregistration_lag":  {web + "route: {deregistration_lag: %d}}}", 0, 3600},
		"services.web.route.slow_start":          {web + "route: {slow_start: %d}}}", 30, 900},
		"services.web.health_check.interval":     {web + "health_check: {timeout: 2, interval: %d}}}", 5, 300},
		"services.web.health_check.timeout":      {web + "health_check: {interval: 300, timeout: %d}}}", 2, 120},
		"services.web.health_check.grace_period": {web + "health_check: {grace_period: %d}}}", 0, 7200},
		"services.web.metrics.port":              {web + "metrics: {enabled: true, port: %d}}}", 1024, 65535},
		"services.web.tasks":                     {web + "tasks: %d}}", 0, 1000},
		"services.web.scaling.max":               {web + "tasks: 3, scaling: {max: %d}}}", 3, 5000},
		"services.web.scaling.cpu":               {web + "scaling: {cpu: %d}}}", 10, 95},
		"services.web.scaling.memory":            {web + "scaling: {memory: %d}}}", 10, 95},
		"services.web.scaling.requests":          {web + "scaling: {requests: %d}}}", 0, 1_000_000},
		"services.web.stop_timeout":              {web + "stop_timeout: %d}}", 2, 120},
		"database.storage.initial":               {"database: {storage: {max: 65536, initial: %d}}", 20, 65536},
		"database.storage.max":                   {"database: {storage: {initial: 20, max: %d}}", 20, 65536},
		"database.retention":                     {"database: {retention: %d}", 1, 35},
		"database.slow_query":                    {"database: {slow_query: %d}", 0, 3_600_000},
		"monitoring.prometheus.storage":          {"monitoring: {prometheus: {storage: %d}}", 21, 200},
		"monitoring.prometheus.days":             {"monitoring: {prometheus: {days: %d}}", 1, 3650},
		"monitoring.prometheus.scrape_interval":  {"monitoring: {prometheus: {scrape_interval: %d}}", 5, 300},
		"backup.retention":                       {"backup: {retention: %d}", 1, 3650},
		"backup.minimum":                         {"backup: {minimum: %d}", 1, 100},
		"backup.max_age":                         {"backup: {schedule: rate(1 hour), max_age: %d}", 1, 744},
		"backup.object_lock":                     {"backup: {object_lock: %d}", 0, 3650},
	} {
		t.Run(path, func(t *testing.T) {
			for _, value := range []int{c.low, c.high} {
				if got := problems(t, minimal+fmt.Sprintf(c.text, value)+"\n"); len(got) > 0 {
					t.Errorf("%d is refused: %q", value, got)
				}
			}
			for _, value := range []int{c.low - 1, c.high + 1} {
				want := fmt.Sprintf("%s: want %d to %d, have %d", path, c.low, c.high, value)
				if got := problems(t, minimal+fmt.Sprintf(c.text, value)+"\n"); !slices.ContainsFunc(got, func(line string) bool { return strings.HasSuffix(line, " "+want) }) {
					t.Errorf("%d: says %q, want %s", value, got, want)
				}
			}
		})
	}
}

// What Fargate sells: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/fargate-tasks-services.html#fargate-tasks-size
func TestOnlySizesOfFargateAreTaken(t *testing.T) {
	steps := func(from, to, step int) []int {
		var all []int
		for memory := from; memory <= to; memory += step {
			all = append(all, memory)
		}
		return all
	}
	sizes := map[int][]int{
		256: {512, 1024, 2048}, 512: steps(1024, 4096, 1024), 1024: steps(2048, 8192, 1024), 2048: steps(4096, 16384, 1024), 4096: steps(8192, 30720, 1024),
		8192: steps(16384, 61440, 4096), 16384: steps(32768, 122880, 8192),
	}
	for _, cpu := range []int{-256, 0, 1, 128, 256, 257, 512, 768, 1024, 2048, 4096, 8192, 16384, 32768} {
		for memory := -512; memory <= 131072; memory += 256 {
			refused := false
			checkSize("size", cpu, memory, func(string, string, ...any) { refused = true })
			if refused == slices.Contains(sizes[cpu], memory) {
				t.Errorf("%d CPU units with %d MiB: refused %v", cpu, memory, refused)
			}
		}
	}
}

// What the rules are not about.
func TestConfigurationIsTaken(t *testing.T) {
	const production = minimal + "profile: production\n"
	for name, text := range map[string]string{
		"a name as long as it may be":                      "name: seventeen-letters\nregion: us-west-2\n",
		"a region of each continent":                       "name: shop\nregion: me-south-1\nstate: {backend: s3, bucket: my.state-1, region: ap-southeast-4}\n",
		"an account":                                       minimal + "account: '000000000001'\n",
		"tags of all characters":                           minimal + "tags: {'Kosten Stelle_.:/=+-@1': 'für É _.:/=+-@'}\n",
		"a tag without a value":                            minimal + "tags: {owner: ''}\n",
		"the longest tag":                                  minimal + "tags: {" + strings.Repeat("k", 128) + ": " + strings.Repeat("v", 256) + "}\n",
		"the largest network":                              minimal + "network: {cidr: 172.16.0.0/16, zones: [h, g, f, e, d, c]}\n",
		"the smallest network":                             minimal + "network: {cidr: 192.168.252.0/22}\n",
		"all endpoints":                                    minimal + "network: {endpoints: [" + strings.Join(InterfaceEndpoints, ", ") + "]}\n",
		"no NAT with all that it needs":                    minimal + noNAT,
		"a domain that is the zone":                        minimal + "load_balancer: {domain: example.com, hosted_zone: example.com}\n",
		"a domain below the zone's own":                    minimal + "load_balancer: {domain: a.b.example.com, hosted_zone: example.com}\n",
		"a certificate":                                    minimal + "load_balancer: {certificate_arn: 'arn:aws:acm:eu-central-1:123456789012:certificate/0a1b-2c'}\n",
		"a certificate, and a domain made elsewhere":       minimal + "load_balancer: {domain: shop.example.com, certificate_arn: 'arn:aws:acm:eu-central-1:123456789012:certificate/0a1b-2c'}\n",
		"production with HTTPS":                            production + "state: {bucket: states}\nload_balancer: {domain: example.com, hosted_zone: example.com}\n",
		"production without HTTPS on purpose":              production + "state: {bucket: states}\nload_balancer: {allow_http: true}\n",
		"production with its state here":                   production + "state: {backend: local}\nload_balancer: {allow_http: true}\n",
		"a service without a route":                        minimal + "services: {worker: {image: 'quay.io/x/y:1'}}\n",
		"the longest name of a service":                    minimal + "services: {abcdefghijklmnop: {image: 'quay.io/x/y:1'}}\n",
		"an image by digest":                               minimal + "services: {web: {image: 'quay.io/x/y@sha256:" + strings.Repeat("0a", 32) + "'}}\n",
		"an image behind a port":                           minimal + "services: {web: {image: 'registry.example.com:5000/a/b-c/d_e:v1.0'}}\n",
		"an image whose tag ends in latest":                minimal + "services: {web: {image: 'quay.io/x/y:not-latest'}}\n",
		"the latest image, pinned":                         minimal + "services: {web: {image: 'quay.io/x/y:latest@sha256:" + strings.Repeat("0a", 32) + "'}}\n",
		"half of the memory as scratch space":              minimal + "services: {web: {cpu: 16384, memory: 122880, scratch: 61440}}\n",
		"variables of the database without it":             minimal + "services: {web: {database: none, environment: {PGHOST: a}, secrets: {PGPASSWORD: 'arn:aws:secretsmanager:eu-central-1:123456789012:secret:x-AbCdEf:key::'}}}\n",
		"a template in a variable's value":                 minimal + "services: {web: {environment: {A: '${x} %{if}'}}}\n",
		"a key for the secrets":                            minimal + "services: {web: {secrets: {A: 'arn:aws:ssm:eu-central-1:123456789012:parameter/shop/a'}, secret_keys: ['arn:aws:kms:eu-central-1:123456789012:key/0a-1']}}\n",
		"a permission":                                     minimal + "services: {web: {permissions: [{actions: ['s3:GetObject', 's3:PutObject'], resources: ['arn:aws:s3:::b/*']}]}}\n",
		"five values":                                      minimal + "services: {web: {route: {paths: [/a, /b], hosts: ['*.example.com'], sources: [10.0.0.0/8], headers: {X-A: [a]}}}}\n",
		"metrics on the public port":                       minimal + "services: {web: {metrics: {enabled: true, port: 8080}, route: {priority: 2}}}\n",
		"metrics without a route, on / even":               minimal + "services: {job: {image: 'quay.io/x/y:1', metrics: {enabled: true, port: 8080, path: /}}}\n",
		"metrics that are off":                             minimal + "services: {web: {metrics: {port: 1024, path: /x}}}\n",
		"a public block on purpose":                        minimal + "network: {cidr: 100.64.0.0/16, allow_public_cidr: true}\n",
		"six wildcards":                                    minimal + "services: {web: {route: {paths: ['/*/*', '/?/*'], hosts: ['*.a.example.com', '*.b.example.com']}}}\n",
		"thirty sources":                                   minimal + "load_balancer: {sources: [" + strings.Join(blocks(30), ", ") + "]}\n",
		"parameters":                                       minimal + "database: {parameters: {work_mem: '65536', rds.force_ssl: '1'}}\n",
		"snapshots":                                        minimal + "database: {restores: {a: {snapshot: 'rds:shop-dev-2026-11-23-01-10'}, b: {snapshot: 'arn:aws:rds:eu-central-1:123456789012:snapshot:awsbackup:job-1'}}}\n",
		"as many rules as a balancer takes":                manyRoutes(100),
		"a snapshot as often as the alarm wants":           minimal + "backup: {schedule: rate(90 minutes), max_age: 2}\n",
		"AWS credentials as a secret":                      minimal + "services: {web: {secrets: {AWS_SECRET_ACCESS_KEY: 'arn:aws:secretsmanager:eu-central-1:123456789012:secret:x-AbCdEf'}}}\n",
		"a region for the application":                     minimal + "services: {web: {environment: {AWS_REGION: eu-west-1}}}\n",
		"neighbouring priorities":                          minimal + "services:\n  api: {image: 'quay.io/x/y:1', route: {priority: 4, paths: [/api]}}\n  web: {route: {priority: 5}}\n",
		"the same paths on other hosts":                    minimal + "services:\n  api: {image: 'quay.io/x/y:1', route: {priority: 4, paths: ['/*'], hosts: [api.example.com]}}\n  web: {}\n",
		"a slow start":                                     minimal + "services: {web: {route: {slow_start: 30, deregistration_lag: 0}}}\n",
		"codes in a list":                                  minimal + "services: {web: {health_check: {codes: '200,204,300-399'}}}\n",
		"more tasks than the default's maximum":            minimal + "services: {web: {tasks: 9}}\n",
		"no scaling":                                       minimal + "services: {web: {tasks: 3, scaling: {max: 3}}}\n",
		"scaling by schedule":                              minimal + "services: {web: {scaling: {max: 5, schedules: {day: {at: 'cron(0 8 ? * MON-FRI *)', timezone: Europe/Berlin, min: 2, max: 5}, once: {at: 'at(2026-11-23T03:00:00)'}}}}}\n",
		"an empty repository":                              minimal + "services: {web: {repository: true, tasks: 0, scaling: {max: 0}}}\n",
		"a repository in use":                              minimal + "services: {web: {repository: true, tasks: 2}}\n",
		"storage that does not grow":                       minimal + "database: {storage: {initial: 100, max: 100}}\n",
		"storage that grows by a tenth":                    minimal + "database: {storage: {initial: 100, max: 110}}\n",
		"a restore in use":                                 minimal + "database: {active: monday, restores: {monday: {time: '2026-11-23T03:00:00Z'}, abcdefghijklmno: {snapshot: 'rds:shop-dev-1'}}}\n",
		"a restore of an older version":                    minimal + "database: {version: '18', restores: {old: {snapshot: x, version: '17', protected: false}}}\n",
		"six tags":                                         minimal + "tags: {a: '1', b: '2', c: '3', d: '4', e: '5', f: '6'}\n",
		"no NAT, and a parameter with its endpoint":        minimal + strings.NewReplacer("web:1'", "web:1', secrets: {A: 'arn:aws:ssm:eu-central-1:123456789012:parameter/x'}", "[ec2,", "[ssm, ec2,").Replace(noNAT),
		"windows that touch":                               minimal + "database: {backup_window: '04:00-04:30', maintenance_window: 'sun:04:30-sun:05:00'}\n",
		"a maintenance window of a day but for the backup": minimal + "database: {backup_window: '04:00-04:30', maintenance_window: 'sun:04:30-mon:04:00'}\n",
		"a rate":                     minimal + "backup: {schedule: 'rate(12 hours)'}\n",
		"a schedule in another zone": minimal + "backup: {schedule: 'cron(30 1 * * ? *)', timezone: Europe/Berlin}\n",
		"a schedule every hour, part of it in the window": minimal + "backup: {schedule: 'cron(15 * * * ? *)'}\n",
		"the end of the database's window":                minimal + "backup: {schedule: 'cron(0 2 * * ? *)'}\n",
		"two addresses":                                   minimal + "monitoring: {emails: [a+b@example.com, a.b@mail.example.co.uk]}\n",
	} {
		t.Run(name, func(t *testing.T) { wantProblems(t, text) })
	}
}

// noNAT is what a file has to say besides, where tasks reach AWS through endpoints alone.
const noNAT = `network: {nat: none, endpoints: [ec2, ecr.api, ecr.dkr, ecs, kms, logs, secretsmanager, ssmmessages]}
services: {web: {image: '123456789012.dkr.ecr.eu-central-1.amazonaws.com/web:1'}}
monitoring: {prometheus: {image: '123456789012.dkr.ecr.eu-central-1.amazonaws.com/prometheus:1', config_image: '123456789012.dkr.ecr.eu-central-1.amazonaws.com/aws-cli:1'}}
`

func TestNameAndRegionAreEnough(t *testing.T) {
	got := parse(t, "dev", minimal)
	want := defaultConfig(ProfileDevelopment)
	want.Environment, want.Name, want.Region, want.State.Region = "dev", "shop", "eu-central-1", "eu-central-1"
	want.Database.CertificateImage = DefaultConfigImage
	if !reflect.DeepEqual(*got, want) {
		t.Errorf("got\n%+v\nwant\n%+v", *got, want)
	}
}

func TestProfilePicksTheDefaults(t *testing.T) {
	got := parse(t, "live", minimal+"profile: production\nstate: {bucket: states}\nload_balancer: {allow_http: true}\n")
	want := defaultConfig(ProfileProduction)
	want.Environment, want.Name, want.Region, want.State.Region = "live", "shop", "eu-central-1", "eu-central-1"
	want.State.Bucket, want.LoadBalancer.AllowHTTP = "states", true
	want.Database.CertificateImage = DefaultConfigImage
	if !reflect.DeepEqual(*got, want) {
		t.Errorf("got\n%+v\nwant\n%+v", *got, want)
	}
	if development := defaultConfig(ProfileDevelopment); development.Protected || !want.Protected || development.Network.NAT == want.Network.NAT {
		t.Error("the profiles do not differ")
	}
}

// The file's name picks nothing: an environment called production is a small one, unless it says otherwise.
func TestEnvironmentsNamePicksNothing(t *testing.T) {
	one, other := *parse(t, "dev", minimal), *parse(t, "prod", minimal)
	other.Environment = "dev"
	if !reflect.DeepEqual(one, other) {
		t.Errorf("dev is\n%+v\nprod is\n%+v", one, other)
	}
}

func TestDefaultsOfAServiceAreValidInBothProfiles(t *testing.T) {
	for _, profile := range []string{ProfileDevelopment, ProfileProduction} {
		t.Run(profile, func(t *testing.T) {
			wantProblems(t, minimal+"profile: "+profile+"\nstate: {backend: local}\nload_balancer: {allow_http: true}\nservices:\n  web:\n  worker: {image: 'quay.io/x/y:1'}\n  api: {image: 'quay.io/x/y:1', route: {priority: 1, paths: [/api]}}\n")
		})
	}
}

func TestShippedEnvironmentsAreValid(t *testing.T) {
	names := shipped(t)
	for _, needed := range []string{"dev", "prod"} {
		if !slices.Contains(names, needed) {
			t.Errorf("there is no config/%s.yaml", needed)
		}
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			if got := load(t, name).Environment; got != name {
				t.Errorf("is environment %q", got)
			}
		})
	}
}

// A list or a mapping that two services, or two configurations, had in common would change in one with the other.
func TestDefaultsAreNotShared(t *testing.T) {
	seen := map[uintptr]string{}
	var walk func(path string, v reflect.Value)
	walk = func(path string, v reflect.Value) {
		switch v.Kind() {
		case reflect.Struct:
			for i := range v.NumField() {
				walk(path+"."+v.Type().Field(i).Name, v.Field(i))
			}
		case reflect.Map, reflect.Slice:
			if v.Len() == 0 {
				return
			}
			if other, shared := seen[v.Pointer()]; shared {
				t.Errorf("%s is %s", path, other)
			}
			seen[v.Pointer()] = path
			if v.Kind() == reflect.Map {
				for _, key := range v.MapKeys() {
					walk(path+"."+key.String(), v.MapIndex(key))
				}
			}
		}
	}
	for _, profile := range []string{ProfileDevelopment, ProfileProduction} {
		for _, name := range []string{"one", "other"} {
			walk(profile+" "+name, reflect.ValueOf(defaultConfig(profile)))
			walk(profile+" "+name+" service", reflect.ValueOf(defaultService("web", profile)))
		}
	}
	if len(seen) < 8 {
		t.Errorf("looked at %d lists and mappings only", len(seen))
	}
	cfg := parse(t, "dev", minimal+"services:\n  web:\n  api: {image: 'quay.io/x/y:1', route: {priority: 1, paths: [/api]}}\n")
	walk("parsed", reflect.ValueOf(*cfg))
}

func TestScalingMaximumFollowsTheTasks(t *testing.T) {
	for name, c := range map[string]struct {
		service string
		want    int
	}{
		"nothing said":         {"{}", 1},
		"tasks beyond it":      {"{tasks: 9}", 9},
		"a maximum of its own": {"{tasks: 2, scaling: {max: 7}}", 7},
		"no task at all":       {"{tasks: 0, scaling: {max: 0}}", 0},
	} {
		t.Run(name, func(t *testing.T) {
			if got := parse(t, "dev", minimal+"services: {web: "+c.service+"}\n").Services["web"].Scaling.Max; got != c.want {
				t.Errorf("is %d, want %d", got, c.want)
			}
		})
	}
}

// A restore is of the database's version and protected, unless the file says otherwise.
func TestRestoreStartsFromTheDatabasesVersion(t *testing.T) {
	restores := parse(t, "dev", minimal+"database: {version: '16', restores: {one: {snapshot: x}, two: {snapshot: y, version: '15', protected: false}}}\n").Database.Restores
	want := map[string]Restore{
		"one": {Snapshot: "x", Version: "16", Protected: true},
		"two": {Snapshot: "y", Version: "15", Protected: false},
	}
	if !reflect.DeepEqual(restores, want) {
		t.Errorf("are %+v, want %+v", restores, want)
	}
}

func TestStatesRegionIsTheStacksUnlessGiven(t *testing.T) {
	for text, want := range map[string]string{
		"state: {backend: s3, bucket: states}":                    "eu-central-1",
		"state: {backend: s3, bucket: states, region: eu-west-1}": "eu-west-1",
	} {
		if got := parse(t, "dev", minimal+text+"\n").State.Region; got != want {
			t.Errorf("%s: is in %s, want %s", text, got, want)
		}
	}
	// A wrong region is one problem, though the state's follows from it.
	wantProblems(t, "name: shop\nregion: here\nstate: {backend: s3, bucket: states}\n",
		`2:1: region: want an AWS region of the commercial partition, such as eu-central-1, have "here"`)
}

// ---- Loading ---------------------------------------------------------------------------------------------------------

// folder makes a project's root with these files below config.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "config"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(root, "config", name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestEnvironmentNamesItsFile(t *testing.T) {
	root := folder(t, map[string]string{"staging-2.yaml": minimal, "dev.yaml": "name: other\nregion: eu-central-1\n"})
	cfg, _, err := Load(root, "staging-2", nil)
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Environment != "staging-2" || cfg.Stack() != "shop-staging-2" {
		t.Errorf("loaded %s of %q", cfg.Stack(), cfg.Environment)
	}
}

func TestMissingEnvironmentListsThoseThereAre(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		want  string
	}{
		"some": {map[string]string{"prod.yaml": minimal, "dev.yaml": minimal, "README.md": "", "old.yml": minimal}, "dev, prod"},
		"none": {nil, "none"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := Load(folder(t, c.files), "test", nil)
			want := "config/test.yaml: there is no such file: ENVIRONMENT=test names it, and there is " + c.want
			if fmt.Sprint(err) != want {
				t.Errorf("says\n%v\nwant\n%s", err, want)
			}
		})
	}
}

func TestEnvironmentIsAName(t *testing.T) {
	root := folder(t, map[string]string{"dev.yaml": minimal, "Dev.yaml": minimal, "a b.yaml": minimal})
	if err := os.WriteFile(filepath.Join(root, "secret.yaml"), []byte(minimal), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, environment := range []string{"", "../secret", "..", ".", "/etc/passwd", "dev/../dev", "dev.yaml", `..\secret`, "Dev", "a b", "dev\n", "dev\x00", "-dev", "dev-", "d--v", "2dev", "dév"} {
		_, _, err := Load(root, environment, nil)
		want := fmt.Sprintf("ENVIRONMENT=%q: want a name of lower-case letters, digits and dashes, such as dev", environment)
		if fmt.Sprint(err) != want {
			t.Errorf("says\n%v\nwant\n%s", err, want)
		}
	}
}

func TestFileThatCannotBeReadIsNamed(t *testing.T) {
	root := folder(t, nil)
	if err := os.Mkdir(filepath.Join(root, "config", "dev.yaml"), 0o755); err != nil {
		t.Fatal(err)
	}
	_, _, err := Load(root, "dev", nil)
	if err == nil || !strings.HasPrefix(err.Error(), "config/dev.yaml: cannot be read: ") || strings.Contains(err.Error(), root) {
		t.Errorf("says %v", err)
	}
}

// ---- Windows ---------------------------------------------------------------------------------------------------------

func TestWindowsOverlap(t *testing.T) {
	for name, c := range map[string]struct {
		daily, weekly string
		want          bool
	}{
		"apart on the same day":                {"01:00-02:00", "sun:04:30-sun:05:30", false},
		"the same":                             {"04:30-05:30", "sun:04:30-sun:05:30", true},
		"the end of one is the other's start":  {"04:00-04:30", "sun:04:30-sun:05:30", false},
		"the start of one is the other's end":  {"05:30-06:00", "sun:04:30-sun:05:30", false},
		"a minute at the start":                {"04:00-04:31", "sun:04:30-sun:05:30", true},
		"a minute at the end":                  {"05:29-06:00", "sun:04:30-sun:05:30", true},
		"one within the other":                 {"04:45-05:15", "wed:04:30-wed:05:30", true},
		"the other within the one":             {"04:00-06:00", "wed:04:30-wed:05:30", true},
		"daily across midnight, before it":     {"23:30-00:30", "tue:23:45-tue:23:59", true},
		"daily across midnight, after it":      {"23:30-00:30", "tue:00:15-tue:01:00", true},
		"daily across midnight, apart":         {"23:30-00:30", "tue:00:30-tue:23:30", false},
		"weekly across midnight":               {"23:50-23:59", "mon:23:30-tue:00:30", true},
		"weekly across midnight, after it":     {"00:10-00:40", "mon:23:30-tue:00:30", true},
		"weekly across midnight, apart":        {"00:30-01:00", "mon:23:30-tue:00:30", false},
		"both across midnight":                 {"23:59-00:01", "mon:23:58-tue:00:02", true},
		"both across midnight, touching":       {"23:00-23:30", "mon:23:30-tue:00:30", false},
		"weekly across the week's end":         {"23:50-23:59", "sun:23:30-mon:00:30", true},
		"weekly across the week's end, after":  {"00:00-00:30", "sun:23:30-mon:00:30", true},
		"weekly across the week's end, apart":  {"01:00-02:00", "sun:23:30-mon:00:30", false},
		"both across the week's end":           {"23:45-00:15", "sun:23:50-mon:00:10", true},
		"weekly longer than a day":             {"12:00-12:30", "fri:13:00-sat:13:00", true},
		"weekly a day long but for the backup": {"12:00-12:30", "fri:12:30-sat:12:00", false},
		"weekly over several days":             {"12:00-12:30", "sat:12:30-fri:12:00", true},
	} {
		t.Run(name, func(t *testing.T) {
			if got := windowsOverlap(c.daily, c.weekly); got != c.want {
				t.Errorf("%s and %s: %v", c.daily, c.weekly, got)
			}
		})
	}
}

func TestSchedulesAreReadAsAWSReadsThem(t *testing.T) {
	for text, want := range map[string]bool{
		// Examples of https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html and its sisters.
		"cron(15 12 * * ? *)":                        true,
		"cron(0 18 ? * MON-FRI *)":                   true,
		"cron(0 8 1 * ? *)":                          true,
		"cron(0/15 * * * ? *)":                       true,
		"cron(0/10 * ? * MON-FRI *)":                 true,
		"cron(0/5 8-17 ? * MON-FRI *)":               true,
		"cron(15 10 ? * 6L 2022-2023)":               true,
		"cron(0 9 ? * 2#1 *)":                        true,
		"cron(0 0 L * ? *)":                          true,
		"cron(0 0 15W * ? *)":                        true,
		"cron(*/20 1,13 1,15 JAN-MAR,6 ? 2027,2028)": true,
		"cron(0 0 ? feb mon *)":                      true,
		"rate(1 hour)":                               true,
		"rate(15 minutes)":                           true,
		"rate(10 days)":                              true,

		"cron(60 3 * * ? *)":        false,
		"cron(0 24 * * ? *)":        false,
		"cron(0 3 0 * ? *)":         false,
		"cron(0 3 32 * ? *)":        false,
		"cron(0 3 * 13 ? *)":        false,
		"cron(0 3 * JANUARY ? *)":   false,
		"cron(0 3 ? * 0 *)":         false,
		"cron(0 3 ? * 8 *)":         false,
		"cron(0 3 ? * MONDAY *)":    false,
		"cron(0 3 ? * 2/2 *)":       false,
		"cron(0 3 ? * 2#6 *)":       false,
		"cron(0 3 ? * MON-FRI#1 *)": false,
		"cron(0 3 ? * 2,3L *)":      false,
		"cron(0 3 1-5W * ? *)":      false,
		"cron(0 3 LW2 * ? *)":       false,
		"cron(0 3 * * ? 1969)":      false,
		"cron(0 3 * * ? 2200)":      false,
		"cron(*/0 3 * * ? *)":       false,
		"cron(5/ 3 * * ? *)":        false,
		"cron(1- 3 * * ? *)":        false,
		"cron(1,,2 3 * * ? *)":      false,
		"cron(-5 3 * * ? *)":        false,
		"cron(+5 3 * * ? *)":        false,
		"cron(? 3 * * ? *)":         false,
		"cron(L 3 * * ? *)":         false,
		"cron(five 3 * * ? *)":      false,
		"cron(0 3 * * * *)":         false,
		"cron(0 3 ? * ? *)":         false,
		"cron(0 3 * * *)":           false,
		"cron(0 3 * * ? * )":        false,
		"rate(1 hours)":             false,
		"rate(2 hour)":              false,
		"rate(0 hours)":             false,
		"rate(02 hours)":            false,
		"rate(1 week)":              false,
		"at(tomorrow)":              false,
	} {
		if have := isCron(text) || rateText.MatchString(text); have != want {
			t.Errorf("the configuration may say %s: %v", text, have)
		}
	}
	for text, want := range map[string]bool{
		"at(2026-11-23T03:00:00)": true, "at(2028-02-29T23:59:59)": true,
		"at(2027-02-29T03:00:00)": false, "at(2026-13-01T03:00:00)": false, "at(2026-11-23T24:00:00)": false, "at(2026-11-23 03:00:00)": false,
	} {
		if have := isAt(text); have != want {
			t.Errorf("%s is a time: %v", text, have)
		}
	}
}

func TestSnapshotIsOutsideTheBackupWindow(t *testing.T) {
	for name, c := range map[string]struct {
		schedule, window string
		refused          bool
	}{
		"before it":                       {"cron(59 0 * * ? *)", "01:00-02:00", false},
		"at its start":                    {"cron(0 1 * * ? *)", "01:00-02:00", true},
		"in its last minute":              {"cron(59 1 * * ? *)", "01:00-02:00", true},
		"at its end":                      {"cron(0 2 * * ? *)", "01:00-02:00", false},
		"within it on one weekday":        {"cron(30 1 ? * SUN *)", "01:00-02:00", true},
		"within it on one day of a month": {"cron(30 1 1 * ? *)", "01:00-02:00", true},
		"across midnight, before it":      {"cron(45 23 * * ? *)", "23:30-00:30", true},
		"across midnight, after it":       {"cron(15 0 * * ? *)", "23:30-00:30", true},
		"across midnight, outside":        {"cron(30 0 * * ? *)", "23:30-00:30", false},
		"several hours, left alone":       {"cron(30 1,13 * * ? *)", "01:00-02:00", false},
		"a rate, left alone":              {"rate(1 hour)", "01:00-02:00", false},
		"no window to compare with":       {"cron(30 1 * * ? *)", "nightly", false},
	} {
		t.Run(name, func(t *testing.T) {
			got := problems(t, minimal+"backup: {schedule: '"+c.schedule+"'}\ndatabase: {maintenance_window: 'sun:08:00-sun:09:00', backup_window: '"+c.window+"'}\n")
			want := `config/test.yaml:3:10: backup.schedule: want a time outside database.backup_window (` + c.window + `), since RDS refuses a snapshot while it takes its own, have "` + c.schedule + `"`
			if slices.Contains(got, want) != c.refused {
				t.Errorf("says %q", got)
			}
		})
	}
}
