package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
)

var (
	// ErrInUse says that another living process owns the folder.
	ErrInUse = errors.New("spool folder is in use by another process")
	// ErrTooLarge says that a record alone would pass the bound of the spool.
	ErrTooLarge = errors.New("record is larger than the spool may become")
	// ErrNotFound says that a record is gone: acknowledged, dropped or damaged.
	ErrNotFound = errors.New("record is not in the spool")
)

const segmentSuffix = ".seg"

// Options bound a spool.
type Options struct {
	// MaxBytes bounds all segments together. The oldest segment is dropped to stay below it.
	MaxBytes int64
	// SegmentBytes is the size at which a segment is closed and the next one begun.
	SegmentBytes int64
}

// Spool is safe for use by several goroutines.
type Spool struct {
	dir  string
	opts Options
	lock *os.File

	mu       sync.Mutex
	segments []*segment
	where    map[uint64]location
	nextSeq  uint64
	nextName uint64
	total    int64
	scratch  []byte
}

type segment struct {
	path string
	file *os.File
	size int64
	live int
}

type location struct {
	seg    *segment
	offset int64
	length int
}

// Open takes possession of a folder, which is made when it is missing, with all that an earlier process left there
// undelivered: see Each. Damaged places are skipped, and counted. Not more than a segment is held in memory meanwhile.
func Open(dir string, opts Options) (s *Spool, damaged int, err error) {
	lock, err := own(dir)
	if err != nil {
		return nil, 0, err
	}
	s = &Spool{dir: dir, opts: opts, lock: lock, where: map[uint64]location{}, nextSeq: 1, nextName: 1}
	damaged, err = s.load()
	if err != nil {
		s.Close()
		return nil, 0, err
	}
	return s, damaged, nil
}

// own takes possession of a folder for as long as the file it returns is open.
func own(dir string) (lock *os.File, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make spool folder: %w", err)
	}
	lock, err = os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR|syscall.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open spool lock: %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = lock.Close()
		return nil, fmt.Errorf("%w: %s", ErrInUse, dir)
	}
	return lock, nil
}

// Append stores a record and returns its number. To make room the oldest records are dropped, whose reading says so.
func (s *Spool) Append(payload []byte) (seq uint64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	size := int64(headerSize + len(payload))
	if size > s.opts.MaxBytes {
		return 0, ErrTooLarge
	}
	for s.total+size > s.opts.MaxBytes && len(s.segments) > 0 {
		s.dropOldest()
	}
	seg, err := s.writable()
	if err != nil {
		return 0, err
	}
	seq = s.nextSeq
	offset := seg.size
	if err := s.write(seg, kindData, seq, payload); err != nil {
		return 0, err
	}
	s.nextSeq++
	s.where[seq] = location{seg: seg, offset: offset, length: len(payload)}
	seg.live++
	return seq, nil
}

// write appends one record, and takes a half-written one back so that the segment stays whole.
func (s *Spool) write(seg *segment, kind uint32, seq uint64, payload []byte) error {
	s.scratch = appendRecord(s.scratch[:0], kind, seq, payload)
	n, err := seg.file.Write(s.scratch)
	if err != nil {
		if n > 0 {
			_ = seg.file.Truncate(seg.size)
		}
		return fmt.Errorf("append to spool: %w", err)
	}
	seg.size += int64(n)
	s.total += int64(n)
	if cap(s.scratch) > 1<<20 {
		s.scratch = nil
	}
	return nil
}

// writable returns the segment that takes the next record.
func (s *Spool) writable() (*segment, error) {
	if n := len(s.segments); n > 0 && s.segments[n-1].size < s.opts.SegmentBytes && !isUnlinked(s.segments[n-1].file) {
		return s.segments[n-1], nil
	}
	if _, err := s.begin(); err != nil {
		return nil, err
	}
	// What cannot be rescued is no reason not to store what comes.
	_ = s.rescue()
	return s.segments[len(s.segments)-1], nil
}

// begin opens the next segment.
func (s *Spool) begin() (*segment, error) {
	if err := s.ownAgain(); err != nil {
		return nil, err
	}
	path := s.path(s.nextName)
	const flags = os.O_CREATE | os.O_EXCL | os.O_RDWR | os.O_APPEND | syscall.O_CLOEXEC
	file, err := os.OpenFile(path, flags, 0o600)
	if errors.Is(err, fs.ErrExist) {
		s.nextName++
	}
	if err != nil {
		return nil, fmt.Errorf("begin spool segment: %w", err)
	}
	s.nextName++
	seg := &segment{path: path, file: file}
	s.segments = append(s.segments, seg)
	return seg, nil
}

// Read returns the payload of a waiting record.
func (s *Spool) Read(seq uint64) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.read(seq)
}

func (s *Spool) read(seq uint64) ([]byte, error) {
	at, ok := s.where[seq]
	if !ok {
		return nil, ErrNotFound
	}
	record := make([]byte, headerSize+at.length)
	if _, err := at.seg.file.ReadAt(record, at.offset); err != nil {
		return nil, fmt.Errorf("read from spool: %w", err)
	}
	r, _, ok := parseAt(record, 0)
	if !ok || r.seq != seq {
		return nil, fmt.Errorf("%w: its checksum does not hold", ErrNotFound)
	}
	return r.payload, nil
}

// Holds reports whether a record is waiting.
func (s *Spool) Holds(seq uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.where[seq]
	return ok
}

// Ack forgets records that were delivered or given up.
func (s *Spool) Ack(seqs ...uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	known := make([]uint64, 0, len(seqs))
	for _, seq := range seqs {
		if at, ok := s.where[seq]; ok {
			at.seg.live--
			delete(s.where, seq)
			known = append(known, seq)
		}
	}
	if len(known) == 0 {
		return nil
	}
	s.collect()
	if len(s.where) == 0 {
		return nil
	}
	// Only a process that ends before the rest is delivered needs this: it must not deliver these again.
	seg, err := s.writable()
	if err != nil {
		return err
	}
	return s.write(seg, kindAck, 0, appendSeqs(nil, known))
}

// collect gives back the room of segments in which nothing waits. Only the oldest ones go, since a later segment may
// hold the acknowledgement of a record in an earlier one; the last is emptied and kept.
func (s *Spool) collect() {
	for len(s.segments) > 1 && s.segments[0].live == 0 {
		s.remove(s.segments[0])
	}
	if len(s.segments) == 1 && s.segments[0].live == 0 && s.segments[0].size > 0 {
		only := s.segments[0]
		if only.file.Truncate(0) == nil {
			s.total -= only.size
			only.size = 0
		}
	}
}

func (s *Spool) dropOldest() {
	oldest := s.segments[0]
	maps.DeleteFunc(s.where, func(_ uint64, at location) bool { return at.seg == oldest })
	s.remove(oldest)
}

func (s *Spool) remove(seg *segment) {
	_ = seg.file.Close()
	_ = os.Remove(seg.path)
	s.total -= seg.size
	s.segments = s.segments[1:]
}

// Bytes is the size of all segments.
func (s *Spool) Bytes() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.total
}

// Close lets go of the files; what waits stays in them.
func (s *Spool) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, seg := range s.segments {
		_ = seg.file.Close()
	}
	s.segments = nil
	s.where = map[uint64]location{}
	_ = s.lock.Close()
}

func (s *Spool) path(number uint64) string {
	return filepath.Join(s.dir, fmt.Sprintf("%08d%s", number, segmentSuffix))
}

// Each visits the waiting records, oldest first, until visit fails.
func (s *Spool) Each(visit func(seq uint64, payload []byte) error) error {
	s.mu.Lock()
	seqs := make([]uint64, 0, len(s.where))
	for seq := range s.where {
		seqs = append(seqs, seq)
	}
	s.mu.Unlock()
	slices.Sort(seqs)
	for _, seq := range seqs {
		payload, err := s.Read(seq)
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		if err := visit(seq, payload); err != nil {
			return err
		}
	}
	return nil
}

// Clear drops all records.
func (s *Spool) Clear() error {
	s.mu.Lock()
	seqs := make([]uint64, 0, len(s.where))
	for seq := range s.where {
		seqs = append(seqs, seq)
	}
	s.mu.Unlock()
	return s.Ack(seqs...)
}
