package openspans

import (
	"os"
	"path/filepath"
	"strings"
)

const noteSuffix = ".spans"

// Folder is where the processes of a function note the spans they have open, each in a file of its own, which it empties
// when it has none. Without a path nothing is ever noted.
type Folder string

// Notes reads what processes have open.
func (f Folder) Notes() []Note {
	var notes []Note
	for _, name := range f.files() {
		if note, ok := readNote(name); ok {
			notes = append(notes, note)
		}
	}
	return notes
}

// Sweep removes files that hold no open span, as processes that are no more have left them.
func (f Folder) Sweep() {
	for _, name := range f.files() {
		if _, ok := readNote(name); !ok {
			_ = os.Remove(name)
		}
	}
}

func (f Folder) files() []string {
	if f == "" {
		return nil
	}
	// What could be read of a folder is given along with an error.
	entries, _ := os.ReadDir(string(f))
	var names []string
	for _, entry := range entries {
		if strings.HasSuffix(entry.Name(), noteSuffix) {
			names = append(names, filepath.Join(string(f), entry.Name()))
		}
	}
	return names
}
