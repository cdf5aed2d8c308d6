package main

import (
	"fmt"
	"image/color"
	"os"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"

	"github.com/descent-ml/descent/train"
)

var (
	trainColor = color.RGBA{R: 31, G: 119, B: 180, A: 255}
	testColor  = color.RGBA{R: 214, G: 39, B: 40, A: 255}
)

// plotHistory draws the curves of loss and accuracy side by side.
func plotHistory(path string, h *train.History, stepsPerEpoch int) (err error) {
	const width, height = 28 * vg.Centimeter, 11 * vg.Centimeter
	canvas := vgimg.NewWith(vgimg.UseWH(width, height), vgimg.UseDPI(110))
	area := draw.New(canvas)
	tiles := draw.Tiles{Rows: 1, Cols: 2, PadX: vg.Points(18), PadTop: vg.Points(8), PadBottom: vg.Points(8), PadLeft: vg.Points(8), PadRight: vg.Points(14)}
	for i, c := range []struct {
		metric, label string
		scale         float64
	}{{"loss", "cross-entropy", 1}, {"accuracy", "accuracy, %", 100}} {
		p, err := curves(h, c.metric, c.label, c.scale, stepsPerEpoch)
		if err != nil {
			return err
		}
		p.Draw(tiles.At(area, i, 0))
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() {
		if e := f.Close(); err == nil {
			err = e
		}
	}()
	if _, err := (vgimg.PngCanvas{Canvas: canvas}).WriteTo(f); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

func curves(h *train.History, metric, label string, scale float64, stepsPerEpoch int) (*plot.Plot, error) {
	p := plot.New()
	p.X.Label.Text, p.Y.Label.Text = "epoch", label
	p.Add(plotter.NewGrid())
	p.Legend.Padding, p.Legend.XOffs, p.Legend.YOffs = vg.Points(2), vg.Points(-6), vg.Points(6)
	if p.Legend.Top = metric == "loss"; p.Legend.Top {
		p.Legend.YOffs *= -1
	}
	var training, test plotter.XYs
	for _, point := range h.Points {
		training = append(training, plotter.XY{X: float64(point.Step) / float64(stepsPerEpoch), Y: scale * point.Values[metric]})
	}
	for _, e := range h.Epochs {
		test = append(test, plotter.XY{X: float64(e.Step) / float64(stepsPerEpoch), Y: scale * e.Validation[metric]})
	}
	if len(training) > 0 {
		line, err := plotter.NewLine(training)
		if err != nil {
			return nil, err
		}
		line.Color, line.Width = trainColor, vg.Points(1.2)
		p.Add(line)
		p.Legend.Add("training", line)
	}
	if len(test) > 0 {
		line, dots, err := plotter.NewLinePoints(test)
		if err != nil {
			return nil, err
		}
		line.Color, line.Width = testColor, vg.Points(1.2)
		dots.Color, dots.Shape = testColor, draw.CircleGlyph{}
		p.Add(line, dots)
		p.Legend.Add("test", line, dots)
	}
	margin := 0.04 * (p.Y.Max - p.Y.Min) // so that no line or dot is cut
	p.X.Min, p.X.Max = 0, 1.02*p.X.Max
	p.Y.Min, p.Y.Max = p.Y.Min-margin, p.Y.Max+margin
	if metric == "loss" {
		p.Y.Min = 0
	}
	return p, nil
}
