package spool

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
)

const (
	magic      uint32 = 0x3150534f // "OSP1" in the file
	headerSize        = 24

	kindData uint32 = 1
	kindAck  uint32 = 2
)

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	magicBytes = binary.LittleEndian.AppendUint32(nil, magic)
)

// appendRecord writes one record behind dst.
func appendRecord(dst []byte, kind uint32, seq uint64, payload []byte) []byte {
	start := len(dst)
	dst = binary.LittleEndian.AppendUint32(dst, magic)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(payload)))
	dst = binary.LittleEndian.AppendUint32(dst, 0)
	dst = binary.LittleEndian.AppendUint32(dst, kind)
	dst = binary.LittleEndian.AppendUint64(dst, seq)
	dst = append(dst, payload...)
	binary.LittleEndian.PutUint32(dst[start+8:], crc32.Checksum(dst[start+12:], castagnoli))
	return dst
}

// parsed is one record found in a segment; its payload aliases the segment's bytes.
type parsed struct {
	kind    uint32
	seq     uint64
	offset  int64
	payload []byte
}

// scan calls visit for each whole record of a segment. Bytes that are no record are skipped to the next magic that
// begins one, so that a flipped bit costs the record it is in and no other. It returns how many gaps it skipped.
func scan(segment []byte, visit func(parsed)) (gaps int) {
	inGap := false
	for at := 0; at < len(segment); {
		record, size, ok := parseAt(segment, at)
		if ok {
			visit(record)
			at += size
			inGap = false
			continue
		}
		if !inGap {
			gaps++
			inGap = true
		}
		next := bytes.Index(segment[at+1:], magicBytes)
		if next < 0 {
			break
		}
		at += 1 + next
	}
	return gaps
}

func parseAt(segment []byte, at int) (record parsed, size int, ok bool) {
	rest := segment[at:]
	if len(rest) < headerSize || !bytes.HasPrefix(rest, magicBytes) {
		return parsed{}, 0, false
	}
	length := binary.LittleEndian.Uint32(rest[4:])
	if uint64(length) > uint64(len(rest)-headerSize) {
		return parsed{}, 0, false
	}
	size = headerSize + int(length)
	if crc32.Checksum(rest[12:size], castagnoli) != binary.LittleEndian.Uint32(rest[8:]) {
		return parsed{}, 0, false
	}
	return parsed{
		kind:    binary.LittleEndian.Uint32(rest[12:]),
		seq:     binary.LittleEndian.Uint64(rest[16:]),
		offset:  int64(at),
		payload: rest[headerSize:size],
	}, size, true
}

// appendSeqs and parseSeqs are the payload of an acknowledgement: the numbers, each eight bytes.
func appendSeqs(dst []byte, seqs []uint64) []byte {
	for _, seq := range seqs {
		dst = binary.LittleEndian.AppendUint64(dst, seq)
	}
	return dst
}

func parseSeqs(payload []byte, visit func(uint64)) {
	for ; len(payload) >= 8; payload = payload[8:] {
		visit(binary.LittleEndian.Uint64(payload))
	}
}
