package cpu_test

import (
	"testing"

	"github.com/descent-ml/descent/backend/backendtest"
	"github.com/descent-ml/descent/backend/cpu"
)

func TestContract(t *testing.T) { backendtest.Run(t, cpu.New(cpu.Options{Poison: true})) }
