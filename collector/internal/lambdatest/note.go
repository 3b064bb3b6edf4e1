package lambdatest

import (
	"encoding/binary"
	"hash/crc32"
	"os"
	"path/filepath"
	"testing"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// Spans makes spans of the service "f" by their names; fill gives the rest to each.
func Spans(names []string, fill func(i int, span ptrace.Span)) ptrace.Traces {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", "f")
	list := rs.ScopeSpans().AppendEmpty().Spans()
	for i, name := range names {
		span := list.AppendEmpty()
		span.SetName(name)
		fill(i, span)
	}
	return td
}

// OpenSpans makes spans that have begun and not ended. The first is the invocation's own, and the others' parent; each
// has its number as its id.
func OpenSpans(requestID string, trace byte, names ...string) ptrace.Traces {
	return Spans(names, func(i int, span ptrace.Span) {
		span.SetTraceID(pcommon.TraceID{trace})
		span.SetSpanID(pcommon.SpanID{byte(i + 1)})
		span.SetStartTimestamp(100)
		if i == 0 {
			span.Attributes().PutStr("faas.invocation_id", requestID)
		} else {
			span.SetParentSpanID(pcommon.SpanID{1})
		}
	})
}

// Sealed puts the head of a note before its body.
func Sealed(body []byte) []byte {
	head := binary.LittleEndian.AppendUint32(nil, crc32.ChecksumIEEE(body))
	return append(binary.LittleEndian.AppendUint32(head, uint32(len(body))), body...)
}

// NoteOpen notes open spans as a process of a function does, in a file of the name.
func NoteOpen(t *testing.T, folder, name, requestID string, td ptrace.Traces) {
	t.Helper()
	marshaler := ptrace.ProtoMarshaler{}
	request, err := marshaler.MarshalTraces(td)
	if err != nil {
		t.Fatal(err)
	}
	body := append([]byte{byte(len(requestID))}, requestID...)
	body = append(body, request...)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	file, err := os.OpenFile(filepath.Join(folder, name+".spans"), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	// Over what stood there before, whose rest may follow.
	if _, err := file.Write(Sealed(body)); err != nil {
		t.Fatal(err)
	}
}
