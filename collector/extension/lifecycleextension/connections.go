package lifecycleextension

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
	"time"
)

// trustedPause is how long a freeze may be for connections to be used after it: no backend, and nothing on the way to
// it, forgets one so soon without a word.
const trustedPause = 30 * time.Second

// Connections are those of all exporters to their backends.
type Connections struct {
	mu    sync.Mutex
	pools []interface{ CloseIdleConnections() } // of HTTP transports
	open  map[*connection]struct{}              // of gRPC, where one serves all requests
}

func (c *Connections) add(transport http.RoundTripper) {
	if t, ok := transport.(*http.Transport); ok && t.TLSClientConfig != nil && t.TLSClientConfig.ClientSessionCache == nil {
		// After a freeze there are new connections, but the certificate of a backend need not be verified anew.
		t.TLSClientConfig.ClientSessionCache = tls.NewLRUClientSessionCache(0)
	}
	if pool, ok := transport.(interface{ CloseIdleConnections() }); ok {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.pools = append(c.pools, pool)
	}
}

func (c *Connections) dial(ctx context.Context, address string) (net.Conn, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	held := &connection{Conn: conn, pool: c}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open == nil {
		c.open = map[*connection]struct{}{}
	}
	c.open[held] = struct{}{}
	return held, nil
}

// Thawed closes them after a long freeze: the other side may have forgotten them without a word, and a request on such a
// connection would wait for an answer that never comes.
func (c *Connections) Thawed(pause time.Duration) {
	if pause >= trustedPause {
		c.forget()
	}
}

func (c *Connections) forget() {
	c.mu.Lock()
	open := c.open
	c.open = nil
	pools := c.pools
	c.mu.Unlock()
	for _, pool := range pools {
		pool.CloseIdleConnections()
	}
	for conn := range open {
		_ = conn.Conn.Close()
	}
}

// connection leaves its pool when it is closed.
type connection struct {
	net.Conn
	pool *Connections
}

func (c *connection) Close() error {
	c.pool.mu.Lock()
	delete(c.pool.open, c)
	c.pool.mu.Unlock()
	return c.Conn.Close()
}
