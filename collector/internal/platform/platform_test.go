package platform

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestDecode(t *testing.T) {
	for _, tc := range []struct {
		desc, body string
		want       []string
		wantErr    bool
	}{
		{desc: "events", body: `[{"time":"2026-01-02T03:04:05.678Z","type":"platform.start","record":{"requestId":"1"}},{"time":"2026-01-02T03:04:05Z","type":"function","record":"a line\n"}]`, want: []string{"platform.start", "function"}},
		{desc: "an odd time costs nothing but the time", body: `[{"time":"2026-01-02 03:04:05,678+0000","type":"function","record":{}}]`, want: []string{"function"}},
		{desc: "an entry that is no event", body: `[7,null,"x",{"time":1},{"type":"platform.start"}]`, want: []string{"platform.start"}},
		{desc: "nothing", body: `[]`},
		{desc: "no array", body: `{"type":"platform.start"}`, wantErr: true},
		{desc: "cut off", body: `[{"type":"platform.start"`, wantErr: true},
		{desc: "empty", body: ``, wantErr: true},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			events, err := Decode([]byte(tc.body))
			if (err != nil) != tc.wantErr {
				t.Fatalf("error %v", err)
			}
			var types []string
			for _, event := range events {
				types = append(types, event.Type)
			}
			if strings.Join(types, " ") != strings.Join(tc.want, " ") {
				t.Errorf("types %v, want %v", types, tc.want)
			}
		})
	}
}

func TestAsReadsRecordsAsFarAsTheyGo(t *testing.T) {
	event := Event{Record: []byte(`{"requestId":"1","status":"timeout","spans":[{"name":"responseLatency","durationMs":1.5},{"name":"other","durationMs":9}],"new":true}`)}
	record, ok := As[RuntimeDone](event)
	if !ok || record.RequestID != "1" || record.Status != StatusTimeout {
		t.Errorf("record %+v", record)
	}
	if total, found := Duration(record.Spans, SpanResponseLatency, SpanResponseDuration); !found || total != 1500*time.Microsecond {
		t.Errorf("duration %v", total)
	}
	if _, ok := As[RuntimeDone](Event{Record: []byte(`"text"`)}); ok {
		t.Error("a text was read as a record")
	}
}

func TestListenerAnswers200WhateverComes(t *testing.T) {
	for _, tc := range []struct {
		desc       string
		body       []byte
		wantEvents int
	}{
		{desc: "a delivery", body: []byte(`[{"type":"platform.start","record":{}}]`), wantEvents: 1},
		{desc: "garbage", body: []byte{0xff, 0}},
		{desc: "nothing"},
		{desc: "far too much", body: bytes.Repeat([]byte(" "), maxDelivery+1)},
	} {
		t.Run(tc.desc, func(t *testing.T) {
			got := 0
			l := &Listener{deliver: func(events []Event) { got += len(events) }}
			answer := httptest.NewRecorder()
			l.ServeHTTP(answer, httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(tc.body)))
			if answer.Code != http.StatusOK || got != tc.wantEvents {
				t.Errorf("status %d, %d events", answer.Code, got)
			}
		})
	}
}

func TestListenListensWhereItSays(t *testing.T) {
	t.Setenv("AWS_SAM_LOCAL", "true")
	came := make(chan []Event, 1)
	l, err := Listen(func(events []Event) { came <- events })
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close(t.Context())
	url := strings.Replace(l.URL(), sandboxHost, "127.0.0.1", 1)
	answer, err := http.Post(url, "application/json", strings.NewReader(`[{"type":"platform.start","record":{}}]`))
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	if events := <-came; len(events) != 1 {
		t.Errorf("%d events", len(events))
	}
}

func TestFeedHoldsEventsUntilThereIsAReceiver(t *testing.T) {
	var f Feed
	f.Deliver([]Event{{Type: "a"}, {Type: "b"}})
	var got []string
	f.Attach(func(events []Event) {
		for _, event := range events {
			got = append(got, event.Type)
		}
	})
	f.Deliver([]Event{{Type: "c"}})
	if strings.Join(got, "") != "abc" {
		t.Errorf("got %v", got)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`[{"time":"2026-01-02T03:04:05.678Z","type":"platform.runtimeDone","record":{"requestId":"1","spans":[{}]}}]`))
	f.Add([]byte(`[{"type":"platform.report","record":{"metrics":{"billedDurationMs":1e308}}}]`))
	f.Add([]byte(`[[[[[[`))
	f.Fuzz(func(t *testing.T, body []byte) {
		events, err := Decode(body)
		if err != nil && events != nil {
			t.Fatal("events beside an error")
		}
		for _, event := range events {
			if event.Type == "" {
				t.Fatal("an event without a type")
			}
			As[RuntimeDone](event)
			As[Report](event)
			As[InitStart](event)
		}
	})
}

func FuzzListener(f *testing.F) {
	f.Add([]byte(`[{"type":"function","record":"x"}]`))
	f.Fuzz(func(t *testing.T, body []byte) {
		l := &Listener{deliver: func([]Event) {}}
		answer := httptest.NewRecorder()
		l.ServeHTTP(answer, httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body)))
		if answer.Code != http.StatusOK {
			t.Fatalf("status %d", answer.Code)
		}
	})
}
