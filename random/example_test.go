package random_test

import (
	"fmt"
	"slices"

	"github.com/descent-ml/descent/random"
)

// Two workers fill the halves of one result and get what one would.
func ExampleGenerator_Reserve() {
	const seed, epoch, batch = 42, 3, 17
	g := random.Derive(seed, epoch, batch)
	s := g.Reserve(1000)

	one := make([]float32, 1000)
	random.Normal32(s, 0, one)

	two := make([]float32, 1000)
	random.Normal32(s, 0, two[:333])
	random.Normal32(s, 333, two[333:])

	fmt.Println(slices.Equal(one, two))
	// Output: true
}

// A generator's state is a short text, in JSON a string.
func ExampleGenerator_MarshalText() {
	g := random.New(42)
	g.Reserve(10)
	text, _ := g.MarshalText()
	fmt.Printf("%s\n", text)
	// Output: philox4x32-10:000000000000002a:0000000000000005
}
