package handoff

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"neuro-preprocess/collector/internal/lambdatest"
	"neuro-preprocess/collector/internal/outbox"
)

func lookup(env map[string]string) func(string) string {
	return func(name string) string { return env[name] }
}

func TestStoreFrom(t *testing.T) {
	for _, tc := range []struct {
		desc    string
		env     map[string]string
		want    string
		wantErr string
	}{
		{desc: "none"},
		{desc: "in a region", env: map[string]string{EnvURI: "s3://b/p/q", "AWS_REGION": "eu-west-1"}, want: "https://b.s3.eu-west-1.amazonaws.com"},
		{desc: "in China", env: map[string]string{EnvURI: "s3://b", "AWS_REGION": "cn-north-1"}, want: "https://b.s3.cn-north-1.amazonaws.com.cn"},
		{desc: "a name with dots", env: map[string]string{EnvURI: "s3://b.c", "AWS_REGION": "eu-west-1"}, want: "https://s3.eu-west-1.amazonaws.com/b.c"},
		{desc: "another endpoint", env: map[string]string{EnvURI: "s3://b/p", "AWS_ENDPOINT_URL_S3": "http://localhost:5000/"}, want: "http://localhost:5000/b"},
		{desc: "another endpoint for all services", env: map[string]string{EnvURI: "s3://b/p", "AWS_ENDPOINT_URL": "http://localhost:5000"}, want: "http://localhost:5000/b"},
		{desc: "no bucket", env: map[string]string{EnvURI: "https://b/p"}, wantErr: EnvURI},
		{desc: "no endpoint", env: map[string]string{EnvURI: "s3://b/p", "AWS_ENDPOINT_URL_S3": "localhost"}, wantErr: "AWS_ENDPOINT_URL_S3"},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			s, err := StoreFrom(lookup(tc.env))
			if tc.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tc.wantErr) {
					t.Errorf("error %v", err)
				}
				return
			}
			if err != nil || (s == nil) != (tc.want == "") || s != nil && s.base.String() != tc.want {
				t.Errorf("store %+v, error %v", s, err)
			}
		})
	}
}

func TestKeysSortByTimeAndStayUnderTheFunction(t *testing.T) {
	s, err := StoreFrom(lookup(map[string]string{EnvURI: "s3://b/telemetry/", "AWS_REGION": "eu-west-1"}))
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, at := range []time.Time{time.UnixMilli(1700000000000), time.UnixMilli(1700000000001), time.UnixMilli(1800000000000)} {
		s.now = func() time.Time { return at }
		keys = append(keys, s.Key("f", "an-id", ".otlp.gz"))
	}
	if !slices.IsSorted(keys) || keys[0] != "telemetry/f/2023/11/14/221320.000-an-id.otlp.gz" {
		t.Errorf("keys %q", keys)
	}
}

func TestKeysOfOneMomentAreTold(t *testing.T) {
	s, err := StoreFrom(lookup(map[string]string{EnvURI: "s3://b/telemetry", "AWS_REGION": "eu-west-1"}))
	if err != nil {
		t.Fatal(err)
	}
	s.now = func() time.Time { return time.UnixMilli(1700000000000) }
	keys := []string{s.Key("f", "i", ".otlp.gz"), s.Key("f", "i", ".otlp.gz"), s.Key("f", "i", ".refused.gz")}
	if !slices.IsSorted(keys) || len(slices.Compact(slices.Clone(keys))) != 3 {
		t.Errorf("keys %q", keys)
	}
}

func TestBundleCanBeTakenApart(t *testing.T) {
	b := NewBundle()
	for _, add := range []struct {
		signal  outbox.Signal
		request string
	}{{outbox.Traces, "one"}, {outbox.Logs, strings.Repeat("x", 300)}, {outbox.Traces, ""}, {outbox.Metrics, "two"}} {
		if err := b.Add(add.signal, []byte(add.request)); err != nil {
			t.Fatal(err)
		}
	}
	object, err := b.Close()
	if err != nil || b.Len() != 4 {
		t.Fatalf("%d requests, error %v", b.Len(), err)
	}
	got := lambdatest.ReadBundle(t, object)
	if len(got[1]) != 2 || string(got[1][0]) != "one" || len(got[3][0]) != 300 || string(got[2][0]) != "two" {
		t.Errorf("got %v", got)
	}
}

func TestPut(t *testing.T) {
	for _, tc := range []struct {
		desc      string
		statuses  []int
		wantTries int
		wantErr   bool
	}{
		{desc: "stored", statuses: []int{200}, wantTries: 1},
		{desc: "slow down, then stored", statuses: []int{503, 500, 429, 200}, wantTries: 4},
		{desc: "not allowed", statuses: []int{403}, wantTries: 1, wantErr: true},
		{desc: "somewhere else", statuses: []int{301}, wantTries: 1, wantErr: true},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			tries := 0
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				for _, header := range []string{"Authorization", "X-Amz-Date", "X-Amz-Content-Sha256", "X-Amz-Security-Token"} {
					if r.Header.Get(header) == "" {
						t.Errorf("%s is missing", header)
					}
				}
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(tc.statuses[min(tries, len(tc.statuses)-1)])
				tries++
			}))
			defer server.Close()
			s, err := StoreFrom(lookup(map[string]string{
				EnvURI: "s3://b/p", "AWS_ENDPOINT_URL_S3": server.URL, "AWS_REGION": "eu-west-1",
				"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_SESSION_TOKEN": "token",
			}))
			if err != nil {
				t.Fatal(err)
			}
			err = s.Put(t.Context(), "p/f/key", []byte("content"))
			var refused *RefusedError
			if tries != tc.wantTries || errors.As(err, &refused) != tc.wantErr {
				t.Errorf("%d tries, error %v", tries, err)
			}
		})
	}
}

func TestPutEndsWithItsContext(t *testing.T) {
	s, err := StoreFrom(lookup(map[string]string{EnvURI: "s3://b/p", "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9", "AWS_REGION": "eu-west-1"}))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 150*time.Millisecond)
	defer cancel()
	began := time.Now()
	if err := s.Put(ctx, "key", []byte("content")); err == nil || time.Since(began) > time.Second {
		t.Errorf("error %v after %v", err, time.Since(began))
	}
}
