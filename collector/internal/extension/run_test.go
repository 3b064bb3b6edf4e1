package extension

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.uber.org/zap/zapcore"

	"neuro-preprocess/collector/internal/lambdatest"
	"neuro-preprocess/collector/internal/lifecycle"
	"neuro-preprocess/collector/internal/logline"
)

// running is an extension under test, in this process.
type running struct {
	t      *testing.T
	lambda *lambdatest.Lambda
	sink   *lambdatest.Sink
	bucket *lambdatest.Bucket
	env    map[string]string
	otlp   string
	dir    string

	out    lines
	cancel context.CancelFunc
	done   chan error
}

// lines collects what is printed.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// prepare makes all that surrounds an extension, with a configuration of the kind that users write.
func prepare(t *testing.T) *running {
	t.Helper()
	r := &running{
		t: t, lambda: lambdatest.NewLambda(t), sink: lambdatest.NewSink(t), bucket: lambdatest.NewBucket(t),
		otlp: lambdatest.FreeAddress(t), dir: t.TempDir(),
	}
	config := fmt.Sprintf(`yaml:
receivers: {otlp: {protocols: {http: {endpoint: "%s"}}}, lambda_platform: {}}
exporters: {otlp_http: {endpoint: "%s"}}
service:
  pipelines:
    traces: {receivers: [otlp, lambda_platform], exporters: [otlp_http]}
    metrics: {receivers: [otlp, lambda_platform], exporters: [otlp_http]}
    logs: {receivers: [otlp, lambda_platform], exporters: [otlp_http]}
`, r.otlp, r.sink.URL())
	r.env = map[string]string{
		"AWS_SAM_LOCAL":                      "true",
		"OPENTELEMETRY_COLLECTOR_CONFIG_URI": config,
		"AWS_LAMBDA_FUNCTION_NAME":           "f",
		"AWS_REGION":                         "eu-west-1",
		"AWS_ACCESS_KEY_ID":                  "an-id",
		"AWS_SECRET_ACCESS_KEY":              "a-secret",
		"AWS_ENDPOINT_URL_S3":                r.bucket.URL(),
		envSpoolDir:                          r.dir,
	}
	return r
}

func (r *running) start() *running {
	r.t.Helper()
	r.env[envRuntimeAPI] = r.lambda.Address()
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel, r.done = cancel, make(chan error, 1)
	done, ended := r.done, make(chan struct{})
	go func() {
		defer close(ended)
		done <- Run(ctx, "collector", func(name string) string { return r.env[name] }, logline.New(&r.out, zapcore.WarnLevel))
	}()
	r.t.Cleanup(func() {
		cancel()
		select { // it may still write into a folder that is about to be removed
		case <-ended:
		case <-time.After(3 * time.Second):
		}
	})
	return r
}

// restart begins the next life of the environment, with the same folder, on a platform of its own.
func (r *running) restart() *running {
	r.t.Helper()
	r.lambda = lambdatest.NewLambda(r.t)
	return r.start()
}

// awaitReady waits for the first request for an event.
func (r *running) awaitReady() *running {
	r.t.Helper()
	r.lambda.AwaitNext(5 * time.Second)
	return r
}

func (r *running) awaitExit(within time.Duration) time.Duration {
	r.t.Helper()
	began := time.Now()
	select {
	case err := <-r.done:
		if err != nil {
			r.t.Fatalf("the extension ended with %v", err)
		}
	case <-time.After(within):
		r.t.Fatalf("the extension did not end within %v", within)
	}
	return time.Since(began)
}

func spans(names ...string) ptrace.Traces {
	return lambdatest.Spans(names, func(i int, span ptrace.Span) {
		span.SetTraceID(pcommon.TraceID{1, byte(i)})
		var id pcommon.SpanID
		copy(id[:], span.Name())
		span.SetSpanID(id)
		span.SetStartTimestamp(1000)
		span.SetEndTimestamp(2000)
	})
}

// post hands telemetry in as the function's layer does; ending names the invocation that is over with it.
func (r *running) post(td ptrace.Traces, ending string) {
	r.t.Helper()
	marshaler := ptrace.ProtoMarshaler{}
	request, err := marshaler.MarshalTraces(td)
	if err != nil {
		r.t.Fatal(err)
	}
	r.postRequest("/v1/traces", request, ending)
}

func (r *running) postRequest(path string, request []byte, ending string) {
	r.t.Helper()
	post, err := http.NewRequest(http.MethodPost, "http://"+r.otlp+path, bytes.NewReader(request))
	if err != nil {
		r.t.Fatal(err)
	}
	post.Header.Set("Content-Type", "application/x-protobuf")
	if ending != "" {
		post.Header.Set("Lambda-Otel-End", "1")
		post.Header.Set("Lambda-Otel-Invocation", ending)
	}
	answer, err := http.DefaultClient.Do(post)
	if err != nil {
		r.t.Fatalf("hand telemetry in: %v", err)
	}
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		r.t.Fatalf("telemetry was answered with %d", answer.StatusCode)
	}
}

func (r *running) assertSpans(want ...string) {
	r.t.Helper()
	got := r.sink.SpanCounts()
	for _, name := range want {
		if got[name] != 1 {
			r.t.Errorf("span %q came %d times, want once; all: %v", name, got[name], got)
		}
	}
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(3 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if holds() {
			return
		}
	}
	t.Fatalf("did not come true within 3 s: %s", what)
}

func TestRunRegistersBeforeAllElse(t *testing.T) {
	r := prepare(t).start().awaitReady()
	calls := r.lambda.Calls()
	if calls[0] != "/2020-01-01/extension/register" || calls[len(calls)-1] != "/2020-01-01/extension/event/next" {
		t.Errorf("calls were %v", calls)
	}
	if got := fmt.Sprint(r.lambda.Registered()["events"]); got != "[INVOKE SHUTDOWN]" {
		t.Errorf("registered for %s", got)
	}
}

func TestRunDeliversAtTheEndOfARareInvocation(t *testing.T) {
	for _, tc := range []struct {
		desc string
		end  func(r *running, requestID string)
	}{
		{desc: "by the layer's flag", end: func(r *running, id string) { r.post(spans("b"), id) }},
		{desc: "by the layer's flag on a request of nothing", end: func(r *running, id string) { r.post(spans("b"), ""); r.postRequest("/v1/traces", nil, id) }},
		{desc: "by the platform", end: func(r *running, id string) { r.post(spans("b"), ""); r.lambda.RuntimeDone(id, "success") }},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			r := prepare(t).start().awaitReady()
			id := r.lambda.Invoke(10 * time.Second)
			r.post(spans("a"), "")
			time.Sleep(50 * time.Millisecond)
			if r.lambda.IsAsking() {
				t.Fatal("the extension let go of an invocation that was not over")
			}
			tc.end(r, id)
			r.lambda.AwaitNext(time.Second)
			r.assertSpans("a", "b")
		})
	}
}

func TestRunLetsGoBeforeTheDeadline(t *testing.T) {
	r := prepare(t).start().awaitReady()
	began := time.Now()
	r.lambda.Invoke(600 * time.Millisecond)
	if took := r.lambda.AwaitNext(2 * time.Second).Sub(began); took < 300*time.Millisecond || took > 600*time.Millisecond {
		t.Errorf("asked for the next event after %v of 600 ms", took)
	}
}

func TestRunWithoutPlatformEvents(t *testing.T) {
	r := prepare(t)
	r.lambda.SubscribeStatus = http.StatusAccepted
	r.start().awaitReady()

	// No layer has been heard of: silence must do.
	r.lambda.Invoke(time.Minute)
	r.post(spans("unflagged"), "")
	r.lambda.AwaitNext(2 * time.Second)
	r.assertSpans("unflagged")

	// With a layer its flag ends the invocation, and silence does not.
	id := r.lambda.Invoke(time.Minute)
	r.post(spans("a"), id)
	r.lambda.AwaitNext(time.Second)
	id = r.lambda.Invoke(time.Minute)
	time.Sleep(800 * time.Millisecond)
	if r.lambda.IsAsking() {
		t.Fatal("silence ended an invocation although there is a layer that ends them")
	}
	r.post(spans("b"), id)
	r.lambda.AwaitNext(time.Second)
	r.assertSpans("a", "b")
}

func TestRunOnManagedInstances(t *testing.T) {
	r := prepare(t)
	r.env[envInitType] = managedInstances
	r.start().awaitReady()
	if got := fmt.Sprint(r.lambda.Registered()["events"]); got != "[SHUTDOWN]" {
		t.Errorf("registered for %s", got)
	}
	r.post(spans("a"), "")
	r.lambda.Shutdown("spindown")
	r.awaitExit(2 * time.Second)
	r.assertSpans("a")
}

func TestRunKeepsTheFunctionGoingWhileTheBackendIsDown(t *testing.T) {
	for _, tc := range []struct {
		desc   string
		answer lambdatest.Answer
	}{
		{desc: "refusing", answer: lambdatest.Answer{Status: http.StatusServiceUnavailable}},
		{desc: "hanging", answer: lambdatest.Answer{Hang: time.Minute}},
		{desc: "throttling", answer: lambdatest.Answer{Status: http.StatusTooManyRequests, Header: map[string]string{"Retry-After": "1"}}},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			r := prepare(t).start().awaitReady()
			r.sink.Answer(func(string, int) lambdatest.Answer { return tc.answer })
			for i, name := range []string{"a", "b", "c"} {
				id := r.lambda.Invoke(10 * time.Second)
				began := time.Now()
				r.post(spans(name), id)
				if took := time.Since(began); took > 200*time.Millisecond {
					t.Errorf("the function's post took %v", took)
				}
				r.lambda.AwaitNext(5 * time.Second)
				if took := time.Since(began); i > 0 && took > 500*time.Millisecond {
					t.Errorf("invocation %d was held for %v", i+1, took)
				}
			}
			r.sink.Answer(func(string, int) lambdatest.Answer { return lambdatest.Answer{} })
			time.Sleep(1100 * time.Millisecond)
			id := r.lambda.Invoke(20 * time.Second)
			eventually(t, "what was kept arrives in the course of a later invocation", func() bool { return len(r.sink.SpanCounts()) == 3 })
			r.post(spans("d"), id)
			r.lambda.AwaitNext(5 * time.Second)
			r.lambda.Shutdown("spindown")
			r.awaitExit(2 * time.Second)
			r.assertSpans("a", "b", "c", "d")
			// One line for each signal that met it, however often that was.
			if lines := strings.Count(r.out.String(), "\n"); lines < 1 || lines > 2 {
				t.Errorf("printed: %s", r.out.String())
			}
		})
	}
}

func TestRunDeliversInTheBackgroundWhileInvocationsAreFrequent(t *testing.T) {
	r := prepare(t).start().awaitReady()
	r.sink.Answer(func(string, int) lambdatest.Answer { return lambdatest.Answer{} })
	const many = 40
	var names []string
	for i := range many {
		name := fmt.Sprintf("span%02d", i)
		names = append(names, name)
		id := r.lambda.Invoke(10 * time.Second)
		r.post(spans(name), id)
		r.lambda.AwaitNext(time.Second)
	}
	if got := r.sink.Requests(); got > 20 {
		t.Errorf("%d requests for %d frequent invocations", got, many)
	}
	r.lambda.Shutdown("spindown")
	r.awaitExit(2 * time.Second)
	r.assertSpans(names...)
}

func TestRunHandsOverAtShutdownWhatIsLeft(t *testing.T) {
	r := prepare(t)
	r.env["OTEL_LAMBDA_HANDOFF_URI"] = "s3://a-bucket/telemetry"
	r.start().awaitReady()
	r.sink.Answer(func(string, int) lambdatest.Answer { return lambdatest.Answer{Hang: time.Minute} })
	r.bucket.Refuse(1)
	big := spans()
	for i := range 20000 {
		span := big.ResourceSpans().At(0).ScopeSpans().At(0).Spans().AppendEmpty()
		span.SetName(fmt.Sprintf("span %d", i))
		span.SetSpanID(pcommon.SpanID{byte(i), byte(i >> 8), byte(i >> 16), 1})
		span.SetStartTimestamp(1)
		span.SetEndTimestamp(2)
		span.Attributes().PutStr("payload", strings.Repeat(fmt.Sprintf("%d,", i), 40))
	}
	id := r.lambda.Invoke(10 * time.Second)
	r.post(big, id)
	r.lambda.AwaitNext(5 * time.Second)
	r.lambda.Shutdown("SPINDOWN")
	if took := r.awaitExit(2 * time.Second); took > 1500*time.Millisecond {
		t.Errorf("took %v", took)
	}
	objects := r.bucket.Objects()
	if len(objects) != 1 {
		t.Fatalf("%d objects, want one; printed: %s", len(objects), r.out.String())
	}
	got := 0
	for key, object := range objects {
		if !strings.HasPrefix(key, "a-bucket/telemetry/f/") || !strings.HasSuffix(key, ".otlp.gz") {
			t.Errorf("the key is %s", key)
		}
		for _, request := range lambdatest.ReadBundle(t, object)[1] {
			unmarshaler := ptrace.ProtoUnmarshaler{}
			td, err := unmarshaler.UnmarshalTraces(request)
			if err != nil {
				t.Fatal(err)
			}
			got += td.SpanCount()
		}
	}
	if got != 20000 {
		t.Errorf("%d spans were handed over", got)
	}
	if signed := r.bucket.Signatures(); !strings.HasPrefix(signed[0], "AWS4-HMAC-SHA256 Credential=an-id/") {
		t.Errorf("signed with %s", signed)
	}
}

func TestRunHandsOverAsMuchAsTheTimeAllows(t *testing.T) {
	r := prepare(t)
	r.env["OTEL_LAMBDA_HANDOFF_URI"] = "s3://a-bucket/telemetry"
	r.start().awaitReady()
	r.sink.Answer(func(string, int) lambdatest.Answer { return lambdatest.Answer{Status: http.StatusServiceUnavailable} })
	r.bucket.HangAfter(2)
	id := r.lambda.Invoke(10 * time.Second)
	for range 3 {
		big := spans("one")
		big.ResourceSpans().At(0).Resource().Attributes().PutStr("filler", strings.Repeat("x", 9<<20))
		r.post(big, "")
	}
	r.post(spans("last"), id)
	r.lambda.AwaitNext(5 * time.Second)
	r.lambda.Shutdown("spindown")
	if took := r.awaitExit(2 * time.Second); took > 1500*time.Millisecond {
		t.Errorf("took %v", took)
	}
	// A slow machine may have had no time for the second.
	if objects := r.bucket.Objects(); len(objects) != 1 && len(objects) != 2 {
		t.Errorf("%d objects were stored before the bucket hung", len(objects))
	}
	if !strings.Contains(r.out.String(), "could not be handed over, it stays in the spool") {
		t.Errorf("printed: %s", r.out.String())
	}
}

func TestRunLeavesToTheNextProcessWhatItCannotHandOver(t *testing.T) {
	r := prepare(t).start().awaitReady()
	r.sink.Answer(func(string, int) lambdatest.Answer { return lambdatest.Answer{Status: 503} })
	id := r.lambda.Invoke(10 * time.Second)
	r.post(spans("a", "b"), id)
	r.lambda.AwaitNext(5 * time.Second)
	r.lambda.Shutdown("failure")
	r.awaitExit(2 * time.Second)
	if !strings.Contains(r.out.String(), "stay in the spool") {
		t.Errorf("printed: %s", r.out.String())
	}

	r.sink.Answer(func(string, int) lambdatest.Answer { return lambdatest.Answer{} })
	r.restart().awaitReady()
	r.lambda.RuntimeDone(r.lambda.Invoke(10*time.Second), "success")
	r.lambda.AwaitNext(5 * time.Second)
	r.assertSpans("a", "b")
}

func TestRunEndsOpenSpansOfATimeout(t *testing.T) {
	for _, tc := range []struct {
		desc, reason, status, want string
	}{
		{desc: "told by the platform", reason: "timeout", status: "timeout", want: "timeout"},
		{desc: "told by the reason alone", reason: "Timeout", want: "timeout"},
		{desc: "a crash on the emulator", reason: "ReleaseFail", want: "failure"},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			r := prepare(t).start().awaitReady()
			id := r.lambda.Invoke(500 * time.Millisecond)
			r.post(spans("finished"), "")
			lambdatest.NoteOpen(t, filepath.Join(r.dir, "open"), "1-a", id, lambdatest.OpenSpans(id, 1, "root", "child"))
			r.lambda.AwaitNext(time.Second)
			if tc.status != "" {
				r.lambda.RuntimeDone(id, tc.status)
			}
			r.lambda.Shutdown(tc.reason)
			r.awaitExit(2 * time.Second)
			r.assertSpans("root", "child", "finished")
			for _, span := range r.sink.Spans() {
				isFailed := span.Status().Code() == ptrace.StatusCodeError
				if isFailed == (span.Name() == "finished") || span.EndTimestamp() < span.StartTimestamp() {
					t.Errorf("span %q has status %v", span.Name(), span.Status().Code())
				}
				if got, _ := span.Attributes().Get("error.type"); isFailed && got.Str() != tc.want {
					t.Errorf("error.type of %q is %q", span.Name(), got.Str())
				}
			}
		})
	}
}

func TestRunSendsOpenSpansThroughAllPipelinesOfTheFunctionsSpans(t *testing.T) {
	r := prepare(t)
	other := lambdatest.NewSink(t)
	r.env["OPENTELEMETRY_COLLECTOR_CONFIG_URI"] = fmt.Sprintf(`yaml:
receivers: {otlp: {protocols: {http: {endpoint: %q}}}, lambda_platform: {}}
processors: {attributes: {actions: [{key: user_id, action: delete}]}}
exporters: {otlp_http/a: {endpoint: %q}, otlp_http/b: {endpoint: %q}}
service:
  pipelines:
    traces/a: {receivers: [otlp], processors: [attributes], exporters: [otlp_http/a]}
    traces/b: {receivers: [otlp, lambda_platform], exporters: [otlp_http/b]}
    traces/c: {receivers: [lambda_platform], exporters: [otlp_http/b]}
`, r.otlp, r.sink.URL(), other.URL())
	r.start().awaitReady()
	id := r.lambda.Invoke(500 * time.Millisecond)
	open := lambdatest.OpenSpans(id, 1, "root")
	open.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Attributes().PutStr("user_id", "somebody")
	lambdatest.NoteOpen(t, filepath.Join(r.dir, "open"), "1-a", id, open)
	r.lambda.AwaitNext(time.Second)
	r.lambda.RuntimeDone(id, "timeout")
	r.lambda.Shutdown("timeout")
	r.awaitExit(2 * time.Second)
	for desc, sink := range map[string]*lambdatest.Sink{"through the processor": r.sink, "without": other} {
		got := sink.Spans()
		if len(got) != 1 || got[0].Name() != "root" {
			t.Fatalf("%s: %v", desc, sink.SpanCounts())
		}
		if _, has := got[0].Attributes().Get("user_id"); has == (sink == r.sink) {
			t.Errorf("%s: has the attribute: %v", desc, has)
		}
	}
}

func TestRunMakesARootSpanForAnInvocationThatShowedNone(t *testing.T) {
	r := prepare(t).start().awaitReady()
	id := r.lambda.Invoke(10 * time.Second)
	r.lambda.Tell("platform.start", map[string]any{"requestId": id})
	r.lambda.RuntimeDone(id, "failure")
	r.lambda.AwaitNext(time.Second)
	r.lambda.Shutdown("failure")
	r.awaitExit(2 * time.Second)
	got := r.sink.Spans()
	if len(got) != 1 || got[0].Name() != "f" || got[0].Status().Code() != ptrace.StatusCodeError {
		t.Fatalf("spans: %v", r.sink.SpanCounts())
	}
	if errors := r.sink.Metrics()["faas.errors"]; total(errors) != 1 {
		t.Errorf("faas.errors is %v", total(errors))
	}
}

func total(metrics []pmetric.Metric) float64 {
	sum := 0.0
	for _, metric := range metrics {
		for _, point := range metric.Sum().DataPoints().All() {
			sum += point.DoubleValue() + float64(point.IntValue())
		}
	}
	return sum
}

func TestRunMeasuresInvocations(t *testing.T) {
	r := prepare(t)
	r.start().awaitReady()
	r.lambda.Tell(
		"platform.initStart", map[string]any{"initializationType": "on-demand", "phase": "init"},
		"platform.initRuntimeDone", map[string]any{"initializationType": "on-demand", "status": "success"},
		"platform.initReport", map[string]any{"metrics": map[string]any{"durationMs": 250.0}},
	)
	id := r.lambda.Invoke(10 * time.Second)
	td := spans("root")
	td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Attributes().PutStr("faas.invocation_id", id)
	r.post(td, "")
	r.lambda.RuntimeDone(id, "success")
	r.lambda.AwaitNext(time.Second)
	r.lambda.Tell("platform.report", map[string]any{
		"requestId": id, "metrics": map[string]any{"billedDurationMs": 300.0, "memorySizeMB": 2048.0, "maxMemoryUsedMB": 100.0},
		"spans": []map[string]any{{"name": "extensionOverhead", "durationMs": 4.0}},
	}, "platform.logsDropped", map[string]any{"droppedRecords": 3})
	r.lambda.Shutdown("spindown")
	r.awaitExit(2 * time.Second)

	found := r.sink.Metrics()
	for name, want := range map[string]float64{
		"faas.invocations": 1, "faas.coldstarts": 1, "faas.errors": 0, "faas.timeouts": 0,
		"aws.lambda.billed_duration": 0.3, "aws.lambda.billed_memory": 0.6, "aws.lambda.logs_dropped": 3,
	} {
		if got := total(found[name]); len(found[name]) == 0 || got < want-1e-9 || got > want+1e-9 {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	for name, want := range map[string]float64{
		"faas.init_duration": 0.25, "faas.invoke_duration": 0.012, "aws.lambda.extension_overhead": 0.004, "faas.mem_usage": 100 << 20,
	} {
		sum := 0.0
		for _, metric := range found[name] {
			sum += metric.Histogram().DataPoints().At(0).Sum()
		}
		if sum < want*0.999 || sum > want*1.001 {
			t.Errorf("%s is %v, want %v", name, sum, want)
		}
	}
	r.assertSpans("root", "init f")
	byName := map[string]ptrace.Span{}
	for _, span := range r.sink.Spans() {
		byName[span.Name()] = span
	}
	if byName["init f"].TraceID() != byName["root"].TraceID() {
		t.Error("the init span is not in the trace of the first invocation")
	}
	if got := total(found["lambda_collector.items"]); got == 0 {
		t.Error("the extension does not report on itself")
	}
}

func TestRunWithProvisionedConcurrencyCountsNoColdStart(t *testing.T) {
	const kind = "provisioned-concurrency"
	r := prepare(t)
	r.start().awaitReady()
	// The environment waits for its first invocation as long as it pleases.
	r.lambda.Tell(
		"platform.initStart", map[string]any{"initializationType": kind, "phase": "init"},
		"platform.initRuntimeDone", map[string]any{"initializationType": kind, "status": "success"},
	)
	time.Sleep(lifecycle.DefaultSettings().PauseIsThaw)
	id := r.lambda.Invoke(10 * time.Second)
	td := spans("root")
	td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Attributes().PutStr("faas.invocation_id", id)
	r.post(td, "")
	r.lambda.RuntimeDone(id, "success")
	r.lambda.AwaitNext(time.Second)
	r.assertSpans("root", "init f")
	r.lambda.Shutdown("spindown")
	r.awaitExit(2 * time.Second)

	if got := total(r.sink.Metrics()["faas.coldstarts"]); got != 0 {
		t.Errorf("%v cold starts are counted, though nobody waited for one", got)
	}
	for _, span := range r.sink.Spans() {
		if span.Name() != "init f" {
			continue
		}
		isCold, _ := span.Attributes().Get("faas.coldstart")
		initType, _ := span.Attributes().Get("aws.lambda.initialization_type")
		if isCold.Bool() || initType.Str() != kind {
			t.Errorf("the init span says %v", span.Attributes().AsRaw())
		}
	}
}

func TestRunBecomesIdleAndTheFunctionWorks(t *testing.T) {
	for _, tc := range []struct {
		desc    string
		prepare func(r *running)
		want    string
	}{
		{desc: "a configuration with an unknown component", prepare: func(r *running) {
			r.env["OPENTELEMETRY_COLLECTOR_CONFIG_URI"] = `yaml:{receivers: {kafka: {}}, exporters: {nop: {}}, service: {pipelines: {traces: {receivers: [kafka], exporters: [nop]}}}}`
		}, want: "kafka"},
		{desc: "a file that is not there", prepare: func(r *running) {
			r.env["OPENTELEMETRY_COLLECTOR_CONFIG_URI"] = "/no/such/file.yaml"
		}, want: "/no/such/file.yaml"},
		{desc: "a port that is taken", prepare: func(r *running) {
			taken, err := net.Listen("tcp", r.otlp)
			if err != nil {
				t.Fatal(err)
			}
			r.t.Cleanup(func() { _ = taken.Close() })
		}, want: "address already in use"},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			r := prepare(t)
			r.t = t
			tc.prepare(r)
			r.start().awaitReady()
			for range 2 {
				r.lambda.Invoke(10 * time.Second)
				r.lambda.AwaitNext(time.Second)
			}
			r.lambda.Shutdown("spindown")
			r.awaitExit(2 * time.Second)
			printed := strings.TrimSpace(r.out.String())
			if !strings.Contains(printed, tc.want) || !strings.Contains(printed, "idle, ") || strings.Contains(printed, "\n") {
				t.Errorf("printed: %s", printed)
			}
		})
	}
}

func TestRunStaysQuietWhenThePlatformDoesNotWantIt(t *testing.T) {
	r := prepare(t)
	r.lambda.RegisterStatus = http.StatusForbidden
	r.start()
	eventually(t, "one line is printed", func() bool { return strings.Count(r.out.String(), "\n") == 1 })
	select {
	case err := <-r.done:
		t.Fatalf("the extension ended: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	r.cancel()
	r.awaitExit(time.Second)
}

func TestRunEndsWhenThePlatformIsGone(t *testing.T) {
	r := prepare(t).start().awaitReady()
	r.lambda.Vanish()
	select {
	case err := <-r.done:
		if err == nil {
			t.Error("the end of the platform went unnoticed")
		}
	case <-time.After(3 * time.Second):
		t.Fatal("the extension goes on without a platform")
	}
}

func TestRunDeliversAtASignal(t *testing.T) {
	r := prepare(t).start().awaitReady()
	r.lambda.Invoke(10 * time.Second)
	r.post(spans("a"), "")
	r.cancel()
	r.awaitExit(2 * time.Second)
	r.assertSpans("a")
}

func TestRunSplitsWhatIsTooLarge(t *testing.T) {
	r := prepare(t).start().awaitReady()
	limit := 600
	r.sink.Answer(func(_ string, size int) lambdatest.Answer {
		if size > limit {
			return lambdatest.Answer{Status: http.StatusRequestEntityTooLarge}
		}
		return lambdatest.Answer{}
	})
	var names []string
	for i := range 64 {
		names = append(names, fmt.Sprintf("span%02d", i))
	}
	id := r.lambda.Invoke(10 * time.Second)
	r.post(spans(names...), id)
	r.lambda.AwaitNext(3 * time.Second)
	r.assertSpans(names...)
}

func TestRunKeepsWhatABackendThatMovedHasNotTaken(t *testing.T) {
	r := prepare(t).start().awaitReady()
	var hasMoved atomic.Bool
	hasMoved.Store(true)
	r.sink.Answer(func(path string, _ int) lambdatest.Answer {
		if path == "/v1/traces" && hasMoved.Load() {
			return lambdatest.Answer{Status: http.StatusFound, Header: map[string]string{"Location": "/login"}}
		}
		return lambdatest.Answer{}
	})
	id := r.lambda.Invoke(10 * time.Second)
	r.post(spans("a"), id)
	r.lambda.AwaitNext(3 * time.Second)
	hasMoved.Store(false)
	r.lambda.Shutdown("spindown")
	r.awaitExit(2 * time.Second)
	r.assertSpans("a")
}

func TestRunCountsAsSentOnlyWhatAllExportersDelivered(t *testing.T) {
	r := prepare(t)
	other := lambdatest.NewSink(t)
	r.env["OPENTELEMETRY_COLLECTOR_CONFIG_URI"] += ",yaml:{exporters: {otlp_http/b: {endpoint: '" + other.URL() +
		"'}}, service: {pipelines: {traces: {exporters: [otlp_http, otlp_http/b]}}}}"
	r.start().awaitReady()
	r.sink.Answer(func(string, int) lambdatest.Answer { return lambdatest.Answer{Status: http.StatusServiceUnavailable} })
	id := r.lambda.Invoke(10 * time.Second)
	r.post(spans("a"), id)
	r.lambda.AwaitNext(3 * time.Second)
	r.sink.Answer(func(string, int) lambdatest.Answer { return lambdatest.Answer{} })
	r.lambda.Shutdown("spindown")
	r.awaitExit(2 * time.Second)
	r.assertSpans("a")
}

func TestRunKeepsWhatIsRefused(t *testing.T) {
	r := prepare(t)
	r.env["OTEL_LAMBDA_HANDOFF_URI"] = "s3://a-bucket/telemetry"
	r.start().awaitReady()
	r.sink.Answer(func(path string, _ int) lambdatest.Answer {
		if path == "/v1/traces" {
			return lambdatest.Answer{Status: http.StatusBadRequest}
		}
		return lambdatest.Answer{}
	})
	id := r.lambda.Invoke(10 * time.Second)
	r.post(spans("a", "b"), id)
	r.lambda.AwaitNext(3 * time.Second)
	r.lambda.Shutdown("spindown")
	r.awaitExit(2 * time.Second)
	objects := r.bucket.Objects()
	if len(objects) != 1 {
		t.Fatalf("%d objects, want one", len(objects))
	}
	for key := range objects {
		if !strings.HasSuffix(key, ".refused.gz") {
			t.Errorf("the key is %s", key)
		}
	}
	if !strings.Contains(r.out.String(), "traces: 0 lost, 2 refused of 2") {
		t.Errorf("printed: %s", r.out.String())
	}
}

// deltas is what a function's layer hands in: a counter and a histogram of one window.
func deltas(start, end int64, count int64) pmetric.Metrics {
	md := pmetric.NewMetrics()
	rm := md.ResourceMetrics().AppendEmpty()
	rm.Resource().Attributes().PutStr("service.name", "f")
	sm := rm.ScopeMetrics().AppendEmpty()
	sum := sm.Metrics().AppendEmpty()
	sum.SetName("processed")
	sum.SetEmptySum().SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
	sum.Sum().SetIsMonotonic(true)
	point := sum.Sum().DataPoints().AppendEmpty()
	point.SetStartTimestamp(pcommon.Timestamp(start))
	point.SetTimestamp(pcommon.Timestamp(end))
	point.SetIntValue(count)
	histogram := sm.Metrics().AppendEmpty()
	histogram.SetName("duration")
	histogram.SetEmptyHistogram().SetAggregationTemporality(pmetric.AggregationTemporalityDelta)
	hp := histogram.Histogram().DataPoints().AppendEmpty()
	hp.SetStartTimestamp(pcommon.Timestamp(start))
	hp.SetTimestamp(pcommon.Timestamp(end))
	hp.SetCount(uint64(count))
	hp.SetSum(float64(count))
	hp.ExplicitBounds().FromRaw([]float64{1})
	hp.BucketCounts().FromRaw([]uint64{uint64(count), 0})
	return md
}

func TestRunExportsMetricsInEitherMode(t *testing.T) {
	for _, tc := range []struct {
		mode            string
		wantTemporality pmetric.AggregationTemporality
		wantLast        int64
	}{
		{mode: "", wantTemporality: pmetric.AggregationTemporalityCumulative, wantLast: 6},
		{mode: "direct", wantTemporality: pmetric.AggregationTemporalityCumulative, wantLast: 6},
		{mode: "gateway", wantTemporality: pmetric.AggregationTemporalityDelta, wantLast: 3},
	} {
		t.Run("mode "+tc.mode, func(t *testing.T) {
			r := prepare(t)
			r.env["OPENTELEMETRY_COLLECTOR_CONFIG_URI"] = fmt.Sprintf(
				`builtin:,yaml:{receivers: {otlp: {protocols: {http: {endpoint: "%s"}, grpc: {endpoint: "%s"}}}}}`, r.otlp, lambdatest.FreeAddress(t))
			r.env["OTEL_EXPORTER_OTLP_ENDPOINT"] = r.sink.URL()
			r.env["OTEL_LAMBDA_METRICS_MODE"] = tc.mode
			if tc.mode != "gateway" {
				r.sink.RefuseDelta()
			}
			r.start().awaitReady()
			start := time.Now().UnixNano()
			for i := range int64(3) {
				marshaler := pmetric.ProtoMarshaler{}
				request, err := marshaler.MarshalMetrics(deltas(start+i*1000, start+(i+1)*1000, i+1))
				if err != nil {
					t.Fatal(err)
				}
				id := r.lambda.Invoke(10 * time.Second)
				r.postRequest("/v1/metrics", request, id)
				r.lambda.AwaitNext(time.Second)
			}
			r.lambda.Shutdown("spindown")
			r.awaitExit(2 * time.Second)

			writers := map[string]bool{}
			for _, md := range r.sink.MetricRequests() {
				for _, rm := range md.ResourceMetrics().All() {
					writer, _ := rm.Resource().Attributes().Get("service.instance.id")
					writers[writer.Str()] = true
				}
			}
			if isDirect := tc.mode != "gateway"; isDirect && (len(writers) != 1 || writers[""]) {
				t.Errorf("writers %v, want one with a name", writers)
			}
			found := r.sink.Metrics()
			if len(found["processed"]) != 3 || len(found["duration"]) != 3 {
				t.Fatalf("%d and %d came", len(found["processed"]), len(found["duration"]))
			}
			last := found["processed"][2].Sum()
			if last.AggregationTemporality() != tc.wantTemporality || last.DataPoints().At(0).IntValue() != tc.wantLast {
				t.Errorf("the counter ends as %v %d", last.AggregationTemporality(), last.DataPoints().At(0).IntValue())
			}
			histogram := found["duration"][2].Histogram()
			if histogram.AggregationTemporality() != tc.wantTemporality || histogram.DataPoints().At(0).Count() != uint64(tc.wantLast) {
				t.Errorf("the histogram ends as %v %d", histogram.AggregationTemporality(), histogram.DataPoints().At(0).Count())
			}
			if tc.mode == "direct" && last.DataPoints().At(0).StartTimestamp() != pcommon.Timestamp(start) {
				t.Error("the start is not that of the first window")
			}
			// The extension's own metrics keep to the mode as well.
			if own := found["faas.invocations"]; len(own) == 0 || own[0].Sum().AggregationTemporality() != tc.wantTemporality {
				t.Error("the extension's own metrics have another temporality")
			}
		})
	}
}
