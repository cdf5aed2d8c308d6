package data

import "fmt"

// State is a loader's position: how much of an epoch it has yielded, whatever its
// workers may have read ahead. In JSON it is a few dozen bytes, for checkpoints.
//
// In the loop's body, the current batch counts. When all batches of an epoch have
// passed, the position is the beginning of the next one, so that
//
//	for epoch := loader.State().Epoch; epoch < epochs; epoch++ {
//		for b, err := range loader.Batches(ctx, epoch) {
//
// goes on where a checkpoint was made.
type State struct {
	Epoch int `json:"epoch"`
	// Batch is the number of batches yielded in this epoch.
	Batch int `json:"batch"`
	// Samples is the number of samples used in this epoch, of all ranks: it is from
	// here that a loader of another batch size or World goes on.
	Samples int    `json:"samples"`
	Dataset int    `json:"dataset"` // samples in the dataset
	Shuffle bool   `json:"shuffle"`
	Seed    uint64 `json:"seed"`
	// Zip has the positions of the two loaders of a Zip.
	Zip []State `json:"zip,omitempty"`
}

// State returns the position of the latest loop over Batches.
func (l *Loader[B]) State() State {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.at
}

// SetState makes the next loop over Batches, if it is over st's epoch, go on from
// st. The loader must have the dataset, order and seed of the one st is from; its
// BatchSize, World and Workers may be others. It changes nothing if it returns an
// error.
func (l *Loader[B]) SetState(st State) error {
	if err := l.src.check(st); err != nil {
		return fmt.Errorf("data: this is no position of this loader: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.at, l.resume = st, true
	return nil
}

// Resuming returns the position that SetState has set and no loop has gone on from.
func (l *Loader[B]) Resuming() (st State, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.at, l.resume
}

// begin starts a loop over an epoch; it returns the position to go on from, if any.
func (l *Loader[B]) begin(epoch int) *State {
	l.mu.Lock()
	defer l.mu.Unlock()
	resume := l.resume && l.at.Epoch == epoch
	l.resume = false
	if !resume {
		l.at = l.src.start(epoch)
		return nil
	}
	from := l.at
	return &from
}

func (l *Loader[B]) move(to State) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.at = to
}
