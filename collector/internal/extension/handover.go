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

// handOver stores all that waits in the bucket, and then what was refused.
func (e *environment) handOver(ctx context.Context) error {
	pending := handoff.NewBundle()
	if err := e.box.Leftover(pending.Add); err != nil {
		return err
	}
	if err := put(ctx, e.store, e.store.Key(e.function.Name, e.function.Instance, pendingSuffix), pending); err != nil {
		return err
	}
	e.box.HandedOver()
	refused := handoff.NewBundle()
	if err := e.box.Refusals(refused.Add); err != nil {
		return err
	}
	if err := put(ctx, e.store, e.store.Key(e.function.Name, e.function.Instance, refusedSuffix), refused); err != nil {
		return err
	}
	return e.box.ForgetRefusals()
}

func put(ctx context.Context, store *handoff.Store, key string, bundle *handoff.Bundle) error {
	if bundle.Len() == 0 {
		return nil
	}
	body, err := bundle.Close()
	if err != nil {
		return err
	}
	return store.Put(ctx, key, body)
}
