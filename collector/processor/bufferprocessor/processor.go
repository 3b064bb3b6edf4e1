package bufferprocessor

import (
	"context"
	"errors"
	"net/http"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.uber.org/zap"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"neuro-preprocess/collector/internal/exportnote"
	"neuro-preprocess/collector/internal/outbox"
)

// buffer is the processor of one pipeline. The outbox outlives it: what waits at Shutdown is delivered or handed over
// by then, or left to the next process.
type buffer[T any] struct {
	component.StartFunc
	component.ShutdownFunc
	lane    *outbox.Lane[T]
	before  func(T)
	isEmpty func(T) bool
}

// Capabilities: payloads are merged with others before they are passed on.
func (*buffer[T]) Capabilities() consumer.Capabilities {
	return consumer.Capabilities{MutatesData: true}
}

func (b *buffer[T]) put(payload T) error {
	if b.before != nil {
		b.before(payload)
	}
	if b.isEmpty(payload) {
		return nil
	}
	return b.lane.Put(payload)
}

func (b *buffer[T]) ConsumeTraces(_ context.Context, td ptrace.Traces) error {
	return b.put(any(td).(T))
}
func (b *buffer[T]) ConsumeMetrics(_ context.Context, md pmetric.Metrics) error {
	return b.put(any(md).(T))
}
func (b *buffer[T]) ConsumeLogs(_ context.Context, ld plog.Logs) error { return b.put(any(ld).(T)) }

// sender passes a payload on and reads what became of it. It logs when things change, not at each failure.
func sender[T any](logger *zap.Logger, consume func(context.Context, T) error) func(context.Context, T) outbox.Outcome {
	last := outbox.Delivered
	return func(ctx context.Context, payload T) outbox.Outcome {
		ctx, note := exportnote.With(ctx)
		err := consume(ctx, payload)
		out := judge(err, note.Status())
		out.RetryAfter = max(out.RetryAfter, note.RetryAfter())
		if out.Verdict == last {
			return out
		}
		last = out.Verdict
		switch out.Verdict {
		case outbox.Delivered:
			logger.Info("telemetry is delivered again")
		case outbox.Retry:
			logger.Warn("telemetry cannot be delivered at the moment, it is kept", zap.Error(err))
		case outbox.Refused:
			logger.Error("the backend refuses telemetry, which is kept for inspection", zap.Error(err))
		}
		return out
	}
}

// judge decides by the kind of an error, never by its text.
func judge(err error, httpStatus int) outbox.Outcome {
	switch {
	case err == nil:
		return outbox.Outcome{Verdict: outbox.Delivered}
	case httpStatus == http.StatusRequestEntityTooLarge:
		return outbox.Outcome{Verdict: outbox.TooLarge, Err: err}
	case exportnote.IsWorthRetrying(httpStatus):
		return outbox.Outcome{Verdict: outbox.Retry, Err: err}
	case httpStatus >= 200 && httpStatus <= 299:
		// Taken, with an answer that could not be read.
		return outbox.Outcome{Verdict: outbox.Delivered}
	}
	if httpStatus == 0 {
		if out, ok := judgeGRPC(err); ok {
			return out
		}
	}
	if consumererror.IsPermanent(err) {
		return outbox.Outcome{Verdict: outbox.Refused, Err: err}
	}
	return outbox.Outcome{Verdict: outbox.Retry, Err: err}
}

func judgeGRPC(err error) (outbox.Outcome, bool) {
	var withStatus interface{ GRPCStatus() *status.Status }
	if !errors.As(err, &withStatus) {
		return outbox.Outcome{}, false
	}
	s := withStatus.GRPCStatus()
	out := outbox.Outcome{Verdict: outbox.Retry, Err: err}
	for _, detail := range s.Details() {
		if info, ok := detail.(*errdetails.RetryInfo); ok {
			out.RetryAfter = min(info.GetRetryDelay().AsDuration(), exportnote.MaxRetryAfter)
		}
	}
	switch s.Code() {
	case codes.ResourceExhausted:
		// Without a time to wait it means that the request is too large, or that it will never be taken.
		if out.RetryAfter == 0 && consumererror.IsPermanent(err) {
			out.Verdict = outbox.TooLarge
		}
	case codes.InvalidArgument, codes.Unimplemented, codes.Unauthenticated, codes.PermissionDenied, codes.NotFound:
		out.Verdict = outbox.Refused
	}
	return out, true
}
