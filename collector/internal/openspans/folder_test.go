package openspans

import (
	"bytes"
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
	folder := Folder(path)
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

func TestSweepLeavesOnlyWhatIsOpen(t *testing.T) {
	path := t.TempDir()
	folder := Folder(path)
	lambdatest.NoteOpen(t, path, "1-open", "request", lambdatest.OpenSpans("request", 1, "root"))
	lambdatest.NoteOpen(t, path, "2-ended", "request", lambdatest.OpenSpans("request", 1, "root"))
	lambdatest.NoteOpen(t, path, "2-ended", "request", ptrace.NewTraces())
	for name, content := range map[string]string{"3-damaged.spans": "x", "4-empty.spans": "", "of-others": ""} {
		if err := os.WriteFile(filepath.Join(path, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if notes := folder.Notes(); len(notes) != 1 {
		t.Errorf("notes %+v", notes)
	}
	folder.Sweep()
	left, err := filepath.Glob(filepath.Join(path, "*"))
	if err != nil || len(left) != 2 || len(folder.Notes()) != 1 {
		t.Errorf("left %q, %v", left, err)
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
	folder := Folder(path)
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
	path := filepath.Join(t.TempDir(), "a[b]*") // no pattern
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
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
	folder := Folder(path)
	lambdatest.NoteOpen(t, path, "1-a", "request", lambdatest.OpenSpans("request", 1, "root"))
	if notes := folder.Notes(); len(notes) != 1 {
		t.Errorf("notes %+v", notes)
	}

	file := filepath.Join(path, "a-file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, unusable := range []Folder{"", Folder(file), Folder(filepath.Join(file, "below"))} {
		unusable.Sweep()
		if len(unusable.Notes()) != 0 {
			t.Errorf("%q has notes", unusable)
		}
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
