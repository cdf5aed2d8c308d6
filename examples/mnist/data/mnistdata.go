// Package mnistdata embeds the MNIST handwritten digits (11.6 MB), so that examples/mnist trains without a network.
//
// Import it from that example only: a program links these bytes if, and only if, it imports this package. Where the files
// come from, and their licence, is in README.md beside them.
package mnistdata

import "embed"

// Files holds the four original IDX files, gzip-compressed, under their original names: train-images-idx3-ubyte.gz,
// train-labels-idx1-ubyte.gz, t10k-images-idx3-ubyte.gz and t10k-labels-idx1-ubyte.gz.
//
//go:embed *.gz
var Files embed.FS
