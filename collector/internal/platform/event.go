package platform

import (
	"encoding/json"
	"fmt"
	"time"
)

// The types of events that are understood. There are others, which are passed over.
const (
	TypeInitStart       = "platform.initStart"
	TypeInitRuntimeDone = "platform.initRuntimeDone"
	TypeInitReport      = "platform.initReport"
	TypeStart           = "platform.start"
	TypeRuntimeDone     = "platform.runtimeDone"
	TypeReport          = "platform.report"
	TypeLogsDropped     = "platform.logsDropped"
	TypeFunction        = "function"
)

// The statuses of a runtimeDone event.
const (
	StatusSuccess = "success"
	StatusTimeout = "timeout"
	StatusFailure = "failure"
	StatusError   = "error"
)

// Of an initStart event: the phase of a new environment's initialisation, and the type of one that an invocation waits
// for.
const (
	PhaseInit = "init"
	OnDemand  = "on-demand"
)

// Event is one record of a delivery.
type Event struct {
	// Time is zero if it could not be read: a delivery is never refused for one odd time.
	Time   time.Time
	Type   string
	Record json.RawMessage
}

// Span is a part of an invocation that Lambda has timed.
type Span struct {
	Name       string  `json:"name"`
	DurationMs float64 `json:"durationMs"`
}

// The spans of a runtimeDone and of a report event.
const (
	SpanResponseLatency   = "responseLatency"
	SpanResponseDuration  = "responseDuration"
	SpanExtensionOverhead = "extensionOverhead"
)

// InitStart is the record of platform.initStart.
type InitStart struct {
	InitializationType string `json:"initializationType"`
	Phase              string `json:"phase"`
}

// InitReport is the record of platform.initReport.
type InitReport struct {
	Metrics struct {
		DurationMs float64 `json:"durationMs"`
	} `json:"metrics"`
}

// InitRuntimeDone is the record of platform.initRuntimeDone.
type InitRuntimeDone struct {
	Status    string `json:"status"`
	ErrorType string `json:"errorType"`
}

// Start is the record of platform.start.
type Start struct {
	RequestID string `json:"requestId"`
}

// RuntimeDone is the record of platform.runtimeDone.
type RuntimeDone struct {
	RequestID string `json:"requestId"`
	Status    string `json:"status"`
	ErrorType string `json:"errorType"`
	Metrics   struct {
		DurationMs float64 `json:"durationMs"`
	} `json:"metrics"`
	Spans []Span `json:"spans"`
}

// Report is the record of platform.report.
type Report struct {
	RequestID string `json:"requestId"`
	Metrics   struct {
		BilledDurationMs float64 `json:"billedDurationMs"`
		MemorySizeMB     float64 `json:"memorySizeMB"`
		MaxMemoryUsedMB  float64 `json:"maxMemoryUsedMB"`
	} `json:"metrics"`
	Spans []Span `json:"spans"`
}

// LogsDropped is the record of platform.logsDropped.
type LogsDropped struct {
	DroppedRecords int64 `json:"droppedRecords"`
}

// Decode reads a delivery: an array of events. Entries that are no events are passed over.
func Decode(body []byte) ([]Event, error) {
	var entries []json.RawMessage
	if err := json.Unmarshal(body, &entries); err != nil {
		return nil, fmt.Errorf("read a telemetry delivery: %w", err)
	}
	events := make([]Event, 0, len(entries))
	for _, entry := range entries {
		var raw struct {
			Time   string          `json:"time"`
			Type   string          `json:"type"`
			Record json.RawMessage `json:"record"`
		}
		if json.Unmarshal(entry, &raw) != nil || raw.Type == "" {
			continue
		}
		at, err := time.Parse(time.RFC3339Nano, raw.Time)
		if err != nil {
			at = time.Time{}
		}
		events = append(events, Event{Time: at, Type: raw.Type, Record: raw.Record})
	}
	return events, nil
}

// As reads the record of an event; false if it is not of that shape.
func As[T any](e Event) (T, bool) {
	var record T
	err := json.Unmarshal(e.Record, &record)
	return record, err == nil
}

// Duration is the sum of the named spans, and false if none is there.
func Duration(spans []Span, names ...string) (total time.Duration, found bool) {
	for _, span := range spans {
		for _, name := range names {
			if span.Name == name {
				total += Milliseconds(span.DurationMs)
				found = true
			}
		}
	}
	return total, found
}

// Milliseconds is a duration as Lambda writes it.
func Milliseconds(ms float64) time.Duration {
	return time.Duration(ms * float64(time.Millisecond))
}
