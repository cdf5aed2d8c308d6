package gemm

import "testing"

func TestSmallProduct(t *testing.T) {
	c := make([]float32, 4)
	Float32(2, 2, 2, Matrix[float32]{Data: []float32{1, 2, 3, 4}, RowStride: 2, ColStride: 1},
		Matrix[float32]{Data: []float32{1, 0, 0, 1}, RowStride: 2, ColStride: 1},
		Matrix[float32]{Data: c, RowStride: 2, ColStride: 1}, Epilogue[float32]{Bias: []float32{1, -3}, ReLU: true})
	if c[0] != 2 || c[1] != 0 || c[2] != 4 || c[3] != 1 {
		t.Fatal(c)
	}
}
