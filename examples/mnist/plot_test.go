package main

import (
	"bytes"
	"image/color"
	"image/png"
	"io"
	"math"
	"path/filepath"
	"testing"
)

func TestPlotDrawsBothCurvesIntoAPNG(t *testing.T) {
	o := small("mlp", digits(t, 100, 20))
	o.plot = filepath.Join(t.TempDir(), "curves.png")
	for _, epochs := range []int{1, 3} { // the test curve is a dot, then a line
		o.Epochs = epochs
		if err := run(t.Context(), io.Discard, o); err != nil {
			t.Fatal(err)
		}
		im, err := png.Decode(bytes.NewReader(read(t, o.plot)))
		if err != nil {
			t.Fatal(err)
		}
		const dpi, cmPerInch = 110, 2.54
		size := im.Bounds().Size()
		if math.Abs(float64(size.X)-28/cmPerInch*dpi) > 1 || math.Abs(float64(size.Y)-11/cmPerInch*dpi) > 1 {
			t.Errorf("the picture has %v pixels", size)
		}
		// By colour: pixels in the left half and in the right half.
		counts := map[color.Color]*[2]int{testColor: {}, trainColor: {}, color.RGBA{255, 255, 255, 255}: {}}
		for y := range size.Y {
			for x := range size.X {
				if n := counts[color.RGBAModel.Convert(im.At(x, y))]; n != nil {
					n[2*x/size.X]++
				}
			}
		}
		for c, n := range counts {
			if n[0] < 20 || n[1] < 20 {
				t.Errorf("%d epochs: %v has %v pixels in the halves", epochs, c, *n)
			}
		}
	}
}
