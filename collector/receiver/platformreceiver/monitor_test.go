package platformreceiver

import (
	"encoding/json"
	"testing"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/receiver/receivertest"

	"neuro-preprocess/collector/internal/lambdatest"
	"neuro-preprocess/collector/internal/openspans"
	"neuro-preprocess/collector/internal/outbox"
	"neuro-preprocess/collector/internal/platform"
)

type sinks struct {
	traces  consumertest.TracesSink
	open    consumertest.TracesSink // that was left open
	metrics consumertest.MetricsSink
	logs    consumertest.LogsSink
}

// newMonitor makes a monitor with all its receivers, and the folder in which processes note what they have open.
func newMonitor(t *testing.T, f Function) (m *Monitor, s *sinks, open string) {
	t.Helper()
	open = t.TempDir()
	m, s = newMonitorOver(t, f, open)
	return m, s, open
}

func newMonitorOver(t *testing.T, f Function, open string) (*Monitor, *sinks) {
	t.Helper()
	m := NewMonitor(f, openspans.Folder(open), &openspans.Roots{}, func() outbox.Stats { return outbox.Stats{} }, nil)
	s := &sinks{}
	factory := NewFactory(m)
	set := receivertest.NewNopSettings(Type)
	traces, err := factory.CreateTraces(t.Context(), set, factory.CreateDefaultConfig(), &s.traces)
	if err != nil {
		t.Fatal(err)
	}
	metrics, err := factory.CreateMetrics(t.Context(), set, factory.CreateDefaultConfig(), &s.metrics)
	if err != nil {
		t.Fatal(err)
	}
	logs, err := factory.CreateLogs(t.Context(), set, factory.CreateDefaultConfig(), &s.logs)
	if err != nil {
		t.Fatal(err)
	}
	leftOpenFactory := NewLeftOpenFactory(m)
	leftOpen, err := leftOpenFactory.CreateTraces(
		t.Context(), receivertest.NewNopSettings(LeftOpenType), leftOpenFactory.CreateDefaultConfig(), &s.open,
	)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []component.Component{traces, metrics, logs, leftOpen} {
		if err := r.Start(t.Context(), componenttest.NewNopHost()); err != nil {
			t.Fatal(err)
		}
	}
	return m, s
}

func event(kind string, record any) platform.Event {
	raw, err := json.Marshal(record)
	if err != nil {
		panic(err)
	}
	return platform.Event{Time: time.Unix(100, 0), Type: kind, Record: raw}
}

func TestFunctionLinesAreKeptWhateverTheirForm(t *testing.T) {
	const trace, span = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
	for _, tc := range []struct {
		desc         string
		record       any
		wantBody     string
		wantSeverity plog.SeverityNumber
		wantTrace    string
		wantTime     time.Time
	}{
		{desc: "text", record: "a line\n", wantBody: "a line", wantTime: time.Unix(100, 0)},
		{desc: "JSON in text", record: `{"level":"WARNING","message":"m","timestamp":"2026-01-02T03:04:05Z","trace_id":"` + trace + `","span_id":"` + span + `"}` + "\n",
			wantBody:     `{"level":"WARNING","message":"m","timestamp":"2026-01-02T03:04:05Z","trace_id":"` + trace + `","span_id":"` + span + `"}`,
			wantSeverity: plog.SeverityNumberWarn, wantTrace: trace, wantTime: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)},
		{desc: "a JSON object", record: map[string]any{"level": "ERROR", "message": map[string]any{"a": 1}}, wantBody: `{"level":"ERROR","message":{"a":1}}`,
			wantSeverity: plog.SeverityNumberError, wantTime: time.Unix(100, 0)},
		{desc: "an odd time", record: map[string]any{"timestamp": "2026-01-02 03:04:05,678+0000"}, wantBody: `{"timestamp":"2026-01-02 03:04:05,678+0000"}`, wantTime: time.Unix(100, 0)},
		{desc: "fields of other types", record: map[string]any{"level": 30, "message": "m"}, wantBody: `{"level":30,"message":"m"}`, wantTime: time.Unix(100, 0)},
		{desc: "a bad trace id", record: map[string]any{"trace_id": "1-abc", "span_id": "x"}, wantBody: `{"span_id":"x","trace_id":"1-abc"}`, wantTime: time.Unix(100, 0)},
		{desc: "no line", record: "", wantBody: "", wantTime: time.Unix(100, 0)},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			m, s, _ := newMonitor(t, Function{ServiceName: "f"})
			m.Invoked("an-id", time.Now())
			m.Deliver([]platform.Event{event(platform.TypeFunction, tc.record)})
			if s.logs.LogRecordCount() != 1 {
				t.Fatalf("%d records", s.logs.LogRecordCount())
			}
			record := s.logs.AllLogs()[0].ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0)
			if record.Body().Str() != tc.wantBody || record.SeverityNumber() != tc.wantSeverity || record.TraceID().String() != tc.wantTrace {
				t.Errorf("body %s, severity %v, trace %s", record.Body().Str(), record.SeverityNumber(), record.TraceID())
			}
			if !record.Timestamp().AsTime().Equal(tc.wantTime) {
				t.Errorf("time %v", record.Timestamp().AsTime())
			}
			if id, _ := record.Attributes().Get("faas.invocation_id"); id.Str() != "an-id" {
				t.Errorf("invocation %q", id.Str())
			}
		})
	}
}

func TestPlatformEventsAreLogsOnlyIfAskedForAndUnderTheirOwnName(t *testing.T) {
	for _, isAsked := range []bool{false, true} {
		m, s, _ := newMonitor(t, Function{ServiceName: "f", HasPlatformLogs: isAsked})
		m.Deliver([]platform.Event{event(platform.TypeStart, map[string]any{"requestId": "r"}), event("platform.extension", map[string]any{"name": "x"})})
		if !isAsked {
			if s.logs.LogRecordCount() != 0 {
				t.Error("logs although nobody asked")
			}
			continue
		}
		if s.logs.LogRecordCount() != 2 {
			t.Fatalf("%d records", s.logs.LogRecordCount())
		}
		name, _ := s.logs.AllLogs()[0].ResourceLogs().At(0).Resource().Attributes().Get("service.name")
		if name.Str() != "f-platform" {
			t.Errorf("service.name is %q", name.Str())
		}
	}
}

func TestFunctionLogsPointToTheInvocationsSpan(t *testing.T) {
	for _, isOpen := range []bool{true, false} {
		m, s, open := newMonitor(t, Function{})
		root := lambdatest.OpenSpans("an-id", 7, "root")
		if isOpen {
			lambdatest.NoteOpen(t, open, "1-a", "an-id", root)
		} else {
			m.roots.Observe(root)
		}
		m.Invoked("an-id", time.Now())
		m.Deliver([]platform.Event{event(platform.TypeFunction, "a line"), event(platform.TypeFunction, "another")})
		for _, ld := range s.logs.AllLogs() {
			record := ld.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0)
			if record.TraceID() != (pcommon.TraceID{7}) || record.SpanID() != (pcommon.SpanID{1}) {
				t.Errorf("open: %v; points to %s %s", isOpen, record.TraceID(), record.SpanID())
			}
		}
	}
}

func TestMetricsAreDeltasThatBeginWithZero(t *testing.T) {
	m, s, _ := newMonitor(t, Function{ServiceName: "f", Instance: "an-instance", MemoryMiB: 128})
	now := time.Unix(1000, 0)
	m.now = func() time.Time { return now }
	m.BeforeFlush()
	m.BeforeFlush() // too soon for another report
	if len(s.metrics.AllMetrics()) != 1 {
		t.Fatalf("%d reports", len(s.metrics.AllMetrics()))
	}
	first := byName(s.metrics.AllMetrics()[0])
	for name := range counters {
		sum := first[name].Sum()
		if sum.DataPoints().At(0).DoubleValue() != 0 || !sum.IsMonotonic() || sum.AggregationTemporality() != pmetric.AggregationTemporalityDelta {
			t.Errorf("%s does not begin with a zero", name)
		}
	}
	now = now.Add(time.Minute)
	m.Deliver([]platform.Event{
		event(platform.TypeRuntimeDone, map[string]any{"requestId": "r", "status": "timeout", "metrics": map[string]any{"durationMs": 3000}}),
		event(platform.TypeReport, map[string]any{"requestId": "r", "metrics": map[string]any{"maxMemoryUsedMB": 128}}),
	})
	m.BeforeFlush()
	second := byName(s.metrics.AllMetrics()[1])
	if got := second[metricTimeouts].Sum().DataPoints().At(0); got.DoubleValue() != 1 || got.StartTimestamp() != first[metricTimeouts].Sum().DataPoints().At(0).Timestamp() {
		t.Errorf("timeouts %v from %v", got.DoubleValue(), got.StartTimestamp())
	}
	if _, isThere := second[metricErrors]; isThere {
		t.Error("a timeout is counted as an error, or nothing is reported as something")
	}
	histogram := second[metricMemUsage].Histogram().DataPoints().At(0)
	if histogram.Sum() != 128*mebibyte || histogram.BucketCounts().At(1) != 1 {
		t.Errorf("memory %v in %v", histogram.Sum(), histogram.BucketCounts().AsRaw())
	}
	resource := s.metrics.AllMetrics()[0].ResourceMetrics().At(0).Resource().Attributes()
	if memory, _ := resource.Get("faas.max_memory"); memory.Int() != 128*mebibyte {
		t.Errorf("faas.max_memory is %d", memory.Int())
	}
}

func byName(md pmetric.Metrics) map[string]pmetric.Metric {
	found := map[string]pmetric.Metric{}
	for _, metric := range md.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().All() {
		found[metric.Name()] = metric
	}
	return found
}

func TestFunctionFrom(t *testing.T) {
	env := map[string]string{
		"AWS_LAMBDA_FUNCTION_NAME": "name", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
		"OTEL_RESOURCE_ATTRIBUTES": "service.name=from%20attributes, deployment.environment.name=dev,broken,=x",
	}
	f := FunctionFrom(func(name string) string { return env[name] }, "i")
	if f.ServiceName != "from attributes" || f.MemoryMiB != 512 || f.Attributes["deployment.environment.name"] != "dev" || len(f.Attributes) != 2 {
		t.Errorf("%+v", f)
	}
	env["OTEL_SERVICE_NAME"] = "preprocess"
	if f := FunctionFrom(func(name string) string { return env[name] }, "i"); f.ServiceName != "preprocess" {
		t.Errorf("%+v", f)
	}
}
