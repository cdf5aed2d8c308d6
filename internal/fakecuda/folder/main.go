// Command folder builds the fake CUDA libraries and prints their folder:
//
//	DESCENT_CUDA_PATH=$(go run ./internal/fakecuda/folder) go run ./examples/mnist -device cuda
package main

import (
	"fmt"
	"os"

	"github.com/descent-ml/descent/internal/fakecuda"
)

func main() {
	folder, err := fakecuda.Folder()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(folder)
}
