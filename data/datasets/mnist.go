// Package datasets reads well-known datasets from their original files.
package datasets

import (
	"errors"
	"fmt"
	"io/fs"
	"sync"

	"github.com/descent-ml/descent/data"
	"github.com/descent-ml/descent/data/idx"
	"github.com/descent-ml/descent/tensor"
)

// Images is a data.Dataset of grey images of one size, in memory. Its fields must
// not change once it is used.
type Images struct {
	Pixels        []uint8 // image after image, row after row
	Labels        []uint8
	Height, Width int
	Classes       []string // their names; a label is an index

	// Mean and Std of the pixels of the training images, taken as numbers from 0
	// to 1, by which Collate normalises.
	Mean, Std float32

	once   sync.Once
	values [256]float32 // of each pixel value, normalised
}

// Image is a sample of Images. Pixels is a part of theirs.
type Image struct {
	Pixels []uint8
	Label  uint8
}

// Len is the number of images.
func (d *Images) Len() int { return len(d.Labels) }

// At is image i.
func (d *Images) At(i int) (Image, error) {
	size := d.Height * d.Width
	return Image{d.Pixels[i*size : (i+1)*size : (i+1)*size], d.Labels[i]}, nil
}

// Collate makes a batch: X is Float32 [N, 1, Height, Width], (pixel/255 - Mean)/Std
// computed in float32 as torchvision's ToTensor and Normalize do; Y is Int64 [N].
func (d *Images) Collate(p tensor.Place, samples []Image) (data.Batch, error) {
	size := d.Height * d.Width
	d.once.Do(d.normalise)
	values := &d.values
	x := staging.get(len(samples) * size)
	defer staging.put(x)
	y := make([]int64, len(samples))
	for i, s := range samples {
		if len(s.Pixels) != size {
			return data.Batch{}, fmt.Errorf("datasets: an image has %d pixels instead of %d by %d", len(s.Pixels), d.Height, d.Width)
		}
		row := x[i*size:][:len(s.Pixels)]
		for j, v := range s.Pixels {
			row[j] = values[v]
		}
		y[i] = int64(s.Label)
	}
	return data.Batch{
		X: tensor.Of(p, x, len(samples), 1, d.Height, d.Width),
		Y: tensor.Of(p, y),
	}, nil
}

func (d *Images) normalise() {
	for v := range d.values {
		d.values[v] = (float32(v)/255 - d.Mean) / d.Std
	}
}

// staging keeps the host memory of batches for the next ones: a tensor is a copy.
var staging buffers

type buffers struct{ pool sync.Pool }

func (b *buffers) get(n int) []float32 {
	if v, ok := b.pool.Get().(*[]float32); ok && cap(*v) >= n {
		return (*v)[:n]
	}
	return make([]float32, n)
}

func (b *buffers) put(v []float32) { b.pool.Put(&v) }

// MNIST reads the handwritten digits (LeCun, Cortes, Burges): 60,000 images of 28
// by 28 to train with and 10,000 to test. fsys has their four files under the
// original names, such as train-images-idx3-ubyte, with or without ".gz". They are
// not trusted: an error names the file, and the index of a label out of range.
//
// Mean and Std are the customary 0.1307 and 0.3081.
func MNIST(fsys fs.FS) (train, test *Images, err error) {
	digits := []string{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"}
	return read(fsys, digits, 0.1307, 0.3081)
}

// FashionMNIST is MNIST for Zalando's images of clothes (Xiao, Rasul, Vollgraf
// 2017), whose files have the same names.
//
// Mean and Std are the customary 0.2860 and 0.3530.
func FashionMNIST(fsys fs.FS) (train, test *Images, err error) {
	clothes := []string{"T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"}
	return read(fsys, clothes, 0.2860, 0.3530)
}

func read(fsys fs.FS, classes []string, mean, std float32) (train, test *Images, err error) {
	train = &Images{Classes: classes, Mean: mean, Std: std}
	test = &Images{Classes: classes, Mean: mean, Std: std}
	if err = train.read(fsys, "train"); err == nil {
		err = test.read(fsys, "t10k")
	}
	if err != nil {
		return nil, nil, fmt.Errorf("datasets: %w", err)
	}
	return train, test, nil
}

const side = 28

func (d *Images) read(fsys fs.FS, part string) error {
	images, imagesFile, err := readFile(fsys, part+"-images-idx3-ubyte", 3)
	if err != nil {
		return err
	}
	labels, labelsFile, err := readFile(fsys, part+"-labels-idx1-ubyte", 1)
	if err != nil {
		return err
	}
	d.Pixels, d.Height, d.Width = images.Data.([]uint8), images.Dims[1], images.Dims[2]
	d.Labels = labels.Data.([]uint8)
	switch {
	case d.Height != side || d.Width != side:
		return fmt.Errorf("%s: images of %d by %d, not %d by %d", imagesFile, d.Height, d.Width, side, side)
	case images.Dims[0] != len(d.Labels):
		return fmt.Errorf("%s has %d images, but %s has %d labels", imagesFile, images.Dims[0], labelsFile, len(d.Labels))
	case len(d.Labels) == 0:
		return fmt.Errorf("%s has no images", imagesFile)
	}
	for i, label := range d.Labels {
		if int(label) >= len(d.Classes) {
			return fmt.Errorf("%s: label %d is %d; there are classes 0 to %d", labelsFile, i, label, len(d.Classes)-1)
		}
	}
	return nil
}

// readFile reads bytes with so many dimensions from name or name.gz.
func readFile(fsys fs.FS, name string, dims int) (a *idx.Array, file string, err error) {
	file = name + ".gz"
	if a, err = idx.ReadFile(fsys, file, idx.Options{}); errors.Is(err, fs.ErrNotExist) {
		file = name
		if a, err = idx.ReadFile(fsys, file, idx.Options{}); errors.Is(err, fs.ErrNotExist) {
			return nil, file, fmt.Errorf("%s, compressed (.gz) or not: %w", name, fs.ErrNotExist)
		}
	}
	if err != nil {
		return nil, file, err
	}
	if a.Type() != idx.Uint8 || len(a.Dims) != dims {
		return nil, file, fmt.Errorf("%s: %v of dimensions %v, not uint8 of %d dimensions", file, a.Type(), a.Dims, dims)
	}
	return a, file, nil
}
