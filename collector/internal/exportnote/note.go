// Package exportnote carries what a backend answered from the transport of an exporter, which sees it, to whoever
// began the export: an exporter's error does not tell a request that is too large from one that is wrong, nor how
// long to wait.
package exportnote

import (
	"context"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"
)

// Note is filled in while an export runs.
type Note struct {
	status     atomic.Int64
	retryAfter atomic.Int64
}

type key struct{}

// With returns a context under which an export fills in the note.
func With(ctx context.Context) (context.Context, *Note) {
	n := &Note{}
	return context.WithValue(ctx, key{}, n), n
}

// Status is the HTTP status of the last answer, zero if there was none.
func (n *Note) Status() int { return int(n.status.Load()) }

// RetryAfter is what the last answer asked for.
func (n *Note) RetryAfter() time.Duration { return time.Duration(n.retryAfter.Load()) }

// Take fills in the note of a context, if it has one.
func Take(ctx context.Context, answer *http.Response, now time.Time) {
	n, ok := ctx.Value(key{}).(*Note)
	if !ok {
		return
	}
	n.status.Store(int64(answer.StatusCode))
	n.retryAfter.Store(int64(retryAfter(answer.Header.Get("Retry-After"), now)))
}

// maxRetryAfter bounds what a backend may ask for: an environment lives for hours at most.
const maxRetryAfter = 10 * time.Minute

func retryAfter(value string, now time.Time) time.Duration {
	wait := time.Duration(0)
	if seconds, err := strconv.ParseInt(value, 10, 32); err == nil {
		wait = time.Duration(seconds) * time.Second
	} else if at, err := http.ParseTime(value); err == nil {
		wait = at.Sub(now)
	}
	return min(max(wait, 0), maxRetryAfter)
}
