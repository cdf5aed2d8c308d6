package dl

import "sync"

// Once holds what a process opens one of, such as a library. A failure to open it is
// not remembered.
type Once[T any] struct {
	mu   sync.Mutex
	open *T
}

// Get returns what open made the first time.
func (o *Once[T]) Get(open func() (*T, error)) (*T, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.open == nil {
		v, err := open()
		if err != nil {
			return nil, err
		}
		o.open = v
	}
	return o.open, nil
}
