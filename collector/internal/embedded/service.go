// Package embedded runs the stock Collector service inside the extension: the components it is made of, where its
// configuration comes from, and how that is fitted to Lambda.
package embedded

import (
	"context"
	"fmt"
	"slices"

	"github.com/open-telemetry/opentelemetry-collector-contrib/processor/deltatocumulativeprocessor"
	"github.com/open-telemetry/opentelemetry-collector-contrib/processor/resourceprocessor"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/provider/envprovider"
	"go.opentelemetry.io/collector/confmap/provider/fileprovider"
	"go.opentelemetry.io/collector/confmap/provider/yamlprovider"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/debugexporter"
	"go.opentelemetry.io/collector/exporter/nopexporter"
	"go.opentelemetry.io/collector/exporter/otlpexporter"
	"go.opentelemetry.io/collector/exporter/otlphttpexporter"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/otelcol"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/memorylimiterprocessor"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/otlpreceiver"
	"go.opentelemetry.io/collector/service"
	"go.uber.org/zap/zapcore"

	"neuro-preprocess/collector/processor/attributesprocessor"
)

// Version of the Collector that is embedded.
const Version = "0.161.0"

// Settings of an embedded Collector.
type Settings struct {
	Getenv Getenv
	// Instance is the identity of this process as a writer of metrics.
	Instance string
	// Receivers, Processors and Extensions of our own, beside the stock ones.
	Receivers  []receiver.Factory
	Processors []processor.Factory
	Extensions []extension.Factory
	// LogCore takes the Collector's log, LogLevel is the least level of it unless the configuration says another.
	LogCore  func(zapcore.LevelEnabler) zapcore.Core
	LogLevel zapcore.Level
	// Warn prints one line.
	Warn func(format string, args ...any)
}

// Collector is a running one.
type Collector struct {
	service  *service.Service
	provider *otelcol.ConfigProvider
	failed   chan error
}

// Start resolves the configuration, builds the pipelines and starts them. On an error nothing is left running.
func Start(ctx context.Context, set Settings) (*Collector, error) {
	factories, err := set.factories()
	if err != nil {
		return nil, err
	}
	provider, err := otelcol.NewConfigProvider(set.providerSettings())
	if err != nil {
		return nil, err
	}
	config, err := provider.Get(ctx, factories)
	if err != nil {
		return nil, err
	}
	if err := confmap.Validate(config); err != nil {
		return nil, fmt.Errorf("invalid configuration: %w", err)
	}
	c := &Collector{provider: provider, failed: make(chan error, 1)}
	c.service, err = service.New(ctx, service.Settings{
		BuildInfo:           component.BuildInfo{Command: "collector", Description: "Lambda extension", Version: Version},
		ReceiversConfigs:    config.Receivers,
		ReceiversFactories:  factories.Receivers,
		ProcessorsConfigs:   config.Processors,
		ProcessorsFactories: factories.Processors,
		ExportersConfigs:    config.Exporters,
		ExportersFactories:  factories.Exporters,
		ConnectorsConfigs:   config.Connectors,
		ConnectorsFactories: factories.Connectors,
		ExtensionsConfigs:   config.Extensions,
		ExtensionsFactories: factories.Extensions,
		AsyncErrorChannel:   c.failed,
		TelemetryFactory:    factories.Telemetry,
	}, config.Service)
	if err != nil {
		return nil, err
	}
	if err := c.service.Start(ctx); err != nil {
		_ = c.service.Shutdown(ctx)
		return nil, err
	}
	return c, nil
}

// Failed gives the error of a component that cannot go on.
func (c *Collector) Failed() <-chan error { return c.failed }

// Shutdown stops the pipelines.
func (c *Collector) Shutdown(ctx context.Context) error {
	_ = c.provider.Shutdown(ctx)
	return c.service.Shutdown(ctx)
}

func (set Settings) providerSettings() otelcol.ConfigProviderSettings {
	resolver := confmap.ResolverSettings{
		DefaultScheme: "env",
		ProviderFactories: []confmap.ProviderFactory{
			envprovider.NewFactory(), fileprovider.NewFactory(), yamlprovider.NewFactory(),
		},
		ConverterFactories: []confmap.ConverterFactory{lambdaConverter{warn: set.Warn}.factory()},
	}
	resolver.URIs = splitURIs(set.Getenv(envConfigURI))
	if len(resolver.URIs) == 0 {
		resolver.URIs = []string{builtInURI}
	}
	if slices.Contains(resolver.URIs, builtInURI) {
		to, why := targetFrom(set.Getenv)
		if to == nil {
			set.Warn("telemetry is discarded: %s", why)
		}
		resolver.ProviderFactories = append(resolver.ProviderFactories, builtInProvider(builtIn(set, to)))
	}
	return otelcol.ConfigProviderSettings{ResolverSettings: resolver}
}

func (set Settings) factories() (f otelcol.Factories, err error) {
	f.Receivers, err = otelcol.MakeFactoryMap(append(set.Receivers, otlpreceiver.NewFactory())...)
	if err != nil {
		return f, err
	}
	f.Processors, err = otelcol.MakeFactoryMap(append(set.Processors, attributesprocessor.NewFactory(),
		memorylimiterprocessor.NewFactory(), resourceprocessor.NewFactory(), deltatocumulativeprocessor.NewFactory())...)
	if err != nil {
		return f, err
	}
	f.Exporters, err = otelcol.MakeFactoryMap[exporter.Factory](
		otlphttpexporter.NewFactory(), otlpexporter.NewFactory(), debugexporter.NewFactory(), nopexporter.NewFactory())
	if err != nil {
		return f, err
	}
	f.Extensions, err = otelcol.MakeFactoryMap(set.Extensions...)
	f.Telemetry = telemetryFactory(set.LogCore, set.LogLevel)
	return f, err
}
