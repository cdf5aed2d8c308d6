package dl

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"unsafe"
)

func TestArgumentsArriveInOrder(t *testing.T) {
	for n := range MaxArgs + 1 {
		fn := function(t, fmt.Sprintf("args%d", n))
		args := make([]Arg, n)
		want := uint64(1)
		for i := range args {
			v := rand.Uint64()
			args[i] = Int(v)
			want = want*foldBase + v
		}
		if got := uint64(Call(fn, args...)); got != want {
			t.Errorf("%d arguments: the function saw others, or another order", n)
		}
	}
}

func TestPointersArriveInEveryPlace(t *testing.T) {
	var x [MaxArgs]uint64
	for n := range MaxArgs + 1 {
		args := make([]Arg, n)
		want := uint64(1)
		for i := range args {
			args[i] = Ptr(&x[i])
			want = want*foldBase + uint64(uintptr(unsafe.Pointer(&x[i])))
		}
		if got := uint64(Call(function(t, fmt.Sprintf("args%d", n)), args...)); got != want {
			t.Errorf("%d pointers: the function saw others", n)
		}
	}
}

func TestReturnsOf32And64Bits(t *testing.T) {
	if got := int32(Call(function(t, "minus_five"))); got != -5 {
		t.Errorf("int: %d", got)
	}
	if got := uint64(Call(function(t, "large"))); got != 0xfedcba9876543210 {
		t.Errorf("uint64: %#x", got)
	}
}

func TestIntegersOfEveryWidthKeepTheirSign(t *testing.T) {
	if Call(function(t, "widths"), Int(int8(-1)), Int(uint8(255)), Int(int16(-2)), Int(uint16(65534)), Int(int32(-3)),
		Int(uint32(4294967293)), Int(int64(-4)), Int(uint64(18446744073709551612))) != 1 {
		t.Error("an integer changed")
	}
}

func TestFloatsTakeTheirOwnRegisters(t *testing.T) {
	kept := function(t, "kept")
	if CallFloat(function(t, "mixed"), []Float{Float64(0.5), Float32(0.25)}, Int(-3), Int(kept), Int(int64(1<<40))) != 1 {
		t.Error("the pointer between the floating point arguments changed")
	}
	var got float64
	memcpy := function(t, "memcpy")
	Call(memcpy, Ptr(&got), Int(kept), Int(8))
	if want := -3 + 0.5 + 0.25 + float64(1<<40); got != want {
		t.Errorf("sum %v, want %v", got, want)
	}

	CallFloat(function(t, "eight"), []Float{Float64(1), Float64(2), Float64(3), Float64(4), Float64(5), Float64(6), Float64(7), Float64(8)}, Ptr(&got))
	if got != 87654321 {
		t.Errorf("eight doubles: %v, want 87654321", got)
	}
}

func TestVariadicFunctionsFindTheirFloats(t *testing.T) {
	buffer := make([]byte, 64)
	CallFloat(function(t, "snprintf"), []Float{Float64(math.Pi)}, Ptr(&buffer[0]), Int(len(buffer)), Ptr(CString("%d %.3f %s")),
		Int(-7), Ptr(CString("end")))
	if got := String(unsafe.Pointer(&buffer[0])); got != "-7 3.142 end" {
		t.Errorf("snprintf wrote %q", got)
	}
}

func TestStrings(t *testing.T) {
	if got := CallString(function(t, "greeting"), Int(1)); got != "hello" {
		t.Errorf("got %q", got)
	}
	if got := CallString(function(t, "greeting"), Int(0)); got != "" {
		t.Errorf("NULL gave %q", got)
	}
	if got := Call(function(t, "strlen"), Ptr(CString("four"))); got != 4 {
		t.Errorf("strlen saw %d bytes", got)
	}
}

func TestWrongCallsPanic(t *testing.T) {
	fn := function(t, "nothing")
	for name, c := range map[string]struct {
		call func()
		want string
	}{
		"no function":     {func() { Call(0) }, "does not have"},
		"33 arguments":    {func() { Call(fn, make([]Arg, MaxArgs+1)...) }, "too many"},
		"9 floating ones": {func() { CallFloat(fn, make([]Float, 9)) }, "too many"},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if got := fmt.Sprint(recover()); !strings.Contains(got, c.want) {
					t.Errorf("panic %q, want one about %q", got, c.want)
				}
			}()
			c.call()
		})
	}
}

func TestCallsAllocateNothing(t *testing.T) {
	nothing, add3, launch, fill := function(t, "nothing"), function(t, "add3"), function(t, "launch"), function(t, "late_fill")
	args30, eight := function(t, "args30"), function(t, "eight")
	for name, call := range map[string]func(){
		"0": func() { Call(nothing) },
		"3": func() { Call(add3, Int(1), Int(2), Int(3)) },
		"11": func() {
			extra := [2]uintptr{1, 2}
			Call(launch, Int(1), Int(1), Int(2), Int(3), Int(4), Int(5), Int(6), Int(7), Int(0), Arg{}, Ptr(&extra))
		},
		"30": func() {
			a := Int(1)
			Call(args30, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a)
		},
		"out": func() {
			var out [4]uint64
			Call(fill, Ptr(&out), Int(4), Int(9), Int(0))
			if out[3] != 12 {
				t.Error("the local variable was not written")
			}
		},
		"floating point": func() {
			var out float64
			CallFloat(eight, []Float{1, 2, 3, 4, 5, 6, 7, 8}, Ptr(&out))
		},
	} {
		if n := testing.AllocsPerRun(100, call); n != 0 {
			t.Errorf("%s arguments: %v allocations a call", name, n)
		}
	}
}

// BenchmarkCall shows what a call costs, beside one that C makes.
func BenchmarkCall(b *testing.B) {
	nothing, add3, launch, loop := function(b, "nothing"), function(b, "add3"), function(b, "launch"), function(b, "loop")
	b.Run("FromC", func(b *testing.B) {
		Call(loop, Int(add3), Int(b.N))
	})
	b.Run("0", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			Call(nothing)
		}
	})
	b.Run("3", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			Call(add3, Int(1), Int(2), Int(3))
		}
	})
	b.Run("11", func(b *testing.B) {
		b.ReportAllocs()
		var extra [4]uintptr
		for b.Loop() {
			Call(launch, Int(1), Int(1), Int(1), Int(1), Int(256), Int(1), Int(1), Int(0), Int(0), Arg{}, Ptr(&extra))
		}
	})
}
