package main

import (
	"bytes"
	"testing"
)

// TestShiftMovesAndComesBack: a digit away from the border returns unchanged from
// every move, and what leaves the image is gone.
func TestShiftMovesAndComesBack(t *testing.T) {
	image := make([]uint8, 7*5) // 7 rows of 5
	for i := range image {
		if x, y := i%5, i/5; x > 0 && x < 4 && y > 0 && y < 6 {
			image[i] = uint8(i)
		}
	}
	for dx := -1; dx <= 1; dx++ {
		for dy := -1; dy <= 1; dy++ {
			moved := shift(image, 5, dx, dy)
			if got := moved[(3+dy)*5+2+dx]; got != image[3*5+2] {
				t.Errorf("moved by %d, %d the middle is %d", dx, dy, got)
			}
			if !bytes.Equal(shift(moved, 5, -dx, -dy), image) {
				t.Errorf("moved by %d, %d and back it is another image", dx, dy)
			}
		}
	}
	if gone := shift(shift(image, 5, 2, 0), 5, -2, 0); bytes.Equal(gone, image) {
		t.Error("what left the image came back")
	}
}
