// Package extension puts the parts together: it registers, starts the Collector and the subscription to the platform's
// events at the same time, and then lives as long as its environment. Whatever goes wrong in it, the function works:
// it then answers the platform's events and does nothing else.
package extension

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/receiver"

	"neuro-preprocess/collector/extension/lifecycleextension"
	"neuro-preprocess/collector/internal/embedded"
	"neuro-preprocess/collector/internal/handoff"
	"neuro-preprocess/collector/internal/lambdaapi"
	"neuro-preprocess/collector/internal/lifecycle"
	"neuro-preprocess/collector/internal/logline"
	"neuro-preprocess/collector/internal/openspans"
	"neuro-preprocess/collector/internal/outbox"
	"neuro-preprocess/collector/internal/platform"
	"neuro-preprocess/collector/internal/spool"
	"neuro-preprocess/collector/processor/bufferprocessor"
	"neuro-preprocess/collector/receiver/platformreceiver"
)

const (
	registerTimeout  = 5 * time.Second
	subscribeTimeout = 2 * time.Second
	stopTimeout      = 100 * time.Millisecond
)

// Run is the life of the extension. It returns an error only where there is no platform to serve.
func Run(ctx context.Context, name string, getenv func(string) string, log *logline.Logger) error {
	address := getenv(envRuntimeAPI)
	if address == "" {
		return fmt.Errorf("`%s` is not set: this program is started by Lambda", envRuntimeAPI)
	}
	api := lambdaapi.New(address)
	events := []lambdaapi.EventType{lambdaapi.Invoke, lambdaapi.Shutdown}
	isManaged := getenv(envInitType) == managedInstances
	if isManaged {
		// Many invocations at once, and no freeze: there is nothing for a lifecycle to do but to stop.
		events = []lambdaapi.EventType{lambdaapi.Shutdown}
	}
	registerCtx, cancel := context.WithTimeout(ctx, registerTimeout)
	registration, err := api.Register(registerCtx, name, events...)
	cancel()
	var refused *lambdaapi.RefusedError
	if errors.As(err, &refused) {
		// An extension that ends now would take the function with it.
		log.Warnf("idle: the platform does not want this extension: %v", err)
		<-ctx.Done()
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot register with the platform: %w", err)
	}
	e := &environment{getenv: getenv, log: log, api: api, isManaged: isManaged, ends: lifecycle.NewEnds()}
	if err := e.live(ctx, registration); err != nil {
		log.Warnf("idle, telemetry of this environment is not collected: %s", oneLine(err))
		// Where the platform itself is gone there is no function left to keep going.
		return lifecycle.Idle(ctx, api)
	}
	return nil
}

// environment is what one execution environment of a function needs.
type environment struct {
	getenv    func(string) string
	log       *logline.Logger
	api       *lambdaapi.Client
	isManaged bool

	ends      *lifecycle.Ends
	feed      platform.Feed
	pool      lifecycleextension.Connections
	box       *outbox.Outbox
	roots     openspans.Roots
	monitor   *platformreceiver.Monitor
	collector *embedded.Collector
	function  platformreceiver.Function
	store     *handoff.Store // nil without a bucket
}

// live returns an error if the extension must become idle. A panic of its own is one.
func (e *environment) live(ctx context.Context, registration lambdaapi.Registration) (err error) {
	defer func() {
		if fault := recover(); fault != nil {
			e.log.Release(false)
			err = fmt.Errorf("internal fault: %v at %s", fault, firstFrame(debug.Stack()))
		}
	}()
	types, hasPlatformLogs := telemetryTypes(e.getenv)
	subscribed := make(chan bool, 1)
	go func() { subscribed <- e.subscribe(ctx, types) }()
	// A start that fails is logged by several layers of the Collector; the error that comes out of it says it once.
	e.log.Hold()
	err = e.start(ctx, registration, hasPlatformLogs)
	e.log.Release(err == nil)
	if err != nil {
		<-subscribed
		return err
	}
	defer e.stop()
	go e.watch(ctx)
	e.feed.Attach(e.monitor.Deliver)
	manager := &lifecycle.Manager{
		Settings:          lifecycle.DefaultSettings(),
		API:               e.api,
		Outbox:            e.box,
		Watcher:           watcher{e},
		Ends:              e.ends,
		Cadence:           lifecycle.Cadence{Frequent: 10 * time.Second, WarmUp: 10},
		HasPlatformEvents: <-subscribed,
		IsManaged:         e.isManaged,
		Warn:              e.log.Warnf,
	}
	if e.store != nil {
		manager.HandOver = e.handOver
	}
	return manager.Run(ctx)
}

// watch says so when a component of the Collector cannot go on. The others do.
func (e *environment) watch(ctx context.Context) {
	for {
		select {
		case err := <-e.collector.Failed():
			e.log.Warnf("a component of the Collector failed: %s", oneLine(err))
		case <-ctx.Done():
			return
		}
	}
}

// start makes all that stands between the function and the backend.
func (e *environment) start(ctx context.Context, registration lambdaapi.Registration, hasPlatformLogs bool) error {
	instance := newInstanceID()
	if err := os.Setenv(embedded.EnvInstance, instance); err != nil {
		return err
	}
	dir := spoolDir(e.getenv)
	box, err := outbox.Open(outboxOptions(dir))
	if err != nil {
		e.log.Warnf("%v", err)
	}
	e.box = box
	open := openspans.Folder(filepath.Join(dir, "open"))
	if errors.Is(err, spool.ErrInUse) {
		// They are the other process's, too.
		open = ""
	}
	e.function = platformreceiver.FunctionFrom(e.getenv, instance)
	e.function.AccountID = registration.AccountID
	e.function.HasPlatformLogs = hasPlatformLogs
	e.monitor = platformreceiver.NewMonitor(e.function, open, &e.roots, box.Stats, e.ends.ByPlatform)
	if e.store, err = handoff.StoreFrom(e.getenv); err != nil {
		e.log.Warnf("undelivered telemetry will not be handed over: %v", err)
	}
	e.collector, err = embedded.Start(ctx, embedded.Settings{
		Getenv:     e.getenv,
		Instance:   instance,
		Receivers:  []receiver.Factory{platformreceiver.NewFactory(e.monitor), platformreceiver.NewLeftOpenFactory(e.monitor)},
		Processors: []processor.Factory{bufferprocessor.NewFactory(box, &e.roots)},
		Extensions: []extension.Factory{lifecycleextension.NewFactory(layerEnds{e.ends, &e.roots}, &e.pool)},
		LogCore:    e.log.Core,
		LogLevel:   e.log.Level(),
		Warn:       e.log.Warnf,
	})
	if err != nil {
		box.Close()
		return err
	}
	box.Adopt()
	return nil
}

// subscribe asks the platform for its events; false if there will be none.
func (e *environment) subscribe(ctx context.Context, types []string) bool {
	ctx, cancel := context.WithTimeout(ctx, subscribeTimeout)
	defer cancel()
	listener, err := platform.Listen(e.feed.Deliver)
	if err != nil {
		e.log.Warnf("no platform events: %v", err)
		return false
	}
	isSupported, err := e.api.Subscribe(ctx, listener.URL(), types)
	if err != nil {
		e.log.Warnf("no platform events: %v", err)
	}
	if !isSupported {
		_ = listener.Close(ctx)
	}
	return isSupported
}

func (e *environment) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		_ = e.collector.Shutdown(ctx)
	}()
	select {
	case <-stopped:
	case <-ctx.Done():
	}
	if stats := e.box.Stats(); stats.Lossy() {
		e.log.Warnf("telemetry was lost or refused: %s", describe(stats))
	}
	e.box.Close()
}

func describe(stats outbox.Stats) string {
	var parts []string
	for _, signal := range outbox.Signals {
		s := stats.Signal[signal]
		if s.Lost+s.Refused > 0 {
			parts = append(parts, fmt.Sprintf("%s: %d lost, %d refused of %d", signal, s.Lost, s.Refused, s.Accepted+s.Replayed))
		}
	}
	if stats.DamagedPlaces > 0 {
		parts = append(parts, fmt.Sprintf("%d damaged places in the spool", stats.DamagedPlaces))
	}
	return strings.Join(parts, "; ")
}

// layerEnds passes on what the function's telemetry layer says of an invocation's end.
type layerEnds struct {
	*lifecycle.Ends
	roots *openspans.Roots
}

func (l layerEnds) ByLayer(requestID string) {
	if requestID != "" {
		l.roots.HandedOver(requestID)
	}
	l.Ends.ByLayer(requestID)
}

// watcher passes what the lifecycle sees to whom it concerns.
type watcher struct{ e *environment }

func (w watcher) Invoked(requestID string, deadline time.Time) {
	w.e.monitor.Invoked(requestID, deadline)
}
func (w watcher) Thawed(pause time.Duration) { w.e.pool.Thawed(pause) }
func (w watcher) BeforeFlush()               { w.e.monitor.BeforeFlush() }
func (w watcher) ShuttingDown(ctx context.Context, reason string) {
	w.e.monitor.ShuttingDown(ctx, reason)
}

func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

// firstFrame finds where a panic began: the first frame of ours.
func firstFrame(stack []byte) string {
	for line := range strings.Lines(string(stack)) {
		if at := strings.TrimSpace(line); strings.Contains(at, "/collector/") && strings.Contains(at, ".go:") && !strings.Contains(at, "extension/run.go") {
			return filepath.Base(strings.Fields(at)[0])
		}
	}
	return "an unknown place"
}
