package openspans

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"neuro-preprocess/collector/internal/lambdatest"
)

func TestANoteIsWhatItsProcessWroteLast(t *testing.T) {
	path := t.TempDir()
	folder := Open(path)
	defer folder.Close()
	if notes := folder.Notes(); len(notes) != 0 {
		t.Errorf("%d notes in an empty folder", len(notes))
	}
	lambdatest.NoteOpen(t, path, "1-a", "request-1", lambdatest.OpenSpans("request-1", 1, "root", "a child", "and another"))
	lambdatest.NoteOpen(t, path, "1-a", "request-2", lambdatest.OpenSpans("request-2", 2, "root")) // the longer one's rest stays
	lambdatest.NoteOpen(t, path, "2-b", "request-1", lambdatest.OpenSpans("another", 1, "x", "y"))
	notes := folder.Notes()
	if len(notes) != 2 || notes[0].Invocation != "request-2" || notes[0].Spans.SpanCount() != 1 || notes[1].Spans.SpanCount() != 2 {
		t.Fatalf("notes %+v", notes)
	}
	if root, ok := notes[0].Root(); !ok || root.TraceID != (pcommon.TraceID{2}) || root.SpanID != (pcommon.SpanID{1}) {
		t.Errorf("root %+v", root)
	}
	if _, ok := notes[1].Root(); ok {
		t.Error("the span of another invocation is taken for the root")
	}
	notes[0].Remove()
	if notes := folder.Notes(); len(notes) != 1 || notes[0].File != filepath.Join(path, "2-b.spans") {
		t.Errorf("then %+v", notes)
	}
}

func TestANoteEndsItsSpansAsFailed(t *testing.T) {
	note := Note{Spans: lambdatest.OpenSpans("a", 1, "root", "child", "ended")}
	list := note.Spans.ResourceSpans().At(0).ScopeSpans().At(0).Spans()
	list.At(1).SetStartTimestamp(900)
	list.At(2).SetEndTimestamp(300)
	note.End(time.Unix(0, 500), "timeout", "ran out of time")
	for i, wantEnd := range []pcommon.Timestamp{500, 900, 300} {
		span := list.At(i)
		errorType, _ := span.Attributes().Get("error.type")
		isFailed := span.Status().Code() == ptrace.StatusCodeError && errorType.Str() == "timeout" && span.Status().Message() == "ran out of time"
		if span.EndTimestamp() != wantEnd || isFailed != (i < 2) {
			t.Errorf("%s ends at %d with %v %q", span.Name(), span.EndTimestamp(), span.Status().Code(), errorType.Str())
		}
	}
}

func TestANoteOfAnInvocationThatIsOverSaysNothing(t *testing.T) {
	path := t.TempDir()
	folder := Open(path)
	lambdatest.NoteOpen(t, path, "1-a", "request-1", lambdatest.OpenSpans("request-1", 1, "root"))
	lambdatest.NoteOpen(t, path, "2-b", "request-2", lambdatest.OpenSpans("request-2", 2, "root"))
	leftOver := ptrace.NewTraces() // written after the invocation: spans of threads that go on
	lambdatest.OpenSpans("-", 1, "thread").CopyTo(leftOver)
	lambdatest.NoteOpen(t, path, "3-c", "request-1", leftOver)
	isOver := func(f *Folder) string {
		said := ""
		for _, note := range f.Notes() {
			said += fmt.Sprintf("%s %v ", filepath.Base(note.File)[:1], note.IsOver)
		}
		return said
	}
	if got, want := isOver(folder), "1 false 2 false 3 false "; got != want {
		t.Errorf("before: %s", got)
	}
	folder.Over("request-1")
	if got, want := isOver(folder), "1 true 2 false 3 false "; got != want {
		t.Errorf("then: %s", got)
	}
	folder.Close()
	next := Open(path) // of a process after a kill
	defer next.Close()
	if got, want := isOver(next), "1 true 2 false 3 false "; got != want {
		t.Errorf("in the next process: %s", got)
	}
	for i := range 3 * maxOver {
		next.Over(fmt.Sprintf("request-%08d", i))
	}
	if got, want := isOver(next), "1 false 2 false 3 false "; got != want || len(next.over) != maxOver {
		t.Errorf("%d are remembered: %s", len(next.over), got)
	}
	last := Open(path)
	defer last.Close()
	if last.over[0] != next.over[0] || last.over[maxOver-1] != next.over[maxOver-1] {
		t.Errorf("read again: %q", last.over)
	}
}

func TestDamageIsNoNote(t *testing.T) {
	path := t.TempDir()
	lambdatest.NoteOpen(t, path, "a", "request", lambdatest.OpenSpans("request", 1, "root", "child"))
	name := filepath.Join(path, "a.spans")
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	folder := Open(path)
	defer folder.Close()
	for length := range len(whole) {
		if err := os.WriteFile(name, whole[:length], 0o600); err != nil {
			t.Fatal(err)
		}
		if n := len(folder.Notes()); n != 0 {
			t.Errorf("%d notes in the first %d bytes", n, length)
		}
	}
	for i := range whole {
		damaged := bytes.Clone(whole)
		damaged[i] ^= 1 << (i % 8)
		if err := os.WriteFile(name, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		if n := len(folder.Notes()); n != 0 {
			t.Errorf("%d notes with byte %d flipped", n, i)
		}
	}
}

func TestWhatIsNoFileOfOursDoesNotHoldUp(t *testing.T) {
	path := t.TempDir()
	outside := filepath.Join(t.TempDir(), "x.spans")
	lambdatest.NoteOpen(t, filepath.Dir(outside), "x", "request", lambdatest.OpenSpans("request", 1, "root"))
	if err := os.Symlink(outside, filepath.Join(path, "link.spans")); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(path, "fifo.spans"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(path, "folder.spans"), 0o700); err != nil {
		t.Fatal(err)
	}
	folder := Open(path)
	defer folder.Close()
	if notes := folder.Notes(); len(notes) != 0 {
		t.Errorf("notes %+v", notes)
	}

	file := filepath.Join(path, "a-file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, unusable := range []string{"", file, filepath.Join(file, "below")} {
		folder := Open(unusable)
		folder.Over("request")
		if len(folder.Notes()) != 0 {
			t.Errorf("%q has notes", unusable)
		}
		folder.Close()
	}
}

func FuzzNote(f *testing.F) {
	f.Add([]byte{}, []byte{})
	f.Add([]byte{3, 'a', 'b', 'c', 10, 0}, []byte("rest"))
	f.Add([]byte{255}, []byte{})
	f.Fuzz(func(t *testing.T, body, rest []byte) {
		folder := t.TempDir()
		name := filepath.Join(folder, "a.spans")
		if err := os.WriteFile(name, append(lambdatest.Sealed(body), rest...), 0o600); err != nil {
			t.Fatal(err)
		}
		note, ok := readNote(name)
		if !ok {
			return
		}
		if len(note.Invocation) > len(body) || note.Spans.SpanCount() == 0 {
			t.Errorf("read %+v", note)
		}
		note.Root()
		note.End(time.Unix(1, 0), "timeout", "m")
	})
}
