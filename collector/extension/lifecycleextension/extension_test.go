package lifecycleextension

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"go.opentelemetry.io/collector/extension/extensionmiddleware"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/stats"

	"neuro-preprocess/collector/internal/exportnote"
)

// heard notes in which order things happened.
type heard struct{ log []string }

func (h *heard) Posted()                                   { h.log = append(h.log, "posted") }
func (h *heard) ByLayer(id string)                         { h.log = append(h.log, "ended "+id) }
func (h *heard) served(http.ResponseWriter, *http.Request) { h.log = append(h.log, "served") }

func create(t *testing.T, h *heard, pool *Connections) *middleware {
	t.Helper()
	factory := NewFactory(h, pool)
	ext, err := factory.Create(t.Context(), extensiontest.NewNopSettings(Type), factory.CreateDefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	return ext.(*middleware)
}

// wrapped is a transport as an exporter gets it.
func wrapped(t *testing.T, pool *Connections, base http.RoundTripper) http.RoundTripper {
	t.Helper()
	wrap, err := create(t, &heard{}, pool).GetHTTPRoundTripper(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	transport, err := wrap(t.Context(), base)
	if err != nil {
		t.Fatal(err)
	}
	return transport
}

func TestEndIsHeardAfterTheRequestWasServed(t *testing.T) {
	for _, tc := range []struct {
		desc   string
		header map[string]string
		want   []string
	}{
		{desc: "an ordinary request", want: []string{"served", "posted"}},
		{desc: "the last of an invocation", header: map[string]string{EndHeader: "1", InvocationHeader: "an-id"}, want: []string{"served", "posted", "ended an-id"}},
		{desc: "a flag that is not set", header: map[string]string{EndHeader: "0", InvocationHeader: "an-id"}, want: []string{"served", "posted"}},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			h := &heard{}
			var server extensionmiddleware.HTTPServer = create(t, h, &Connections{})
			wrap, err := server.GetHTTPHandler(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			handler, err := wrap(t.Context(), http.HandlerFunc(h.served))
			if err != nil {
				t.Fatal(err)
			}
			request := httptest.NewRequest(http.MethodPost, "/v1/traces", nil)
			for name, value := range tc.header {
				request.Header.Set(name, value)
			}
			handler.ServeHTTP(httptest.NewRecorder(), request)
			if !slices.Equal(h.log, tc.want) {
				t.Errorf("heard %q", h.log)
			}
		})
	}
}

func TestExportsUseNoConnectionFromBeforeALongFreeze(t *testing.T) {
	connections := map[string]bool{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		connections[r.RemoteAddr] = true
		w.WriteHeader(http.StatusTeapot)
	}))
	defer server.Close()
	pool := &Connections{}
	transport := wrapped(t, pool, &http.Transport{})
	send := func() int {
		ctx, note := exportnote.With(context.Background())
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := transport.RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		return note.Status()
	}
	send()
	if status := send(); status != http.StatusTeapot || len(connections) != 1 {
		t.Errorf("status %d, %d connections before the freeze", status, len(connections))
	}
	pool.Thawed(trustedPause - 1)
	if send(); len(connections) != 1 {
		t.Errorf("%d connections after a short freeze", len(connections))
	}
	pool.Thawed(trustedPause)
	if send(); len(connections) != 2 {
		t.Errorf("%d connections after it", len(connections))
	}
}

func TestExportsAreRepeatedWhereTheirConnectionWasClosedMeanwhile(t *testing.T) {
	seen := map[string]int{}
	var bodies []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		bodies = append(bodies, string(body))
		if seen[r.RemoteAddr]++; seen[r.RemoteAddr] == 2 {
			panic(http.ErrAbortHandler) // the connection is closed without an answer
		}
		if _, isSent := r.Header["Idempotency-Key"]; isSent {
			t.Error("the mark of a repeatable request is sent")
		}
	}))
	defer server.Close()
	transport := wrapped(t, &Connections{}, &http.Transport{})
	for _, body := range []string{"one", "two"} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		answer, err := transport.RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		if _, isMarked := request.Header["Idempotency-Key"]; isMarked {
			t.Error("the caller's request was changed")
		}
	}
	if want := []string{"one", "two", "two"}; !slices.Equal(bodies, want) || len(seen) != 2 {
		t.Errorf("%q came over %d connections", bodies, len(seen))
	}
}

func TestNewConnectionsResumeTheSessionFromBeforeAFreeze(t *testing.T) {
	var resumed []bool
	server := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		resumed = append(resumed, r.TLS.DidResume)
	}))
	defer server.Close()
	pool := &Connections{}
	transport := wrapped(t, pool, server.Client().Transport)
	client := &http.Client{Transport: transport}
	for range 2 {
		answer, err := client.Get(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		// A session's ticket is read with the answer.
		_, _ = io.Copy(io.Discard, answer.Body)
		_ = answer.Body.Close()
		pool.Thawed(trustedPause)
	}
	if !slices.Equal(resumed, []bool{false, true}) {
		t.Errorf("resumed %v", resumed)
	}
}

func TestGRPCExportsUseNoConnectionFromBeforeALongFreeze(t *testing.T) {
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var connections atomic.Int32
	server := grpc.NewServer(grpc.StatsHandler(&counting{&connections}))
	healthpb.RegisterHealthServer(server, health.NewServer())
	go func() { _ = server.Serve(socket) }()
	t.Cleanup(server.Stop)

	pool := &Connections{}
	options, err := create(t, &heard{}, pool).GetGRPCClientOptions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	options = append(options, grpc.WithTransportCredentials(insecure.NewCredentials()))
	client, err := grpc.NewClient(socket.Addr().String(), options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	send := func() {
		request := &healthpb.HealthCheckRequest{}
		if _, err := healthpb.NewHealthClient(client).Check(t.Context(), request, grpc.WaitForReady(true)); err != nil {
			t.Fatal(err)
		}
	}
	send()
	send()
	if got := connections.Load(); got != 1 {
		t.Errorf("%d connections before the freeze", got)
	}
	pool.Thawed(trustedPause - 1)
	if send(); connections.Load() != 1 {
		t.Errorf("%d connections after a short freeze", connections.Load())
	}
	pool.Thawed(trustedPause)
	if send(); connections.Load() != 2 {
		t.Errorf("%d connections after it", connections.Load())
	}
	_ = client.Close()
	if pool.mu.Lock(); len(pool.open) != 0 {
		t.Errorf("%d connections are held that are closed", len(pool.open))
	}
	pool.mu.Unlock()
}

// counting counts the connections of a server.
type counting struct{ connections *atomic.Int32 }

func (c *counting) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context { return ctx }
func (c *counting) HandleRPC(context.Context, stats.RPCStats)                       {}
func (c *counting) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context {
	return ctx
}

func (c *counting) HandleConn(_ context.Context, s stats.ConnStats) {
	if _, isBegin := s.(*stats.ConnBegin); isBegin {
		c.connections.Add(1)
	}
}
