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

// newSmallSite is a site of dev with the network and the balancer alone, behind a proxy, so that a
// fault takes seconds and not minutes.
func newSmallSite(t *testing.T, patch string) (*site, *proxy) {
	t.Helper()
	s := newSite(t, "dev")
	s.synthesise(t, patched(s.shipped(t), document(t, patch)))
	path := filepath.Join(s.stack, "cdk.tf.json")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if text, err = json.MarshalIndent(cutDown(parse(t, text), networkAndBalancer), "", "  "); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o644); err != nil {
		t.Fatal(err)
	}
	return s, newProxy(t, s)
}

// What nothing else refers to, of the network and the balancer; the rest they refer to. The
// lifecycle of the log bucket is left out: nobody refers to it, and the provider waits a minute for
// it.
var networkAndBalancer = regexp.MustCompile(
	`^aws_(subnet|route|route_table_association|nat_gateway|flow_log|default_security_group` +
		`|vpc_endpoint_route_table_association|lb_listener)\.` +
		`|^aws_vpc_security_group_ingress_rule\.load_balancer_`)

// cutDown is a stack with the resources whose addresses match, all that these refer to, and the
// outputs that then still can be told.
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
	// cdktf has a list of its own, and stumbles over what is in the list and not in the state.
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

// addresses are a stack's resources and data sources by their addresses.
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

// references are what may be addresses in a part of a stack.
func references(part any) []string {
	text, _ := json.Marshal(part)
	return reference.FindAllString(string(text), -1)
}

func TestTheSmallStackIsNetworkAndBalancer(t *testing.T) {
	small := cutDown(parse(t, readStack(t, "dev")), networkAndBalancer)
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
			t.Errorf("it lacks %s", address)
		}
	}
	for address := range have {
		if strings.Contains(address, "ecs_") || strings.Contains(address, "db_") ||
			strings.Contains(address, "lambda") {
			t.Errorf("it has %s", address)
		}
	}
	outputs := small["output"].(map[string]any)
	if outputs["vpc_id"] == nil || outputs["database_address"] != nil {
		t.Errorf("its outputs are %v", slices.Sorted(maps.Keys(outputs)))
	}
}

// ---- Deployments that end early -----------------------------------------------------------------

// deployment is one that runs.
type deployment struct {
	cmd   *exec.Cmd
	state string // the file, if it is on this machine
	text  func() string
	over  chan struct{} // closed when it has ended, with err
	err   error
}

// begin starts a deployment and returns when the emulator has done what is held, all of it, and
// terraform does not know yet.
func (s *site) begin(t *testing.T, until ...*hold) *deployment {
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
	// None of it outlives a test that fails in between.
	t.Cleanup(func() { d.kill(t) })
	for _, h := range until {
		select {
		case <-h.done:
		case <-d.over:
			t.Fatalf("the deployment ended (%v) before %s of %s:\n%s", d.err, h.action, h.about, tail(text(), 60))
		case <-time.After(3 * time.Minute):
			t.Fatalf("the deployment never comes to %s of %s:\n%s", h.action, h.about, tail(text(), 60))
		}
	}
	return d
}

// family are the processes that a process has started, and theirs, each before those that it
// started. By parents, since cdktf gives terraform a terminal and so a session and a group of its
// own.
func family(t *testing.T, pid int) []int {
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

// kill kills cdktf and all that it started, unless it has ended, and returns when none of them is
// left.
func (d *deployment) kill(t *testing.T) {
	t.Helper()
	select {
	case <-d.over:
		return
	default:
	}
	all := family(t, d.cmd.Process.Pid)
	// Not while terraform writes its state, which would lose all of it: another accident than those
	// that are told apart here.
	waitFor(t, "terraform not to be writing its state", func() bool {
		sendAll(all, syscall.SIGSTOP)
		whole := d.stateIsWhole()
		if !whole {
			sendAll(all, syscall.SIGCONT)
		}
		return whole
	})
	sendAll(all, syscall.SIGKILL)
	for _, pid := range all {
		waitFor(t, "a killed process to end", func() bool { return !runs(pid) })
	}
}

// sendAll signals processes, the youngest first: none is to notice what became of its parent.
func sendAll(pids []int, what syscall.Signal) {
	for _, pid := range slices.Backward(pids) {
		syscall.Kill(pid, what)
	}
}

// stateIsWhole tells whether the state, if it is on this machine, can be read. Until it is first
// written it is there, empty, and has no backup.
func (d *deployment) stateIsWhole() bool {
	text, err := os.ReadFile(d.state)
	if err == nil && len(text) == 0 {
		_, err = os.Stat(d.state + ".backup")
	}
	return err != nil || json.Valid(text)
}

// runs tells whether a process is there and not just waiting to be buried.
func runs(pid int) bool {
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

// ---- What the state does not know ---------------------------------------------------------------

// orphans are the ARNs of all that bears the stack's tags and is not in its state: the README's
// command.
func (s *site) orphans(t *testing.T) []string {
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

// tagged are the ARNs of all that bears the stack's tags.
func (s *site) tagged(t *testing.T) []string {
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
		t.Fatalf("the tagging API answers %s: %+v (%v)", answer.Status, list, err)
	}
	c := s.clients(region)
	var arns []string
	for _, r := range list.ResourceTagMappingList {
		arns = append(arns, r.ResourceARN)
	}
	// What moto's tagging API leaves out and AWS's has.
	ours := []ec2types.Filter{
		{Name: aws.String("tag:Application"), Values: []string{"platform"}},
		{Name: aws.String("tag:Environment"), Values: []string{"dev"}},
	}
	ofEC2 := func(kind string, id *string) {
		arns = append(arns, fmt.Sprintf("arn:aws:ec2:%s:%s:%s/%s", region, emulator.Account, kind, *id))
	}
	addresses, err := c.ec2.DescribeAddresses(alive, &ec2.DescribeAddressesInput{Filters: ours})
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addresses.Addresses {
		ofEC2("elastic-ip", a.AllocationId)
	}
	endpoints, err := c.ec2.DescribeVpcEndpoints(alive, &ec2.DescribeVpcEndpointsInput{Filters: ours})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range endpoints.VpcEndpoints {
		if !strings.EqualFold(string(e.State), string(ec2types.StateDeleted)) { // moto writes it small
			ofEC2("vpc-endpoint", e.VpcEndpointId)
		}
	}
	slices.Sort(arns)
	return slices.DeleteFunc(arns, c.gone)
}

// gone tells whether what an ARN names is one of those that bear their tags for a while after they
// were deleted.
func (c *clients) gone(arn string) bool {
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

// noOrphans wants all that bears the stack's tags to be in its state.
func (s *site) noOrphans(t *testing.T, after string) {
	t.Helper()
	if left := s.orphans(t); len(left) > 0 {
		t.Errorf("after %s, the state does not know of\n\t%s", after, strings.Join(left, "\n\t"))
	}
}

// remove removes what ARNs name, by the call that deletes its kind; what others stand on goes after
// them.
func (s *site) remove(t *testing.T, arns ...string) {
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
			t.Fatalf("cannot be removed: %v", errors.Join(why...))
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
		err = fmt.Errorf("nobody knows how to remove a %s", kind)
	}
	return err
}

// kindOf is the kind of resource that an ARN names.
func kindOf(arn string) string {
	parts := strings.SplitN(arn, ":", 6) // arn:aws:SERVICE:REGION:ACCOUNT:KIND/ID
	if parts[2] == "s3" {
		return "s3"
	}
	kind, _, _ := strings.Cut(parts[5], "/")
	kind, _, _ = strings.Cut(kind, ":")
	return kind
}

// kinds says how many there are of which kind.
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

// ---- What the user sees -------------------------------------------------------------------------

// fails runs a deployment that has to fail, and have these texts in what it says.
func (s *site) fails(t *testing.T, says ...string) string {
	t.Helper()
	out, err := s.cdktf(t, "deploy", "--auto-approve")
	wantFailure(t, out, err, says...)
	return out
}

// The lines of a stack trace, Node's or Go's.
var traces = regexp.MustCompile(`(?m)^\s*(at \S.*:\d+:\d+\)?|goroutine \d+ \[|panic: )`)

func wantFailure(t *testing.T, out string, err error, says ...string) {
	t.Helper()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Errorf("it ended with %v, want exit status 1", err)
	}
	for _, text := range says {
		if !strings.Contains(out, text) {
			t.Errorf("it does not say %q:\n%s", text, tail(out, 80))
		}
	}
	if trace := traces.FindString(out); trace != "" {
		t.Errorf("it shows a stack trace: %s", trace)
	}
}

// complaints are the errors that terraform tells, each once.
func complaints(out string) []string {
	var all []string
	for _, found := range complaint.FindAllStringSubmatch(out, -1) {
		if !slices.Contains(all, found[1]) {
			all = append(all, found[1])
		}
	}
	return all
}

var complaint = regexp.MustCompile(`(?m)^.*?(Error: .*)$`)

// ---- Interrupted --------------------------------------------------------------------------------

// A Ctrl-C: terraform ends in good order and knows all that it has made. What it was still waiting
// for, it takes for broken ("tainted"): it would put another one in its place, first and beside the
// old one for much of the network (createBeforeDestroy), and AWS refuses two subnets of one block.
// So they are untainted; the next deployment makes up what they lack.
func TestInterruptedDeploymentGoesOn(t *testing.T) {
	t.Parallel()
	s, p := newSmallSite(t, "{}")
	empty := s.holdings(t)

	within(t, "interrupted after CreateVpc", minute, func() string {
		s.interruptAfter(t, p, p.hold("CreateVpc", ""))
		s.noOrphans(t, "the interrupt")
		return "untainted " + strings.Join(s.untaint(t, ""), ", ")
	})

	const subnet = "aws_subnet.database_subnet_a"
	within(t, "interrupted after CreateSubnet, during CreateInternetGateway", minute, func() string {
		gateway := p.hold("CreateInternetGateway", "")
		s.interruptAfter(t, p, p.hold("CreateSubnet", "platform-dev-database-a"), gateway)
		// The provider breaks off its calls. What AWS did of one that was under way it never
		// learns.
		lost := s.orphans(t)
		if kinds(lost) != "1 internet-gateway" {
			t.Errorf("the state does not know of %v, want one internet gateway", lost)
		}
		s.remove(t, lost...)
		return "found by its tags and removed: " + kinds(lost) + "; untainted " +
			strings.Join(s.untaint(t, subnet), ", ") + "; left tainted " + subnet
	})

	within(t, "interrupted after CreateNatGateway and CreateLoadBalancer", minute, func() string {
		out := s.interruptAfter(t, p, p.hold("CreateNatGateway", ""), p.hold("CreateLoadBalancer", ""))
		s.noOrphans(t, "the interrupt")
		if !strings.Contains(out, "InvalidSubnet.Conflict") {
			t.Error("another one could take the place of a tainted subnet: the README says otherwise")
		}
		return "of the tainted subnet it says InvalidSubnet.Conflict; untainted " + strings.Join(s.untaint(t, ""), ", ")
	})

	if summary := s.converges(t, empty); !strings.HasSuffix(summary, " 0 destroyed") {
		t.Errorf("the last deployment did %s", summary)
	}
}

// interruptAfter interrupts a deployment that has done what is held, and returns what it said. The
// answers come first, unless it is an internet gateway's.
func (s *site) interruptAfter(t *testing.T, p *proxy, holds ...*hold) string {
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
	// What has been answered is in the provider's hands within this time.
	time.Sleep(300 * time.Millisecond)
	// All of the group, as a terminal does.
	syscall.Kill(-d.cmd.Process.Pid, syscall.SIGINT)
	select {
	case <-d.over:
		wantFailure(t, d.text(), d.err, "Interrupt received.", "Gracefully shutting down...", "failed with exit code 1")
		if strings.Contains(d.text(), "AbortError") {
			t.Error("cdktf gave up before terraform had ended")
		}
	case <-time.After(2 * time.Minute):
		t.Fatalf("it goes on two minutes after the interrupt:\n%s", tail(d.text(), 60))
	}
	return d.text()
}

// untaint untaints all that the state has tainted, but for one, as the README tells, and returns
// it.
func (s *site) untaint(t *testing.T, except string) []string {
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

// converges deploys once more, wants all to stand once and nothing to be left to do, and takes it
// down. It returns what the deployment did.
func (s *site) converges(t *testing.T, empty holdings) (summary string) {
	t.Helper()
	within(t, "deployed again", 3*minute, func() string {
		summary = summaryOf(t, s.deploy(t))
		return summary
	})
	within(t, "nothing to change", minute, func() string { return s.nothingToChange(t) })
	s.noOrphans(t, "the deployment")
	s.leaves(t, empty)
	return summary
}

// leaves takes the site down, and wants nothing to be left that bears its tags.
func (s *site) leaves(t *testing.T, empty holdings) {
	t.Helper()
	within(t, "the destruction", 2*minute, func() string { return s.goes(t, empty) })
	if left := s.tagged(t); len(left) > 0 {
		t.Errorf("after the destruction there is\n\t%s", strings.Join(left, "\n\t"))
	}
}

// ---- Killed -------------------------------------------------------------------------------------

// victim is a resource that AWS has made, and terraform was killed before it knew.
type victim struct {
	action, about string // of the call that is held when the kill comes
	address       string

	// says is what the next deployment says of it. Empty: nothing, it makes a second one.
	says string

	// id is what it is imported by. One of which there is a second is removed, by its tags.
	id func(*testing.T, *site) string
}

// Each kill comes when the emulator has done all of these and terraform knows of none.
var kills = [][]victim{
	{
		{action: "CreateVpc", address: "aws_vpc.vpc"},
		{action: "CreateKey", address: "aws_kms_key.logs_key"},
		{
			action:  "CreateBucket",
			address: "aws_s3_bucket.access_logs_bucket",
			says:    "BucketAlreadyOwnedByYou",
			id:      literally("platform-dev-access-logs-" + emulator.Account + "-eu-central-1"),
		},
		{
			action:  "CreateRole",
			address: "aws_iam_role.flow_log_role",
			says:    "EntityAlreadyExists",
			id:      literally("platform-dev-eu-central-1-flow-logs"),
		},
	},
	{
		{
			action:  "CreateSubnet",
			about:   "platform-dev-database-a",
			address: "aws_subnet.database_subnet_a",
			says:    "InvalidSubnet.Conflict",
			id:      byName("subnet", "platform-dev-database-a", ""),
		},
		{
			action:  "CreateSecurityGroup",
			address: "aws_security_group.load_balancer_security_group",
			says:    "InvalidGroup.Duplicate",
			id:      byName("security-group", "platform-dev-load-balancer", ""),
		},
		{action: "CreateInternetGateway", address: "aws_internet_gateway.internet_gateway"},
	},
	{
		{action: "AllocateAddress", address: "aws_eip.nat_address_a"},
		{
			action:  "CreateRoute",
			address: "aws_route.public_default_route",
			says:    "RouteAlreadyExists",
			id:      byName("route-table", "platform-dev-public", "_0.0.0.0/0"),
		},
		{
			action:  "CreateLoadBalancer",
			address: "aws_lb.load_balancer",
			says:    "already exists",
			id:      balancerARN,
		},
	},
	{
		{
			action:  "CreateNatGateway",
			address: "aws_nat_gateway.nat_gateway_a",
			says:    "Resource.AlreadyAssociated",
			id:      byName("natgateway", "platform-dev-a", ""),
		},
	},
}

func literally(id string) func(*testing.T, *site) string {
	return func(*testing.T, *site) string { return id }
}

// byName finds the one that bears a name, of a kind of EC2's.
func byName(kind, name, suffix string) func(*testing.T, *site) string {
	return func(t *testing.T, s *site) string {
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
		// moto tells the tags also of what has been deleted.
		for _, arn := range s.tagged(t) {
			id := arn[strings.LastIndexByte(arn, '/')+1:]
			if kindOf(arn) == kind && slices.ContainsFunc(tags.Tags, func(tag ec2types.TagDescription) bool {
				return *tag.ResourceId == id
			}) {
				ids = append(ids, id)
			}
		}
		if len(ids) != 1 {
			t.Fatalf("of %s named %s there are %v", kind, name, ids)
		}
		return ids[0] + suffix
	}
}

func balancerARN(t *testing.T, s *site) string {
	t.Helper()
	all, err := s.clients("eu-central-1").elb.DescribeLoadBalancers(alive, &elb.DescribeLoadBalancersInput{
		Names: []string{"platform-dev"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return *all.LoadBalancers[0].LoadBalancerArn
}

// A kill, of cdktf and terraform at once. All that was being made is unknown to the state: of what
// has a name of its own, or a place that is taken, the next deployment says so, and it is imported;
// of the rest there would be two, and the first is found by its tags and removed.
func TestKilledDeploymentIsMadeGood(t *testing.T) {
	t.Parallel()
	s, p := newSmallSite(t, "{}")
	empty := s.holdings(t)
	for _, victims := range kills {
		s.killAt(t, p, victims)
	}
	s.converges(t, empty)
}

func (s *site) killAt(t *testing.T, p *proxy, victims []victim) {
	t.Helper()
	var actions, targets []string
	var holds []*hold
	for _, v := range victims {
		actions = append(actions, v.action)
		targets = append(targets, "-target="+v.address)
		holds = append(holds, p.hold(v.action, v.about))
	}
	within(t, "killed during "+strings.Join(actions, ", "), minute, func() string {
		// Asked twice for the same listener, AWS answers with the first, and moto makes a second:
		// so none is made beside the others.
		p.refuse("elasticloadbalancing", "CreateListener")
		defer p.calm()
		s.begin(t, holds...).kill(t)
		return "unknown to the state: " + kinds(s.orphans(t))
	})
	var out string
	within(t, "the next deployment", minute, func() string {
		// Of what was lost alone: what else there is to be made would take its time, and say
		// nothing.
		out, _ = s.terraform(t, append([]string{"apply", "-auto-approve", "-no-color"}, targets...)...)
		return strings.Join(complaints(out), " | ")
	})
	within(t, "the way out", minute, func() string {
		var did []string
		for _, v := range victims {
			made := strings.Contains(out, v.address+": Creation complete")
			switch {
			case v.says == "" && made:
				did = append(did, "a second "+v.address)
				continue
			case v.says == "" || made || !strings.Contains(out, v.says):
				t.Errorf("%s: want %q (if empty: a second one), have\n%s", v.address, v.says, tail(out, 60))
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
		return strings.Join(did, ", ") + "; removed " + kinds(left)
	})
	s.noOrphans(t, "the way out")
}

// ---- A state in S3 ------------------------------------------------------------------------------

// A lock that nobody holds any more, and a state that could not be written: the two that a state in
// S3 brings with it.
func TestStateInS3IsUnlockedAndPushed(t *testing.T) {
	t.Parallel()
	s, p := newSmallSite(t, "state: {backend: s3, bucket: platform-states, region: eu-central-1}")
	empty := s.holdings(t)

	within(t, "killed during CreateVpc", minute, func() string {
		s.begin(t, p.hold("CreateVpc", ""), p.hold("CreateKey", ""), p.hold("CreateBucket", ""),
			p.hold("CreateRole", "")).kill(t)
		return "unknown to the state: " + kinds(s.orphans(t))
	})
	within(t, "the next deployment", minute, func() string { return s.unlock(t) })
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
		p.calm()
		return strings.Join(complaints(d.text()), " | ")
	})
	within(t, "the way out", minute, func() string {
		says := s.unlock(t)
		if out, err := s.terraform(t, "state", "push", "errored.tfstate"); err != nil {
			t.Errorf("terraform state push: %v\n%s", err, out)
		}
		s.noOrphans(t, "the push of the state")
		return says + "; pushed; untainted " + strings.Join(s.untaint(t, ""), ", ")
	})
	s.converges(t, empty)
}

// unlock wants a deployment to say that the state is locked, unlocks it with the ID that it names,
// and returns what it said.
func (s *site) unlock(t *testing.T) string {
	t.Helper()
	out := s.fails(t, "Error acquiring the state lock")
	id := lockID.FindStringSubmatch(out)
	if id == nil {
		t.Fatalf("it does not name the lock:\n%s", tail(out, 40))
	}
	if out, err := s.terraform(t, "force-unlock", "-force", id[1]); err != nil {
		t.Fatalf("terraform force-unlock %s: %v\n%s", id[1], err, out)
	}
	return strings.Join(complaints(out), " | ") + "; unlocked"
}

var lockID = regexp.MustCompile(`(?m)^.*\bID: +(\S+)$`)

// ---- Disturbed ----------------------------------------------------------------------------------

// seed decides what befalls which call. Another one is another bad day.
const seed = 20261123

// The provider's own retries carry a deployment through a bad day.
func TestDisturbedDeploymentConverges(t *testing.T) {
	t.Parallel()
	s, p := newSmallSite(t, "{}")
	empty := s.holdings(t)
	// As it is shipped, with as many retries as the provider makes by itself.
	if err := os.Remove(filepath.Join(s.stack, emulator.OverrideName)); err != nil {
		t.Fatal(err)
	}
	p.disturb(seed, 0.08)
	s.converges(t, empty)
	fmt.Printf("%s: seed %d: %s\n", t.Name(), seed, p.report())
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, kind := range []string{throttled, serverError, unavailable, droppedBefore, droppedAfter} {
		if p.faults[kind] == 0 {
			t.Errorf("nothing was %s", kind)
		}
	}
}

// ---- Refused ------------------------------------------------------------------------------------

// The user is told in one sentence what was refused, of what, and by which right; and what stands
// then can be gone on with or taken down.
func TestRefusedDeploymentIsToldAndCanBeLeftOrFinished(t *testing.T) {
	t.Parallel()
	s, p := newSmallSite(t, "{}")
	empty := s.holdings(t)

	within(t, "with an expired token", minute, func() string {
		p.expire()
		defer p.calm()
		out := s.fails(t, "ExpiredToken: The security token included in the request is expired")
		return strings.Join(complaints(out), " | ")
	})
	refusedBalancer := func() string {
		p.refuse("elasticloadbalancing", "CreateLoadBalancer")
		defer p.calm()
		out := s.fails(t, "is not authorized to perform: elasticloadbalancing:CreateLoadBalancer",
			"with aws_lb.load_balancer")
		s.noOrphans(t, "the refusal")
		return strings.Join(complaints(out), " | ")
	}
	within(t, "CreateLoadBalancer refused", minute, refusedBalancer)
	s.leaves(t, empty)
	within(t, "CreateLoadBalancer refused again", minute, refusedBalancer)
	s.converges(t, empty)
}
