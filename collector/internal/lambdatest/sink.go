package lambdatest

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
)

// Answer is what a backend says to a request.
type Answer struct {
	// Status zero means 200.
	Status int
	Header map[string]string
	// Hang is how long the answer takes.
	Hang time.Duration
}

// Sink is an OTLP/HTTP backend.
type Sink struct {
	t      testing.TB
	server *httptest.Server

	mu           sync.Mutex
	refusesDelta bool
	answer       func(path string, size int) Answer
	requests     int
	traces       []ptrace.Traces
	metrics      []pmetric.Metrics
	logs         []plog.Logs
	stopped      chan struct{}
}

// NewSink starts a backend that takes everything and stops with the test.
func NewSink(t testing.TB) *Sink {
	s := &Sink{t: t, answer: func(string, int) Answer { return Answer{} }, stopped: make(chan struct{})}
	s.server = httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(func() {
		close(s.stopped)
		s.server.CloseClientConnections()
		s.server.Close()
	})
	return s
}

// URL is the backend's address.
func (s *Sink) URL() string { return s.server.URL }

// Answer sets what the backend says from now on. Only what is answered with 200 counts as taken.
func (s *Sink) Answer(with func(path string, size int) Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = with
}

// RefuseDelta has the backend answer 400 to metrics requests that hold a delta, as Mimir does.
func (s *Sink) RefuseDelta() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refusesDelta = true
}

func (s *Sink) serve(w http.ResponseWriter, r *http.Request) {
	body := io.Reader(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		unzipped, err := gzip.NewReader(r.Body)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		body = unzipped
	}
	request, err := io.ReadAll(body)
	if err != nil {
		return
	}
	s.mu.Lock()
	s.requests++
	answer := s.answer(r.URL.Path, len(request))
	s.mu.Unlock()
	if answer.Hang > 0 {
		select {
		case <-time.After(answer.Hang):
		case <-r.Context().Done():
			return
		case <-s.stopped:
			return
		}
	}
	for name, value := range answer.Header {
		w.Header().Set(name, value)
	}
	if answer.Status != 0 && answer.Status != http.StatusOK {
		w.WriteHeader(answer.Status)
		return
	}
	if !s.take(r.URL.Path, request) {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
}

// take keeps what a request holds, and reports whether the backend accepts it.
func (s *Sink) take(path string, request []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch path {
	case "/v1/traces":
		export := ptraceotlp.NewExportRequest()
		if err := export.UnmarshalProto(request); err != nil {
			s.t.Errorf("the backend got no trace request: %v", err)
		}
		s.traces = append(s.traces, export.Traces())
	case "/v1/metrics":
		export := pmetricotlp.NewExportRequest()
		if err := export.UnmarshalProto(request); err != nil {
			s.t.Errorf("the backend got no metrics request: %v", err)
		}
		if s.refusesDelta && hasDelta(export.Metrics()) {
			return false
		}
		s.metrics = append(s.metrics, export.Metrics())
	case "/v1/logs":
		export := plogotlp.NewExportRequest()
		if err := export.UnmarshalProto(request); err != nil {
			s.t.Errorf("the backend got no logs request: %v", err)
		}
		s.logs = append(s.logs, export.Logs())
	}
	return true
}

func hasDelta(md pmetric.Metrics) bool {
	for _, rm := range md.ResourceMetrics().All() {
		for _, sm := range rm.ScopeMetrics().All() {
			for _, metric := range sm.Metrics().All() {
				if temporality(metric) == pmetric.AggregationTemporalityDelta {
					return true
				}
			}
		}
	}
	return false
}

func temporality(metric pmetric.Metric) pmetric.AggregationTemporality {
	switch metric.Type() {
	case pmetric.MetricTypeSum:
		return metric.Sum().AggregationTemporality()
	case pmetric.MetricTypeHistogram:
		return metric.Histogram().AggregationTemporality()
	case pmetric.MetricTypeExponentialHistogram:
		return metric.ExponentialHistogram().AggregationTemporality()
	}
	return pmetric.AggregationTemporalityUnspecified
}

// Requests is how many have come, whatever was answered.
func (s *Sink) Requests() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests
}

// Spans are those that were taken, each with its resource's service name.
func (s *Sink) Spans() []ptrace.Span {
	s.mu.Lock()
	defer s.mu.Unlock()
	var spans []ptrace.Span
	for _, td := range s.traces {
		for _, rs := range td.ResourceSpans().All() {
			for _, ss := range rs.ScopeSpans().All() {
				for _, span := range ss.Spans().All() {
					spans = append(spans, span)
				}
			}
		}
	}
	return spans
}

// SpanCounts is how often each span, by its name, was taken.
func (s *Sink) SpanCounts() map[string]int {
	counts := map[string]int{}
	for _, span := range s.Spans() {
		counts[span.Name()]++
	}
	return counts
}

// Metrics are those that were taken, by name, in the order they came.
func (s *Sink) Metrics() map[string][]pmetric.Metric {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := map[string][]pmetric.Metric{}
	for _, md := range s.metrics {
		for _, rm := range md.ResourceMetrics().All() {
			for _, sm := range rm.ScopeMetrics().All() {
				for _, metric := range sm.Metrics().All() {
					found[metric.Name()] = append(found[metric.Name()], metric)
				}
			}
		}
	}
	return found
}

// MetricRequests are the metrics requests that were taken.
func (s *Sink) MetricRequests() []pmetric.Metrics {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]pmetric.Metrics(nil), s.metrics...)
}

// Logs are the log requests that were taken.
func (s *Sink) Logs() []plog.Logs {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]plog.Logs(nil), s.logs...)
}

// CloseConnections drops all connections without a word to the requests on them.
func (s *Sink) CloseConnections() { s.server.CloseClientConnections() }
