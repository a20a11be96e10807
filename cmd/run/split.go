package main

import (
	"errors"
	"fmt"
	"strings"
)

// split returns the arguments of a command as a shell splits it: at spaces outside of quotes, with
// backslashes outside of single quotes. What only a shell can do is an error.
func split(command string) (arguments []string, err error) {
	const shells = "|&;<>()$`*?[]#~!{}\n"
	var word strings.Builder
	started, quote := false, rune(0) // inside a word, and inside quotes
	rest := []rune(command)
	for i := 0; i < len(rest); i++ {
		r := rest[i]
		switch {
		case quote == 0 && (r == ' ' || r == '\t'):
			if started {
				arguments = append(arguments, word.String())
			}
			word.Reset()
			started = false
			continue
		case quote == 0 && (r == '\'' || r == '"'):
			quote = r
		case r == quote:
			quote = 0
		case r == '\\' && quote != '\'':
			if i++; i == len(rest) {
				return nil, errors.New("want a character after the last backslash")
			}
			if quote == '"' && !strings.ContainsRune(`"\$`+"`", rest[i]) {
				word.WriteRune(r) // as in a shell, it is an ordinary character
			}
			word.WriteRune(rest[i])
		case quote == 0 && strings.ContainsRune(shells, r), quote == '"' && (r == '$' || r == '`'):
			return nil, fmt.Errorf("%q is for a shell, and none runs the command: put it in single quotes, or, if the "+
				"image has a shell, write sh -c '...'", r)
		default:
			word.WriteRune(r)
		}
		started = true
	}
	if quote != 0 {
		return nil, fmt.Errorf("want a second %c", quote)
	}
	if started {
		arguments = append(arguments, word.String())
	}
	return arguments, nil
}
