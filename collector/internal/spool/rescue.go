package spool

import (
	"errors"
	"os"
	"slices"
	"syscall"
)

// Functions clean up their temporary folder, and the spool with it. What was unlinked can be read and written for as
// long as it is open, but nothing of it outlives the process, so it is written again where a later process finds it.

// isUnlinked reports whether an open file has no name any more.
func isUnlinked(file *os.File) bool {
	var info syscall.Stat_t
	return syscall.Fstat(int(file.Fd()), &info) == nil && info.Nlink == 0
}

// ownAgain renews the possession of the folder if its lock is gone, since another process could take the folder then.
func (s *Spool) ownAgain() error {
	if !isUnlinked(s.lock) {
		return nil
	}
	lock, err := own(s.dir)
	if err != nil {
		return err
	}
	_ = s.lock.Close()
	s.lock = lock
	return nil
}

// rescue writes again what waits in segments that were unlinked. On an error the rest stays where it is, readable.
func (s *Spool) rescue() error {
	gone := map[*segment]bool{}
	for _, seg := range s.segments {
		if isUnlinked(seg.file) {
			gone[seg] = true
		}
	}
	if len(gone) == 0 {
		return nil
	}
	var seqs []uint64
	for seq, at := range s.where {
		if gone[at.seg] {
			seqs = append(seqs, seq)
		}
	}
	slices.Sort(seqs)
	for _, seq := range seqs {
		if err := s.move(seq); err != nil {
			return err
		}
	}
	s.segments = slices.DeleteFunc(s.segments, func(seg *segment) bool {
		if gone[seg] && seg.live == 0 {
			_ = seg.file.Close()
			s.total -= seg.size
			return true
		}
		return false
	})
	return nil
}

// move writes a waiting record again, in the last segment. A damaged one stays, to be found damaged by its reader.
func (s *Spool) move(seq uint64) error {
	payload, err := s.read(seq)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	to := s.segments[len(s.segments)-1]
	if to.size >= s.opts.SegmentBytes {
		if to, err = s.begin(); err != nil {
			return err
		}
	}
	offset := to.size
	if err := s.write(to, kindData, seq, payload); err != nil {
		return err
	}
	s.where[seq].seg.live--
	s.where[seq] = location{seg: to, offset: offset, length: len(payload)}
	to.live++
	return nil
}
