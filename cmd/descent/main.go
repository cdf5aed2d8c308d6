// Command descent tells about this machine and its devices.
//
//	descent doctor    which driver, GPUs and libraries there are, what is missing and
//	                  how to get it, and a self-test of every device
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"

	_ "github.com/descent-ml/descent/backend/cpu"
	_ "github.com/descent-ml/descent/backend/cuda"
	"github.com/descent-ml/descent/internal/doctor"
)

const usage = `usage: descent doctor [-budget 5s] [-device name]
`

func main() {
	if len(os.Args) < 2 || os.Args[1] != "doctor" {
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
	flags := flag.NewFlagSet("descent doctor", flag.ExitOnError)
	var o doctor.Options
	flags.DurationVar(&o.Budget, "budget", 5*time.Second, "`time` for the self-test of each device")
	flags.StringVar(&o.Device, "device", "", "the one `device` to test, instead of all")
	flags.Parse(os.Args[2:])
	if flags.NArg() > 0 {
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if !doctor.Report(ctx, os.Stdout, o) {
		os.Exit(1)
	}
}
