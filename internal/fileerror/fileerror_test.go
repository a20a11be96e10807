package fileerror

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func TestReasonOmitsThePath(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing")
	_, open := os.Open(missing)
	other := errors.New("x")
	for name, c := range map[string]struct{ err, want error }{
		"a file":            {open, open.(*fs.PathError).Err},
		"a file, wrapped":   {fmt.Errorf("y: %w", open), open.(*fs.PathError).Err},
		"a rename":          {os.Rename(missing, missing+"2"), open.(*fs.PathError).Err},
		"anything else":     {other, other},
		"a plain not-exist": {fs.ErrNotExist, fs.ErrNotExist},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Reason(c.err); got != c.want {
				t.Errorf("of %v is %v, want %v", c.err, got, c.want)
			}
		})
	}
}
