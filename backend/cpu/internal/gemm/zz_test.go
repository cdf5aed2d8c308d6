package gemm

import (
	"fmt"
	"math/rand/v2"
	"os"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/descent-ml/descent/backend/cpu/internal/parallel"
)

func TestZZ(t *testing.T) {
	if os.Getenv("ZZ") == "" {
		return
	}
	th, _ := strconv.Atoi(os.Getenv("ZZ"))
	parallel.SetThreads(th)
	dur := 200 * time.Millisecond
	for _, line := range strings.Fields("128x128x128nn 256x256x256nn 512x512x512nn 1024x1024x1024nn 2048x2048x2048nn 1024x1024x1024nt 1024x1024x1024tn 64x784x512nn 128x784x512nn 64x512x256nn 64x256x10nn 784x64x512tn 64x512x784nn 64x784x512nt 64x512x256nt 64x256x10nt 1x784x512nt 1x512x784nn") {
		if f := os.Getenv("ZZF"); f != "" && !strings.Contains(line, f) {
			continue
		}
		var m, k, n int
		var l string
		fmt.Sscanf(line, "%dx%dx%d%s", &m, &k, &n, &l)
		rng := rand.New(rand.NewPCG(1, 2))
		lay := map[byte]layout{'n': rowMajor, 't': colMajor}
		x, y, z := random[float32](rng, m, k, lay[l[0]]), random[float32](rng, k, n, lay[l[1]]), random[float32](rng, m, n, rowMajor)
		for _, mm := range []*Matrix[float32]{&x, &y, &z} { // aligned
			d := grow[float32](nil, len(mm.Data)+16)
			copy(d, mm.Data[mm.Offset:])
			mm.Data, mm.Offset = d, 0
		}
		var ts []float64
		for t0 := time.Now(); time.Since(t0) < dur || len(ts) < 8; {
			s := time.Now()
			Float32(m, n, k, x, y, z, Epilogue[float32]{})
			ts = append(ts, time.Since(s).Seconds())
		}
		sort.Float64s(ts)
		f := 2 * float64(m*n*k) / 1e9
		fmt.Printf("ours %s %.1f %.1f\n", line, f/ts[0], f/ts[len(ts)/2])
	}
}
