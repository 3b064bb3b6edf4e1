package platform

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

const (
	// sandboxHost is the name under which the platform reaches an extension.
	sandboxHost = "sandbox.localdomain"
	// maxDelivery is above twice the buffer that is asked for, which is what Lambda may send.
	maxDelivery = 4 << 20

	lookupTimeout = 100 * time.Millisecond
)

// Listener receives deliveries of the Telemetry API.
type Listener struct {
	server  http.Server
	url     string
	deliver func([]Event)
}

// Listen begins to listen. Deliver is called for each delivery, one at a time or several at once.
func Listen(deliver func([]Event)) (*Listener, error) {
	socket, err := net.Listen("tcp", net.JoinHostPort(bindAddress(), "0"))
	if err != nil {
		return nil, err
	}
	_, port, _ := net.SplitHostPort(socket.Addr().String())
	l := &Listener{url: "http://" + net.JoinHostPort(sandboxHost, port) + "/", deliver: deliver}
	l.server = http.Server{Handler: l, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = l.server.Serve(socket) }()
	return l, nil
}

// URL is where the platform shall deliver to.
func (l *Listener) URL() string { return l.url }

// ServeHTTP answers 200 whatever comes: the platform would deliver again, for ever, what it is told was bad.
func (l *Listener) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var body bytes.Buffer
	if size := r.ContentLength; size > 0 && size <= maxDelivery {
		body.Grow(int(size) + bytes.MinRead)
	}
	n, err := io.Copy(&body, io.LimitReader(r.Body, maxDelivery+1))
	if err != nil || n > maxDelivery {
		return
	}
	events, err := Decode(body.Bytes())
	if err != nil {
		return
	}
	l.deliver(events)
	w.WriteHeader(http.StatusOK)
}

// Close stops listening, within ctx.
func (l *Listener) Close(ctx context.Context) error { return l.server.Shutdown(ctx) }

// bindAddress is that of the sandbox's own name where there is one, as in Lambda, and loopback elsewhere.
func bindAddress() string {
	const loopback = "127.0.0.1"
	if os.Getenv("AWS_SAM_LOCAL") == "true" {
		return loopback
	}
	if hosts, err := os.ReadFile("/etc/hosts"); err == nil {
		for line := range strings.Lines(string(hosts)) {
			fields := strings.Fields(line)
			for i, field := range fields {
				if i > 0 && field == sandboxHost && net.ParseIP(fields[0]) != nil {
					return fields[0]
				}
			}
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), lookupTimeout)
	defer cancel()
	if addresses, err := net.DefaultResolver.LookupHost(ctx, sandboxHost); err == nil && len(addresses) > 0 {
		return addresses[0]
	}
	return loopback
}
