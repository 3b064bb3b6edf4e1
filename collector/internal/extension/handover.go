package extension

import (
	"context"

	"neuro-preprocess/collector/internal/handoff"
)

// The endings of object names tell what can be delivered again from what a backend refused, which is for a person.
const (
	pendingSuffix = ".otlp.gz"
	refusedSuffix = ".refused.gz"
)

// bundleBytes is how much goes into one object, before compression. What is stored when the time is over is safe, so a
// lot that waits goes in several.
const bundleBytes = 8 << 20

// handOver stores all that waits in the bucket, and then what was refused.
func (e *environment) handOver(ctx context.Context) error {
	for {
		pending := handoff.NewBundle()
		forget, err := e.box.Leftover(bundleBytes, pending.Add)
		if err != nil {
			return err
		}
		if pending.Len() == 0 {
			break
		}
		if err := put(ctx, e.store, e.store.Key(e.function.Name, e.function.Instance, pendingSuffix), pending); err != nil {
			return err
		}
		forget()
	}
	refused := handoff.NewBundle()
	if err := e.box.Refusals(refused.Add); err != nil {
		return err
	}
	if refused.Len() == 0 {
		return nil
	}
	if err := put(ctx, e.store, e.store.Key(e.function.Name, e.function.Instance, refusedSuffix), refused); err != nil {
		return err
	}
	return e.box.ForgetRefusals()
}

func put(ctx context.Context, store *handoff.Store, key string, bundle *handoff.Bundle) error {
	body, err := bundle.Close()
	if err != nil {
		return err
	}
	return store.Put(ctx, key, body)
}
