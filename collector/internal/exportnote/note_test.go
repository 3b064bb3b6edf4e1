package exportnote

import (
	"context"
	"net/http"
	"testing"
	"time"
)

func TestTake(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, tc := range []struct {
		desc, retryAfter string
		want             time.Duration
	}{
		{desc: "none"},
		{desc: "seconds", retryAfter: "7", want: 7 * time.Second},
		{desc: "a moment", retryAfter: "Fri, 02 Jan 2026 03:04:35 GMT", want: 30 * time.Second},
		{desc: "a moment that is over", retryAfter: "Fri, 02 Jan 2026 03:00:00 GMT"},
		{desc: "nonsense", retryAfter: "soon"},
		{desc: "negative", retryAfter: "-5"},
		{desc: "for ever", retryAfter: "999999999", want: MaxRetryAfter},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			ctx, note := With(t.Context())
			answer := &http.Response{StatusCode: 429, Header: http.Header{}}
			if tc.retryAfter != "" {
				answer.Header.Set("Retry-After", tc.retryAfter)
			}
			Take(ctx, answer, now)
			if note.Status() != 429 || note.RetryAfter() != tc.want {
				t.Errorf("status %d, wait %v", note.Status(), note.RetryAfter())
			}
		})
	}
	Take(context.Background(), &http.Response{}, now) // A context without a note is none of our business.
}

func TestStatusIsTheOneThatMattersMost(t *testing.T) {
	for _, tc := range []struct {
		desc     string
		statuses []int
		want     int
	}{
		{desc: "nothing was asked", want: 0},
		{desc: "one answer", statuses: []int{200}, want: 200},
		{desc: "one of two failed", statuses: []int{503, 200}, want: 503},
		{desc: "one of two was refused", statuses: []int{200, 400}, want: 400},
		{desc: "one refuses, another is busy", statuses: []int{400, 429}, want: 429},
		{desc: "one refuses, another is gone", statuses: []int{413, NoAnswer, 200}, want: NoAnswer},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			ctx, note := With(t.Context())
			for _, status := range tc.statuses {
				var answer *http.Response
				if status != NoAnswer {
					answer = &http.Response{StatusCode: status, Header: http.Header{}}
				}
				Take(ctx, answer, time.Now())
			}
			if note.Status() != tc.want {
				t.Errorf("status %d, want %d", note.Status(), tc.want)
			}
		})
	}
}
