package spool

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// load reads the segments in the order of their numbers and rebuilds what is waiting.
func (s *Spool) load() (damaged int, err error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return 0, fmt.Errorf("list spool folder: %w", err)
	}
	var numbers []uint64
	for _, entry := range entries {
		name, isSegment := strings.CutSuffix(entry.Name(), segmentSuffix)
		if number, err := strconv.ParseUint(name, 10, 64); isSegment && err == nil && entry.Type().IsRegular() {
			numbers = append(numbers, number)
		}
	}
	slices.Sort(numbers)

	for _, number := range numbers {
		s.nextName = number + 1
		gaps, err := s.loadSegment(s.path(number))
		damaged += gaps
		if err != nil {
			damaged++
		}
	}
	s.collect()
	return damaged, nil
}

func (s *Spool) loadSegment(path string) (gaps int, err error) {
	info, err := os.Lstat(path)
	if err != nil {
		return 0, err
	}
	// A segment of ours never grows past its bound by more than one record; anything larger is not ours to read.
	if info.Size() > s.opts.MaxBytes+headerSize {
		return 0, os.Remove(path)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND|syscall.O_CLOEXEC|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return 0, err
	}
	seg := &segment{path: path, file: file, size: int64(len(content))}
	s.segments = append(s.segments, seg)
	s.total += seg.size
	gaps = scan(content, func(r parsed) {
		switch r.kind {
		case kindData:
			if _, twice := s.where[r.seq]; twice {
				return
			}
			s.where[r.seq] = location{seg: seg, offset: r.offset, length: len(r.payload)}
			seg.live++
			s.nextSeq = max(s.nextSeq, r.seq+1)
		case kindAck:
			parseSeqs(r.payload, func(seq uint64) {
				if at, ok := s.where[seq]; ok {
					at.seg.live--
					delete(s.where, seq)
				}
			})
		}
	})
	return gaps, nil
}
