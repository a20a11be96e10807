// Package fileerror shortens errors of the os package for messages that already name the file.
package fileerror

import (
	"errors"
	"io/fs"
	"os"
)

// Reason returns what went wrong with a file, without the operation and the path. Any other error
// is returned as it is.
func Reason(err error) error {
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		return path.Err
	}
	if link, ok := errors.AsType[*os.LinkError](err); ok {
		return link.Err
	}
	return err
}
