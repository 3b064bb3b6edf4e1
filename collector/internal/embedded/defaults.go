package embedded

import (
	"context"
	"encoding/base64"
	"net"
	"strings"

	"go.opentelemetry.io/collector/confmap"
)

// builtInURI is the source of the built-in configuration. It can be named beside other sources, to change a part of it.
const (
	builtInScheme = "builtin"
	builtInURI    = builtInScheme + ":"
)

func basicAuth(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

// builtIn is the configuration that is used when none is given: OTLP in on loopback, the platform's own facts beside
// it, OTLP out to the target, or nowhere.
func builtIn(set Settings, to *target) map[string]any {
	exporter, exporterConfig := "nop", map[string]any{}
	if to != nil {
		exporter = "otlp_http"
		if to.isGRPC {
			exporter = "otlp_grpc"
		}
		exporterConfig = map[string]any{"endpoint": to.endpoint, "headers": to.headers}
		if plain, isPlain := strings.CutPrefix(to.endpoint, "http://"); isPlain && to.isGRPC {
			exporterConfig["endpoint"] = plain
			exporterConfig["tls"] = map[string]any{"insecure": true}
		}
	}
	processors := map[string]any{
		// A check stops the process for a moment, and what waits is bounded by the buffer already.
		"memory_limiter": map[string]any{"check_interval": "5s", "limit_mib": memoryLimitMiB(set.Getenv)},
	}
	metrics := []any{"memory_limiter"}
	if set.Getenv(envMetricsMode) != MetricsGateway {
		processors["resource/writer"] = map[string]any{"attributes": []any{
			map[string]any{"key": "service.instance.id", "value": set.Instance, "action": "insert"},
		}}
		processors["delta_to_cumulative"] = map[string]any{"max_stale": "24h"}
		metrics = append(metrics, "resource/writer", "delta_to_cumulative")
	}
	pipeline := func(processors ...any) map[string]any {
		return map[string]any{
			"receivers":  []any{"otlp", "lambda_platform"},
			"processors": processors,
			"exporters":  []any{exporter},
		}
	}
	host := ownHost(set.Getenv)
	return map[string]any{
		"receivers": map[string]any{
			"otlp": map[string]any{"protocols": map[string]any{
				"http": map[string]any{"endpoint": net.JoinHostPort(host, httpPort)},
				"grpc": map[string]any{"endpoint": net.JoinHostPort(host, grpcPort)},
			}},
			"lambda_platform": map[string]any{},
		},
		"processors": processors,
		"exporters":  map[string]any{exporter: exporterConfig},
		"service": map[string]any{"pipelines": map[string]any{
			"traces":  pipeline("memory_limiter"),
			"metrics": pipeline(metrics...),
			"logs":    pipeline("memory_limiter"),
		}},
	}
}

// builtInProvider gives the built-in configuration to the resolver.
func builtInProvider(config map[string]any) confmap.ProviderFactory {
	return confmap.NewProviderFactory(func(confmap.ProviderSettings) confmap.Provider {
		return staticProvider{config}
	})
}

type staticProvider struct{ config map[string]any }

func (p staticProvider) Retrieve(context.Context, string, confmap.WatcherFunc) (*confmap.Retrieved, error) {
	return confmap.NewRetrieved(p.config)
}
func (staticProvider) Scheme() string                 { return builtInScheme }
func (staticProvider) Shutdown(context.Context) error { return nil }
