package backend

import (
	"fmt"
	"strings"
	"testing"
)

// A new opcode gets its name by `go generate ./backend`; until then the package
// does not compile, since NumUnary and its like have moved.
//go:generate go run golang.org/x/tools/cmd/stringer@v0.51.0 -type=UnaryOp,BinaryOp,TernaryOp,ReduceOp,ScanOp,ScatterOp,GenerateOp,ConvOp,PoolOp,SoftmaxOp,OptimizerOp -output=opname.go

func TestEveryOpcodeHasItsOwnName(t *testing.T) {
	seen := map[string]bool{}
	check := func(op fmt.Stringer) {
		t.Helper()
		name := op.String()
		if name == "" || strings.Contains(name, "(") {
			t.Errorf("%T %d has no name: run go generate ./backend", op, op)
		}
		if seen[name] {
			t.Errorf("two opcodes are called %s", name)
		}
		seen[name] = true
	}
	each(NumUnary, check)
	each(NumBinary, check)
	each(NumTernary, check)
	each(NumReduce, check)
	each(NumScan, check)
	each(NumScatter, check)
	each(NumGenerate, check)
	each(ConvBackwardWeight+1, check)
	each(AvgPoolBackward+1, check)
	each(LogSoftmaxBackward+1, check)
	each(AdamW+1, check)
}

func each[Op interface {
	~uint8
	fmt.Stringer
}](n Op, f func(fmt.Stringer)) {
	for op := range n {
		f(op)
	}
}
