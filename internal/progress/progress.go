// Package progress reports slow steps to the user.
package progress

import (
	"fmt"
	"os"
	"sync"
	"time"
)

// patience is the time after which a step is reported.
var patience = 3 * time.Second

// Report writes the name of a step to standard error every three seconds until the returned
// function is called. Call it once.
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
