package extension

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"neuro-preprocess/collector/internal/lambdatest"
	"neuro-preprocess/collector/internal/outbox"
)

// grpcSink is an OTLP/gRPC backend.
type grpcSink struct {
	ptraceotlp.UnimplementedGRPCServer
	mu    sync.Mutex
	names []string
}

func (s *grpcSink) Export(_ context.Context, request ptraceotlp.ExportRequest) (ptraceotlp.ExportResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, rs := range request.Traces().ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, span := range ss.Spans().All() {
				s.names = append(s.names, span.Name())
			}
		}
	}
	return ptraceotlp.NewExportResponse(), nil
}

func TestRunSpeaksGRPCOnBothSides(t *testing.T) {
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	sink := &grpcSink{}
	server := grpc.NewServer()
	ptraceotlp.RegisterGRPCServer(server, sink)
	go func() { _ = server.Serve(socket) }()
	t.Cleanup(server.Stop)

	r := prepare(t)
	in := lambdatest.FreeAddress(t)
	r.env["OPENTELEMETRY_COLLECTOR_CONFIG_URI"] = fmt.Sprintf(
		`builtin:,yaml:{receivers: {otlp: {protocols: {http: {endpoint: %q}, grpc: {endpoint: %q}}}}}`, r.otlp, in)
	r.env["OTEL_EXPORTER_OTLP_ENDPOINT"] = "http://" + socket.Addr().String()
	r.env["OTEL_EXPORTER_OTLP_PROTOCOL"] = "grpc"
	r.start().awaitReady()

	id := r.lambda.Invoke(10 * time.Second)
	conn, err := grpc.NewClient(in, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := ptraceotlp.NewGRPCClient(conn).Export(t.Context(), ptraceotlp.NewExportRequestFromTraces(spans("a"))); err != nil {
		t.Fatal(err)
	}
	r.lambda.RuntimeDone(id, "success")
	r.lambda.AwaitNext(3 * time.Second)
	sink.mu.Lock()
	defer sink.mu.Unlock()
	if strings.Join(sink.names, " ") != "a" {
		t.Errorf("arrived: %v; printed: %s; counted %v", sink.names, r.out.String(), r.lambda.Calls())
	}
}

func TestRunKeepsTelemetryThroughFaultsOfTheNetwork(t *testing.T) {
	untrusted := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(untrusted.Close)
	for _, tc := range []struct{ desc, endpoint string }{
		{desc: "nobody listens", endpoint: "http://" + lambdatest.FreeAddress(t)},
		{desc: "a certificate that nobody trusts", endpoint: untrusted.URL},
		{desc: "a name that does not resolve", endpoint: "http://backend.invalid:4318"},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			r := prepare(t)
			config := r.env["OPENTELEMETRY_COLLECTOR_CONFIG_URI"]
			r.env["OPENTELEMETRY_COLLECTOR_CONFIG_URI"] = strings.Replace(config, r.sink.URL(), tc.endpoint, 1)
			r.start().awaitReady()
			for i := range 3 {
				id := r.lambda.Invoke(10 * time.Second)
				began := time.Now()
				r.post(spans(fmt.Sprintf("span-%d", i)), id)
				if took := time.Since(began); took > 200*time.Millisecond {
					t.Errorf("the function's post took %v", took)
				}
				r.lambda.AwaitNext(3 * time.Second)
			}
			r.lambda.Shutdown("spindown")
			if took := r.awaitExit(2 * time.Second); took > 1500*time.Millisecond {
				t.Errorf("the end took %v", took)
			}

			// The network is whole again in the next life of the environment.
			r.env["OPENTELEMETRY_COLLECTOR_CONFIG_URI"] = config
			r.restart().awaitReady()
			r.lambda.Shutdown("spindown")
			r.awaitExit(2 * time.Second)
			r.assertSpans("span-0", "span-1", "span-2")
		})
	}
}

func TestRunWorksWithoutASpool(t *testing.T) {
	r := prepare(t)
	other, err := outbox.Open(outboxOptions(r.dir))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(other.Close)
	r.start().awaitReady()
	id := r.lambda.Invoke(10 * time.Second)
	r.post(spans("a"), id)
	r.lambda.AwaitNext(3 * time.Second)
	r.assertSpans("a")
	if printed := r.out.String(); strings.Count(printed, "\n") != 1 || !strings.Contains(printed, "kept in memory only") {
		t.Errorf("printed: %s", printed)
	}
}
