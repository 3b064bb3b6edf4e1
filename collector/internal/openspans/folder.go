package openspans

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
)

const (
	noteSuffix = ".spans"
	overName   = "over"
	// maxOver bounds what is remembered of invocations that are over. One is needed for each process of a function that
	// works at the same time.
	maxOver = 16
)

// Folder is where the processes of a function note the spans they have open, each in a file of its own. Which
// invocations are over stands beside them, since their notes are not worth a write by then. It is safe for use by
// several goroutines.
type Folder struct {
	path string

	mu   sync.Mutex
	over []string
	file *os.File
}

// Open takes a folder as an earlier process left it. Without a path, or if it cannot be used, nothing is ever noted.
func Open(path string) *Folder {
	f := &Folder{path: path}
	if path == "" || os.MkdirAll(path, 0o700) != nil {
		return f
	}
	name := filepath.Join(path, overName)
	file, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR|syscall.O_CLOEXEC|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return f
	}
	f.file = file
	content := make([]byte, 4096)
	n, _ := file.ReadAt(content, 0)
	f.over = strings.Fields(string(content[:n]))
	return f
}

// Over notes that the function's telemetry layer has handed over all of an invocation.
func (f *Folder) Over(requestID string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.over = append(f.over, requestID)
	if len(f.over) > maxOver {
		f.over = slices.Delete(f.over, 0, len(f.over)-maxOver)
	}
	if f.file != nil {
		// Ids of invocations have one length, so that what stood there before is overwritten.
		_, _ = f.file.WriteAt([]byte(strings.Join(f.over, " ")+"\n"), 0)
	}
}

// Notes reads what processes have noted last.
func (f *Folder) Notes() []Note {
	if f.path == "" {
		return nil
	}
	names, err := filepath.Glob(filepath.Join(f.path, "*"+noteSuffix))
	if err != nil {
		return nil
	}
	f.mu.Lock()
	over := slices.Clone(f.over)
	f.mu.Unlock()
	var notes []Note
	for _, name := range names {
		note, ok := readNote(name)
		if !ok {
			continue
		}
		if _, hasRoot := note.Root(); hasRoot {
			note.IsOver = slices.Contains(over, note.Invocation)
		}
		notes = append(notes, note)
	}
	return notes
}

// Close lets go of the folder; what is in it stays.
func (f *Folder) Close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.file != nil {
		_ = f.file.Close()
		f.file = nil
	}
}
