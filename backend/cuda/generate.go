package cuda

import (
	"github.com/descent-ml/descent/backend"
	"github.com/descent-ml/descent/random"
)

// Generate fills out. Element i of a random op is element i of the stream,
// whatever the strides of out.
func (d *Device) Generate(op backend.GenerateOp, out backend.Array, p backend.Params) error {
	kind := ops().generate[op]
	if !kind.has(out.DType) {
		return unsupported(op, out.DType)
	}
	note(d, "Generate", op, out, p)
	var l layout
	if err := l.start(&out); err != nil || l.size == 0 {
		return err
	}
	if kind.ordered {
		checkStream(op == backend.Bernoulli, op == backend.RandInt, &p)
		l.number()
	}
	l.arrange()
	var args elementwiseArgs
	args.scalars(&p)
	return d.elementwise(spec{file: "generate.cu", op: op.String(), t: out.DType}, &l, &args, false, false)
}

// checkStream panics, as package random does, if A is no probability or there is no
// integer in [N, M). Those of a slot are not looked at.
func checkStream(probability, integers bool, p *backend.Params) {
	if p.Slot != nil {
		return
	}
	if probability {
		random.Threshold(p.A)
	}
	if integers {
		random.Ints64(random.Stream{}, 0, p.N, p.M, nil)
	}
}

func init() {
	catalogue = append(catalogue, func(yield func(spec, uintptr) bool) {
		specsOf[backend.GenerateOp]("generate.cu", ops().generate[:], 0, yield, flat, strided)
	})
}
