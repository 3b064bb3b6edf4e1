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

// journal is a file that holds the present announcements, written whole at each change: a checksum, then the OTLP
// request. Empty means none.
type journal struct {
	file *os.File
	size int64
}

func openJournal(path string) (*journal, ptrace.Traces) {
	left := ptrace.NewTraces()
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|syscall.O_CLOEXEC|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, left
	}
	j := &journal{file: file}
	info, err := file.Stat()
	if err != nil || info.Size() > maxJournal || info.Size() < 4 {
		return j, left
	}
	content := make([]byte, info.Size())
	if _, err := file.ReadAt(content, 0); err != nil {
		return j, left
	}
	j.size = info.Size()
	if binary.LittleEndian.Uint32(content) != crc32.Checksum(content[4:], castagnoli) {
		return j, left
	}
	unmarshaler := ptrace.ProtoUnmarshaler{}
	if td, err := unmarshaler.UnmarshalTraces(content[4:]); err == nil {
		left = td
	}
	return j, left
}

func (j *journal) save(td ptrace.Traces) {
	if td.ResourceSpans().Len() == 0 {
		if j.size > 0 && j.file.Truncate(0) == nil {
			j.size = 0
		}
		return
	}
	marshaler := ptrace.ProtoMarshaler{}
	request, err := marshaler.MarshalTraces(td)
	if err != nil {
		return
	}
	content := make([]byte, 4, 4+len(request))
	content = append(content, request...)
	binary.LittleEndian.PutUint32(content, crc32.Checksum(content[4:], castagnoli))
	// Written in one call and shortened after it: a kill between the two leaves a checksum that does not hold, and
	// then, as with an announcement that never came, the span is lost with the process that had it open.
	if _, err := j.file.WriteAt(content, 0); err != nil {
		return
	}
	if int64(len(content)) < j.size {
		_ = j.file.Truncate(int64(len(content)))
	}
	j.size = int64(len(content))
}

func (j *journal) close() { _ = j.file.Close() }
