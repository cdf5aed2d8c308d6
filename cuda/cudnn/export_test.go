package cudnn

import "github.com/descent-ml/descent/cuda/internal/dl"

// clipOf reads back what RNN.Clip set.
func clipOf(r RNN, mode *int32, low, high *float64) error {
	get := dl.Func{Addr: r.lib.lib.Sym("cudnnRNNGetClip_v9"), Name: "cudnnRNNGetClip_v9"}
	return r.lib.do(&get, dl.Int(r.p), dl.Ptr(mode), dl.Ptr(low), dl.Ptr(high))
}
