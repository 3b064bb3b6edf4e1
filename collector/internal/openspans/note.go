package openspans

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"os"
	"syscall"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// maxNote is far above what a layer notes; a larger file is none of its.
const maxNote = 16 << 20

// headSize is that of a checksum, and of the length of what it is of: a byte with the length of the invocation's id, the
// id, and an OTLP request.
const headSize = 8

// Note is what one process had open when it last wrote.
type Note struct {
	Invocation string        // its id; empty if that is not known
	Spans      ptrace.Traces // their ends are 0
	// File is where it stands. No two processes have the same.
	File string
}

func readNote(path string) (Note, bool) {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_CLOEXEC|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return Note{}, false
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil || !info.Mode().IsRegular() || info.Size() > maxNote {
		return Note{}, false
	}
	// In one call, as it was written: its process may be about to write again.
	content := make([]byte, info.Size())
	n, err := file.ReadAt(content, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return Note{}, false
	}
	content = content[:n]
	invocation, request, ok := parseNote(content)
	if !ok {
		return Note{}, false
	}
	unmarshaler := ptrace.ProtoUnmarshaler{}
	td, err := unmarshaler.UnmarshalTraces(request)
	if err != nil || td.SpanCount() == 0 {
		return Note{}, false
	}
	return Note{Invocation: invocation, Spans: td, File: path}, true
}

// parseNote takes a note apart. What follows it in the file is the rest of an earlier and longer one.
func parseNote(content []byte) (invocation string, request []byte, ok bool) {
	if len(content) < headSize {
		return "", nil, false
	}
	body := content[headSize:]
	length := uint64(binary.LittleEndian.Uint32(content[4:]))
	if length == 0 || length > uint64(len(body)) {
		return "", nil, false
	}
	body = body[:length]
	if binary.LittleEndian.Uint32(content) != crc32.ChecksumIEEE(body) {
		return "", nil, false
	}
	size := 1 + int(body[0])
	if size > len(body) {
		return "", nil, false
	}
	return string(body[1:size]), body[size:], true
}

// Root returns where the invocation's own span stands, if it is among those that are open.
func (n Note) Root() (Root, bool) {
	for span := range allSpans(n.Spans) {
		if id, ok := invocationOf(span); ok && id == n.Invocation {
			return rootOf(span), true
		}
	}
	return Root{}, false
}

// Remove is called when the spans are delivered, or need not be: the process that wrote the note is no more.
func (n Note) Remove() { _ = os.Remove(n.File) }

// End ends the spans as failed. A span never ends before it began, whatever the clocks say.
func (n Note) End(at time.Time, errorType, message string) {
	for span := range allSpans(n.Spans) {
		if span.EndTimestamp() != 0 {
			continue
		}
		span.SetEndTimestamp(max(pcommon.NewTimestampFromTime(at), span.StartTimestamp()))
		span.Status().SetCode(ptrace.StatusCodeError)
		span.Status().SetMessage(message)
		span.Attributes().PutStr("error.type", errorType)
	}
}
