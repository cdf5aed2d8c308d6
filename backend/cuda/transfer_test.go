package cuda

import (
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"unsafe"

	"github.com/descent-ml/descent/backend"
	cu "github.com/descent-ml/descent/cuda"
	"github.com/descent-ml/descent/internal/fakecuda"
)

func TestTransfersCarryAllBytes(t *testing.T) {
	d := testDevice(t, Options{})
	rng := rand.New(rand.NewPCG(10, 11))
	for _, n := range []int{1, 7, 4096, overlap, pieceBytes, pieceBytes + 1, 3*pieceBytes - 5, halfBytes, halfBytes + 1, 2 * halfBytes, ringBytes + 12345} {
		src := make([]byte, n)
		for i := range src {
			src[i] = byte(rng.Uint32())
		}
		want := string(src)
		for round := range 2 { // memory that is new, and memory that was used
			b, err := d.Alloc(n)
			must(t, err)
			must(t, d.Upload(b, src))
			clear(src) // the caller's again
			dst := make([]byte, n)
			must(t, d.Download(dst, b))
			if string(dst) != want {
				t.Fatalf("%d bytes come back changed, in round %d", n, round)
			}
			copy(src, want)
			b.Free()
		}
	}
	b, err := d.Alloc(8)
	must(t, err)
	defer b.Free()
	if d.Upload(b, make([]byte, 9)) == nil || d.Download(make([]byte, 9), b) == nil {
		t.Error("9 bytes fit in a buffer of 8")
	}
}

// copyOn has the compute stream copy a buffer.
func (d *Device) copyOn(t *testing.T, dst, src *buffer) {
	t.Helper()
	must(t, d.bound(func() error {
		return d.ctx.CopyOnDevice(cu.DevicePtr(dst.use()), cu.DevicePtr(src.use()), uint64(src.bytes), d.compute)
	}))
}

func TestAnUploadWaitsForTheWorkThatUsedTheMemoryBefore(t *testing.T) {
	d := testDevice(t, Options{})
	const n = overlap // in floats
	for round := range 5 {
		x := d.floats(t, ramp(n, float32(round))...)
		y := d.floats(t, make([]float32, n)...)
		d.copyOn(t, y, x) // not run yet
		at := x.addr
		x.Free()
		x = d.floats(t, ramp(n, 77)...)
		if x.addr != at {
			t.Fatal("the test wants the same memory")
		}
		// Run what it may run beside the copy.
		must(t, d.bound(d.copies.Synchronize))
		if got := d.values(t, y); !same(got, ramp(n, float32(round))) {
			t.Fatalf("a copy whose source was freed behind it has %v…", got[:3])
		}
		if got := d.values(t, x); !same(got, ramp(n, 77)) {
			t.Fatalf("an upload to memory that was used has %v…", got[:3])
		}
		x.Free()
		y.Free()
	}
}

func TestALargeUploadToNewMemoryRunsBesideKernels(t *testing.T) {
	d := testDevice(t, Options{})
	const n = overlap
	x, err := d.Alloc(4 * n)
	must(t, err)
	y := d.floats(t, ramp(n, 0)...)
	must(t, d.Sync())
	must(t, d.add(y, 1)) // not run yet
	must(t, d.Upload(x, bytesOf(ramp(n, 5))))
	must(t, d.bound(d.copies.Synchronize))
	ready := true
	must(t, d.bound(func() (err error) {
		ready, err = d.compute.Query()
		return err
	}))
	if ready {
		t.Error("the upload had the kernel run before it")
	}
	if got := d.values(t, x.(*buffer)); !same(got, ramp(n, 5)) {
		t.Errorf("the upload has %v…", got[:3])
	}
	x.Free()
	y.Free()
}

func TestUploadsDoNotWait(t *testing.T) {
	d := testDevice(t, Options{})
	x, err := d.Alloc(1 << 20)
	must(t, err)
	defer x.Free()
	must(t, d.Upload(x, []byte{1}))
	before := fakecuda.Stats().Syncs
	for range 20 {
		must(t, d.Upload(x, make([]byte, 500<<10)))
		must(t, d.Upload(x, make([]byte, 48)))
	}
	if n := fakecuda.Stats().Syncs - before; n != 0 {
		t.Errorf("uploads of 10 MB wait %d times", n)
	}
	for i := range 1000 { // more than the queue holds
		must(t, d.Upload(x, []byte{byte(i), byte(i >> 8)}))
	}
	var got [2]byte
	must(t, d.Download(got[:], x))
	if got != [2]byte{999 & 255, 999 >> 8} {
		t.Errorf("the last of 1000 uploads left %v", got)
	}
}

func TestGoroutinesTransferAtOnce(t *testing.T) {
	d := testDevice(t, Options{})
	var wg sync.WaitGroup
	for g := range 6 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(12, uint64(g)))
			for range 20 {
				want := ramp(1+rng.IntN(300_000), float32(g))
				x := d.floats(t, want...)
				if got := d.values(t, x); !same(got, want) {
					t.Errorf("goroutine %d gets %v… back", g, got[:1])
				}
				x.Free()
			}
		})
	}
	wg.Wait()
}

func TestAnErrorInTheDataIsReportedOnce(t *testing.T) {
	d := testDevice(t, Options{})
	for _, wait := range []string{"Sync", "Download"} {
		x := d.floats(t, 1, 2, -3, 4)
		must(t, d.add(x, 0))
		err := d.Sync
		if wait == "Download" {
			err = func() error { return d.Download(make([]byte, 4), x) }
		}
		var index *backend.IndexError
		if err := err(); !errors.As(err, &index) || index.Index != 2 || index.Size != 4 {
			t.Errorf("%s: %v", wait, err)
		} else if got, want := err.Error(), "cuda:0: Test: "+index.Error(); got != want {
			t.Errorf("%s says %q, want %q", wait, got, want)
		}
		must(t, d.Sync())
		must(t, d.Download(make([]byte, 4), x))
		x.Free()
	}
	if unsafe.Sizeof(errorWord{}) != 24 {
		t.Errorf("the error word has %d bytes", unsafe.Sizeof(errorWord{}))
	}
}

func TestOneOfManyReportsAnError(t *testing.T) {
	d := testDevice(t, Options{})
	x := d.floats(t, -1)
	defer x.Free()
	must(t, d.add(x, 0))
	var mu sync.Mutex
	reports := 0
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if err := d.Sync(); err != nil {
				mu.Lock()
				reports++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if reports != 1 {
		t.Errorf("the error is reported %d times", reports)
	}
}
