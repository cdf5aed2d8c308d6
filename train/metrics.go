package train

import (
	"maps"
	"slices"

	"github.com/descent-ml/descent/backend"
	"github.com/descent-ml/descent/tensor"
)

// Metrics are quality measures of one batch besides the loss, by name: scalars,
// means over the batch. They stay on the device until someone reads them.
type Metrics map[string]*tensor.Tensor

// Values are metrics and the loss, "loss", as numbers.
type Values map[string]float64

// names lists the loss first.
func (v Values) names() []string {
	names := slices.Sorted(maps.Keys(v))
	if i := slices.Index(names, "loss"); i > 0 {
		names = slices.Insert(slices.Delete(names, i, i+1), 0, "loss")
	}
	return names
}

// Accuracy is the share of the N rows of logits [N, C] whose largest value is at
// the class in labels, of an integer dtype and shape [N]: a Float32 scalar, without
// gradient.
func Accuracy(logits, labels *tensor.Tensor) *tensor.Tensor {
	checkLogits("accuracy", logits, labels)
	return logits.ArgMax(1).Eq(labels).To(tensor.Float32).Mean()
}

// TopK is the share of the N rows of logits [N, C] with the class in labels [N]
// among the k largest values: a Float32 scalar, without gradient.
func TopK(logits, labels *tensor.Tensor, k int) *tensor.Tensor {
	checkLogits("topk accuracy", logits, labels)
	if k < 1 || k > logits.Size(1) {
		tensor.Fail("topk accuracy", "the best %d of %d classes", k, logits.Size(1))
	}
	_, classes := logits.Detach().TopK(k, 1, tensor.TopKOptions{})
	return classes.Eq(labels.Unsqueeze(1)).Any(1).To(tensor.Float32).Mean()
}

func checkLogits(op string, logits, labels *tensor.Tensor) {
	if logits.Dim() != 2 || labels.Dim() != 1 || labels.Size(0) != logits.Size(0) || labels.DType().IsFloat() {
		tensor.Fail(op, "logits %v and labels %v %v instead of [N, C] and integers [N]", logits.Shape(), labels.DType(), labels.Shape())
	}
}

// meter gathers the loss and metrics of batches in device memory, one row each,
// and reads many rows at once: a step by itself does not wait for the device.
type meter struct {
	window int // the most rows between two reads
	names  []string
	rows   *tensor.Tensor // [window, len(names)] of Float64
	size   []int          // samples in the batch of each row that is written
}

// full reports whether the meter must be read before the next row.
func (m *meter) full() bool { return len(m.size) == m.window }

// add writes a row for a batch of n samples.
func (m *meter) add(n int, loss *tensor.Tensor, metrics Metrics) {
	const op = "metrics"
	if m.rows == nil {
		names := Values{"loss": 0}
		for name := range metrics {
			names[name] = 0
		}
		m.names = names.names()
		m.rows = tensor.Buffer(tensor.Zeros(loss.Device(), tensor.Float64, m.window, len(m.names)))
	}
	if len(metrics) != len(m.names)-1 {
		tensor.Fail(op, "%d metrics, where the first batch had %v", len(metrics), m.names[1:])
	}
	row := make([]backend.Array, len(m.names))
	for i, name := range m.names {
		v := loss
		if i > 0 {
			v = metrics[name]
		}
		switch {
		case v == nil:
			tensor.Fail(op, "%q is missing; the first batch had %v", name, m.names[1:])
		case v.NumEl() != 1:
			tensor.Fail(op, "%q has shape %v, it must be a scalar", name, v.Shape())
		case v.Device() != m.rows.Device():
			tensor.Fail(op, "%q is on %v, the loss on %v", name, v.Device(), m.rows.Device())
		}
		row[i] = v.Array()
		row[i].Shape, row[i].Strides = nil, nil
	}
	m.rows.Mutate(op, func(dev backend.Device, rows backend.Array) error {
		cell := rows
		cell.Shape, cell.Strides = nil, nil
		cell.Offset += len(m.size) * len(row)
		for i := range row {
			if err := dev.Copy(cell, row[i], false); err != nil {
				return err
			}
			cell.Offset++
		}
		return nil
	})
	m.size = append(m.size, n)
}

// read returns the rows written since the last read, and their sizes; it waits for
// the device.
func (m *meter) read() (rows [][]float64, size []int) {
	if len(m.size) == 0 {
		return nil, nil
	}
	all := tensor.Values[float64](m.rows)
	for i := range m.size {
		rows = append(rows, all[i*len(m.names):(i+1)*len(m.names)])
	}
	size, m.size = m.size, nil
	return rows, size
}

// release frees the memory at once.
func (m *meter) release() {
	if m.rows != nil {
		m.rows.Release()
	}
}

// mean is a weighted mean of rows.
type mean struct {
	sum    []float64
	weight float64
}

func (m *mean) add(row []float64, weight int) {
	if m.sum == nil {
		m.sum = make([]float64, len(row))
	}
	for i, v := range row {
		m.sum[i] += v * float64(weight)
	}
	m.weight += float64(weight)
}

func (m *mean) values(names []string) Values {
	v := Values{}
	for i, s := range m.sum {
		v[names[i]] = s / m.weight
	}
	return v
}
