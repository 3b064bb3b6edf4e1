package lambdatest

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"io"
	"maps"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// Bucket takes objects as S3 does, addressed by path. It does not check signatures.
type Bucket struct {
	t      testing.TB
	server *httptest.Server

	mu      sync.Mutex
	objects map[string][]byte
	signed  []string
	refuse  int
	room    int
}

// NewBucket starts a bucket that stops with the test.
func NewBucket(t testing.TB) *Bucket {
	b := &Bucket{t: t, objects: map[string][]byte{}, room: math.MaxInt}
	b.server = httptest.NewServer(http.HandlerFunc(b.serve))
	t.Cleanup(b.server.Close)
	return b
}

// URL is what `AWS_ENDPOINT_URL_S3` holds.
func (b *Bucket) URL() string { return b.server.URL }

// Refuse makes the next requests fail with status 503.
func (b *Bucket) Refuse(times int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refuse = times
}

// HangAfter makes it take so many objects and leave all further requests without an answer.
func (b *Bucket) HangAfter(objects int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.room = objects
}

func (b *Bucket) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil || r.Method != http.MethodPut {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.refuse > 0 {
		b.refuse--
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	if b.room <= 0 {
		b.mu.Unlock()
		<-r.Context().Done()
		b.mu.Lock()
		return
	}
	b.room--
	b.signed = append(b.signed, r.Header.Get("Authorization"))
	b.objects[strings.TrimPrefix(r.URL.Path, "/")] = body
}

// Objects are those that were stored, by bucket and key.
func (b *Bucket) Objects() map[string][]byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return maps.Clone(b.objects)
}

// Signatures are the authorization headers of what was stored.
func (b *Bucket) Signatures() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.signed...)
}

// ReadBundle takes an object apart: requests by field number. It shares no code with what writes bundles.
func ReadBundle(t testing.TB, object []byte) map[int][][]byte {
	t.Helper()
	unzipped, err := gzip.NewReader(bytes.NewReader(object))
	if err != nil {
		t.Fatalf("the object is not gzip: %v", err)
	}
	rest, err := io.ReadAll(unzipped)
	if err != nil {
		t.Fatalf("the object is not whole: %v", err)
	}
	requests := map[int][][]byte{}
	for len(rest) > 0 {
		tag, n := binary.Uvarint(rest)
		size, m := binary.Uvarint(rest[n:])
		rest = rest[n+m:]
		if n <= 0 || m <= 0 || tag&7 != 2 || size > uint64(len(rest)) {
			t.Fatalf("the object is not a bundle at tag %d", tag)
		}
		requests[int(tag>>3)] = append(requests[int(tag>>3)], rest[:size])
		rest = rest[size:]
	}
	return requests
}
