package progress

import (
	"fmt"
	"io"
	"os"
	"regexp"
	"testing"
	"time"
)

func TestOnlySlowStepsAreReported(t *testing.T) {
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, before := os.Stderr, patience
	os.Stderr, patience = write, 20*time.Millisecond
	t.Cleanup(func() { os.Stderr, patience = stderr, before })
	Report("something quick")()
	ended := Report("something slow")
	time.Sleep(100 * time.Millisecond)
	ended()
	time.Sleep(50 * time.Millisecond) // nothing is reported after the end
	fmt.Fprintln(write, "end")
	write.Close()
	said, err := io.ReadAll(read)
	if err != nil || !regexp.MustCompile(`^(something slow \.\.\. 0 s\n)+end\n$`).Match(said) {
		t.Errorf("says\n%s%v", said, err)
	}
}
