package spool

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"neuro-preprocess/collector/internal/lambdatest"
)

var small = Options{MaxBytes: 4096, SegmentBytes: 512}

func open(t testing.TB, dir string, opts Options) (*Spool, []string) {
	t.Helper()
	s, _, err := Open(dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	var payloads []string
	if err := s.Each(func(_ uint64, payload []byte) error {
		payloads = append(payloads, string(payload))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return s, payloads
}

func appendAll(t testing.TB, s *Spool, payloads ...string) (seqs []uint64) {
	t.Helper()
	for _, payload := range payloads {
		seq, err := s.Append([]byte(payload))
		if err != nil {
			t.Fatal(err)
		}
		seqs = append(seqs, seq)
	}
	return seqs
}

func segments(t testing.TB, dir string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*"+segmentSuffix))
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(paths)
	return paths
}

func TestSpoolReplaysWhatWasNotAcknowledged(t *testing.T) {
	dir := t.TempDir()
	s, _ := open(t, dir, small)
	seqs := appendAll(t, s, "a", "b", "c", "d")
	if err := s.Ack(seqs[0], seqs[2]); err != nil {
		t.Fatal(err)
	}
	s.Close()
	s, left := open(t, dir, small)
	if !slices.Equal(left, []string{"b", "d"}) {
		t.Errorf("left %q", left)
	}
	// Numbers go on where they were: an acknowledgement never means two records.
	if next := appendAll(t, s, "e")[0]; next <= seqs[3] {
		t.Errorf("the next number is %d after %d", next, seqs[3])
	}
}

func TestSpoolTakesNoRoomWhenNothingWaits(t *testing.T) {
	dir := t.TempDir()
	s, _ := open(t, dir, small)
	for range 100 {
		seqs := appendAll(t, s, "some payload", "another")
		if err := s.Ack(seqs...); err != nil {
			t.Fatal(err)
		}
		if size := s.Bytes(); size != 0 {
			t.Fatalf("%d bytes with nothing waiting", size)
		}
	}
	for _, path := range segments(t, dir) {
		if info, err := os.Stat(path); err != nil || info.Size() != 0 {
			t.Errorf("%s has %d bytes", path, info.Size())
		}
	}
}

func TestSpoolDropsTheOldest(t *testing.T) {
	dir := t.TempDir()
	s, _ := open(t, dir, small)
	var seqs []uint64
	for i := range 200 {
		seq, err := s.Append(bytes.Repeat([]byte{byte(i)}, 100))
		if err != nil {
			t.Fatal(err)
		}
		seqs = append(seqs, seq)
		if size := s.Bytes(); size > small.MaxBytes {
			t.Fatalf("%d bytes, more than %d", size, small.MaxBytes)
		}
	}
	kept := slices.IndexFunc(seqs, s.Holds)
	if kept < 1 {
		t.Fatalf("the first that is kept is number %d of %d", kept, len(seqs))
	}
	for i, seq := range seqs {
		payload, err := s.Read(seq)
		if isGone := i < kept; isGone != errors.Is(err, ErrNotFound) || !isGone && payload[0] != byte(i) {
			t.Errorf("record %d: %v", i, err)
		}
	}
}

func TestSpoolRefusesWhatCanNeverFit(t *testing.T) {
	s, _ := open(t, t.TempDir(), small)
	seqs := appendAll(t, s, "a")
	if _, err := s.Append(make([]byte, small.MaxBytes)); !errors.Is(err, ErrTooLarge) || !s.Holds(seqs[0]) {
		t.Errorf("error %v, what was there is kept: %t", err, s.Holds(seqs[0]))
	}
}

func TestSpoolFolderHasOneOwner(t *testing.T) {
	dir := t.TempDir()
	open(t, dir, small)
	if _, _, err := Open(dir, small); !errors.Is(err, ErrInUse) {
		t.Errorf("error %v", err)
	}
}

func TestSpoolSurvivesDamage(t *testing.T) {
	for _, tc := range []struct {
		desc   string
		damage func(content []byte) []byte
		want   []string
	}{
		{desc: "cut in the last record", damage: func(c []byte) []byte { return c[:len(c)-3] }, want: []string{"first", "second"}},
		{desc: "cut in the last header", damage: func(c []byte) []byte { return c[:2*headerSize+len("firstsecond")+5] }, want: []string{"first", "second"}},
		{desc: "a bit of a payload", damage: func(c []byte) []byte { c[headerSize+1] ^= 4; return c }, want: []string{"second", "third"}},
		{desc: "a bit of a length", damage: func(c []byte) []byte { c[7] ^= 0x80; return c }, want: []string{"second", "third"}},
		{desc: "a bit of the magic", damage: func(c []byte) []byte { c[0] ^= 1; return c }, want: []string{"second", "third"}},
		{desc: "a bit of a number", damage: func(c []byte) []byte { c[16] ^= 1; return c }, want: []string{"second", "third"}},
		{desc: "zeros in front", damage: func(c []byte) []byte { return append(make([]byte, 100), c...) }, want: []string{"first", "second", "third"}},
		{desc: "empty", damage: func([]byte) []byte { return nil }},
		{desc: "the same records twice", damage: func(c []byte) []byte { return append(c, c...) }, want: []string{"first", "second", "third"}},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			dir := t.TempDir()
			s, _ := open(t, dir, small)
			appendAll(t, s, "first", "second", "third")
			s.Close()
			path := segments(t, dir)[0]
			content, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, tc.damage(content), 0o600); err != nil {
				t.Fatal(err)
			}
			s, left := open(t, dir, small)
			if !slices.Equal(left, tc.want) {
				t.Errorf("left %q, want %q", left, tc.want)
			}
			// It goes on working, and what is stored now is found by the next process.
			appendAll(t, s, "after")
			s.Close()
			_, left = open(t, dir, small)
			if !slices.Equal(left, append(slices.Clone(tc.want), "after")) {
				t.Errorf("then left %q", left)
			}
		})
	}
}

func TestSpoolPassesOverStrangeFiles(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "note.txt"), []byte("not ours"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "00000009.seg")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "00000003.seg"), make([]byte, small.MaxBytes*2), 0o600); err != nil {
		t.Fatal(err)
	}
	s, left := open(t, dir, small)
	if len(left) != 0 {
		t.Errorf("left %q", left)
	}
	appendAll(t, s, "a")
}

func TestSpoolWithoutRoomStoresNothing(t *testing.T) {
	dir := t.TempDir()
	s, _ := open(t, dir, small)
	appendAll(t, s, "a")
	// A descriptor that cannot be written is what a full disk looks like from here.
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		lambdatest.Lack(t, "no /dev/full on this machine, which stands for a full disk")
	}
	s.segments[0].file = full
	if _, err := s.Append([]byte("b")); err == nil {
		t.Fatal("stored on a full disk")
	}
	s.Close()
	_, left := open(t, dir, small)
	if !slices.Equal(left, []string{"a"}) {
		t.Errorf("left %q", left)
	}
}

func TestSpoolOutlivesItsFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spool")
	s, _ := open(t, dir, small)
	before := appendAll(t, s, "before")[0]
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if payload, err := s.Read(before); err != nil || string(payload) != "before" {
		t.Errorf("read %q, %v", payload, err)
	}
	want := []string{"before"}
	for i := range 20 {
		want = append(want, fmt.Sprintf("after %02d", i))
	}
	appendAll(t, s, want[1:]...)
	s.Close()
	if _, left := open(t, dir, small); !slices.Equal(left, want) {
		t.Errorf("left %q", left)
	}
}

func TestSpoolRescuesManySegmentsWithinItsBounds(t *testing.T) {
	dir := t.TempDir()
	s, _ := open(t, dir, small)
	var want []string
	for i := range 24 {
		want = append(want, fmt.Sprintf("%02d %s", i, strings.Repeat("x", 100)))
	}
	seqs := appendAll(t, s, want...)
	if err := s.Ack(seqs[2], seqs[23]); err != nil {
		t.Fatal(err)
	}
	want = append(slices.Delete(want[:23], 2, 3), "after")
	for _, path := range segments(t, dir) {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	appendAll(t, s, "after")
	if payload, err := s.Read(seqs[0]); err != nil || string(payload) != want[0] {
		t.Errorf("read %q, %v", payload, err)
	}
	var onDisk int64
	for _, path := range segments(t, dir) {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		onDisk += info.Size()
		if info.Size() > small.SegmentBytes+200 {
			t.Errorf("a segment of %d bytes", info.Size())
		}
	}
	if onDisk != s.Bytes() || onDisk > small.MaxBytes {
		t.Errorf("%d bytes on disk, %d counted", onDisk, s.Bytes())
	}
	s.Close()
	if _, left := open(t, dir, small); !slices.Equal(left, want) {
		t.Errorf("left %q", left)
	}
}

func TestSpoolOwnsItsFolderAgainWhenItsLockIsGone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spool")
	s, _ := open(t, dir, small)
	appendAll(t, s, "a")
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	appendAll(t, s, "b")
	if _, _, err := Open(dir, small); !errors.Is(err, ErrInUse) {
		t.Errorf("error %v", err)
	}
}

func TestSpoolLeavesItsFolderToWhoeverTookIt(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spool")
	s, _ := open(t, dir, small)
	seq := appendAll(t, s, "a")[0]
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	open(t, dir, small)
	if _, err := s.Append([]byte("b")); !errors.Is(err, ErrInUse) {
		t.Errorf("error %v", err)
	}
	if payload, err := s.Read(seq); err != nil || string(payload) != "a" {
		t.Errorf("read %q, %v", payload, err)
	}
}

func FuzzScan(f *testing.F) {
	f.Add(appendRecord(appendRecord(nil, kindData, 1, []byte("payload")), kindAck, 0, appendSeqs(nil, []uint64{1})))
	f.Add(bytes.Repeat(magicBytes, 40))
	f.Add(append(slices.Clone(magicBytes), 0xff, 0xff, 0xff, 0xff))
	f.Fuzz(func(t *testing.T, hostile []byte) {
		end := int64(-1)
		scan(hostile, func(r parsed) {
			if r.offset <= end-1 {
				t.Fatalf("records overlap at %d", r.offset)
			}
			end = r.offset + headerSize + int64(len(r.payload))
		})
		// Whatever stands before it, a whole record is found.
		whole := appendRecord(slices.Clone(hostile), kindData, 7, []byte("found"))
		found := false
		scan(whole, func(r parsed) { found = found || string(r.payload) == "found" && r.seq == 7 })
		if !found && end < int64(len(hostile)) {
			t.Fatal("a whole record behind hostile bytes was not found")
		}
	})
}

func FuzzOpen(f *testing.F) {
	f.Add(appendRecord(nil, kindData, 1, []byte("payload")), []byte{})
	f.Add(appendRecord(nil, kindData, 1<<63, nil), appendRecord(nil, kindAck, 0, make([]byte, 9)))
	f.Fuzz(func(t *testing.T, first, second []byte) {
		dir := t.TempDir()
		for i, content := range [][]byte{first, second} {
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%08d.seg", i+1)), content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		s, _, err := Open(dir, Options{MaxBytes: 1 << 16, SegmentBytes: 1 << 13})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		seq, err := s.Append([]byte("works"))
		if err != nil {
			t.Fatal(err)
		}
		if payload, err := s.Read(seq); err != nil || string(payload) != "works" {
			t.Fatalf("read %q, %v", payload, err)
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	s, _ := open(b, b.TempDir(), Options{MaxBytes: 64 << 20, SegmentBytes: 8 << 20})
	payload := make([]byte, 3500)
	b.SetBytes(int64(len(payload)))
	for b.Loop() {
		if _, err := s.Append(payload); err != nil {
			b.Fatal(err)
		}
	}
}
