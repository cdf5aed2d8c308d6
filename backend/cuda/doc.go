// Package cuda is the device of NVIDIA's GPUs. Importing it registers "cuda:0",
// "cuda:1" and so on; the driver and the libraries are looked for when a device
// is first opened, so a program that imports it runs where there is none.
//
// Work is issued to one stream in the order of the calls and nothing but Download
// and Sync waits for it. Kernels are the CUDA C of kernels/*.cu: a launch names
// one by a spec, which NVRTC compiles for the device at hand when it is first
// asked for, and a folder of the user keeps. Matrix products are cuBLASLt's,
// convolutions cuDNN's.
//
// How a kernel family is written: its arguments are one struct, declared in Go and
// in its .cu file; addr and errorWord give it addresses; launch starts it; and the
// specs it may ask for are yielded by a function in catalogue, which the tests
// compile for every architecture.
package cuda
