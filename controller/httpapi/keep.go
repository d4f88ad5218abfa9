package httpapi

import (
	"bytes"
	"context"
	"fmt"

	"github.com/berth-panel/berth/controller/store"
)

// receipt is an idempotent call on its way to the transaction that does its work.
type receipt struct {
	key, text string
	mark      int64
	status    int
}

type receiptKey struct{}

// Keep notes, in the transaction that does a call's work, what the call will be
// answered: out is what the handler gives back. From that commit on a repeat
// gets this answer, even when the controller dies before it could give it. Verbs
// that make something, or order something that must not be done twice, call it
// last in their transaction. For a call without Idempotency-Key it does nothing.
func Keep(ctx context.Context, tx *store.Tx, out any) error {
	r, ok := ctx.Value(receiptKey{}).(receipt)
	if !ok {
		return nil
	}
	if s, secret := out.(Secret); secret {
		out = s.Redacted()
	}
	var b bytes.Buffer
	if err := writeEnvelope(&b, out, nil); err != nil {
		return fmt.Errorf("marshal the answer to keep: %w", err)
	}
	return completeAnswer(ctx, tx, r.key, r.text, r.mark, r.status, b.Bytes())
}
