#!/bin/sh
# Fails if a file contains a phrase of tools/words.txt, and prints the place and the wording to use.
# Arguments limit the search to these paths: tools/words.sh README.md
set -eu
cd "$(dirname "$0")/.."
# Untracked files too: check runs before git add. A copy of the files is not a repository, also below
# the folder of one.
files='--untracked'
git ls-files --error-unmatch tools/words.txt >/dev/null 2>&1 || files='--no-index --exclude-standard'
[ $# -gt 0 ] || set -- .
tab=$(printf '\t')
status=0
while IFS=$tab read -r phrase instead || [ -n "$phrase" ]; do
	case $phrase in '' | '#'*) continue ;; esac
	[ -n "$instead" ] || {
		echo "tools/words.txt: no wording for $phrase"
		exit 2
	}
	# Not in the sources of functions: their hash decides whether they are deployed.
	found=$(git grep $files -noIEi -e "$phrase" -- "$@" ':(exclude)tools/words.txt' \
		':(exclude,glob)**/testdata/**' ':(exclude)LICENSE') || {
		[ $? -eq 1 ] || exit 2 # 1: nothing found
		continue
	}
	found=$(printf '%s\n' "$found" | grep -vE '^functions/[a-z]+/[a-z0-9]+\.go:') || continue
	printf '%s\n' "$found" | while read -r line; do
		echo "$line: want $instead"
	done
	status=1
done <tools/words.txt
exit $status
