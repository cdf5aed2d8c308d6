# make test     all checks; installs what they need (a Python environment with PyTorch in the user's cache folder)
# make parity   operators against PyTorch's OpInfo samples, SEED=n for other samples, OPS=regex for some operators
# make bench    times against PyTorch, printed as ratios
# make count    what a training step asks of a GPU, counted on the fake driver
# make accuracy  three epochs of examples/mnist from three seeds
# make gpu-verify  packs what verifies this tree on a machine with a GPU and without Go
# make golden   PyTorch's answers to internal/optest, again
# make fuzz     every fuzz target for FUZZTIME
# make cross    builds and vets for the platforms in PLATFORMS
#
# "go test ./..." alone needs only Go.

SHELL := /bin/bash
.DELETE_ON_ERROR:
.PHONY: test check go-test parity parity-cuda parity-selftest bench count accuracy gpu-verify golden fuzz cross

STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
PLATFORMS := linux/amd64 linux/arm64 darwin/arm64 windows/amd64
SEED := 0
OPS :=
FUZZTIME := 10s

export CGO_ENABLED := 0
export PYTHONDONTWRITEBYTECODE := 1

test: check go-test cross parity-selftest parity parity-cuda

check:
	@unformatted=$$(gofmt -l .); if [ -n "$$unformatted" ]; then echo "gofmt: not formatted:"; echo "$$unformatted"; exit 1; fi
	go vet ./...
	go run $(STATICCHECK) ./...

# The race detector needs a C compiler, the fake CUDA libraries a C++ compiler.
go-test:
	scripts/need gcc gcc libc6-dev
	scripts/need g++ g++
	python=$$(scripts/venv) && CGO_ENABLED=1 DESCENT_PYTHON=$$python go test -race -timeout 45m ./...
	# Only there may a compiler fuse a product into a sum, which would change random bits.
	GOAMD64=v3 go test ./random
	# Under the race detector half of the comparisons with torchvision are left out.
	python=$$(scripts/venv) && DESCENT_PYTHON=$$python go test ./models

parity:
	go build -o bin/parity ./internal/parity/parity
	python=$$(scripts/venv) && $$python internal/parity/opinfo.py --seed $(SEED) --ops '$(OPS)' --report PARITY.md -- bin/parity

# The same on CUDA, behind the fake libraries.
parity-cuda:
	scripts/need g++ g++
	go build -o bin/parity ./internal/parity/parity
	python=$$(scripts/venv) && export DESCENT_CUDA_PATH=$$(go run ./internal/fakecuda/folder) && \
		$$python internal/parity/opinfo.py --seed $(SEED) --ops '$(OPS)' --dtypes float32 -- bin/parity -device cuda

parity-selftest:
	python=$$(scripts/venv) && $$python internal/parity/selftest.py

bench:
	python=$$(scripts/venv) && DESCENT_PYTHON=$$python go run ./internal/bench -out BENCH.md

count:
	scripts/need g++ g++
	python=$$(scripts/venv) && DESCENT_PYTHON=$$python go run ./internal/count -out GPU.md

accuracy:
	go run ./internal/bench -accuracy -out BENCH.md

gpu-verify:
	scripts/gpu-verify

golden:
	go test ./internal/optest -update

fuzz:
	scripts/fuzz $(FUZZTIME)

cross:
	@for platform in $(PLATFORMS); do \
		echo "go build, go vet: $$platform"; \
		export GOOS=$${platform%/*} GOARCH=$${platform#*/}; \
		go build ./... && go vet ./... || exit 1; \
	done
