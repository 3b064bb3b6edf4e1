package handoff

import (
	"bytes"
	"encoding/binary"

	"github.com/klauspost/compress/gzip"

	"neuro-preprocess/collector/internal/outbox"
)

// wireBytes is protobuf's wire type of length-delimited fields.
const wireBytes = 2

// Bundle collects requests into one object.
type Bundle struct {
	buffer bytes.Buffer
	gzip   *gzip.Writer
	count  int
}

// NewBundle makes an empty one.
func NewBundle() *Bundle {
	b := &Bundle{}
	// There are two seconds in all, and the network is rarely slower than a better compression would be.
	b.gzip, _ = gzip.NewWriterLevel(&b.buffer, gzip.BestSpeed)
	return b
}

// Add appends one request.
func (b *Bundle) Add(signal outbox.Signal, request []byte) error {
	head := binary.AppendUvarint([]byte{byte(signal)<<3 | wireBytes}, uint64(len(request)))
	if _, err := b.gzip.Write(head); err != nil {
		return err
	}
	_, err := b.gzip.Write(request)
	b.count++
	return err
}

// Len is the number of requests in it.
func (b *Bundle) Len() int { return b.count }

// Close ends the bundle and returns its bytes.
func (b *Bundle) Close() ([]byte, error) {
	if err := b.gzip.Close(); err != nil {
		return nil, err
	}
	return b.buffer.Bytes(), nil
}
