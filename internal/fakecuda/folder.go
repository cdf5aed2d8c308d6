package fakecuda

// Folder builds the fake libraries and returns the folder to put into
// DESCENT_CUDA_PATH, for programs that are no tests.
func Folder() (string, error) { return build() }

// Load loads the fake driver, for programs that are no tests: Mode and the other
// functions work from then on.
func Load() error { return load() }
