package handoff

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// EnvURI names the bucket and the prefix, as `s3://bucket/prefix`.
const EnvURI = "OTEL_LAMBDA_HANDOFF_URI"

const (
	retryPause = 50 * time.Millisecond
	maxReply   = 4 << 10
)

// Store is a place in a bucket.
type Store struct {
	base        *url.URL // of the bucket
	prefix      string
	region      string
	credentials aws.Credentials
	client      http.Client
	signer      *v4.Signer
	now         func() time.Time
	last        time.Time // of which a key was made
}

// StoreFrom reads the environment; nil if no bucket is named.
func StoreFrom(getenv func(string) string) (*Store, error) {
	uri := getenv(EnvURI)
	if uri == "" {
		return nil, nil
	}
	u, err := url.Parse(uri)
	if err != nil || u.Scheme != "s3" || u.Host == "" {
		return nil, fmt.Errorf("`%s` is not of the form `s3://bucket/prefix`", EnvURI)
	}
	s := &Store{
		prefix: strings.Trim(u.Path, "/"),
		region: getenv("AWS_REGION"),
		credentials: aws.Credentials{
			AccessKeyID:     getenv("AWS_ACCESS_KEY_ID"),
			SecretAccessKey: getenv("AWS_SECRET_ACCESS_KEY"),
			SessionToken:    getenv("AWS_SESSION_TOKEN"),
		},
		// S3 signs the path as it is sent, not a second encoding of it.
		signer: v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true }),
		// A redirect, as to a bucket's own region, would need a signature of its own, and might be followed by a GET.
		client: http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
		now:    time.Now,
	}
	if s.base, err = bucketURL(u.Host, s.region, getenv); err != nil {
		return nil, err
	}
	return s, nil
}

// bucketURL is that of the region's S3, or of another endpoint, where the bucket stands in the path.
func bucketURL(bucket, region string, getenv func(string) string) (*url.URL, error) {
	for _, name := range []string{"AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"} {
		endpoint := getenv(name)
		if endpoint == "" {
			continue
		}
		u, err := url.Parse(endpoint)
		if err != nil || u.Host == "" {
			return nil, fmt.Errorf("`%s` is not a URL", name)
		}
		return u.JoinPath(bucket), nil
	}
	suffix := "amazonaws.com"
	if strings.HasPrefix(region, "cn-") {
		suffix += ".cn"
	}
	if strings.Contains(bucket, ".") {
		// The certificate of the virtual host would not cover such a name.
		return url.Parse("https://s3." + region + "." + suffix + "/" + bucket)
	}
	return url.Parse("https://" + bucket + ".s3." + region + "." + suffix)
}

// Key is a name that is used once. Names sort by time.
func (s *Store) Key(function, instance, suffix string) string {
	now := s.now().UTC().Truncate(time.Millisecond)
	if !now.After(s.last) {
		now = s.last.Add(time.Millisecond)
	}
	s.last = now
	return path.Join(s.prefix, function, now.Format("2006/01/02"), now.Format("150405.000")+"-"+instance+suffix)
}

// RefusedError is an answer of the bucket that trying again does not change.
type RefusedError struct {
	Status int
	Reply  string
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("the bucket refused with status %d: %s", e.Status, e.Reply)
}

// Put stores an object, and tries again as long as ctx allows.
func (s *Store) Put(ctx context.Context, key string, body []byte) error {
	for {
		err := s.putOnce(ctx, key, body)
		var refused *RefusedError
		if err == nil || errors.As(err, &refused) {
			return err
		}
		select {
		case <-time.After(retryPause):
		case <-ctx.Done():
			return err
		}
	}
}

func (s *Store) putOnce(ctx context.Context, key string, body []byte) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPut, s.base.JoinPath(key).String(), bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/gzip")
	digest := sha256.Sum256(body)
	payloadHash := hex.EncodeToString(digest[:])
	request.Header.Set("X-Amz-Content-Sha256", payloadHash)
	if err := s.signer.SignHTTP(ctx, s.credentials, request, payloadHash, "s3", s.region, s.now()); err != nil {
		return fmt.Errorf("sign the request: %w", err)
	}
	answer, err := s.client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	reply, _ := io.ReadAll(io.LimitReader(answer.Body, maxReply))
	switch {
	case answer.StatusCode < 300:
		return nil
	case answer.StatusCode >= 500 || answer.StatusCode == http.StatusTooManyRequests:
		return fmt.Errorf("the bucket answered status %d", answer.StatusCode)
	default:
		return &RefusedError{Status: answer.StatusCode, Reply: strings.Join(strings.Fields(string(reply)), " ")}
	}
}
