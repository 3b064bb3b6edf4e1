// Package lambdaapi speaks the Lambda Extensions API and the subscription half of the Telemetry API.
package lambdaapi

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

const (
	extensionsPath = "/2020-01-01/extension"
	telemetryPath  = "/2022-07-01/telemetry"
	// telemetrySchema is the version that all kinds of functions accept; managed instances accept no other.
	telemetrySchema = "2025-01-29"

	nameHeader = "Lambda-Extension-Name"
	idHeader   = "Lambda-Extension-Identifier"

	maxReply = 64 << 10
)

// EventType is a kind of lifecycle event.
type EventType string

// The lifecycle events.
const (
	Invoke   EventType = "INVOKE"
	Shutdown EventType = "SHUTDOWN"
)

// Event is the answer to a request for the next event.
type Event struct {
	Type EventType `json:"eventType"`
	// DeadlineMs is a moment: milliseconds since 1970.
	DeadlineMs int64  `json:"deadlineMs"`
	RequestID  string `json:"requestId"`
	// ShutdownReason in the cloud is `spindown`, `timeout` or `failure`; emulators have words and capitals of their own.
	ShutdownReason string `json:"shutdownReason"`
}

// Deadline is DeadlineMs on this process's clock.
func (e Event) Deadline() time.Time { return time.UnixMilli(e.DeadlineMs) }

// Registration is the answer to a registration.
type Registration struct {
	FunctionName    string `json:"functionName"`
	FunctionVersion string `json:"functionVersion"`
	Handler         string `json:"handler"`
	AccountID       string `json:"accountId"`
}

// RefusedError is an answer of the API that says no.
type RefusedError struct {
	Call   string
	Status int
	Reply  string
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("%s was refused with status %d: %s", e.Call, e.Status, e.Reply)
}

// Client is one registered extension.
type Client struct {
	base string
	http http.Client
	id   string
}

// New makes a client for the API at an address like `127.0.0.1:9001`.
func New(address string) *Client {
	// No timeout on the whole: the request for the next event hangs as long as the machine is frozen. Other calls
	// are bounded by their contexts.
	return &Client{base: "http://" + address, http: http.Client{Transport: &http.Transport{}}}
}

// Register makes the extension known under its file's name.
func (c *Client) Register(ctx context.Context, name string, events ...EventType) (Registration, error) {
	body, err := json.Marshal(map[string]any{"events": events})
	if err != nil {
		return Registration{}, err
	}
	header := http.Header{nameHeader: {name}, "Lambda-Extension-Accept-Feature": {"accountId"}}
	reply, answer, err := c.do(ctx, "register", http.MethodPost, extensionsPath+"/register", header, body)
	if err != nil {
		return Registration{}, err
	}
	c.id = answer.Get(idHeader)
	var r Registration
	if err := json.Unmarshal(reply, &r); err != nil {
		return Registration{}, fmt.Errorf("read the answer to register: %w", err)
	}
	return r, nil
}

// Next says that the extension is done, and waits for the next event. The machine may be frozen meanwhile.
func (c *Client) Next(ctx context.Context) (Event, error) {
	reply, _, err := c.do(ctx, "next", http.MethodGet, extensionsPath+"/event/next", nil, nil)
	if err != nil {
		return Event{}, err
	}
	var e Event
	if err := json.Unmarshal(reply, &e); err != nil {
		return Event{}, fmt.Errorf("read the next event: %w", err)
	}
	return e, nil
}

// Subscribe asks for telemetry of some types to be posted to a URL. It returns false if the platform has no Telemetry
// API, as emulators answer.
func (c *Client) Subscribe(ctx context.Context, url string, types []string) (isSupported bool, err error) {
	body, err := json.Marshal(map[string]any{
		"schemaVersion": telemetrySchema,
		"types":         types,
		"buffering":     map[string]int{"maxItems": 1000, "maxBytes": 256 << 10, "timeoutMs": 25},
		"destination":   map[string]string{"protocol": "HTTP", "URI": url},
	})
	if err != nil {
		return false, err
	}
	status, _, err := c.status(ctx, "subscribe", http.MethodPut, telemetryPath, nil, body)
	return err == nil && status == http.StatusOK, err
}

func (c *Client) do(ctx context.Context, call, method, path string, header http.Header, body []byte) ([]byte, http.Header, error) {
	_, answer, err := c.status(ctx, call, method, path, header, body)
	if err != nil {
		return nil, nil, err
	}
	return answer.body, answer.header, nil
}

type answer struct {
	header http.Header
	body   []byte
}

func (c *Client) status(ctx context.Context, call, method, path string, header http.Header, body []byte) (int, answer, error) {
	request, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return 0, answer{}, err
	}
	for name, values := range header {
		request.Header[name] = values
	}
	if c.id != "" {
		request.Header.Set(idHeader, c.id)
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := c.http.Do(request)
	if err != nil {
		return 0, answer{}, fmt.Errorf("%s: %w", call, err)
	}
	defer response.Body.Close()
	reply, err := io.ReadAll(io.LimitReader(response.Body, maxReply))
	if err != nil {
		return 0, answer{}, fmt.Errorf("%s: read the answer: %w", call, err)
	}
	if response.StatusCode >= 300 {
		oneLine := strings.Join(strings.Fields(string(reply)), " ")
		return response.StatusCode, answer{}, &RefusedError{Call: call, Status: response.StatusCode, Reply: oneLine}
	}
	return response.StatusCode, answer{header: response.Header, body: reply}, nil
}
