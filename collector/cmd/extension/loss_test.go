package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"neuro-preprocess/collector/internal/lambdatest"
)

// environment is one execution environment with the real binary in it.
type environment struct {
	t      *testing.T
	lambda *lambdatest.Lambda
	sink   *lambdatest.Sink
	bucket *lambdatest.Bucket
	otlp   string
	dir    string
	cmd    *exec.Cmd
	out    bytes.Buffer
	name   string
	acked  map[string]bool
	serial int
}

func newEnvironment(t *testing.T) *environment {
	t.Helper()
	return &environment{
		t: t, name: "env", sink: lambdatest.NewSink(t), otlp: lambdatest.FreeAddress(t), dir: t.TempDir(), acked: map[string]bool{},
	}
}

// start begins with a new platform and a new process, as a reset does; the spool is that of the one before.
func (e *environment) start() {
	e.t.Helper()
	e.lambda = lambdatest.NewLambda(e.t)
	config := fmt.Sprintf("yaml:{receivers: {otlp: {protocols: {http: {endpoint: %q}}}}, exporters: {otlp_http: {endpoint: %q}}, "+
		"service: {pipelines: {traces: {receivers: [otlp], exporters: [otlp_http]}}}}", e.otlp, e.sink.URL())
	e.cmd = exec.Command(binary)
	e.cmd.Env = []string{
		"AWS_LAMBDA_RUNTIME_API=" + e.lambda.Address(), "AWS_SAM_LOCAL=true", "OTEL_LAMBDA_SPOOL_DIR=" + e.dir,
		"OPENTELEMETRY_COLLECTOR_CONFIG_URI=" + config,
	}
	if e.bucket != nil {
		e.cmd.Env = append(e.cmd.Env, "OTEL_LAMBDA_HANDOFF_URI=s3://bucket/telemetry", "AWS_ENDPOINT_URL_S3="+e.bucket.URL(),
			"AWS_REGION=eu-west-1", "AWS_LAMBDA_FUNCTION_NAME=f", "AWS_ACCESS_KEY_ID=an-id", "AWS_SECRET_ACCESS_KEY=a-secret")
	}
	e.cmd.Stdout, e.cmd.Stderr = &e.out, &e.out
	if err := e.cmd.Start(); err != nil {
		e.t.Fatal(err)
	}
	process := e.cmd.Process
	e.t.Cleanup(func() { _ = process.Kill() })
	e.lambda.AwaitNext(5 * time.Second)
}

func (e *environment) signal(s syscall.Signal) {
	e.t.Helper()
	if err := e.cmd.Process.Signal(s); err != nil {
		e.t.Fatal(err)
	}
}

func (e *environment) kill() {
	e.t.Helper()
	e.signal(syscall.SIGKILL)
	_ = e.cmd.Wait()
}

// post hands a span of its own in, and notes it if it was acknowledged.
func (e *environment) post(ending string) {
	e.t.Helper()
	e.serial++
	name := fmt.Sprintf("%s-%05d", e.name, e.serial)
	td := ptrace.NewTraces()
	span := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	span.SetName(name)
	span.SetTraceID(pcommon.TraceID{1})
	span.SetSpanID(pcommon.SpanID{byte(e.serial), byte(e.serial >> 8), 1})
	span.SetStartTimestamp(1)
	span.SetEndTimestamp(2)
	marshaler := ptrace.ProtoMarshaler{}
	request, err := marshaler.MarshalTraces(td)
	if err != nil {
		e.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(e.t.Context(), 5*time.Second)
	defer cancel()
	post, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+e.otlp+"/v1/traces", bytes.NewReader(request))
	if err != nil {
		e.t.Fatal(err)
	}
	post.Header.Set("Content-Type", "application/x-protobuf")
	if ending != "" {
		post.Header.Set("Lambda-Otel-End", "1")
		post.Header.Set("Lambda-Otel-Invocation", ending)
	}
	answer, err := http.DefaultClient.Do(post)
	if err != nil {
		return
	}
	_ = answer.Body.Close()
	e.acked[name] = answer.StatusCode == http.StatusOK
}

// stop ends the environment in peace.
func (e *environment) stop() {
	e.t.Helper()
	e.lambda.Shutdown("spindown")
	if err := e.cmd.Wait(); err != nil {
		e.t.Errorf("the extension ended with %v", err)
	}
}

// assertNoneMissing compares what was acknowledged with what arrived, each span by its name.
func (e *environment) assertNoneMissing(got map[string]int) {
	e.t.Helper()
	acked, missing, twice := 0, 0, 0
	for name, isAcked := range e.acked {
		if isAcked {
			acked++
		}
		if isAcked && got[name] == 0 {
			missing++
		}
		if got[name] > 1 {
			twice++
		}
	}
	e.t.Logf("%s: %d acknowledged, %d missing, %d came more than once", e.name, acked, missing, twice)
	if missing > 0 || acked == 0 {
		e.t.Errorf("%d of %d acknowledged spans are missing; printed: %s", missing, acked, e.out.String())
	}
}

func TestNothingIsLostWhenTheExtensionIsKilled(t *testing.T) {
	e := newEnvironment(t)
	random := rand.New(rand.NewPCG(1, 2))
	e.start()
	for range 12 {
		status := []int{200, 200, 503}[random.IntN(3)]
		e.sink.Answer(func(string, int) lambdatest.Answer {
			return lambdatest.Answer{Status: status, Hang: time.Duration(random.IntN(2)) * time.Millisecond}
		})
		for range random.IntN(30) {
			id := e.lambda.Invoke(30 * time.Second)
			for range random.IntN(3) {
				e.post("")
			}
			e.post(id)
			e.lambda.AwaitNext(5 * time.Second)
		}
		// In the middle of an invocation, with a post right before.
		e.lambda.Invoke(30 * time.Second)
		e.post("")
		time.Sleep(time.Duration(random.IntN(3)) * time.Millisecond)
		e.kill()
		e.start()
	}
	e.sink.Answer(func(string, int) lambdatest.Answer { return lambdatest.Answer{} })
	e.stop()
	e.assertNoneMissing(e.sink.SpanCounts())
}

func TestNothingIsLostThroughFreezes(t *testing.T) {
	e := newEnvironment(t)
	random := rand.New(rand.NewPCG(3, 4))
	e.start()
	for i := range 12 {
		e.sink.Answer(func(string, int) lambdatest.Answer {
			return lambdatest.Answer{Hang: time.Duration(random.IntN(100)) * time.Millisecond}
		})
		id := e.lambda.Invoke(30 * time.Second)
		e.post("")
		e.post(id)
		e.lambda.AwaitNext(5 * time.Second)
		e.signal(syscall.SIGSTOP)
		if i%3 == 0 {
			// The backend forgets the connection meanwhile.
			e.sink.CloseConnections()
			time.Sleep(1100 * time.Millisecond)
		}
		e.signal(syscall.SIGCONT)
	}
	e.sink.Answer(func(string, int) lambdatest.Answer { return lambdatest.Answer{} })
	e.stop()
	e.assertNoneMissing(e.sink.SpanCounts())
}

func TestNothingIsLostOverManyEnvironments(t *testing.T) {
	const environments, invocations = 8, 125
	sink := lambdatest.NewSink(t)
	var wg sync.WaitGroup
	all := make([]*environment, environments)
	for n := range all {
		e := newEnvironment(t)
		e.sink, e.name = sink, fmt.Sprintf("env-%d", n)
		all[n] = e
		random := rand.New(rand.NewPCG(5, uint64(n)))
		e.start()
		wg.Go(func() {
			for range invocations {
				id := e.lambda.Invoke(30 * time.Second)
				for range random.IntN(2) {
					e.post("")
				}
				e.post(id)
				e.lambda.AwaitNext(10 * time.Second)
				e.signal(syscall.SIGSTOP)
				if random.IntN(60) == 0 {
					time.Sleep(1100 * time.Millisecond)
				}
				e.signal(syscall.SIGCONT)
			}
			e.stop()
		})
	}
	wg.Wait()
	got := sink.SpanCounts()
	for _, e := range all {
		e.assertNoneMissing(got)
	}
}

func TestNothingIsLostThroughABackendThatFailsInEveryWay(t *testing.T) {
	e := newEnvironment(t)
	e.start()
	run := func(invocations int) {
		for range invocations {
			id := e.lambda.Invoke(30 * time.Second)
			e.post(id)
			e.lambda.AwaitNext(10 * time.Second)
		}
	}
	for _, answer := range []lambdatest.Answer{
		{Status: 503},
		{Status: 429, Header: map[string]string{"Retry-After": "1"}},
		{Hang: 20 * time.Second},
		{Status: 500},
		{Status: 502, Hang: 50 * time.Millisecond},
	} {
		e.sink.Answer(func(string, int) lambdatest.Answer { return answer })
		run(40)
		time.Sleep(100 * time.Millisecond)
		e.sink.CloseConnections()
	}
	e.sink.Answer(func(string, int) lambdatest.Answer { return lambdatest.Answer{} })
	time.Sleep(1100 * time.Millisecond)
	run(3)
	e.stop()
	e.assertNoneMissing(e.sink.SpanCounts())
}

func TestNothingIsLostWhenEnvironmentsEndWithTheBackendDown(t *testing.T) {
	bucket := lambdatest.NewBucket(t)
	var all []*environment
	for n := range 3 {
		e := newEnvironment(t)
		e.bucket, e.name = bucket, fmt.Sprintf("env-%d", n)
		e.sink.Answer(func(string, int) lambdatest.Answer { return lambdatest.Answer{Hang: time.Minute} })
		e.start()
		for range 20 {
			id := e.lambda.Invoke(30 * time.Second)
			e.post(id)
			e.lambda.AwaitNext(10 * time.Second)
		}
		began := time.Now()
		e.stop()
		if took := time.Since(began); took > 1500*time.Millisecond {
			t.Errorf("the end took %v", took)
		}
		all = append(all, e)
	}
	got := map[string]int{}
	for key, object := range bucket.Objects() {
		if !strings.HasPrefix(key, "bucket/telemetry/f/") {
			t.Errorf("an object at %s", key)
		}
		for _, request := range lambdatest.ReadBundle(t, object)[1] {
			unmarshaler := ptrace.ProtoUnmarshaler{}
			td, err := unmarshaler.UnmarshalTraces(request)
			if err != nil {
				t.Fatal(err)
			}
			for _, rs := range td.ResourceSpans().All() {
				for _, span := range rs.ScopeSpans().At(0).Spans().All() {
					got[span.Name()]++
				}
			}
		}
	}
	for _, e := range all {
		e.assertNoneMissing(got)
	}
}
