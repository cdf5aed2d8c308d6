package backendtest

import (
	"testing"

	"github.com/descent-ml/descent/backend/null"
)

// The null device holds the suite itself to the contract.
func TestNullPassesInShapes(t *testing.T) { RunShapes(t, null.New()) }
