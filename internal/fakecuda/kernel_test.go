//go:build linux && amd64

package fakecuda_test

import (
	"fmt"
	"slices"
	"testing"
	"unsafe"

	"github.com/descent-ml/descent/cuda"
	"github.com/descent-ml/descent/internal/fakecuda"
)

const vectorAdd = `
extern "C" __global__ void add(float *out, const float *x, const float *y, int n) {
	int i = blockIdx.x * blockDim.x + threadIdx.x;
	if (i < n) out[i] = x[i] + y[i];
}`

func TestPackedParametersReachAKernel(t *testing.T) {
	r := newRig(t)
	f := r.kernel(vectorAdd, "add")
	x, y := make([]float32, 1000), make([]float32, 1000)
	for i := range x {
		x[i], y[i] = float32(i), float32(i*i)
	}
	out := r.alloc(4000)
	r.must(run(r, f, 4, 256, 0, struct {
		out, x, y cuda.DevicePtr
		n         int32
	}{out, upload(r, x), upload(r, y), 1000}))
	for i, v := range download[float32](r, out, 1000) {
		if v != x[i]+y[i] {
			t.Fatalf("out[%d] = %v, want %v", i, v, x[i]+y[i])
		}
	}
}

type threeArgs struct {
	out, x cuda.DevicePtr
	n      int64
}

const rowSums = `
#define THREADS 256
struct Args { float *out; const float *x; long long n; };
template <class T> __device__ __forceinline__ T block_sum(T v) {
	__shared__ T part[32];
	for (int o = 16; o; o >>= 1) v += __shfl_down_sync(~0u, v, o);
	if (threadIdx.x % 32 == 0) part[threadIdx.x / 32] = v;
	__syncthreads();
	v = threadIdx.x < blockDim.x / 32 ? part[threadIdx.x] : T(0);
	if (threadIdx.x < 32)
		for (int o = 16; o; o >>= 1) v += __shfl_xor_sync(~0u, v, o);
	return v;
}
extern "C" __global__ void __launch_bounds__(THREADS) run(const Args args) {
	float s = 0;
	for (long long i = threadIdx.x; i < args.n; i += blockDim.x) s += args.x[blockIdx.x * args.n + i];
	s = block_sum(s);
	if (threadIdx.x == 0) args.out[blockIdx.x] = s;
}`

func TestBarriersSharedMemoryAndShufflesReduce(t *testing.T) {
	r := newRig(t)
	f := r.kernel(rowSums, "run")
	const rows, columns = 64, 1000
	x := make([]float32, rows*columns)
	for i := range x {
		x[i] = float32(i % 17) // sums of small integers are exact
	}
	out := r.alloc(4 * rows)
	for seed := range 4 {
		fakecuda.Seed(int64(seed))
		r.must(run(r, f, rows, 256, 0, threeArgs{out, upload(r, x), columns}))
		for i, got := range download[float32](r, out, rows) {
			want := float32(0)
			for _, v := range x[i*columns : (i+1)*columns] {
				want += v
			}
			if got != want {
				t.Fatalf("row %d: %v, want %v", i, got, want)
			}
		}
	}
}

// Every case is a mistake in a kernel; the fake ends the kernel with an error, and the context is lost as on a GPU.
func TestMistakesOfKernelsAreErrors(t *testing.T) {
	const start = "struct Args { float *out; const float *x; long long n; };\n" +
		"extern \"C\" __global__ void run(const Args args) {\n\tint t = threadIdx.x; (void)t;\n"
	cases := map[string]struct {
		body string
		want cuda.Result
	}{
		"a thread returns before a barrier":          {"if (t == 5) return; __syncthreads();", cuda.ErrLaunchFailed},
		"a barrier in one branch":                    {"if (t < 32) __syncthreads();\nelse __syncthreads();", cuda.ErrLaunchFailed},
		"half a warp misses a shuffle":               {"if (t % 32 < 16) args.out[t] = __shfl_down_sync(~0u, 1.f, 1);", cuda.ErrLaunchFailed},
		"a lane outside the mask":                    {"args.out[t] = __shfl_xor_sync(0xffffu, 1.f, 1);", cuda.ErrLaunchFailed},
		"a shuffle from a lane outside the mask":     {"if (t % 32 < 16) args.out[t] = __shfl_sync(0xffffu, 1.f, 20);", cuda.ErrLaunchFailed},
		"a ballot in one branch, a shuffle in other": {"if (t & 1) __ballot_sync(~0u, 1); else __shfl_sync(~0u, 1, 0);", cuda.ErrLaunchFailed},
		"an index past a shared array":               {"__shared__ float a[32]; a[t] = 1; args.out[t] = a[0];", cuda.ErrIllegalAddress},
		"a pointer past static shared memory":        {"__shared__ float a[64]; float *p = a; if (t == 0) for (int i = 0; i <= 64; i++) p[i] = 1; args.out[0] = p[t];", cuda.ErrIllegalAddress},
		"past dynamic shared memory":                 {"DYNAMIC_SHARED(float, a); a[t + 1] = 1;", cuda.ErrIllegalAddress},
		"before dynamic shared memory":               {"DYNAMIC_SHARED(float, a); a[t - 1] = 1;", cuda.ErrIllegalAddress},
		"past the end of an allocation":              {"args.out[t + 16] = 1;", cuda.ErrIllegalAddress},
		"far past the end of an allocation":          {"args.out[4096 + t] = 1;", cuda.ErrIllegalAddress},
		"before an allocation":                       {"args.out[t - 1] = 1;", cuda.ErrIllegalAddress},
		"the null pointer":                           {"*(float *)(args.n - 64) = 1;", cuda.ErrIllegalAddress},
		"a misaligned vector":                        {"*(float4 *)(args.out + 1) = float4{0, 0, 0, 0};", cuda.ErrMisalignedAddress},
		"a shift by the width":                       {"args.out[t] = 1 << (t + 1);", cuda.ErrLaunchFailed},
		"a division by zero":                         {"args.out[t] = 7 / t;", cuda.ErrLaunchFailed},
		"a trap":                                     {"if (t == 3) __trap();", cuda.ErrLaunchFailed},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			f := r.kernel(start+c.body+"\n}", "run")
			out, x := r.alloc(64*4), r.alloc(64*4)
			r.wants(run(r, f, 1, 64, 256, threeArgs{out, x, 64}), c.want)
			r.wants(r.Context.Synchronize(), c.want) // the context stays lost
			_, err := r.Alloc(256)
			r.wants(err, c.want)
		})
	}
}

// A kernel that forgets a barrier gives wrong results for some order of the warps.
func TestAMissingBarrierShows(t *testing.T) {
	r := newRig(t)
	f := r.kernel(`
extern "C" __global__ void run(int *out) {
	__shared__ int a[256];
	a[threadIdx.x] = threadIdx.x;
	out[threadIdx.x] = a[(threadIdx.x + 128) % 256];
}`, "run")
	out := r.alloc(256 * 4)
	results := func(seed int64) []int32 {
		fakecuda.Seed(seed)
		r.must(run(r, f, 1, 256, 0, out))
		return download[int32](r, out, 256)
	}
	orders := map[string]bool{}
	for seed := range int64(10) {
		got, wrong := results(seed), 0
		for i, v := range got {
			if v != int32((i+128)%256) {
				wrong++
				if v != -1 {
					t.Fatalf("out[%d] = %d: neither what was written nor the pattern of fresh shared memory", i, v)
				}
			}
		}
		if wrong == 0 {
			t.Errorf("seed %d: every thread found what another one wrote without a barrier between them", seed)
		}
		orders[fmt.Sprint(got)] = true
		if !slices.Equal(got, results(seed)) {
			t.Errorf("seed %d: the order of the threads differs from run to run", seed)
		}
	}
	if len(orders) == 1 {
		t.Error("ten seeds give the same order of threads")
	}
}

func TestFreshMemoryIsNotZero(t *testing.T) {
	r := newRig(t)
	f := r.kernel(`extern "C" __global__ void run(float *out) { __shared__ float a[64]; if (!out) a[threadIdx.x] = 1; out[threadIdx.x] = a[threadIdx.x]; }`, "run")
	out := r.alloc(256)
	for _, v := range download[float32](r, out, 64) {
		if v == v {
			t.Fatalf("fresh device memory holds %v, not NaN", v)
		}
	}
	r.must(run(r, f, 1, 64, 0, out))
	for _, v := range download[float32](r, out, 64) {
		if v == v {
			t.Fatalf("fresh shared memory holds %v, not NaN", v)
		}
	}
}

// votes holds, for each lane, what the warp operations gave.
func TestWarpAndBlockVotes(t *testing.T) {
	r := newRig(t)
	f := r.kernel(`
struct Out { unsigned ballot; int any, all, count, either, both, up, idx; unsigned long long wide; };
extern "C" __global__ void run(Out *out) {
	int t = threadIdx.x, lane = t & 31;
	Out o;
	o.ballot = __ballot_sync(~0u, lane % 3 == 0);
	o.any = __any_sync(~0u, lane == 31);
	o.all = __all_sync(~0u, lane < 31);
	o.count = __syncthreads_count(t % 5 == 0);
	o.either = __syncthreads_or(t == 77);
	o.both = __syncthreads_and(t != 77);
	o.up = __shfl_up_sync(~0u, t, 3, 8);
	o.idx = __shfl_sync(~0u, t, lane + 1, 16);
	o.wide = __shfl_xor_sync(~0u, (unsigned long long)t << 40, 5);
	__syncwarp();
	out[t] = o;
}`, "run")
	type result struct {
		ballot                                 uint32
		any, all, count, either, both, up, idx int32
		wide                                   uint64
	}
	const n = 96
	out := r.alloc(n * 40)
	r.must(run(r, f, 1, n, 0, out))
	ballot := uint32(0)
	for lane := range 32 {
		if lane%3 == 0 {
			ballot |= 1 << lane
		}
	}
	for i, got := range download[result](r, out, n) {
		lane, warp := i%32, i/32*32
		want := result{ballot, 1, 0, 20, 1, 0, int32(i - 3), int32(warp + lane/16*16 + (lane+1)%16), uint64(warp+lane^5) << 40}
		if lane%8 < 3 {
			want.up = int32(i)
		}
		if got != want {
			t.Fatalf("thread %d: %+v, want %+v", i, got, want)
		}
	}
}

func TestAtomicsOfAllBlocksAdd(t *testing.T) {
	r := newRig(t)
	f := r.kernel(`
struct Out { int sum; unsigned most; unsigned long long least, swapped; float total; };
extern "C" __global__ void run(Out *out) {
	unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
	atomicAdd(&out->sum, 1);
	atomicMax(&out->most, i);
	atomicMin(&out->least, (unsigned long long)i + 5);
	atomicAdd(&out->total, 0.5f);
	unsigned long long seen = out->swapped, next;
	do { next = seen; seen = atomicCAS(&out->swapped, next, next + 2); } while (seen != next);
}`, "run")
	type result struct {
		sum            int32
		most           uint32
		least, swapped uint64
		total          float32
		_              int32
	}
	out := upload(r, []result{{least: 1 << 60}})
	r.must(run(r, f, 7, 100, 0, out))
	if got, want := download[result](r, out, 1)[0], (result{700, 699, 5, 1400, 350, 0}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestEveryThreadOfAThreeDimensionalGridRunsOnce(t *testing.T) {
	r := newRig(t)
	f := r.kernel(`
extern "C" __global__ void run(int *out) {
	int block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
	int thread = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
	__syncthreads();
	out[block * blockDim.x * blockDim.y * blockDim.z + thread]++;
}`, "run")
	const n = 2 * 3 * 4 * 5 * 6 * 2
	out := r.alloc(n * 4)
	r.must(r.Set32(out, 0, n, r.Stream))
	args := new(cuda.DevicePtr)
	*args = out
	r.must(f.Launch([3]uint32{2, 3, 4}, [3]uint32{5, 6, 2}, 0, r.Stream, unsafe.Pointer(args), 8))
	for i, v := range download[int32](r, out, n) {
		if v != 1 {
			t.Fatalf("out[%d] = %d", i, v)
		}
	}
}
