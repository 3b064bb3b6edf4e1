package lambdaapi

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// serve answers one call and returns what was asked.
func serve(t *testing.T, status int, reply string) (*Client, func() (*http.Request, string)) {
	t.Helper()
	var asked *http.Request
	var body []byte
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r
		body, _ = io.ReadAll(r.Body)
		w.Header().Set(idHeader, "an-id")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, reply)
	}))
	t.Cleanup(server.Close)
	return New(strings.TrimPrefix(server.URL, "http://")), func() (*http.Request, string) { return asked, string(body) }
}

func TestRegister(t *testing.T) {
	c, asked := serve(t, http.StatusOK, `{"functionName":"f","functionVersion":"7","handler":"h","accountId":"1"}`)
	got, err := c.Register(t.Context(), "collector", Invoke, Shutdown)
	if err != nil || got.FunctionName != "f" || got.AccountID != "1" {
		t.Fatalf("%+v, %v", got, err)
	}
	request, body := asked()
	if request.URL.Path != "/2020-01-01/extension/register" || request.Header.Get(nameHeader) != "collector" || body != `{"events":["INVOKE","SHUTDOWN"]}` {
		t.Errorf("asked %s with %s", request.URL.Path, body)
	}
}

func TestNextReadsEvents(t *testing.T) {
	for _, tc := range []struct {
		desc, reply string
		want        Event
	}{
		{desc: "an invocation", reply: `{"eventType":"INVOKE","deadlineMs":1700000000123,"requestId":"r","invokedFunctionArn":"arn","tracing":{"value":"x"}}`,
			want: Event{Type: Invoke, DeadlineMs: 1700000000123, RequestID: "r"}},
		{desc: "the end", reply: `{"eventType":"SHUTDOWN","shutdownReason":"timeout","deadlineMs":5}`, want: Event{Type: Shutdown, ShutdownReason: "timeout", DeadlineMs: 5}},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			c, asked := serve(t, http.StatusOK, tc.reply)
			c.id = "an-id"
			got, err := c.Next(t.Context())
			if err != nil || got != tc.want {
				t.Errorf("%+v, %v", got, err)
			}
			if request, _ := asked(); request.Header.Get(idHeader) != "an-id" {
				t.Error("asked without an identifier")
			}
		})
	}
	if at := (Event{DeadlineMs: 1500}).Deadline(); !at.Equal(time.UnixMilli(1500)) {
		t.Errorf("the deadline is %v", at)
	}
}

func TestSubscribe(t *testing.T) {
	for _, tc := range []struct {
		status        int
		wantSupported bool
		wantErr       bool
	}{{status: 200, wantSupported: true}, {status: 202}, {status: 400, wantErr: true}, {status: 500, wantErr: true}} {
		c, asked := serve(t, tc.status, "no\n  reason")
		got, err := c.Subscribe(t.Context(), "http://sandbox.localdomain:1/", []string{"platform"})
		if got != tc.wantSupported || (err != nil) != tc.wantErr {
			t.Errorf("status %d is %v, %v", tc.status, got, err)
		}
		var refused *RefusedError
		if tc.wantErr && (!errors.As(err, &refused) || refused.Status != tc.status || strings.Contains(err.Error(), "\n")) {
			t.Errorf("error %v", err)
		}
		_, body := asked()
		for _, want := range []string{`"schemaVersion":"2025-01-29"`, `"timeoutMs":25`, `"URI":"http://sandbox.localdomain:1/"`, `"types":["platform"]`} {
			if !strings.Contains(body, want) {
				t.Errorf("%s is not in %s", want, body)
			}
		}
	}
}

func TestCallsEndWithTheirContext(t *testing.T) {
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer server.Close()
	defer close(release)
	c := New(strings.TrimPrefix(server.URL, "http://"))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := c.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
}
