package lifecycleextension

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension/extensionmiddleware"
	"google.golang.org/grpc"

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
	_ extensionmiddleware.GRPCClient = (*middleware)(nil)
)

// GetHTTPHandler looks at requests after they were served: what they carry is stored, or refused, by then.
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

// GetGRPCClientOptions has the exporter's connections made where they are held on to.
func (m *middleware) GetGRPCClientOptions(context.Context) ([]grpc.DialOption, error) {
	if os.Getenv("HTTPS_PROXY") != "" || os.Getenv("https_proxy") != "" {
		// With a dialer of ours gRPC would not go through the proxy.
		return nil, nil
	}
	return []grpc.DialOption{grpc.WithContextDialer(m.pool.dial)}, nil
}

// noting writes what the backend answered into the note of the request's context.
type noting struct{ base http.RoundTripper }

// errMoved stands for a redirect that a client would follow with an empty GET, whose answer says nothing of telemetry.
var errMoved = errors.New("the backend is somewhere else")

func (n noting) RoundTrip(request *http.Request) (*http.Response, error) {
	answer, err := n.base.RoundTrip(repeatable(request))
	if err != nil {
		exportnote.Take(request.Context(), nil, time.Now())
		return nil, err
	}
	exportnote.Take(request.Context(), answer, time.Now())
	switch answer.StatusCode {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther:
		_ = answer.Body.Close()
		return nil, fmt.Errorf("%w: status %d", errMoved, answer.StatusCode)
	}
	return answer, nil
}

// repeatable lets the transport repeat a request, on a new connection, that it began on one which the backend had closed
// meanwhile. That is what the header means to it, which without a value is not sent; twice the same telemetry does no
// harm.
func repeatable(request *http.Request) *http.Request {
	marked := *request
	marked.Header = maps.Clone(request.Header)
	marked.Header["Idempotency-Key"] = nil
	return &marked
}
