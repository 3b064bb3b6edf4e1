// Command extension is the Lambda extension that embeds a Collector. Lambda starts it beside the function's runtime,
// without arguments, under the name of its file.
package main

import (
	"context"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"

	"neuro-preprocess/collector/internal/extension"
	"neuro-preprocess/collector/internal/logline"
)

func main() {
	if os.Getenv("GOMAXPROCS") == "" {
		// An extension mostly waits. To wake a second thread for each request costs more than the thread can save, and
		// all other processors are the function's.
		runtime.GOMAXPROCS(1)
	}
	log := logline.New(os.Stdout, logline.ParseLevel(os.Getenv("OPENTELEMETRY_EXTENSION_LOG_LEVEL")))
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := extension.Run(ctx, filepath.Base(os.Args[0]), os.Getenv, log); err != nil {
		log.Warnf("%v", err)
		stop()
		os.Exit(1)
	}
}
