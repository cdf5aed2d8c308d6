package datasets_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/descent-ml/descent/backend/cpu"
	"github.com/descent-ml/descent/data"
	"github.com/descent-ml/descent/data/datasets"
	"github.com/descent-ml/descent/data/idx"
	"github.com/descent-ml/descent/tensor"
)

var mnist = os.DirFS("../../examples/mnist/data")

func encoded(t *testing.T, v any, dims ...int) *fstest.MapFile {
	t.Helper()
	var b bytes.Buffer
	if err := idx.Write(&b, &idx.Array{Dims: dims, Data: v}); err != nil {
		t.Fatal(err)
	}
	return &fstest.MapFile{Data: b.Bytes()}
}

// small is a folder with 3 images to train and 2 to test, not compressed.
func small(t *testing.T) fstest.MapFS {
	t.Helper()
	pixels := make([]uint8, 3*28*28)
	for i := range pixels {
		pixels[i] = uint8(i * 7)
	}
	return fstest.MapFS{
		"train-images-idx3-ubyte": encoded(t, pixels, 3, 28, 28),
		"train-labels-idx1-ubyte": encoded(t, []uint8{9, 0, 4}, 3),
		"t10k-images-idx3-ubyte":  encoded(t, pixels[:2*28*28], 2, 28, 28),
		"t10k-labels-idx1-ubyte":  encoded(t, []uint8{1, 2}, 2),
	}
}

func TestMNISTOfTheOriginalFiles(t *testing.T) {
	files := small(t) // to train with, as unpacking 60,000 takes seconds
	for _, name := range []string{"t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"} {
		delete(files, name)
		zipped, err := fs.ReadFile(mnist, name+".gz")
		if err != nil {
			t.Fatal(err)
		}
		files[name+".gz"] = &fstest.MapFile{Data: zipped}
	}
	train, test, err := datasets.MNIST(files)
	if err != nil {
		t.Fatal(err)
	}
	if train.Len() != 3 || test.Len() != 10000 {
		t.Errorf("%d and %d images", train.Len(), test.Len())
	}
	s := tensor.NewScope(cpu.New(cpu.Options{}), tensor.ScopeOptions{NoGrad: true})
	defer s.Close()
	samples := make([]datasets.Image, test.Len())
	for i := range samples {
		samples[i], _ = test.At(i)
	}
	b, err := test.Collate(s, samples)
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(b.X.Shape(), b.Y.Shape()) != "[10000 1 28 28] [10000]" {
		t.Errorf("shapes %v and %v", b.X.Shape(), b.Y.Shape())
	}
	// Mean and Std are those of the training images, as package idx checks; the
	// images to test with have nearly the same.
	var sum, squares float64
	for _, v := range tensor.Values[float32](b.X) {
		sum += float64(v)
		squares += float64(v) * float64(v)
	}
	n := float64(b.X.NumEl())
	if mean, std := sum/n, math.Sqrt(squares/n-sum*sum/n/n); math.Abs(mean) > 0.02 || math.Abs(std-1) > 0.02 {
		t.Errorf("the normalised pixels have mean %g and deviation %g", mean, std)
	}
}

func TestCollateIsTorchvisionsToTensorAndNormalize(t *testing.T) {
	train, _, err := datasets.MNIST(small(t))
	if err != nil {
		t.Fatal(err)
	}
	dev := cpu.New(cpu.Options{})
	l := data.NewLoader(train, train.Collate, dev, data.LoaderOptions{BatchSize: 2, Workers: 2})
	var x []float32
	var y []int64
	for b, err := range l.Batches(t.Context(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		x = append(x, tensor.Values[float32](b.X)...)
		y = append(y, tensor.Values[int64](b.Y)...)
	}
	if !slices.Equal(y, []int64{9, 0, 4}) {
		t.Errorf("labels %v", y)
	}
	// The definition, in tensor ops: div(255), sub(mean), div(std).
	raw := tensor.Of(dev, train.Pixels).To(tensor.Float32)
	scalar := func(v float32) *tensor.Tensor { return tensor.Scalar(dev, v) }
	want := tensor.Values[float32](raw.Div(scalar(255)).Sub(scalar(0.1307)).Div(scalar(0.3081)))
	if !slices.Equal(x, want) {
		t.Errorf("the pixels begin %v, want %v", x[:5], want[:5])
	}
}

func TestCompressedOrNotIsTheSame(t *testing.T) {
	plain := small(t)
	train, _, err := datasets.FashionMNIST(plain)
	if err != nil {
		t.Fatal(err)
	}
	if train.Classes[train.Labels[0]] != "Ankle boot" || len(train.Classes) != 10 {
		t.Errorf("class 9 is %q", train.Classes[9])
	}
	both := small(t)
	zipped, err := fs.ReadFile(mnist, "t10k-labels-idx1-ubyte.gz")
	if err != nil {
		t.Fatal(err)
	}
	delete(both, "t10k-labels-idx1-ubyte")
	both["t10k-labels-idx1-ubyte.gz"] = &fstest.MapFile{Data: zipped}
	_, _, err = datasets.MNIST(both)
	if err == nil || !strings.Contains(err.Error(), "has 2 images, but t10k-labels-idx1-ubyte.gz has 10000 labels") {
		t.Errorf("got error %v", err)
	}
}

func TestBadFilesAreNamed(t *testing.T) {
	for want, change := range map[string]func(fstest.MapFS){
		"train-labels-idx1-ubyte: label 1 is 10": func(f fstest.MapFS) {
			f["train-labels-idx1-ubyte"] = encoded(t, []uint8{9, 10, 4}, 3)
		},
		"train-images-idx3-ubyte has 3 images, but train-labels-idx1-ubyte has 2 labels": func(f fstest.MapFS) {
			f["train-labels-idx1-ubyte"] = encoded(t, []uint8{9, 1}, 2)
		},
		"t10k-images-idx3-ubyte: images of 14 by 56": func(f fstest.MapFS) {
			f["t10k-images-idx3-ubyte"] = encoded(t, make([]uint8, 2*28*28), 2, 14, 56)
		},
		"t10k-images-idx3-ubyte: uint8 of dimensions [2 784]": func(f fstest.MapFS) {
			f["t10k-images-idx3-ubyte"] = encoded(t, make([]uint8, 2*28*28), 2, 28*28)
		},
		"t10k-labels-idx1-ubyte: int16 of dimensions [2]": func(f fstest.MapFS) {
			f["t10k-labels-idx1-ubyte"] = encoded(t, []int16{1, 2}, 2)
		},
		"t10k-images-idx3-ubyte has no images": func(f fstest.MapFS) {
			f["t10k-images-idx3-ubyte"] = encoded(t, []uint8{}, 0, 28, 28)
			f["t10k-labels-idx1-ubyte"] = encoded(t, []uint8{}, 0)
		},
		"train-images-idx3-ubyte:": func(f fstest.MapFS) { // cut short
			f["train-images-idx3-ubyte"].Data = f["train-images-idx3-ubyte"].Data[:2000]
		},
		"t10k-images-idx3-ubyte, compressed (.gz) or not: file does not exist": func(f fstest.MapFS) {
			delete(f, "t10k-images-idx3-ubyte")
		},
	} {
		files := small(t)
		change(files)
		if train, test, err := datasets.MNIST(files); err == nil || !strings.Contains(err.Error(), want) || train != nil || test != nil {
			t.Errorf("got error %v, want %q", err, want)
		}
	}
}

func TestCollateRefusesAnImageOfAnotherSize(t *testing.T) {
	train, _, err := datasets.MNIST(small(t))
	if err != nil {
		t.Fatal(err)
	}
	s := tensor.NewScope(cpu.New(cpu.Options{}), tensor.ScopeOptions{})
	defer s.Close()
	if _, err := train.Collate(s, []datasets.Image{{Pixels: make([]uint8, 783)}}); err == nil || !strings.Contains(err.Error(), "783 pixels") {
		t.Errorf("got error %v", err)
	}
}

// The loader must not be what training waits for: a batch against the same
// normalisation in tensor ops.
func BenchmarkBatch(b *testing.B) {
	train, _, err := datasets.MNIST(mnist)
	if err != nil {
		b.Fatal(err)
	}
	dev := cpu.New(cpu.Options{})
	ops := func(p tensor.Place, samples []datasets.Image) (data.Batch, error) {
		var raw []uint8
		y := make([]int64, len(samples))
		for i, s := range samples {
			raw, y[i] = append(raw, s.Pixels...), int64(s.Label)
		}
		x := tensor.Of(p, raw, len(samples), 1, 28, 28).To(tensor.Float32)
		return data.Batch{X: x.DivScalar(255).AddScalar(-0.1307).DivScalar(0.3081), Y: tensor.Of(p, y)}, nil
	}
	for name, collate := range map[string]func(tensor.Place, []datasets.Image) (data.Batch, error){"Collate": train.Collate, "ops": ops} {
		for _, workers := range []int{0, 2} {
			b.Run(fmt.Sprintf("%s/workers=%d", name, workers), func(b *testing.B) {
				l := data.NewLoader(train, collate, dev, data.LoaderOptions{BatchSize: 64, Shuffle: true, Workers: workers})
				for n := 0; n < b.N; {
					for range l.Batches(b.Context(), n) {
						if n++; n == b.N {
							break
						}
					}
				}
				b.ReportMetric(64*float64(b.N)/b.Elapsed().Seconds(), "images/s")
			})
		}
	}
}
