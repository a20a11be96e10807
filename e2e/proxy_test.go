//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"log"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	"platform/internal/emulator"
)

// proxy is a proxy between terraform and the emulator of a sandbox that causes faults as AWS and
// the network do. The clients of the tests do not use it.
type proxy struct {
	server  *httptest.Server
	forward *httputil.ReverseProxy

	mu       sync.Mutex
	seed     uint64
	share    float64 // of the calls that have a fault
	refusals []refusal
	holds    []*hold
	frozen   chan struct{}  // nil, or closed when new calls may continue
	under    int            // calls that are being forwarded
	seen     map[string]int // calls, by name
	faults   map[string]int // by kind
}

// newProxy puts a proxy before the emulator of a sandbox. It ends with the test, and causes no
// faults at first.
func newProxy(t *testing.T, s *sandbox) *proxy {
	t.Helper()
	target, err := url.Parse(s.server.URL)
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{seen: map[string]int{}, faults: map[string]int{}}
	p.forward = &httputil.ReverseProxy{
		Rewrite:        func(r *httputil.ProxyRequest) { r.SetURL(target) },
		ModifyResponse: p.answered,
		// AWS never sends the proxy's own error response, so close the connection instead.
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
		ErrorLog:     log.New(io.Discard, "", 0),
	}
	p.server = httptest.NewServer(p)
	t.Cleanup(p.server.CloseClientConnections)
	t.Cleanup(p.server.Close)
	s.url = p.server.URL
	return p
}

// The kinds of faults.
const (
	throttled     = "throttled"
	serverError   = "500"
	unavailable   = "503"
	droppedBefore = "dropped before it arrived"
	droppedAfter  = "answer lost"
	refused       = "refused"
	expired       = "expired token"

	// Not errors of AWS: a function fails, or succeeds without being called.
	failedFunction   = "function failed"
	answeredFunction = "function not called"
)

// injectFaults causes faults in a share of the calls. The fault of the nth call of an action
// depends only on the seed, not on the order of calls.
func (p *proxy) injectFaults(seed uint64, share float64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seed, p.share = seed, share
}

// refusal is an error for the calls of an action.
type refusal struct {
	fault           string
	service, action string // empty: any
	about           string // part of the call's text; empty: any
	times           int    // how many calls; 0: all
}

// refuse denies an action with AWS's error for a missing permission.
func (p *proxy) refuse(service, action string) {
	p.set(refusal{fault: refused, service: service, action: action})
}

// expire denies all calls with AWS's error for an expired token.
func (p *proxy) expire() { p.set(refusal{fault: expired}) }

// clearFaults removes all faults.
func (p *proxy) clearFaults() {
	p.injectFaults(0, 0)
	p.set()
}

func (p *proxy) set(refusals ...refusal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refusals = refusals
}

// hold delays the response to a call that the emulator has completed.
type hold struct {
	action, about string

	// done is closed when the emulator has completed the call and terraform has no response yet.
	done chan struct{}

	free chan struct{}
	once sync.Once
}

// hold delays the response to the next call of an action whose form or path contains about, such as
// the value of a Name tag, until it is released or the caller has gone.
func (p *proxy) hold(action, about string) *hold {
	h := &hold{action: action, about: about, done: make(chan struct{}), free: make(chan struct{})}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.holds = append(p.holds, h)
	return h
}

func (h *hold) release() { h.once.Do(func() { close(h.free) }) }

// freeze blocks new calls to the emulator, and returns when all forwarded calls but the held ones
// have their response. A blocked call whose caller gives up is never forwarded.
func (p *proxy) freeze(t *testing.T, held int) {
	t.Helper()
	p.mu.Lock()
	if p.frozen == nil {
		p.frozen = make(chan struct{})
	}
	p.mu.Unlock()
	waitFor(t, "the calls under way to be answered", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.under <= held
	})
}

// thaw ends a freeze.
func (p *proxy) thaw() {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.frozen)
	p.frozen = nil
}

// enter waits for the end of a freeze, and reports whether the caller is still waiting.
func (p *proxy) enter(ctx context.Context) bool {
	for {
		p.mu.Lock()
		frozen := p.frozen
		if frozen == nil {
			p.under++
			p.mu.Unlock()
			return true
		}
		p.mu.Unlock()
		select {
		case <-frozen:
		case <-ctx.Done():
			return false
		}
	}
}

func (p *proxy) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.under--
}

// report returns the number of calls and of faults.
func (p *proxy) report() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	all, text := 0, ""
	for _, n := range p.seen {
		all += n
	}
	for _, kind := range slices.Sorted(maps.Keys(p.faults)) {
		text += fmt.Sprintf(", %d %s", p.faults[kind], kind)
	}
	return fmt.Sprintf("%d calls%s", all, text)
}

func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c, err := callOf(r)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if !p.enter(r.Context()) {
		panic(http.ErrAbortHandler)
	}
	defer p.leave()
	switch fault := p.chooseFault(c); fault {
	case "", droppedAfter:
		p.forward.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), passing{}, passing{c, fault})))
	case droppedBefore:
		panic(http.ErrAbortHandler)
	default:
		c.refuse(w, fault)
	}
}

// passing is the context value of a forwarded call.
type passing struct {
	call  call
	fault string
}

// chooseFault chooses the fault of a call; "" for none.
func (p *proxy) chooseFault(c call) (fault string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen[c.name()]++
	defer func() {
		if fault != "" {
			p.faults[fault]++
		}
	}()
	for i, r := range p.refusals {
		if (r.service == "" || r.service == c.service) && (r.action == "" || r.action == c.action) &&
			strings.Contains(c.text, r.about) {
			if r.times == 1 {
				p.refusals = slices.Delete(slices.Clone(p.refusals), i, i+1)
			} else if r.times > 1 {
				p.refusals[i].times--
			}
			return r.fault
		}
	}
	h := fnv.New64a()
	fmt.Fprint(h, c.name(), p.seen[c.name()])
	chance := rand.New(rand.NewPCG(p.seed, h.Sum64()))
	if chance.Float64() >= p.share {
		return ""
	}
	kinds := []string{throttled, serverError, unavailable, droppedBefore}
	// When a response is lost, the SDK repeats the call. That is harmless for reads and for
	// idempotent writes, but CreateVpc would create a second VPC that is in no state, because it
	// has no idempotency token. The tests of killed deployments show how to recover from that.
	if c.repeatable() {
		kinds = append(kinds, droppedAfter)
	}
	return kinds[chance.IntN(len(kinds))]
}

// answered handles the response to a forwarded call.
func (p *proxy) answered(r *http.Response) error {
	passed := r.Request.Context().Value(passing{}).(passing)
	if passed.fault == droppedAfter {
		return errors.New(droppedAfter)
	}
	if h := p.takeHold(passed.call); h != nil && r.StatusCode < 300 {
		close(h.done)
		select {
		case <-h.free:
		case <-r.Request.Context().Done():
		}
	}
	return nil
}

func (p *proxy) takeHold(c call) *hold {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.IndexFunc(p.holds, func(h *hold) bool {
		return h.action == c.action && strings.Contains(c.text, h.about)
	})
	if i < 0 {
		return nil
	}
	h := p.holds[i]
	p.holds = slices.Delete(p.holds, i, i+1)
	return h
}

// ---- Calls --------------------------------------------------------------------------------------

// call describes a request to AWS's API.
type call struct {
	service, action string

	// protocol is AWS's protocol for errors: ec2, query, json, s3 or rest.
	protocol string

	// text distinguishes calls of an action: its form, its JSON, or its path.
	text string
}

func (c call) name() string { return c.service + ":" + c.action }

// callOf parses a request, which can be forwarded afterwards.
func callOf(r *http.Request) (call, error) {
	// Credential=KEY/DAY/REGION/SERVICE/aws4_request
	_, scope, _ := strings.Cut(r.Header.Get("Authorization"), "Credential=")
	scope, _, _ = strings.Cut(scope, ",")
	c := call{protocol: "rest", text: r.URL.RequestURI()}
	if parts := strings.Split(scope, "/"); len(parts) == 5 {
		c.service = parts[3]
	}
	// Always read the whole body: the server notices that a client is gone only after the end of
	// the body.
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return call{}, err
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	switch target := r.Header.Get("X-Amz-Target"); {
	case target != "":
		c.protocol, c.action = "json", target[strings.LastIndexByte(target, '.')+1:]
		c.text = string(body)
	case strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded"):
		form, err := url.ParseQuery(string(body))
		if err != nil {
			return call{}, err
		}
		c.protocol, c.action = "query", form.Get("Action")
		if c.text, err = url.QueryUnescape(string(body)); err != nil {
			return call{}, err
		}
	case c.service == "s3":
		c.protocol, c.action = "s3", bucketAction(r)
	default:
		c.action = r.Method + " " + r.URL.Path
	}
	if c.service == "ec2" {
		c.protocol = "ec2"
	}
	return c, nil
}

// bucketAction returns the name of the one S3 action that tests use, CreateBucket. Other actions
// are nameAndID by method, path and subresource.
func bucketAction(r *http.Request) string {
	bucket := !strings.Contains(strings.Trim(r.URL.Path, "/"), "/")
	part, _, _ := strings.Cut(r.URL.RawQuery, "=")
	if part == "x-id" { // added by the SDK
		part = ""
	}
	if bucket && part == "" && r.Method == http.MethodPut {
		return "CreateBucket"
	}
	return strings.TrimSuffix(r.Method+" "+r.URL.Path+"?"+part, "?")
}

// repeatable reports whether a call can be repeated without harm.
func (c call) repeatable() bool {
	for _, verb := range []string{
		"Describe", "Get", "List", "Head", "Modify", "Put", "Set", "Tag", "CreateTags", "GET ", "HEAD ",
	} {
		if strings.HasPrefix(c.action, verb) {
			return true
		}
	}
	return c.protocol == "s3" && strings.HasPrefix(c.action, "PUT ")
}

// refuse responds with an error in the format of the AWS service.
func (c call) refuse(w http.ResponseWriter, fault string) {
	if fault == failedFunction || fault == answeredFunction {
		c.answerInvocation(w, fault == failedFunction)
		return
	}
	e := c.error(fault)
	switch c.protocol {
	case "ec2":
		w.Header().Set("Content-Type", "text/xml")
		w.WriteHeader(e.status)
		fmt.Fprintf(w, "<Response><Errors><Error><Code>%s</Code><Message>%s</Message></Error></Errors>"+
			"<RequestID>of-the-proxy</RequestID></Response>", e.code, e.message)
	case "query":
		w.Header().Set("Content-Type", "text/xml")
		w.WriteHeader(e.status)
		fmt.Fprintf(w, "<ErrorResponse><Error><Type>Sender</Type><Code>%s</Code><Message>%s</Message></Error>"+
			"<RequestId>of-the-proxy</RequestId></ErrorResponse>", e.code, e.message)
	case "s3":
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(e.status)
		fmt.Fprintf(w, "<Error><Code>%s</Code><Message>%s</Message><RequestId>of-the-proxy</RequestId></Error>",
			e.code, e.message)
	default:
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		w.Header().Set("X-Amzn-Errortype", e.code)
		w.WriteHeader(e.status)
		fmt.Fprintf(w, `{"__type": %q, "message": %q}`, e.code, e.message)
	}
}

// answerInvocation responds as Lambda does for a function that failed, or succeeded.
func (c call) answerInvocation(w http.ResponseWriter, failed bool) {
	body := "{}"
	if failed {
		w.Header().Set("X-Amz-Function-Error", "Unhandled")
		body = `{"errorMessage": "the database does not answer", "errorType": "errorString"}`
	}
	w.Header().Set("X-Amz-Executed-Version", "$LATEST")
	w.WriteHeader(http.StatusOK)
	fmt.Fprint(w, body)
}

type awsError struct {
	status        int
	code, message string
}

// error returns the error of an AWS service for a fault.
func (c call) error(fault string) awsError {
	denied := "User: arn:aws:iam::" + emulator.Account + ":user/deployer is not authorized to perform: " + c.name() +
		" on resource: *"
	errors := map[string]map[string]awsError{
		throttled: {
			"ec2":   {503, "RequestLimitExceeded", "Request limit exceeded."},
			"query": {400, "Throttling", "Rate exceeded"},
			"json":  {400, "ThrottlingException", "Rate exceeded"},
			"s3":    {503, "SlowDown", "Please reduce your request rate."},
			"rest":  {429, "TooManyRequestsException", "Rate exceeded"},
		},
		refused: {
			"ec2":   {403, "UnauthorizedOperation", "You are not authorized to perform this operation. " + denied},
			"query": {403, "AccessDenied", denied},
			"json":  {400, "AccessDeniedException", denied},
			"s3":    {403, "AccessDenied", denied},
			"rest":  {403, "AccessDeniedException", denied},
		},
		expired: {
			"ec2":   {400, "RequestExpired", "Request has expired."},
			"query": {403, "ExpiredToken", "The security token included in the request is expired"},
			"json":  {400, "ExpiredTokenException", "The security token included in the request is expired"},
			"s3":    {400, "ExpiredToken", "The provided token has expired."},
			"rest":  {403, "ExpiredTokenException", "The security token included in the request is expired"},
		},
	}
	if e, ok := errors[fault][c.protocol]; ok {
		return e
	}
	if fault == unavailable {
		return awsError{503, "ServiceUnavailable", "The request has failed due to a temporary failure of the server."}
	}
	return awsError{500, "InternalError", "An internal error has occurred."}
}

// ---- Test of the proxy --------------------------------------------------------------------------

// A fault proves something only if the SDK recognises it.
func TestProxyReturnsErrorsInEveryProtocol(t *testing.T) {
	p := &proxy{seen: map[string]int{}, faults: map[string]int{}}
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	config := emulator.Config(server.URL, "eu-central-1")
	config.Retryer = func() aws.Retryer { return aws.NopRetryer{} }
	ctx := t.Context()
	calls := []struct {
		name string
		make func() error
	}{
		{"ec2:CreateVpc", func() error {
			_, err := ec2.NewFromConfig(config).CreateVpc(ctx, &ec2.CreateVpcInput{
				CidrBlock: aws.String("10.0.0.0/16"),
			})
			return err
		}},
		{"elasticloadbalancing:CreateLoadBalancer", func() error {
			_, err := elb.NewFromConfig(config).CreateLoadBalancer(ctx, &elb.CreateLoadBalancerInput{
				Name: aws.String("a"),
			})
			return err
		}},
		{"kms:CreateKey", func() error {
			_, err := kms.NewFromConfig(config).CreateKey(ctx, &kms.CreateKeyInput{})
			return err
		}},
		{"s3:CreateBucket", func() error {
			_, err := s3.NewFromConfig(config).CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String("a")})
			return err
		}},
		{"s3:PUT /a?versioning", func() error {
			_, err := s3.NewFromConfig(config).PutBucketVersioning(ctx, &s3.PutBucketVersioningInput{
				Bucket:                  aws.String("a"),
				VersioningConfiguration: &s3types.VersioningConfiguration{},
			})
			return err
		}},
		{"lambda:GET /2015-03-31/functions/a", func() error {
			_, err := lambda.NewFromConfig(config).GetFunction(ctx, &lambda.GetFunctionInput{
				FunctionName: aws.String("a"),
			})
			return err
		}},
	}
	for _, c := range calls {
		t.Run(c.name, func(t *testing.T) {
			service, action, _ := strings.Cut(c.name, ":")
			for fault, is := range map[string]func(error) bool{
				throttled:     func(err error) bool { return isAny(retry.DefaultThrottles, err) },
				serverError:   func(err error) bool { return isAny(retry.DefaultRetryables, err) },
				unavailable:   func(err error) bool { return isAny(retry.DefaultRetryables, err) },
				droppedBefore: func(err error) bool { return isAny(retry.DefaultRetryables, err) },
				refused: func(err error) bool {
					return strings.Contains(err.Error(), "not authorized to perform: "+c.name)
				},
				expired: func(err error) bool {
					return strings.Contains(strings.ToLower(err.Error()), "expired")
				},
			} {
				p.set(refusal{fault: fault, service: service, action: action})
				err := c.make()
				var api smithy.APIError
				if err == nil || !is(err) || fault != droppedBefore && !errors.As(err, &api) {
					t.Errorf("%s: the SDK returns %v", fault, err)
				}
			}
		})
	}
}

// isAny reports whether one of the SDK's checks recognises an error.
func isAny[T interface{ ~[]E }, E any](checks T, err error) bool {
	for _, check := range checks {
		switch check := any(check).(type) {
		case retry.IsErrorThrottle:
			if check.IsErrorThrottle(err) == aws.TrueTernary {
				return true
			}
		case retry.IsErrorRetryable:
			if check.IsErrorRetryable(err) == aws.TrueTernary {
				return true
			}
		}
	}
	return false
}
