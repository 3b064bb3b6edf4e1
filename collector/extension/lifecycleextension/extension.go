package lifecycleextension

import (
	"context"
	"net/http"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension/extensionmiddleware"

	"neuro-preprocess/collector/internal/exportnote"
)

// The headers by which a telemetry layer says, with the last request of an invocation, that it is over.
const (
	EndHeader        = "Lambda-Otel-End"
	InvocationHeader = "Lambda-Otel-Invocation"
)

// Ends is told what arrives from the function.
type Ends interface {
	Posted()
	ByLayer(requestID string)
}

type middleware struct {
	component.StartFunc
	component.ShutdownFunc
	ends Ends
	pool *Connections
}

var (
	_ extensionmiddleware.HTTPServer = (*middleware)(nil)
	_ extensionmiddleware.HTTPClient = (*middleware)(nil)
)

// GetHTTPHandler looks at requests after they were served: what they carry is stored by then.
func (m *middleware) GetHTTPHandler(context.Context) (extensionmiddleware.WrapHTTPHandlerFunc, error) {
	return func(_ context.Context, base http.Handler) (http.Handler, error) {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			base.ServeHTTP(w, r)
			m.ends.Posted()
			if r.Header.Get(EndHeader) == "1" {
				m.ends.ByLayer(r.Header.Get(InvocationHeader))
			}
		}), nil
	}, nil
}

// GetHTTPRoundTripper keeps hold of the exporter's transport.
func (m *middleware) GetHTTPRoundTripper(context.Context) (extensionmiddleware.WrapHTTPRoundTripperFunc, error) {
	return func(_ context.Context, base http.RoundTripper) (http.RoundTripper, error) {
		m.pool.add(base)
		return noting{base}, nil
	}, nil
}

// noting writes what the backend answered into the note of the request's context.
type noting struct{ base http.RoundTripper }

func (n noting) RoundTrip(request *http.Request) (*http.Response, error) {
	answer, err := n.base.RoundTrip(request)
	if err == nil {
		exportnote.Take(request.Context(), answer, time.Now())
	}
	return answer, err
}

// Connections are the idle ones of all exporters.
type Connections struct {
	mu    sync.Mutex
	pools []interface{ CloseIdleConnections() }
}

func (c *Connections) add(transport http.RoundTripper) {
	if pool, ok := transport.(interface{ CloseIdleConnections() }); ok {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.pools = append(c.pools, pool)
	}
}

// Forget closes them: after a freeze the other side may have forgotten them without a word, and a request on such a
// connection would wait for an answer that never comes.
func (c *Connections) Forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, pool := range c.pools {
		pool.CloseIdleConnections()
	}
}
