package lambdatest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// Lambda is the platform, for one extension.
type Lambda struct {
	t      testing.TB
	server *httptest.Server

	// SubscribeStatus is the answer to a subscription: 200, or 202 as emulators answer.
	SubscribeStatus int
	// RegisterStatus is the answer to a registration.
	RegisterStatus int

	events chan map[string]any
	nexts  chan time.Time

	mu          sync.Mutex
	destination string
	subscribed  chan struct{}
	calls       []string
	registered  map[string]any
	invocations int
	stopped     chan struct{}
	vanish      sync.Once
}

// NewLambda starts a platform that stops with the test.
func NewLambda(t testing.TB) *Lambda {
	l := &Lambda{
		t: t, SubscribeStatus: http.StatusOK, RegisterStatus: http.StatusOK,
		events: make(chan map[string]any, 16), nexts: make(chan time.Time, 1024),
		subscribed: make(chan struct{}), stopped: make(chan struct{}),
	}
	l.server = httptest.NewServer(http.HandlerFunc(l.serve))
	t.Cleanup(l.Vanish)
	return l
}

// Vanish ends the platform without a word.
func (l *Lambda) Vanish() {
	l.vanish.Do(func() {
		close(l.stopped)
		l.server.CloseClientConnections()
		l.server.Close()
	})
}

// Address is what `AWS_LAMBDA_RUNTIME_API` holds.
func (l *Lambda) Address() string { return strings.TrimPrefix(l.server.URL, "http://") }

func (l *Lambda) serve(w http.ResponseWriter, r *http.Request) {
	var body map[string]any
	_ = json.NewDecoder(r.Body).Decode(&body)
	l.mu.Lock()
	l.calls = append(l.calls, r.URL.Path)
	l.mu.Unlock()
	switch r.URL.Path {
	case "/2020-01-01/extension/register":
		l.mu.Lock()
		l.registered = body
		l.mu.Unlock()
		w.Header().Set("Lambda-Extension-Identifier", "the-identifier")
		w.WriteHeader(l.RegisterStatus)
		fmt.Fprint(w, `{"functionName":"f","functionVersion":"$LATEST","handler":"h","accountId":"123456789012"}`)
	case "/2020-01-01/extension/event/next":
		if r.Header.Get("Lambda-Extension-Identifier") != "the-identifier" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		l.nexts <- time.Now()
		select {
		case event := <-l.events:
			_ = json.NewEncoder(w).Encode(event)
		case <-r.Context().Done():
		case <-l.stopped:
		}
	case "/2022-07-01/telemetry":
		destination, _ := body["destination"].(map[string]any)
		l.mu.Lock()
		l.destination = strings.Replace(fmt.Sprint(destination["URI"]), "sandbox.localdomain", "127.0.0.1", 1)
		l.mu.Unlock()
		w.WriteHeader(l.SubscribeStatus)
		close(l.subscribed)
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

// Calls are the paths that were asked for, in their order.
func (l *Lambda) Calls() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.calls...)
}

// Registered is the body of the registration.
func (l *Lambda) Registered() map[string]any {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.registered
}

// AwaitNext waits until the extension asks for the next event, and returns when it did.
func (l *Lambda) AwaitNext(within time.Duration) time.Time {
	l.t.Helper()
	select {
	case at := <-l.nexts:
		return at
	case <-time.After(within):
		l.t.Fatalf("the extension did not ask for the next event within %v", within)
		return time.Time{}
	}
}

// IsAsking reports whether the extension has asked for the next event.
func (l *Lambda) IsAsking() bool { return len(l.nexts) > 0 }

// Invoke begins an invocation that may take as long as timeout, and returns its request id.
func (l *Lambda) Invoke(timeout time.Duration) string {
	l.mu.Lock()
	l.invocations++
	requestID := fmt.Sprintf("00000000-0000-0000-0000-%012d", l.invocations)
	l.mu.Unlock()
	l.events <- map[string]any{
		"eventType": "INVOKE", "requestId": requestID, "deadlineMs": time.Now().Add(timeout).UnixMilli(),
		"invokedFunctionArn": "arn:aws:lambda:eu-west-1:123456789012:function:f",
	}
	return requestID
}

// Shutdown ends the environment; the extension has two seconds.
func (l *Lambda) Shutdown(reason string) {
	l.events <- map[string]any{
		"eventType": "SHUTDOWN", "shutdownReason": reason, "deadlineMs": time.Now().Add(2 * time.Second).UnixMilli(),
	}
}

// Tell delivers platform events, as type and record in turn.
func (l *Lambda) Tell(typesAndRecords ...any) {
	l.t.Helper()
	<-l.subscribed
	var delivery []map[string]any
	for i := 0; i < len(typesAndRecords); i += 2 {
		delivery = append(delivery, map[string]any{
			"time": time.Now().UTC().Format(time.RFC3339Nano), "type": typesAndRecords[i], "record": typesAndRecords[i+1],
		})
	}
	body, err := json.Marshal(delivery)
	if err != nil {
		l.t.Fatal(err)
	}
	l.mu.Lock()
	destination := l.destination
	l.mu.Unlock()
	answer, err := http.Post(destination, "application/json", bytes.NewReader(body))
	if err != nil {
		l.t.Fatalf("deliver platform events: %v", err)
	}
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		l.t.Fatalf("a delivery of platform events was answered with %d", answer.StatusCode)
	}
}

// RuntimeDone tells that the runtime is done with an invocation.
func (l *Lambda) RuntimeDone(requestID, status string) {
	l.t.Helper()
	l.Tell("platform.runtimeDone", map[string]any{
		"requestId": requestID, "status": status, "metrics": map[string]any{"durationMs": 12.5},
		"spans": []map[string]any{
			{"name": "responseLatency", "durationMs": 10.0}, {"name": "responseDuration", "durationMs": 2.0},
			{"name": "runtimeOverhead", "durationMs": 100.0},
		},
	})
}
