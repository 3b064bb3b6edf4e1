package openspans

import (
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"neuro-preprocess/collector/internal/lambdatest"
)

func TestRootsKnowInvocationsThatHaveASpan(t *testing.T) {
	var roots Roots
	td := lambdatest.OpenSpans("request", 1, "root", "child")
	td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).SetParentSpanID(pcommon.SpanID{9})
	roots.Observe(td)
	root, ok := roots.Of("request")
	if !ok || root.SpanID != (pcommon.SpanID{1}) || root.ParentID != (pcommon.SpanID{9}) {
		t.Errorf("root %+v", root)
	}
	if _, ok := roots.Of("another"); ok {
		t.Error("an invocation that was never seen is known")
	}
	roots.HandedOver("request")
	roots.HandedOver("left out")
	if again, ok := roots.Of("request"); !ok || again != root {
		t.Errorf("root %+v", again)
	}
	if _, ok := roots.Of("left out"); ok || !roots.Has("left out") || !roots.Has("request") || roots.Has("another") {
		t.Error("what was handed over is not what is known")
	}
	for i := range 2 * maxRoots {
		roots.Observe(lambdatest.OpenSpans(time.Unix(int64(i), 0).String(), 2, "root"))
	}
	if len(roots.byID) != maxRoots || len(roots.order) != maxRoots {
		t.Errorf("%d invocations are remembered", len(roots.byID))
	}
}
