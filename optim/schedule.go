package optim

import (
	"fmt"
	"math"
)

// Schedule is a learning rate as a function of the step (or epoch) and of the
// rate that the optimizer was made with: a pure function, so that resuming needs
// only the number.
type Schedule func(step int, base float64) float64

// ConstantLR keeps the rate.
func ConstantLR() Schedule { return func(_ int, base float64) float64 { return base } }

// StepLR multiplies the rate by gamma every size steps.
func StepLR(size int, gamma float64) Schedule {
	return func(step int, base float64) float64 { return base * math.Pow(gamma, float64(step/size)) }
}

// MultiStepLR multiplies the rate by gamma at each milestone.
func MultiStepLR(milestones []int, gamma float64) Schedule {
	return func(step int, base float64) float64 {
		for _, m := range milestones {
			if step >= m {
				base *= gamma
			}
		}
		return base
	}
}

// ExponentialLR multiplies the rate by gamma at each step.
func ExponentialLR(gamma float64) Schedule {
	return func(step int, base float64) float64 { return base * math.Pow(gamma, float64(step)) }
}

// CosineAnnealingLR goes from the rate to min along half a cosine in period
// steps (Loshchilov and Hutter 2016), and back.
func CosineAnnealingLR(period int, min float64) Schedule {
	return func(step int, base float64) float64 {
		return min + (base-min)*(1+math.Cos(math.Pi*float64(step)/float64(period)))/2
	}
}

// WarmUp goes from start times the rate to the rate in a straight line over
// steps, and then on with the schedule, which begins at 0 there: PyTorch's
// LinearLR and another in a SequentialLR.
func WarmUp(steps int, start float64, then Schedule) Schedule {
	return func(step int, base float64) float64 {
		if step >= steps {
			return then(step-steps, base)
		}
		return base * (start + (1-start)*float64(step)/float64(steps))
	}
}

// Scheduler sets the rates of an optimizer's groups by a schedule.
type Scheduler struct {
	opt      Optimizer
	schedule Schedule
	base     []float64
	step     int
}

// NewScheduler makes a scheduler at step 0 and sets the rates.
func NewScheduler(opt Optimizer, schedule Schedule) *Scheduler {
	s := &Scheduler{opt: opt, schedule: schedule}
	for _, g := range opt.Groups() {
		s.base = append(s.base, g.LR)
	}
	s.set()
	return s
}

// Step goes on to the next step; call it after the optimizer's.
func (s *Scheduler) Step() {
	s.step++
	s.set()
}

// LastStep is the number of calls of Step.
func (s *Scheduler) LastStep() int { return s.step }

// SetStep continues at a step, after a checkpoint was loaded.
func (s *Scheduler) SetStep(step int) error {
	if step < 0 {
		return fmt.Errorf("optim: a schedule has no step %d", step)
	}
	s.step = step
	s.set()
	return nil
}

func (s *Scheduler) set() {
	for i, g := range s.opt.Groups() {
		g.LR = s.schedule(s.step, s.base[i])
	}
}
