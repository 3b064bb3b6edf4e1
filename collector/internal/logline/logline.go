// Package logline prints the extension's own lines: one JSON object each, on standard output, where Lambda collects
// them among the function's.
package logline

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"sync"
	"time"

	"go.uber.org/zap/zapcore"
)

// Logger is safe for use by several goroutines.
type Logger struct {
	mu    sync.Mutex
	out   io.Writer
	level zapcore.Level
	held  [][]byte
	holds bool
}

// New makes a logger that prints lines of a level and above.
func New(out io.Writer, level zapcore.Level) *Logger {
	return &Logger{out: out, level: level}
}

// ParseLevel reads a level's name; warn is what an unknown or empty one means.
func ParseLevel(name string) zapcore.Level {
	level, err := zapcore.ParseLevel(name)
	if err != nil || name == "" {
		return zapcore.WarnLevel
	}
	return level
}

// Warnf prints a line that an operator should see.
func (l *Logger) Warnf(format string, args ...any) {
	if l.level.Enabled(zapcore.WarnLevel) {
		l.print(zapcore.WarnLevel, time.Now(), fmt.Sprintf(format, args...), nil)
	}
}

func (l *Logger) print(level zapcore.Level, at time.Time, message string, fields map[string]any) {
	line := map[string]any{
		"timestamp": at.UTC().Format(time.RFC3339Nano),
		"level":     level.CapitalString(),
		"message":   message,
		"source":    "collector-extension",
	}
	for key, value := range fields {
		line[key] = value
	}
	encoded, err := encode(line)
	if err != nil {
		encoded, _ = encode(map[string]any{"level": level.CapitalString(), "message": message})
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.holds {
		l.held = append(l.held, encoded)
		return
	}
	_, _ = l.out.Write(encoded)
}

// encode makes a line, without what a URL in it may hold of secrets: a user, a password, a query.
func encode(line map[string]any) ([]byte, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	// An escaped `&` would end a query too early.
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(line); err != nil {
		return nil, err
	}
	return secrets().ReplaceAll(out.Bytes(), []byte("$1$3")), nil
}

// secrets finds, in a URL, what stands between its first and its third group. It is made when a line is printed, which
// most processes never do.
var secrets = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(://)([^/?#@\s"\\]*@)?([^?#@\s"\\]*)(\?[^#\s"\\]*)?`)
})

// Hold keeps lines back until Release.
func (l *Logger) Hold() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.holds = true
}

// Release prints what was held back, or forgets it when something else says it better.
func (l *Logger) Release(isWanted bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range l.held {
		if isWanted {
			_, _ = l.out.Write(line)
		}
	}
	l.held, l.holds = nil, false
}

// Core makes the Collector's loggers print here.
func (l *Logger) Core(enabled zapcore.LevelEnabler) zapcore.Core {
	return &core{LevelEnabler: enabled, logger: l}
}

type core struct {
	zapcore.LevelEnabler
	logger     *Logger
	fields     []zapcore.Field
	isExporter bool
}

// The field by which the Collector tells of which kind the component is that logs.
const (
	kindField    = "otelcol.component.kind"
	kindExporter = "exporter"
)

func (c *core) With(fields []zapcore.Field) zapcore.Core {
	with := *c
	with.fields = append(c.fields[:len(c.fields):len(c.fields)], fields...)
	// The Collector puts its own fields into one that is several when it is written.
	encoder := zapcore.NewMapObjectEncoder()
	for _, field := range fields {
		field.AddTo(encoder)
	}
	with.isExporter = with.isExporter || encoder.Fields[kindField] == kindExporter
	return &with
}

func (c *core) Check(entry zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	// An exporter calls each failed request an error and its data rejected. Here they are neither: the buffer tries
	// again, and says so when it fails and when it works again.
	isRoutine := c.isExporter && entry.Level == zapcore.ErrorLevel && !c.Enabled(zapcore.DebugLevel)
	if c.Enabled(entry.Level) && !isRoutine {
		return checked.AddCore(entry, c)
	}
	return checked
}

func (c *core) Write(entry zapcore.Entry, fields []zapcore.Field) error {
	encoder := zapcore.NewMapObjectEncoder()
	for _, field := range c.fields {
		field.AddTo(encoder)
	}
	for _, field := range fields {
		field.AddTo(encoder)
	}
	c.logger.print(entry.Level, entry.Time, entry.Message, encoder.Fields)
	return nil
}

func (*core) Sync() error { return nil }

// Level is the least level that is printed.
func (l *Logger) Level() zapcore.Level { return l.level }
