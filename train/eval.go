package train

import (
	"context"
	"fmt"

	"github.com/descent-ml/descent/data"
	"github.com/descent-ml/descent/tensor"
)

// Func computes the loss of a batch, a scalar, and whatever metrics are to be
// followed. It serves training and evaluation: the batch's scope decides the mode.
type Func[B any] func(b B) (loss *tensor.Tensor, metrics Metrics)

const evalWindow = 256 // batches between two reads

// Eval returns the means over the samples of loader's dataset of the loss, as
// "loss", and of the metrics, each batch weighted by its Len. It runs fn in scopes
// in eval mode, without gradients, and reads the device every 256 batches.
func Eval[B data.Sized](ctx context.Context, loader *data.Loader[B], fn Func[B]) (v Values, err error) {
	defer tensor.Catch(&err)
	m := &meter{window: evalWindow}
	defer m.release()
	var all mean
	read := func() {
		rows, size := m.read()
		for i, row := range rows {
			all.add(row, size[i])
		}
	}
	k := 0
	for b, err := range loader.Eval(ctx) {
		if err != nil {
			return nil, err
		}
		if err := evalBatch(m, b, fn); err != nil {
			return nil, fmt.Errorf("train: evaluation, batch %d: %w", k, err)
		}
		if k++; m.full() {
			read()
		}
	}
	read()
	return all.values(m.names), nil
}

func evalBatch[B data.Sized](m *meter, b B, fn Func[B]) (err error) {
	defer tensor.Catch(&err)
	loss, metrics := fn(b)
	if loss == nil {
		tensor.Fail("train", "the function returned no loss")
	}
	m.add(b.Len(), loss, metrics)
	return nil
}
