package embedded

import (
	"context"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/receiver"
	"go.uber.org/zap/zapcore"

	"neuro-preprocess/collector/extension/lifecycleextension"
	"neuro-preprocess/collector/internal/lifecycle"
	"neuro-preprocess/collector/internal/openspans"
	"neuro-preprocess/collector/internal/outbox"
	"neuro-preprocess/collector/processor/bufferprocessor"
	"neuro-preprocess/collector/receiver/platformreceiver"
)

func lookup(env map[string]string) Getenv { return func(name string) string { return env[name] } }

// settings are those of an extension, with all components and an outbox in a temporary folder.
func settings(t *testing.T, env map[string]string, warned *[]string) Settings {
	t.Helper()
	dir := t.TempDir()
	box, err := outbox.Open(outbox.Options{
		Dir: filepath.Join(dir, "pending"), RefusedDir: filepath.Join(dir, "refused"), SpoolBytes: 1 << 20, RefusedBytes: 1 << 16,
		MemoryBytes: 1 << 20, RequestBytes: 1 << 20, Now: time.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(box.Close)
	roots := &openspans.Roots{}
	monitor := platformreceiver.NewMonitor(platformreceiver.Function{}, "", roots, box.Stats, nil)
	return Settings{
		Getenv:     lookup(env),
		Receivers:  []receiver.Factory{platformreceiver.NewFactory(monitor), platformreceiver.NewLeftOpenFactory(monitor)},
		Processors: []processor.Factory{bufferprocessor.NewFactory(box, roots)},
		Extensions: []extension.Factory{lifecycleextension.NewFactory(lifecycle.NewEnds(), &lifecycleextension.Connections{})},
		LogCore:    func(zapcore.LevelEnabler) zapcore.Core { return zapcore.NewNopCore() },
		Warn:       func(format string, args ...any) { *warned = append(*warned, fmt.Sprintf(format, args...)) },
	}
}

func TestConvertFitsAConfigurationOfTheReferenceLayer(t *testing.T) {
	conf, err := confmaptest.LoadConf(filepath.Join("testdata", "reference.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var warned []string
	converter := lambdaConverter{warn: func(format string, args ...any) { warned = append(warned, fmt.Sprintf(format, args...)) }}
	if err := converter.Convert(t.Context(), conf); err != nil {
		t.Fatal(err)
	}
	if len(warned) != 1 || !strings.Contains(warned[0], "`batch`, `decouple`, `telemetryapi`") {
		t.Errorf("warned %q", warned)
	}
	for key, want := range map[string]any{
		"service::pipelines::traces::receivers":           []any{"otlp", "lambda_platform", "lambda_open_spans"},
		"service::pipelines::traces::processors":          []any{"resource", "buffer/traces"},
		"service::pipelines::metrics::processors":         []any{"buffer/metrics"},
		"service::pipelines::logs::processors":            []any{"buffer/logs"},
		"service::extensions":                             []any{"lambda_lifecycle"},
		"exporters::otlp_http::sending_queue::enabled":    false,
		"exporters::otlp_http::retry_on_failure::enabled": false,
		"exporters::otlp_http::timeout":                   "5s",
		"exporters::otlp_http::force_attempt_http2":       false,
		"exporters::otlp_http::compression":               "gzip",
		"exporters::otlp_http::write_buffer_size":         writeBufferBytes,
		"exporters::otlp_http::middlewares":               []any{map[string]any{"id": "lambda_lifecycle"}},
		"exporters::otlp_grpc::sending_queue::enabled":    false,
		"exporters::otlp_grpc::middlewares":               []any{map[string]any{"id": "lambda_lifecycle"}},
		"receivers::otlp::protocols::http::middlewares":   []any{map[string]any{"id": "lambda_lifecycle"}},
		"receivers::otlp::protocols::http::endpoint":      "localhost:0",
		"receivers::telemetryapi":                         nil,
		"processors::batch":                               nil,
		"processors::decouple":                            nil,
		"exporters::debug":                                nil,
	} {
		if got := conf.Get(key); !reflect.DeepEqual(got, want) {
			t.Errorf("%s is %#v, want %#v", key, got, want)
		}
	}
}

func TestConvertLeavesAUsersChoices(t *testing.T) {
	conf := confmap.NewFromStringMap(map[string]any{
		"exporters": map[string]any{"otlp_http/a": map[string]any{"timeout": "1s", "compression": "none", "force_attempt_http2": true}},
	})
	if err := (lambdaConverter{}).Convert(t.Context(), conf); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]any{"timeout": "1s", "compression": "none", "force_attempt_http2": true, "compression_params": nil} {
		if got := conf.Get("exporters::otlp_http/a::" + key); !reflect.DeepEqual(got, want) {
			t.Errorf("%s is %#v", key, got)
		}
	}
}

func TestConvertCompressesWhatLeavesTheMachine(t *testing.T) {
	for endpoint, want := range map[string]string{
		"https://otlp.example.com/otlp": "gzip",
		"http://10.0.0.7:4318":          "gzip",
		"http://127.0.0.1.example.com":  "gzip",
		"http://[::1]:4318":             "none",
		"http://127.0.0.2:4318/otlp":    "none",
		"http://localhost:4318":         "none",
		"://":                           "gzip",
	} {
		conf := confmap.NewFromStringMap(map[string]any{
			"exporters": map[string]any{"otlp_http": map[string]any{"endpoint": endpoint}},
		})
		if err := (lambdaConverter{}).Convert(t.Context(), conf); err != nil {
			t.Fatal(err)
		}
		if got := conf.Get("exporters::otlp_http::compression"); got != want {
			t.Errorf("to %s: %v, want %s", endpoint, got, want)
		}
	}
}

func TestStart(t *testing.T) {
	base := map[string]string{"TEAM": "imaging", "BACKEND": "http://127.0.0.1:9"}
	for _, tc := range []struct {
		desc     string
		env      map[string]string
		wantWarn string
		wantErr  string
	}{
		{desc: "a configuration of the reference layer", env: map[string]string{envConfigURI: "testdata/reference.yaml"}, wantWarn: "the buffer of this extension"},
		{desc: "the same with the scheme", env: map[string]string{envConfigURI: "file:testdata/reference.yaml"}, wantWarn: "the buffer of this extension"},
		{desc: "two sources merge", env: map[string]string{envConfigURI: "testdata/reference.yaml,yaml:{exporters: {debug: {verbosity: wrong}}}"}, wantErr: "verbosity"},
		{desc: "no file", env: map[string]string{envConfigURI: "/no/such/file"}, wantErr: "/no/such/file"},
		{desc: "no YAML", env: map[string]string{envConfigURI: "yaml:{"}, wantErr: "yaml"},
		{desc: "an unknown component", env: map[string]string{envConfigURI: "yaml:{receivers: {kafka: {}}, exporters: {debug: {}}, service: {pipelines: {traces: {receivers: [kafka], exporters: [debug]}}}}"}, wantErr: "kafka"},
		{desc: "nothing is exported", env: map[string]string{envConfigURI: "yaml:{receivers: {}, exporters: {}}"}, wantErr: "no receiver"},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			for name, value := range base {
				t.Setenv(name, value)
			}
			var warned []string
			set := settings(t, tc.env, &warned)
			c, err := Start(t.Context(), set)
			if tc.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tc.wantErr) {
					t.Fatalf("error %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
			if len(warned) != 1 || !strings.HasPrefix(warned[0], tc.wantWarn) {
				t.Errorf("warned %q", warned)
			}
		})
	}
}

func TestTargetFrom(t *testing.T) {
	for _, tc := range []struct {
		desc    string
		env     map[string]string
		want    *target
		wantWhy string
	}{
		{desc: "nothing", wantWhy: "neither"},
		{desc: "an endpoint", env: map[string]string{envEndpoint: "http://collector:4318"}, want: &target{endpoint: "http://collector:4318", headers: map[string]any{}}},
		{desc: "gRPC", env: map[string]string{envEndpoint: "http://collector:4317", envProtocol: "grpc"}, want: &target{endpoint: "http://collector:4317", isGRPC: true, headers: map[string]any{}}},
		{desc: "headers", env: map[string]string{envEndpoint: "http://c", envHeaders: "Authorization=Basic%20abc=, X-Scope = a$b "}, want: &target{endpoint: "http://c", headers: map[string]any{"Authorization": "Basic abc=", "X-Scope": "a$$b"}}},
		{desc: "bad headers", env: map[string]string{envEndpoint: "http://c", envHeaders: "a=b,secret"}, wantWhy: "at header 2"},
		{desc: "itself", env: map[string]string{envEndpoint: "http://localhost:4318"}, wantWhy: "itself"},
		{desc: "itself by number", env: map[string]string{envEndpoint: "http://127.0.0.1:4317/"}, wantWhy: "itself"},
		{desc: "itself elsewhere", env: map[string]string{envEndpoint: "http://127.1.2.3:4318", envHost: "127.1.2.3"}, wantWhy: "itself"},
		{desc: "another on loopback", env: map[string]string{envEndpoint: "http://localhost:4318", envHost: "127.1.2.3"}, want: &target{endpoint: "http://localhost:4318", headers: map[string]any{}}},
		{desc: "another port on this machine", env: map[string]string{envEndpoint: "http://127.0.0.1:9999"}, want: &target{endpoint: "http://127.0.0.1:9999", headers: map[string]any{}}},
		{desc: "Grafana Cloud", env: map[string]string{envGrafanaURL: "https://g/otlp", envGrafanaID: "12", envGrafanaKey: "key"}, want: &target{endpoint: "https://g/otlp", headers: map[string]any{"Authorization": "Basic MTI6a2V5"}}},
		{desc: "half of Grafana Cloud", env: map[string]string{envGrafanaURL: "https://g/otlp", envGrafanaID: "12"}, wantWhy: envGrafanaKey},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			got, why := targetFrom(lookup(tc.env))
			if !reflect.DeepEqual(got, tc.want) || !strings.Contains(why, tc.wantWhy) || (got == nil) != (why != "") {
				t.Errorf("got %+v because %q", got, why)
			}
		})
	}
}

func TestBuiltInConfigurationResolves(t *testing.T) {
	for _, tc := range []struct {
		desc string
		env  map[string]string
		want []string
	}{
		{desc: "direct", env: map[string]string{envEndpoint: "http://c"}, want: []string{"memory_limiter", "resource/writer", "delta_to_cumulative", "buffer/metrics"}},
		{desc: "gateway", env: map[string]string{envEndpoint: "http://c", envMetricsMode: MetricsGateway}, want: []string{"memory_limiter", "buffer/metrics"}},
		{desc: "nowhere", want: []string{"memory_limiter", "resource/writer", "delta_to_cumulative", "buffer/metrics"}},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			env := map[string]string{EnvInstance: "an-id"}
			for name, value := range tc.env {
				env[name] = value
			}
			var warned []string
			set := settings(t, env, &warned)
			resolver, err := confmap.NewResolver(set.providerSettings().ResolverSettings)
			if err != nil {
				t.Fatal(err)
			}
			conf, err := resolver.Resolve(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, id := range conf.Get("service::pipelines::metrics::processors").([]any) {
				got = append(got, id.(string))
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("processors %v", got)
			}
			if isNowhere := len(tc.env) == 0; isNowhere != (len(warned) == 1) {
				t.Errorf("warned %q", warned)
			}
		})
	}
}

func TestSplitURIs(t *testing.T) {
	for _, tc := range []struct {
		list string
		want []string
	}{
		{list: " "},
		{list: "builtin:,yaml:{a: 1}", want: []string{"builtin:", "yaml:{a: 1}"}},
		{list: "/a.yaml", want: []string{"/a.yaml"}},
		{list: "/a.yaml, file:/b.yaml,env:MORE", want: []string{"/a.yaml", "file:/b.yaml", "env:MORE"}},
		{list: "yaml:{a: [b, c]},/d.yaml", want: []string{"yaml:{a: [b, c]}", "/d.yaml"}},
	} {
		if got := splitURIs(tc.list); !slices.Equal(got, tc.want) {
			t.Errorf("%q is %q", tc.list, got)
		}
	}
}
