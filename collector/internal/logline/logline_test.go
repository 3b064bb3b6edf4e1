package logline

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

func TestLinesAreJSONOfOneLevelAndAbove(t *testing.T) {
	var out bytes.Buffer
	l := New(&out, ParseLevel("warn"))
	l.Warnf("a\nline with %q", "quotes")
	zap.New(l.Core(zapcore.WarnLevel)).With(zap.String("component", "otlp")).Error("from the Collector", zap.Int("n", 3))
	zap.New(l.Core(zapcore.WarnLevel)).Info("not wanted")
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 2 {
		t.Fatalf("printed %d lines: %s", len(lines), out.String())
	}
	var first, second map[string]any
	if json.Unmarshal([]byte(lines[0]), &first) != nil || json.Unmarshal([]byte(lines[1]), &second) != nil {
		t.Fatalf("no JSON: %s", out.String())
	}
	if first["level"] != "WARN" || first["message"] != "a\nline with \"quotes\"" {
		t.Errorf("first line %v", first)
	}
	if second["level"] != "ERROR" || second["component"] != "otlp" || second["n"] != 3.0 {
		t.Errorf("second line %v", second)
	}
}

func TestExportersDoNotCallEachFailureAnError(t *testing.T) {
	var out bytes.Buffer
	l := New(&out, zapcore.WarnLevel)
	exporter := zap.New(l.Core(zapcore.WarnLevel)).With(zap.String(kindField, kindExporter))
	exporter.With(zap.String("more", "fields")).Error("Exporting failed")
	exporter.Warn("Partial success response")
	zap.New(l.Core(zapcore.WarnLevel)).With(zap.String(kindField, "receiver")).Error("a real one")
	zap.New(l.Core(zapcore.DebugLevel)).With(zap.String(kindField, kindExporter)).Error("asked for")
	if printed := out.String(); strings.Count(printed, "\n") != 3 || strings.Contains(printed, "Exporting failed") {
		t.Errorf("printed: %s", printed)
	}
}

func TestParseLevel(t *testing.T) {
	for name, want := range map[string]zapcore.Level{"": zapcore.WarnLevel, "nonsense": zapcore.WarnLevel, "info": zapcore.InfoLevel, "DEBUG": zapcore.DebugLevel} {
		if got := ParseLevel(name); got != want {
			t.Errorf("%q is %v", name, got)
		}
	}
}

func TestHeldLinesArePrintedIfWanted(t *testing.T) {
	for _, isWanted := range []bool{true, false} {
		var out bytes.Buffer
		l := New(&out, zapcore.WarnLevel)
		l.Hold()
		l.Warnf("held")
		if out.Len() > 0 {
			t.Fatal("printed while held")
		}
		l.Release(isWanted)
		l.Warnf("after")
		if got := strings.Count(out.String(), "\n"); got != 1 && !isWanted || got != 2 && isWanted {
			t.Errorf("wanted %v: printed %s", isWanted, out.String())
		}
	}
}

func TestLinesHoldNothingOfAURLThatMayBeSecret(t *testing.T) {
	for given, want := range map[string]string{
		"Post \"http://user:secret@host:4318/v1/traces?token=secret&b=<secret>\": refused": "Post \"http://host:4318/v1/traces\": refused",
		"https://secret@host and s3://bucket/prefix, me@example":                           "https://host and s3://bucket/prefix, me@example",
		"http://[::1]:4318/a#b?": "http://[::1]:4318/a#b?",
		"http://host?secret":     "http://host",
		"no URL? none":           "no URL? none",
	} {
		var out bytes.Buffer
		New(&out, zapcore.WarnLevel).Warnf("%s", given)
		var line map[string]any
		if err := json.Unmarshal(out.Bytes(), &line); err != nil || line["message"] != want {
			t.Errorf("%q is printed as %q (%v)", given, line["message"], err)
		}
	}
}
