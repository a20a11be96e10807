//go:build e2e

package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"platform/internal/emulator"
)

// ---- A small stack ------------------------------------------------------------------------------

// newSmallSandbox returns a sandbox of dev with the network and the load balancer only, behind a
// proxy, so that a deployment takes seconds instead of minutes.
func newSmallSandbox(t *testing.T, patch string) (*sandbox, *proxy) {
	t.Helper()
	s := newSandbox(t, "dev")
	s.synthesise(t, patched(s.shipped(t), document(t, patch)))
	s.rewrite(t, func(stack map[string]any) map[string]any { return cutDown(stack, networkAndLoadBalancer) })
	return s, newProxy(t, s)
}

// rewrite changes the synthesised stack.
func (s *sandbox) rewrite(t *testing.T, change func(stack map[string]any) map[string]any) {
	t.Helper()
	path := filepath.Join(s.stack, "cdk.tf.json")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if text, err = json.MarshalIndent(change(parse(t, text)), "", "  "); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o644); err != nil {
		t.Fatal(err)
	}
}

// networkAndLoadBalancer matches the resources of the network and the load balancer that no
// resource refers to; they refer to the others. The lifecycle of the log bucket is left out,
// because the provider waits a minute for it.
var networkAndLoadBalancer = regexp.MustCompile(
	`^aws_(subnet|route|route_table_association|nat_gateway|flow_log|default_security_group` +
		`|vpc_endpoint_route_table_association|lb_listener)\.` +
		`|^aws_vpc_security_group_ingress_rule\.load_balancer_`)

// cutDown returns a stack with the resources whose addresses match, the resources that they refer
// to, and the outputs of these.
func cutDown(stack map[string]any, keep *regexp.Regexp) map[string]any {
	all := addresses(stack)
	kept := map[string]bool{}
	var add func(address string)
	add = func(address string) {
		if _, ok := all[address]; !ok || kept[address] {
			return
		}
		kept[address] = true
		for _, referred := range references(all[address]) {
			add(referred)
		}
	}
	for address := range all {
		if keep.MatchString(address) {
			add(address)
		}
	}
	small := maps.Clone(stack)
	for section, prefix := range map[string]string{"resource": "", "data": "data."} {
		types := map[string]any{}
		for kind, named := range stack[section].(map[string]any) {
			some := maps.Clone(named.(map[string]any))
			maps.DeleteFunc(some, func(name string, _ any) bool { return !kept[prefix+kind+"."+name] })
			if len(some) > 0 {
				types[kind] = some
			}
		}
		small[section] = types
	}
	outputs := maps.Clone(stack["output"].(map[string]any))
	maps.DeleteFunc(outputs, func(_ string, output any) bool {
		return slices.ContainsFunc(references(output), func(a string) bool { return all[a] != nil && !kept[a] })
	})
	small["output"] = outputs
	// cdktf has a separate list of outputs, and fails if one of them is not in the state.
	note := maps.Clone(stack["//"].(map[string]any))
	listed := map[string]any{}
	for name, all := range note["outputs"].(map[string]any) {
		some := maps.Clone(all.(map[string]any))
		maps.DeleteFunc(some, func(output string, _ any) bool { return outputs[output] == nil })
		listed[name] = some
	}
	note["outputs"] = listed
	small["//"] = note
	return small
}

// addresses returns the resources and data sources of a stack by address.
func addresses(stack map[string]any) map[string]any {
	all := map[string]any{}
	for section, prefix := range map[string]string{"resource": "", "data": "data."} {
		for kind, named := range stack[section].(map[string]any) {
			for name, resource := range named.(map[string]any) {
				all[prefix+kind+"."+name] = resource
			}
		}
	}
	return all
}

var reference = regexp.MustCompile(`(data\.)?\baws_[a-z0-9_]+\.[a-z0-9_]+`)

// references returns the texts in a part of a stack that may be addresses.
func references(part any) []string {
	text, _ := json.Marshal(part)
	return reference.FindAllString(string(text), -1)
}

func TestSmallStackHasOnlyNetworkAndLoadBalancer(t *testing.T) {
	small := cutDown(parse(t, readStack(t, "dev")), networkAndLoadBalancer)
	have := addresses(small)
	for _, address := range []string{
		"aws_vpc.vpc", "aws_internet_gateway.internet_gateway", "aws_subnet.public_subnet_a",
		"aws_subnet.private_subnet_b", "aws_subnet.database_subnet_b", "aws_eip.nat_address_a",
		"aws_nat_gateway.nat_gateway_a", "aws_route.private_default_route_b", "aws_vpc_endpoint.s3_endpoint",
		"aws_flow_log.flow_log", "aws_iam_role_policy.flow_log_role_policy", "aws_kms_key.logs_key",
		"data.aws_availability_zones.available_zones", "aws_s3_bucket.access_logs_bucket",
		"aws_s3_bucket_policy.access_logs_bucket_policy", "aws_lb.load_balancer", "aws_lb_listener.http_listener",
		"aws_security_group.load_balancer_security_group",
		"aws_vpc_security_group_ingress_rule.load_balancer_http_ingress_0_0_0_0_0",
	} {
		if have[address] == nil {
			t.Errorf("the small stack lacks %s", address)
		}
	}
	for address := range have {
		if strings.Contains(address, "ecs_") || strings.Contains(address, "db_") ||
			strings.Contains(address, "lambda") {
			t.Errorf("the small stack has %s", address)
		}
	}
	outputs := small["output"].(map[string]any)
	if outputs["vpc_id"] == nil || outputs["database_address"] != nil {
		t.Errorf("the outputs of the small stack are %v", slices.Sorted(maps.Keys(outputs)))
	}
}

// ---- Deployments that end early -----------------------------------------------------------------

// deployment is a running deployment.
type deployment struct {
	cmd   *exec.Cmd
	state string // file of the local state
	text  func() string
	over  chan struct{} // closed when it has ended; then err is set
	err   error
}

// begin starts a deployment and returns when the emulator has completed all held calls, of which
// terraform has no response yet.
func (s *sandbox) begin(t *testing.T, until ...*hold) *deployment {
	t.Helper()
	cmd, text := s.command(t, cdktfPath(t),
		"deploy", "--auto-approve", "--skip-synth", "--skip-provider-lock", "--no-color")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	d := &deployment{
		cmd:   cmd,
		state: filepath.Join(s.folder, "terraform.platform-"+s.environment+".tfstate"),
		text:  text,
		over:  make(chan struct{}),
	}
	go func() {
		d.err = cmd.Wait()
		close(d.over)
	}()
	// Ends the deployment if the test fails.
	t.Cleanup(func() { d.kill(t) })
	for _, h := range until {
		select {
		case <-h.done:
		case <-d.over:
			t.Fatalf("the deployment ended (%v) before %s of %s:\n%s", d.err, h.action, h.about, tail(text(), 60))
		case <-time.After(3 * time.Minute):
			t.Fatalf("the deployment does not reach %s of %s:\n%s", h.action, h.about, tail(text(), 60))
		}
	}
	return d
}

// processTree returns a process and its descendants, parents first. It follows parents, because
// cdktf runs terraform in a separate terminal and so in a separate session and process group.
func processTree(t *testing.T, pid int) []int {
	t.Helper()
	out, err := exec.Command("ps", "-axo", "pid=,ppid=").Output()
	if err != nil {
		t.Fatal(err)
	}
	children := map[int][]int{}
	for line := range strings.Lines(string(out)) {
		if fields := strings.Fields(line); len(fields) == 2 {
			child, _ := strconv.Atoi(fields[0])
			parent, _ := strconv.Atoi(fields[1])
			children[parent] = append(children[parent], child)
		}
	}
	all := []int{pid}
	for i := 0; i < len(all); i++ {
		all = append(all, children[all[i]]...)
	}
	return all
}

// kill kills cdktf and its descendants, unless it has ended, and returns when all of them have
// ended.
func (d *deployment) kill(t *testing.T) {
	t.Helper()
	select {
	case <-d.over:
		return
	default:
	}
	all := processTree(t, d.cmd.Process.Pid)
	// Not while terraform writes its state, which would lose the whole state. These tests are about
	// other failures.
	waitFor(t, "terraform not to be writing its state", func() bool {
		signalAll(all, syscall.SIGSTOP)
		whole := d.stateIsValid()
		if !whole {
			signalAll(all, syscall.SIGCONT)
		}
		return whole
	})
	signalAll(all, syscall.SIGKILL)
	for _, pid := range all {
		waitFor(t, "a killed process to end", func() bool { return !isRunning(pid) })
	}
}

// signalAll signals processes, children first, so that none can react to the end of its parent.
func signalAll(pids []int, what syscall.Signal) {
	for _, pid := range slices.Backward(pids) {
		syscall.Kill(pid, what)
	}
}

// stateIsValid reports whether the local state, if there is one, is valid JSON. Until the first
// write, the file is empty and has no backup.
func (d *deployment) stateIsValid() bool {
	text, err := os.ReadFile(d.state)
	if err == nil && len(text) == 0 {
		_, err = os.Stat(d.state + ".backup")
	}
	return err != nil || json.Valid(text)
}

// isRunning reports whether a process exists and is not a zombie.
func isRunning(pid int) bool {
	state, err := exec.Command("ps", "-o", "stat=", "-p", strconv.Itoa(pid)).Output()
	return err == nil && !strings.HasPrefix(string(state), "Z")
}

func waitFor(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !is(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited a minute for %s", what)
		}
	}
}

// ---- Resources that are not in the state --------------------------------------------------------

// orphans returns the ARNs of resources that have the stack's tags and are not in its state, like
// the command in docs/operations.md.
func (s *sandbox) orphans(t *testing.T) []string {
	t.Helper()
	state, err := s.terraform(t, "state", "pull")
	if err != nil {
		t.Fatalf("terraform state pull: %v\n%s", err, state)
	}
	arns := s.tagged(t)
	return slices.DeleteFunc(arns, func(arn string) bool {
		return strings.Contains(state, `"`+arn+`"`) ||
			strings.Contains(state, `"`+arn[strings.LastIndexAny(arn, ":/")+1:]+`"`)
	})
}

// tagged returns the ARNs of all resources with the stack's tags.
func (s *sandbox) tagged(t *testing.T) []string {
	t.Helper()
	const region = "eu-central-1"
	body := `{"TagFilters": [{"Key": "Application", "Values": ["platform"]}, ` +
		`{"Key": "Environment", "Values": ["dev"]}]}`
	r, err := http.NewRequestWithContext(alive, http.MethodPost, s.server.URL, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Amz-Target", "ResourceGroupsTaggingAPI_20170126.GetResources")
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 "+
		"Credential=emulator/20260101/"+region+"/tagging/aws4_request, SignedHeaders=host, Signature=0")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var list struct {
		PaginationToken        string
		ResourceTagMappingList []struct{ ResourceARN string }
	}
	err = json.NewDecoder(answer.Body).Decode(&list)
	if err != nil || answer.StatusCode != http.StatusOK || list.PaginationToken != "" {
		t.Fatalf("the tagging API returns %s: %+v (%v)", answer.Status, list, err)
	}
	c := s.clients(region)
	var arns []string
	for _, r := range list.ResourceTagMappingList {
		arns = append(arns, r.ResourceARN)
	}
	// Resources that the tagging API of AWS returns, but not that of moto.
	tagFilters := []ec2types.Filter{
		{Name: aws.String("tag:Application"), Values: []string{"platform"}},
		{Name: aws.String("tag:Environment"), Values: []string{"dev"}},
	}
	ofEC2 := func(kind string, id *string) {
		arns = append(arns, fmt.Sprintf("arn:aws:ec2:%s:%s:%s/%s", region, emulator.Account, kind, *id))
	}
	addresses, err := c.ec2.DescribeAddresses(alive, &ec2.DescribeAddressesInput{Filters: tagFilters})
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addresses.Addresses {
		ofEC2("elastic-ip", a.AllocationId)
	}
	endpoints, err := c.ec2.DescribeVpcEndpoints(alive, &ec2.DescribeVpcEndpointsInput{Filters: tagFilters})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range endpoints.VpcEndpoints {
		if !strings.EqualFold(string(e.State), string(ec2types.StateDeleted)) { // in lower case in moto
			ofEC2("vpc-endpoint", e.VpcEndpointId)
		}
	}
	slices.Sort(arns)
	return slices.DeleteFunc(arns, c.isDeleted)
}

// isDeleted reports whether an ARN names a deleted resource. Some resources have their tags for a
// while after their deletion.
func (c *clients) isDeleted(arn string) bool {
	id := arn[strings.LastIndexAny(arn, ":/")+1:]
	switch kindOf(arn) {
	case "key":
		key, err := c.kms.DescribeKey(alive, &kms.DescribeKeyInput{KeyId: &id})
		return err == nil && key.KeyMetadata.DeletionDate != nil
	case "natgateway":
		all, err := c.ec2.DescribeNatGateways(alive, &ec2.DescribeNatGatewaysInput{NatGatewayIds: []string{id}})
		return err == nil && !slices.ContainsFunc(all.NatGateways, func(g ec2types.NatGateway) bool {
			return g.State != ec2types.NatGatewayStateDeleted
		})
	}
	return false
}

// noOrphans checks that all resources with the stack's tags are in its state.
func (s *sandbox) noOrphans(t *testing.T, after string) {
	t.Helper()
	if left := s.orphans(t); len(left) > 0 {
		t.Errorf("after %s, these resources are not in the state\n\t%s", after, strings.Join(left, "\n\t"))
	}
}

// remove deletes the resources that ARNs name. It retries until the resources that depend on others
// are deleted.
func (s *sandbox) remove(t *testing.T, arns ...string) {
	t.Helper()
	arns = slices.Clone(arns)
	for wait := time.Now().Add(time.Minute); len(arns) > 0; {
		var why []error
		arns = slices.DeleteFunc(arns, func(arn string) bool {
			err := s.clients("eu-central-1").remove(arn)
			if err != nil {
				why = append(why, fmt.Errorf("%s: %w", arn, err))
			}
			return err == nil
		})
		if time.Now().After(wait) {
			t.Fatalf("cannot be deleted: %v", errors.Join(why...))
		}
	}
}

func (c *clients) remove(arn string) error {
	id := aws.String(arn[strings.LastIndexAny(arn, ":/")+1:])
	var err error
	switch kind := kindOf(arn); kind {
	case "vpc":
		_, err = c.ec2.DeleteVpc(alive, &ec2.DeleteVpcInput{VpcId: id})
	case "subnet":
		_, err = c.ec2.DeleteSubnet(alive, &ec2.DeleteSubnetInput{SubnetId: id})
	case "route-table":
		_, err = c.ec2.DeleteRouteTable(alive, &ec2.DeleteRouteTableInput{RouteTableId: id})
	case "security-group":
		_, err = c.ec2.DeleteSecurityGroup(alive, &ec2.DeleteSecurityGroupInput{GroupId: id})
	case "vpc-endpoint":
		_, err = c.ec2.DeleteVpcEndpoints(alive, &ec2.DeleteVpcEndpointsInput{VpcEndpointIds: []string{*id}})
	case "elastic-ip":
		_, err = c.ec2.ReleaseAddress(alive, &ec2.ReleaseAddressInput{AllocationId: id})
	case "natgateway":
		_, err = c.ec2.DeleteNatGateway(alive, &ec2.DeleteNatGatewayInput{NatGatewayId: id})
	case "internet-gateway":
		var gateways *ec2.DescribeInternetGatewaysOutput
		if gateways, err = c.ec2.DescribeInternetGateways(alive, &ec2.DescribeInternetGatewaysInput{
			InternetGatewayIds: []string{*id},
		}); err != nil {
			return err
		}
		for _, attached := range gateways.InternetGateways[0].Attachments {
			if _, err = c.ec2.DetachInternetGateway(alive, &ec2.DetachInternetGatewayInput{
				InternetGatewayId: id,
				VpcId:             attached.VpcId,
			}); err != nil {
				return err
			}
		}
		_, err = c.ec2.DeleteInternetGateway(alive, &ec2.DeleteInternetGatewayInput{InternetGatewayId: id})
	case "key":
		_, err = c.kms.ScheduleKeyDeletion(alive, &kms.ScheduleKeyDeletionInput{
			KeyId:               id,
			PendingWindowInDays: aws.Int32(7),
		})
	case "s3":
		_, err = c.s3.DeleteBucket(alive, &s3.DeleteBucketInput{Bucket: id})
	case "role":
		_, err = c.iam.DeleteRole(alive, &iam.DeleteRoleInput{RoleName: id})
	case "log-group":
		_, name, _ := strings.Cut(arn, ":log-group:")
		_, err = c.logs.DeleteLogGroup(alive, &cloudwatchlogs.DeleteLogGroupInput{
			LogGroupName: aws.String(strings.TrimSuffix(name, ":*")),
		})
	default:
		err = fmt.Errorf("remove does not support the kind %s", kind)
	}
	return err
}

// kindOf returns the kind of resource that an ARN names.
func kindOf(arn string) string {
	parts := strings.SplitN(arn, ":", 6) // arn:aws:SERVICE:REGION:ACCOUNT:KIND/ID
	if parts[2] == "s3" {
		return "s3"
	}
	kind, _, _ := strings.Cut(parts[5], "/")
	kind, _, _ = strings.Cut(kind, ":")
	return kind
}

// kinds returns the number of ARNs of each kind.
func kinds(arns []string) string {
	n := map[string]int{}
	for _, arn := range arns {
		n[kindOf(arn)]++
	}
	var text []string
	for _, kind := range slices.Sorted(maps.Keys(n)) {
		text = append(text, fmt.Sprintf("%d %s", n[kind], kind))
	}
	return strings.Join(text, ", ")
}

// ---- Error messages -----------------------------------------------------------------------------

// deployFails runs a deployment that must fail with these texts in its output.
func (s *sandbox) deployFails(t *testing.T, says ...string) string {
	t.Helper()
	out, err := s.cdktf(t, "deploy", "--auto-approve")
	wantFailure(t, out, err, says...)
	return out
}

// traces matches lines of a stack trace of Node.js or Go.
var traces = regexp.MustCompile(`(?m)^\s*(at \S.*:\d+:\d+\)?|goroutine \d+ \[|panic: )`)

func wantFailure(t *testing.T, out string, err error, says ...string) {
	t.Helper()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Errorf("the deployment ended with %v, want exit status 1", err)
	}
	for _, text := range says {
		if !strings.Contains(out, text) {
			t.Errorf("the output does not contain %q:\n%s", text, tail(out, 80))
		}
	}
	if trace := traces.FindString(out); trace != "" {
		t.Errorf("the output contains a stack trace: %s", trace)
	}
}

// terraformErrors returns terraform's errors without duplicates.
func terraformErrors(out string) []string {
	var all []string
	for _, found := range terraformError.FindAllStringSubmatch(out, -1) {
		if !slices.Contains(all, found[1]) {
			all = append(all, found[1])
		}
	}
	return all
}

var terraformError = regexp.MustCompile(`(?m)^.*?(Error: .*)$`)

// ---- Interrupted --------------------------------------------------------------------------------

// After Ctrl-C, terraform shuts down gracefully and its state has all resources. Terraform marks
// resources whose creation was not complete as tainted, and would replace them. Much of the network
// has create_before_destroy, but AWS rejects a second subnet with the same CIDR block. So the
// resources are untainted, and the next deployment completes them.
func TestInterruptedDeploymentCanBeCompleted(t *testing.T) {
	t.Parallel()
	s, p := newSmallSandbox(t, "{}")
	empty := s.inventory(t)

	within(t, "interrupted after CreateVpc", minute, func() string {
		s.interruptAfter(t, p, p.hold("CreateVpc", ""))
		s.noOrphans(t, "the interrupt")
		return "untainted " + strings.Join(s.untaint(t, ""), ", ")
	})

	const subnet = "aws_subnet.database_subnet_a"
	within(t, "interrupted after CreateSubnet, during CreateInternetGateway", minute, func() string {
		gateway := p.hold("CreateInternetGateway", "")
		s.interruptAfter(t, p, p.hold("CreateSubnet", "platform-dev-database-a"), gateway)
		// The provider cancels its calls, and never receives the result of those that AWS is
		// processing.
		lost := s.orphans(t)
		if kinds(lost) != "1 internet-gateway" {
			t.Errorf("want one internet gateway that is not in the state, have %v", lost)
		}
		s.remove(t, lost...)
		return "found by its tags and deleted: " + kinds(lost) + "; untainted " +
			strings.Join(s.untaint(t, subnet), ", ") + "; left tainted " + subnet
	})

	within(t, "interrupted after CreateNatGateway and CreateLoadBalancer", minute, func() string {
		out := s.interruptAfter(t, p, p.hold("CreateNatGateway", ""), p.hold("CreateLoadBalancer", ""))
		s.noOrphans(t, "the interrupt")
		if !strings.Contains(out, "InvalidSubnet.Conflict") {
			t.Error("a tainted subnet could be replaced, which docs/operations.md says is impossible")
		}
		return "replacing the tainted subnet failed with InvalidSubnet.Conflict; untainted " +
			strings.Join(s.untaint(t, ""), ", ")
	})

	if summary := s.deployAgainAndDestroy(t, empty); !strings.HasSuffix(summary, " 0 destroyed") {
		t.Errorf("the last deployment: %s", summary)
	}
}

// interruptAfter interrupts a deployment after the held calls, and returns its output. It releases
// the responses before the interrupt, except for that of CreateInternetGateway.
func (s *sandbox) interruptAfter(t *testing.T, p *proxy, holds ...*hold) string {
	t.Helper()
	d := s.begin(t, holds...)
	p.freeze(t, len(holds))
	under := 0
	for _, h := range holds {
		if h.action == "CreateInternetGateway" {
			under++
		} else {
			h.release()
		}
	}
	p.freeze(t, under)
	defer p.thaw()
	// Within this time, the provider has received the released responses.
	time.Sleep(300 * time.Millisecond)
	// The whole process group, as a terminal does.
	syscall.Kill(-d.cmd.Process.Pid, syscall.SIGINT)
	select {
	case <-d.over:
		wantFailure(t, d.text(), d.err, "Interrupt received.", "Gracefully shutting down...", "failed with exit code 1")
		if strings.Contains(d.text(), "AbortError") {
			t.Error("cdktf ended before terraform")
		}
	case <-time.After(2 * time.Minute):
		t.Fatalf("the deployment still runs two minutes after the interrupt:\n%s", tail(d.text(), 60))
	}
	return d.text()
}

// untaint untaints all tainted resources but one, as docs/operations.md describes, and returns
// their addresses.
func (s *sandbox) untaint(t *testing.T, except string) []string {
	t.Helper()
	out, err := s.terraform(t, "show", "-no-color")
	if err != nil {
		t.Fatalf("terraform show: %v\n%s", err, out)
	}
	var all []string
	for _, found := range tainted.FindAllStringSubmatch(out, -1) {
		if found[1] == except {
			continue
		}
		if out, err := s.terraform(t, "untaint", found[1]); err != nil {
			t.Errorf("terraform untaint: %v\n%s", err, out)
		}
		all = append(all, found[1])
	}
	return all
}

var tainted = regexp.MustCompile(`(?m)^# (\S+): \(tainted\)$`)

// deployAgainAndDestroy deploys again, checks that no changes and no orphans are left, and destroys
// the stack. It returns the summary of the deployment.
func (s *sandbox) deployAgainAndDestroy(t *testing.T, empty inventory) (summary string) {
	t.Helper()
	within(t, "deployed again", 3*minute, func() string {
		summary = summaryOf(t, s.deploy(t))
		return summary
	})
	within(t, "nothing to change", minute, func() string { return s.nothingToChange(t) })
	s.noOrphans(t, "the deployment")
	s.destroyAndCheckTags(t, empty)
	return summary
}

// destroyAndCheckTags destroys the stack and checks that no resource with its tags is left.
func (s *sandbox) destroyAndCheckTags(t *testing.T, empty inventory) {
	t.Helper()
	within(t, "the destruction", 2*minute, func() string { return s.destroy(t, empty) })
	if left := s.tagged(t); len(left) > 0 {
		t.Errorf("after the destruction, these resources are left\n\t%s", strings.Join(left, "\n\t"))
	}
}

// ---- Killed -------------------------------------------------------------------------------------

// lostResource is a resource that AWS created, but terraform was killed before it received the
// response.
type lostResource struct {
	action, about string // of the held call
	address       string

	// says is in the error of the next deployment. "" if there is no error and the deployment
	// creates a second one.
	says string

	// id returns the ID for terraform import. A resource without says is not imported: it is found
	// by its tags and deleted.
	id func(*testing.T, *sandbox) string
}

// killedDeployments are the deployments to kill, each after the emulator has completed these calls
// and before terraform has a response.
var killedDeployments = [][]lostResource{
	{
		{action: "CreateVpc", address: "aws_vpc.vpc"},
		{action: "CreateKey", address: "aws_kms_key.logs_key"},
		{
			action:  "CreateBucket",
			address: "aws_s3_bucket.access_logs_bucket",
			says:    "BucketAlreadyOwnedByYou",
			id:      literalID("platform-dev-access-logs-" + emulator.Account + "-eu-central-1"),
		},
		{
			action:  "CreateRole",
			address: "aws_iam_role.flow_log_role",
			says:    "EntityAlreadyExists",
			id:      literalID("platform-dev-eu-central-1-flow-logs"),
		},
	},
	{
		{
			action:  "CreateSubnet",
			about:   "platform-dev-database-a",
			address: "aws_subnet.database_subnet_a",
			says:    "InvalidSubnet.Conflict",
			id:      idByName("subnet", "platform-dev-database-a", ""),
		},
		{
			action:  "CreateSecurityGroup",
			address: "aws_security_group.load_balancer_security_group",
			says:    "InvalidGroup.Duplicate",
			id:      idByName("security-group", "platform-dev-load_balancer", ""),
		},
		{action: "CreateInternetGateway", address: "aws_internet_gateway.internet_gateway"},
	},
	{
		{action: "AllocateAddress", address: "aws_eip.nat_address_a"},
		{
			action:  "CreateRoute",
			address: "aws_route.public_default_route",
			says:    "RouteAlreadyExists",
			id:      idByName("route-table", "platform-dev-public", "_0.0.0.0/0"),
		},
		{
			action:  "CreateLoadBalancer",
			address: "aws_lb.load_balancer",
			says:    "already exists",
			id:      loadBalancerARN,
		},
	},
	{
		{
			action:  "CreateNatGateway",
			address: "aws_nat_gateway.nat_gateway_a",
			says:    "Resource.AlreadyAssociated",
			id:      idByName("natgateway", "platform-dev-a", ""),
		},
	},
}

func literalID(id string) func(*testing.T, *sandbox) string {
	return func(*testing.T, *sandbox) string { return id }
}

// idByName returns a function that finds an EC2 resource by its kind and its Name tag.
func idByName(kind, name, suffix string) func(*testing.T, *sandbox) string {
	return func(t *testing.T, s *sandbox) string {
		t.Helper()
		tags, err := s.clients("eu-central-1").ec2.DescribeTags(alive,
			&ec2.DescribeTagsInput{Filters: []ec2types.Filter{
				{Name: aws.String("key"), Values: []string{"Name"}},
				{Name: aws.String("value"), Values: []string{name}},
			}})
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		// moto also returns tags of deleted resources.
		for _, arn := range s.tagged(t) {
			id := arn[strings.LastIndexByte(arn, '/')+1:]
			if kindOf(arn) == kind && slices.ContainsFunc(tags.Tags, func(tag ec2types.TagDescription) bool {
				return *tag.ResourceId == id
			}) {
				ids = append(ids, id)
			}
		}
		if len(ids) != 1 {
			t.Fatalf("want one %s named %s, have %v", kind, name, ids)
		}
		return ids[0] + suffix
	}
}

func loadBalancerARN(t *testing.T, s *sandbox) string {
	t.Helper()
	all, err := s.clients("eu-central-1").elb.DescribeLoadBalancers(alive, &elb.DescribeLoadBalancersInput{
		Names: []string{"platform-dev"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return *all.LoadBalancers[0].LoadBalancerArn
}

// cdktf and terraform are killed. The resources that were being created are not in the state. If a
// resource has a unique name or CIDR block, the next deployment fails, and the resource is
// imported. Otherwise the deployment creates a second one; the first one is found by its tags and
// deleted.
func TestKilledDeploymentCanBeRecovered(t *testing.T) {
	t.Parallel()
	s, p := newSmallSandbox(t, "{}")
	empty := s.inventory(t)
	for _, lost := range killedDeployments {
		s.killAndRecover(t, p, lost)
	}
	s.deployAgainAndDestroy(t, empty)
}

func (s *sandbox) killAndRecover(t *testing.T, p *proxy, lost []lostResource) {
	t.Helper()
	var actions, targets []string
	var holds []*hold
	for _, v := range lost {
		actions = append(actions, v.action)
		targets = append(targets, "-target="+v.address)
		holds = append(holds, p.hold(v.action, v.about))
	}
	within(t, "killed during "+strings.Join(actions, ", "), minute, func() string {
		// CreateListener is idempotent in AWS but not in moto, so it is denied here.
		p.refuse("elasticloadbalancing", "CreateListener")
		defer p.clearFaults()
		s.begin(t, holds...).kill(t)
		return "not in the state: " + kinds(s.orphans(t))
	})
	var out string
	within(t, "the next deployment", minute, func() string {
		// Only for the lost resources, because the others take time and prove nothing.
		out, _ = s.terraform(t, append([]string{"apply", "-auto-approve", "-no-color"}, targets...)...)
		return strings.Join(terraformErrors(out), " | ")
	})
	within(t, "the recovery", minute, func() string {
		var did []string
		for _, v := range lost {
			made := strings.Contains(out, v.address+": Creation complete")
			switch {
			case v.says == "" && made:
				did = append(did, "a second "+v.address)
				continue
			case v.says == "" || made || !strings.Contains(out, v.says):
				t.Errorf("%s: want the error %q (if empty: a second resource), have\n%s",
					v.address, v.says, tail(out, 60))
				continue
			}
			id := v.id(t, s)
			if out, err := s.terraform(t, "import", "-no-color", v.address, id); err != nil {
				t.Errorf("terraform import %s %s: %v\n%s", v.address, id, err, tail(out, 40))
			}
			did = append(did, "imported "+v.address)
		}
		left := s.orphans(t)
		s.remove(t, left...)
		return strings.Join(did, ", ") + "; deleted " + kinds(left)
	})
	s.noOrphans(t, "the recovery")
}

// ---- A state in S3 ------------------------------------------------------------------------------

// Two failures that exist only with a state in S3: a stale lock, and a state that could not be
// written.
func TestStateInS3CanBeUnlockedAndPushed(t *testing.T) {
	t.Parallel()
	s, p := newSmallSandbox(t, "state: {backend: s3, bucket: platform-states, region: eu-central-1}")
	empty := s.inventory(t)

	within(t, "killed during CreateVpc", minute, func() string {
		s.begin(t, p.hold("CreateVpc", ""), p.hold("CreateKey", ""), p.hold("CreateBucket", ""),
			p.hold("CreateRole", "")).kill(t)
		return "not in the state: " + kinds(s.orphans(t))
	})
	within(t, "the next deployment", minute, func() string { return s.forceUnlock(t) })
	s.remove(t, append(s.orphans(t), "arn:aws:s3:::platform-dev-access-logs-"+emulator.Account+"-eu-central-1",
		"arn:aws:iam::"+emulator.Account+":role/platform-dev-eu-central-1-flow-logs")...)

	within(t, "the token expires after CreateInternetGateway", 2*minute, func() string {
		h := p.hold("CreateInternetGateway", "")
		d := s.begin(t, h)
		p.freeze(t, 1)
		p.expire()
		h.release()
		p.thaw()
		<-d.over
		wantFailure(t, d.text(), d.err, "expired", "Error: Failed to save state", "errored.tfstate",
			"terraform state push errored.tfstate")
		p.clearFaults()
		return strings.Join(terraformErrors(d.text()), " | ")
	})
	within(t, "the recovery", minute, func() string {
		says := s.forceUnlock(t)
		if out, err := s.terraform(t, "state", "push", "errored.tfstate"); err != nil {
			t.Errorf("terraform state push: %v\n%s", err, out)
		}
		s.noOrphans(t, "the push of the state")
		return says + "; pushed; untainted " + strings.Join(s.untaint(t, ""), ", ")
	})
	s.deployAgainAndDestroy(t, empty)
}

// forceUnlock checks that a deployment fails because the state is locked, unlocks it with the ID in
// the error, and returns the errors.
func (s *sandbox) forceUnlock(t *testing.T) string {
	t.Helper()
	out := s.deployFails(t, "Error acquiring the state lock")
	id := lockID.FindStringSubmatch(out)
	if id == nil {
		t.Fatalf("the error does not contain the ID of the lock:\n%s", tail(out, 40))
	}
	if out, err := s.terraform(t, "force-unlock", "-force", id[1]); err != nil {
		t.Fatalf("terraform force-unlock %s: %v\n%s", id[1], err, out)
	}
	return strings.Join(terraformErrors(out), " | ") + "; unlocked"
}

var lockID = regexp.MustCompile(`(?m)^.*\bID: +(\S+)$`)

// ---- Transient faults ---------------------------------------------------------------------------

// seed decides which calls have which fault.
const seed = 20261123

// The provider retries calls with transient faults.
func TestDeploymentSucceedsDespiteTransientFaults(t *testing.T) {
	t.Parallel()
	s, p := newSmallSandbox(t, "{}")
	empty := s.inventory(t)
	// With the provider's default number of retries, as in the shipped stack.
	if err := os.Remove(filepath.Join(s.stack, emulator.OverrideName)); err != nil {
		t.Fatal(err)
	}
	p.injectFaults(seed, 0.08)
	s.deployAgainAndDestroy(t, empty)
	fmt.Printf("%s: seed %d: %s\n", t.Name(), seed, p.report())
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, kind := range []string{throttled, serverError, unavailable, droppedBefore, droppedAfter} {
		if p.faults[kind] == 0 {
			t.Errorf("there was no fault of the kind %q", kind)
		}
	}
}

// ---- Denied -------------------------------------------------------------------------------------

// The error names the denied action and the resource, and afterwards the stack can be deployed
// again or destroyed.
func TestDeniedDeploymentCanBeCompletedOrDestroyed(t *testing.T) {
	t.Parallel()
	s, p := newSmallSandbox(t, "{}")
	empty := s.inventory(t)

	within(t, "with an expired token", minute, func() string {
		p.expire()
		defer p.clearFaults()
		out := s.deployFails(t, "ExpiredToken: The security token included in the request is expired")
		return strings.Join(terraformErrors(out), " | ")
	})
	refusedBalancer := func() string {
		p.refuse("elasticloadbalancing", "CreateLoadBalancer")
		defer p.clearFaults()
		out := s.deployFails(t, "is not authorized to perform: elasticloadbalancing:CreateLoadBalancer",
			"with aws_lb.load_balancer")
		s.noOrphans(t, "the denied call")
		return strings.Join(terraformErrors(out), " | ")
	}
	within(t, "CreateLoadBalancer denied", minute, refusedBalancer)
	s.destroyAndCheckTags(t, empty)
	within(t, "CreateLoadBalancer denied again", minute, refusedBalancer)
	s.deployAgainAndDestroy(t, empty)
}
