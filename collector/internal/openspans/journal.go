package openspans

import (
	"encoding/binary"
	"hash/crc32"
	"os"
	"syscall"

	"go.opentelemetry.io/collector/pdata/ptrace"
)

// maxJournal is far above what maxOpen announcements take; a larger file is not ours.
const maxJournal = 16 << 20

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// headSize is that of a checksum of the request, and of its length.
const headSize = 8

// journal is a file that holds the present announcements, written whole at each change: a head, then the OTLP request.
// What an earlier and longer one left behind it means nothing; to cut it off would cost more than to write.
type journal struct {
	file    *os.File
	isEmpty bool
}

func openJournal(path string) (*journal, ptrace.Traces) {
	left := ptrace.NewTraces()
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|syscall.O_CLOEXEC|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, left
	}
	j := &journal{file: file}
	info, err := file.Stat()
	if err != nil || info.Size() > maxJournal || info.Size() < headSize {
		return j, left
	}
	content := make([]byte, info.Size())
	if _, err := file.ReadAt(content, 0); err != nil {
		return j, left
	}
	request := content[headSize:]
	if length := uint64(binary.LittleEndian.Uint32(content[4:])); length <= uint64(len(request)) {
		request = request[:length]
	}
	if binary.LittleEndian.Uint32(content) != crc32.Checksum(request, castagnoli) {
		return j, left
	}
	unmarshaler := ptrace.ProtoUnmarshaler{}
	if td, err := unmarshaler.UnmarshalTraces(request); err == nil {
		left = td
	}
	return j, left
}

func (j *journal) save(td ptrace.Traces) {
	isEmpty := td.ResourceSpans().Len() == 0
	if isEmpty && j.isEmpty {
		return
	}
	marshaler := ptrace.ProtoMarshaler{}
	content := make([]byte, headSize, headSize+marshaler.TracesSize(td))
	request, err := marshaler.MarshalTraces(td)
	if err != nil {
		return
	}
	content = append(content, request...)
	binary.LittleEndian.PutUint32(content, crc32.Checksum(request, castagnoli))
	binary.LittleEndian.PutUint32(content[4:], uint32(len(request)))
	// Written in one call: a kill in the middle of it leaves a checksum that does not hold, and then, as with an
	// announcement that never came, the span is lost with the process that had it open.
	if _, err := j.file.WriteAt(content, 0); err == nil {
		j.isEmpty = isEmpty
	}
}

func (j *journal) close() { _ = j.file.Close() }
