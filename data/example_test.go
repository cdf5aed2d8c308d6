package data_test

import (
	"context"
	"fmt"
	"log"

	"github.com/descent-ml/descent/backend/cpu"
	"github.com/descent-ml/descent/data"
	"github.com/descent-ml/descent/tensor"
)

// A batch may be any type: here, sentences of different lengths, padded.
func ExampleNewLoader() {
	type Sentences struct{ Tokens, Length *tensor.Tensor }
	corpus := data.Slice[[]int64]{{5, 2}, {7}, {3, 1, 4}, {9, 9}}
	pad := func(p tensor.Place, samples [][]int64) (Sentences, error) {
		longest := 0
		for _, s := range samples {
			longest = max(longest, len(s))
		}
		tokens, length := make([]int64, len(samples)*longest), make([]int64, len(samples))
		for i, s := range samples {
			length[i] = int64(copy(tokens[i*longest:], s))
		}
		return Sentences{tensor.Of(p, tokens, len(samples), longest), tensor.Of(p, length)}, nil
	}
	loader := data.NewLoader(corpus, pad, cpu.New(cpu.Options{}), data.LoaderOptions{BatchSize: 2, Workers: 2})
	for b, err := range loader.Batches(context.Background(), 0) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(tensor.Values[int64](b.Tokens), b.Tokens.Shape(), tensor.Values[int64](b.Length))
	}
	// Output:
	// [5 2 7 0] [2 2] [2 1]
	// [3 1 4 9 9 0] [2 3] [3 2]
}
