// Package exportnote carries what a backend answered from the transport of an exporter, which sees it, to whoever
// began the export: an exporter's error does not tell a request that is too large from one that is wrong, nor how
// long to wait.
package exportnote

import (
	"context"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// NoAnswer stands for the status of a request that was not answered.
const NoAnswer = -1

// Note is filled in while an export runs. It is safe for use by several goroutines: a pipeline may have more than one
// exporter.
type Note struct {
	mu         sync.Mutex
	status     int
	retryAfter time.Duration
}

type key struct{}

// With returns a context under which an export fills in the note.
func With(ctx context.Context) (context.Context, *Note) {
	n := &Note{}
	return context.WithValue(ctx, key{}, n), n
}

// Status is that of the answer, `NoAnswer`, or zero if nothing was asked over HTTP. Of several it is the one that matters
// most: that of a request worth another try, then that of one that was refused.
func (n *Note) Status() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.status
}

// RetryAfter is the longest wait that an answer asked for.
func (n *Note) RetryAfter() time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.retryAfter
}

// Take fills in the note of a context, if it has one. A nil answer is none.
func Take(ctx context.Context, answer *http.Response, now time.Time) {
	n, ok := ctx.Value(key{}).(*Note)
	if !ok {
		return
	}
	status, wait := NoAnswer, time.Duration(0)
	if answer != nil {
		status, wait = answer.StatusCode, retryAfter(answer.Header.Get("Retry-After"), now)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.retryAfter = max(n.retryAfter, wait)
	if n.status == 0 || weight(status) > weight(n.status) {
		n.status = status
	}
}

// IsWorthRetrying reports whether a status speaks of the moment, or of a backend that is somewhere else, rather than of
// the request.
func IsWorthRetrying(status int) bool {
	return status == NoAnswer || status == http.StatusRequestTimeout || status == http.StatusTooManyRequests ||
		status >= 300 && status < 400 || status >= 500
}

func weight(status int) int {
	switch {
	case IsWorthRetrying(status):
		return 2
	case status >= 400:
		return 1
	default:
		return 0
	}
}

// MaxRetryAfter bounds what a backend may ask for: an environment lives for hours at most.
const MaxRetryAfter = 10 * time.Minute

func retryAfter(value string, now time.Time) time.Duration {
	wait := time.Duration(0)
	if seconds, err := strconv.ParseInt(value, 10, 32); err == nil {
		wait = time.Duration(seconds) * time.Second
	} else if at, err := http.ParseTime(value); err == nil {
		wait = at.Sub(now)
	}
	return min(max(wait, 0), MaxRetryAfter)
}
