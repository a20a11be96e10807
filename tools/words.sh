#!/bin/sh
# Fails if a file contains a phrase of tools/words.txt, and prints the place and the wording to use.
# Arguments limit the search to these paths: tools/words.sh README.md
set -eu
cd "$(dirname "$0")/.."
# A copy of the files is not a repository.
index=
git rev-parse --git-dir >/dev/null 2>&1 || index='--no-index --exclude-standard'
[ $# -gt 0 ] || set -- .
tab=$(printf '\t')
status=0
while IFS=$tab read -r phrase instead; do
	case $phrase in '' | '#'*) continue ;; esac
	# Not in the sources of functions, whose hash decides whether they are deployed, nor in
	# prometheus.yml, which the stack contains: both are part of the golden files.
	found=$(git grep $index -noIEi -e "$phrase" -- "$@" ':(exclude)tools/words.txt' \
		':(exclude,glob)**/testdata/**' ':(exclude)LICENSE' ':(exclude)prometheus/prometheus.yml' |
		grep -vE '^functions/[a-z]+/[a-z0-9]+\.go:') || continue
	printf '%s\n' "$found" | while read -r line; do
		echo "$line: want $instead"
	done
	status=1
done <tools/words.txt
exit $status
