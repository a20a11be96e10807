// Package awscli installs the AWS CLI, for the tests of scripts that use it. PyPI has version 1 only,
// and the images have version 2: both have the commands and options that the scripts use.
package awscli

import (
	"context"
	_ "embed"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"platform/internal/python"
)

//go:embed requirements.txt
var requirements []byte

// Prepare writes the program aws to a folder. The first time, it installs the CLI, which requires
// Python and a package index, and reports that to progress.
func Prepare(ctx context.Context, progress io.Writer, folder string) error {
	interpreter, err := python.Environment(ctx, "aws-cli", requirements, progress)
	if err != nil {
		return fmt.Errorf("cannot install the AWS CLI: %w", err)
	}
	// The CLI's own program names the folder in which it was installed, before that was renamed.
	text := "#!/bin/sh\nexec '" + interpreter + "' -m awscli \"$@\"\n"
	return os.WriteFile(filepath.Join(folder, "aws"), []byte(text), 0o755)
}
