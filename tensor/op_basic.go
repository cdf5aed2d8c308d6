package tensor

import "github.com/descent-ml/descent/backend"

// Add returns t + y.
func (t *Tensor) Add(y *Tensor) *Tensor {
	return binary("add", backend.Add, t, y, backend.Scalars{},
		func(g, x, y *Tensor) *Tensor { return g },
		func(g, x, y *Tensor) *Tensor { return g })
}
