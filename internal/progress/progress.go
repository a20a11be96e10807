// Package progress tells a waiting person what a slow step is doing.
package progress

import (
	"fmt"
	"os"
	"sync"
	"time"
)

// patience is how long a step may take before it is reported.
var patience = 3 * time.Second

// Report writes to standard error what is going on if it takes longer than three seconds, and again
// every three seconds after that. The function that it returns ends the reports; call it once.
func Report(what string) (ended func()) {
	began, done := time.Now(), make(chan struct{})
	var reporter sync.WaitGroup
	reporter.Go(func() {
		ticks := time.NewTicker(patience)
		defer ticks.Stop()
		for {
			select {
			case <-done:
				return
			case <-ticks.C:
				fmt.Fprintf(os.Stderr, "%s ... %.0f s\n", what, time.Since(began).Seconds())
			}
		}
	})
	return func() {
		close(done)
		reporter.Wait()
	}
}
