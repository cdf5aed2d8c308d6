package idx_test

import (
	"math"
	"os"
	"slices"
	"testing"

	"github.com/descent-ml/descent/data/idx"
)

var mnist = os.DirFS("../../examples/mnist/data")

// The counts of the digits are what Python's bytes.count gives of the same files; mean and standard deviation are the constants by
// which everyone normalises MNIST, as in PyTorch's example.
func TestReadsMNIST(t *testing.T) {
	for _, c := range []struct {
		set    string
		n      int
		first  []uint8
		counts []int
	}{
		{"train", 60000, []uint8{5, 0, 4, 1, 9, 2, 1, 3, 1, 4},
			[]int{5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949}},
		{"t10k", 10000, []uint8{7, 2, 1, 0, 4, 1, 4, 9, 5, 9},
			[]int{980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009}},
	} {
		a, err := idx.ReadFile(mnist, c.set+"-labels-idx1-ubyte.gz", idx.Options{})
		if err != nil {
			t.Fatal(err)
		}
		labels := a.Data.([]uint8)
		if !slices.Equal(a.Dims, []int{c.n}) || len(labels) != c.n {
			t.Fatalf("%s labels: dimensions %v, %d elements", c.set, a.Dims, len(labels))
		}
		if !slices.Equal(labels[:10], c.first) {
			t.Errorf("%s labels begin %v, want %v", c.set, labels[:10], c.first)
		}
		counts := make([]int, 10)
		for _, l := range labels {
			counts[l]++
		}
		if !slices.Equal(counts, c.counts) {
			t.Errorf("%s: digits occur %v times, want %v", c.set, counts, c.counts)
		}

		images, err := idx.ReadFile(mnist, c.set+"-images-idx3-ubyte.gz", idx.Options{})
		if err != nil {
			t.Fatal(err)
		}
		pixels := images.Data.([]uint8)
		if !slices.Equal(images.Dims, []int{c.n, 28, 28}) || len(pixels) != c.n*28*28 {
			t.Fatalf("%s images: dimensions %v, %d elements", c.set, images.Dims, len(pixels))
		}
		if c.set != "train" {
			continue
		}
		var grey [256]int
		for _, p := range pixels {
			grey[p]++
		}
		sum, squares := 0.0, 0.0
		for p, count := range grey {
			v := float64(p) / 255
			sum += float64(count) * v
			squares += float64(count) * v * v
		}
		mean := sum / float64(len(pixels))
		deviation := math.Sqrt(squares/float64(len(pixels)) - mean*mean)
		if math.Abs(mean-0.1307) > 5e-5 || math.Abs(deviation-0.3081) > 5e-5 {
			t.Errorf("pixels have mean %.5f and standard deviation %.5f, want 0.1307 and 0.3081", mean, deviation)
		}
	}
}

func BenchmarkReadMNIST(b *testing.B) {
	b.ReportAllocs()
	b.SetBytes(60000 * 28 * 28)
	for b.Loop() {
		if _, err := idx.ReadFile(mnist, "train-images-idx3-ubyte.gz", idx.Options{}); err != nil {
			b.Fatal(err)
		}
	}
}
