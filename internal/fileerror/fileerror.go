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
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	var link *os.LinkError
	if errors.As(err, &link) {
		return link.Err
	}
	return err
}
