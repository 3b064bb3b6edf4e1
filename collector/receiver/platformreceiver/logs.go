package platformreceiver

import (
	"encoding/json"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"neuro-preprocess/collector/internal/platform"
)

// logOf makes a log record of an event that is one. Which events come at all is decided when the platform is asked.
func (m *Monitor) logOf(event platform.Event) (plog.Logs, bool) {
	isFunction := event.Type == platform.TypeFunction
	if m.logs == nil || !isFunction && !m.function.HasPlatformLogs {
		return plog.Logs{}, false
	}
	ld := plog.NewLogs()
	rl := ld.ResourceLogs().AppendEmpty()
	service := m.function.ServiceName
	if !isFunction {
		service += "-platform"
	}
	m.function.fill(rl.Resource(), service)
	sl := rl.ScopeLogs().AppendEmpty()
	sl.Scope().SetName(scopeName)
	record := sl.LogRecords().AppendEmpty()
	now := m.now()
	record.SetObservedTimestamp(pcommon.NewTimestampFromTime(now))
	at := event.Time
	if at.IsZero() {
		at = now
	}
	record.SetTimestamp(pcommon.NewTimestampFromTime(at))
	record.Attributes().PutStr("aws.lambda.event_type", event.Type)
	if isFunction {
		m.fillFunctionLog(record, event.Record)
	} else {
		record.SetSeverityNumber(plog.SeverityNumberInfo)
		record.SetSeverityText("INFO")
		record.Body().SetStr(string(event.Record))
	}
	if m.current.requestID == "" {
		return ld, true
	}
	record.Attributes().PutStr("faas.invocation_id", m.current.requestID)
	if record.TraceID().IsEmpty() {
		if root, ok := m.rootOf(m.current); ok {
			record.SetTraceID(root.TraceID)
			record.SetSpanID(root.SpanID)
		}
	}
	return ld, true
}

// fillFunctionLog takes a line as it is: text, or one JSON object, which may come as an object or as text.
func (m *Monitor) fillFunctionLog(record plog.LogRecord, raw json.RawMessage) {
	line := string(raw)
	var text string
	if json.Unmarshal(raw, &text) == nil {
		line = strings.TrimRight(text, "\r\n")
	}
	record.Body().SetStr(line)
	var fields struct {
		Level     string `json:"level"`
		Timestamp string `json:"timestamp"`
		TraceID   string `json:"trace_id"`
		SpanID    string `json:"span_id"`
	}
	if !strings.HasPrefix(line, "{") || json.Unmarshal([]byte(line), &fields) != nil {
		return
	}
	if at, err := time.Parse(time.RFC3339Nano, fields.Timestamp); err == nil {
		record.SetTimestamp(pcommon.NewTimestampFromTime(at))
	}
	if severity, ok := severities[strings.ToUpper(fields.Level)]; ok {
		record.SetSeverityNumber(severity)
		record.SetSeverityText(strings.ToUpper(fields.Level))
	}
	var trace pcommon.TraceID
	var span pcommon.SpanID
	if parseID(trace[:], fields.TraceID) && parseID(span[:], fields.SpanID) {
		record.SetTraceID(trace)
		record.SetSpanID(span)
	}
}

var severities = map[string]plog.SeverityNumber{
	"TRACE": plog.SeverityNumberTrace, "DEBUG": plog.SeverityNumberDebug, "INFO": plog.SeverityNumberInfo,
	"WARN": plog.SeverityNumberWarn, "WARNING": plog.SeverityNumberWarn, "ERROR": plog.SeverityNumberError,
	"FATAL": plog.SeverityNumberFatal, "CRITICAL": plog.SeverityNumberFatal,
}
