package bufferprocessor

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/collector/confmap/confmaptest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor/processortest"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"neuro-preprocess/collector/internal/exportnote"
	"neuro-preprocess/collector/internal/openspans"
	"neuro-preprocess/collector/internal/outbox"
)

func newBox(t *testing.T) (*outbox.Outbox, *openspans.Roots) {
	t.Helper()
	dir := t.TempDir()
	box, err := outbox.Open(outbox.Options{
		Dir: filepath.Join(dir, "pending"), RefusedDir: filepath.Join(dir, "refused"), SpoolBytes: 1 << 20, RefusedBytes: 1 << 16,
		MemoryBytes: 1 << 20, RequestBytes: 1 << 20, Now: time.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(box.Close)
	return box, &openspans.Roots{}
}

func TestConfigInTestdataIsTheWholeConfiguration(t *testing.T) {
	conf, err := confmaptest.LoadConf(filepath.Join("testdata", "config.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	sub, err := conf.Sub("buffer")
	if err != nil {
		t.Fatal(err)
	}
	if err := sub.Unmarshal(createDefaultConfig()); err != nil {
		t.Fatal(err)
	}
}

func TestBufferAcknowledgesAndPassesOnAtTheFlush(t *testing.T) {
	box, tracker := newBox(t)
	factory := NewFactory(box, tracker)
	set := processortest.NewNopSettings(Type)
	var mu sync.Mutex
	passed := map[string]int{}
	pass := func(signal string, count int) error {
		mu.Lock()
		defer mu.Unlock()
		passed[signal] += count
		return nil
	}
	traces, err := consumer.NewTraces(func(_ context.Context, td ptrace.Traces) error { return pass("traces", td.SpanCount()) })
	if err != nil {
		t.Fatal(err)
	}
	metrics, err := consumer.NewMetrics(func(_ context.Context, md pmetric.Metrics) error { return pass("metrics", md.DataPointCount()) })
	if err != nil {
		t.Fatal(err)
	}
	logs, err := consumer.NewLogs(func(_ context.Context, ld plog.Logs) error { return pass("logs", ld.LogRecordCount()) })
	if err != nil {
		t.Fatal(err)
	}
	tp, err := factory.CreateTraces(t.Context(), set, createDefaultConfig(), traces)
	if err != nil {
		t.Fatal(err)
	}
	mp, err := factory.CreateMetrics(t.Context(), set, createDefaultConfig(), metrics)
	if err != nil {
		t.Fatal(err)
	}
	lp, err := factory.CreateLogs(t.Context(), set, createDefaultConfig(), logs)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := errors.Join(tp.ConsumeTraces(t.Context(), someTraces(2, 3)), mp.ConsumeMetrics(t.Context(), someMetrics(4)), lp.ConsumeLogs(t.Context(), someLogs(5))); err != nil {
			t.Fatal(err)
		}
	}
	if err := tp.ConsumeTraces(t.Context(), ptrace.NewTraces()); err != nil {
		t.Fatal(err)
	}
	if len(passed) != 0 {
		t.Errorf("passed on before the flush: %v", passed)
	}
	if err := box.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if passed["traces"] != 18 || passed["metrics"] != 12 || passed["logs"] != 15 {
		t.Errorf("passed on %v", passed)
	}
	if got := box.Stats().Signal[outbox.Traces]; got.Spooled != 18 || got.Sent != 18 {
		t.Errorf("counted %+v", got)
	}
}

func someTraces(resources, each int) ptrace.Traces {
	td := ptrace.NewTraces()
	for r := range resources {
		rs := td.ResourceSpans().AppendEmpty()
		rs.Resource().Attributes().PutInt("resource", int64(r))
		ss := rs.ScopeSpans().AppendEmpty()
		ss.Scope().SetName("scope")
		for i := range each {
			span := ss.Spans().AppendEmpty()
			span.SetName(fmt.Sprintf("%d/%d", r, i))
			span.SetEndTimestamp(1)
		}
	}
	return td
}

func someMetrics(n int) pmetric.Metrics {
	md := pmetric.NewMetrics()
	sm := md.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty()
	for i := range n {
		metric := sm.Metrics().AppendEmpty()
		metric.SetName(fmt.Sprint(i))
		metric.SetEmptyGauge().DataPoints().AppendEmpty().SetIntValue(int64(i))
	}
	return md
}

func someLogs(n int) plog.Logs {
	ld := plog.NewLogs()
	sl := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty()
	for i := range n {
		sl.LogRecords().AppendEmpty().Body().SetInt(int64(i))
	}
	return ld
}

func TestSplitDividesAllAndLosesNothing(t *testing.T) {
	for _, n := range []int{1, 2, 3, 7, 16} {
		for _, tc := range []struct {
			desc  string
			split func() (first, rest, total int, ok bool)
		}{
			{desc: "traces", split: func() (int, int, int, bool) {
				td := someTraces(n, 3)
				half, ok := tracesCodec{}.Split(td)
				for _, rs := range half.ResourceSpans().All() {
					if _, has := rs.Resource().Attributes().Get("resource"); !has || rs.ScopeSpans().At(0).Scope().Name() != "scope" {
						t.Error("a half lacks its resource or scope")
					}
				}
				return half.SpanCount(), td.SpanCount(), 3 * n, ok
			}},
			{desc: "metrics", split: func() (int, int, int, bool) {
				md := someMetrics(n)
				half, ok := metricsCodec{}.Split(md)
				return half.MetricCount(), md.MetricCount(), n, ok
			}},
			{desc: "logs", split: func() (int, int, int, bool) {
				ld := someLogs(n)
				half, ok := logsCodec{}.Split(ld)
				return half.LogRecordCount(), ld.LogRecordCount(), n, ok
			}},
		} {
			t.Run(fmt.Sprint(tc.desc, n), func(t *testing.T) {
				first, rest, total, ok := tc.split()
				if ok != (total > 1) || first+rest != total || ok && first != total/2 {
					t.Errorf("divided %d into %d and %d (%v)", total, first, rest, ok)
				}
			})
		}
	}
}

func TestJudge(t *testing.T) {
	permanent := func(err error) error { return consumererror.NewPermanent(err) }
	grpcError := func(code codes.Code, retry time.Duration) error {
		s := status.New(code, "no")
		if retry > 0 {
			s, _ = s.WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(retry)})
		}
		return s.Err()
	}
	for _, tc := range []struct {
		desc   string
		err    error
		status int
		want   outbox.Outcome
	}{
		{desc: "taken", want: outbox.Outcome{Verdict: outbox.Delivered}},
		{desc: "taken with an unreadable answer", err: permanent(errors.New("x")), status: http.StatusOK, want: outbox.Outcome{Verdict: outbox.Delivered}},
		{desc: "no connection", err: errors.New("refused"), want: outbox.Outcome{Verdict: outbox.Retry}},
		{desc: "too large", err: permanent(errors.New("x")), status: http.StatusRequestEntityTooLarge, want: outbox.Outcome{Verdict: outbox.TooLarge}},
		{desc: "wrong", err: permanent(errors.New("x")), status: http.StatusBadRequest, want: outbox.Outcome{Verdict: outbox.Refused}},
		{desc: "not allowed", err: permanent(errors.New("x")), status: http.StatusUnauthorized, want: outbox.Outcome{Verdict: outbox.Refused}},
		{desc: "throttled", err: errors.New("x"), status: http.StatusTooManyRequests, want: outbox.Outcome{Verdict: outbox.Retry}},
		{desc: "broken, though the exporter gives up", err: permanent(errors.New("x")), status: http.StatusInternalServerError, want: outbox.Outcome{Verdict: outbox.Retry}},
		{desc: "one of two exporters refused, the other not answered", err: permanent(errors.New("x")), status: exportnote.NoAnswer, want: outbox.Outcome{Verdict: outbox.Retry}},
		{desc: "somewhere else", err: permanent(errors.New("x")), status: http.StatusFound, want: outbox.Outcome{Verdict: outbox.Retry}},
		{desc: "gRPC throttled for ever", err: grpcError(codes.ResourceExhausted, 1000*time.Hour), want: outbox.Outcome{Verdict: outbox.Retry, RetryAfter: exportnote.MaxRetryAfter}},
		{desc: "gRPC unavailable", err: grpcError(codes.Unavailable, 0), want: outbox.Outcome{Verdict: outbox.Retry}},
		{desc: "gRPC throttled", err: grpcError(codes.ResourceExhausted, 3*time.Second), want: outbox.Outcome{Verdict: outbox.Retry, RetryAfter: 3 * time.Second}},
		{desc: "gRPC too large", err: permanent(grpcError(codes.ResourceExhausted, 0)), want: outbox.Outcome{Verdict: outbox.TooLarge}},
		{desc: "gRPC wrong", err: permanent(grpcError(codes.InvalidArgument, 0)), want: outbox.Outcome{Verdict: outbox.Refused}},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			got := judge(tc.err, tc.status)
			if got.Verdict != tc.want.Verdict || got.RetryAfter != tc.want.RetryAfter {
				t.Errorf("judged %+v", got)
			}
		})
	}
}
