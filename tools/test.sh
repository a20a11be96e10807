#!/bin/sh
# Runs all checks and tests, the fast ones first, and stops at the first that fails. `make test` builds the tools and runs
# this script. With CI=true, a skipped test is a failure too.
set -eu
cd "$(dirname "$0")/.."
results=.build/tests.json

formatted() {
	unformatted=$(find . \( -name node_modules -o -name cdktf.out -o -name '.?*' \) -prune -o -name '*.go' -exec gofmt -l {} +)
	[ -z "$unformatted" ] || {
		printf 'run gofmt -w on\n%s\n' "$unformatted"
		return 1
	}
}

tests() {
	# -count=1 because Go would cache results although files change that it does not track, such as those that the built
	# program reads.
	.build/bin/gotestsum --format pkgname-and-test-fails --jsonfile "$results" -- -count=1 -timeout 10m ./...
}

# Hundreds of random configurations; that the output is the same without the fast start; PostgreSQL's own static parameters;
# programs under the limits of a container.
random() {
	.build/bin/gotestsum --format standard-verbose --jsonfile "$results.random" -- -tags e2e -count=1 -timeout 10m -run '^TestRandom|^TestFastStart|^TestStatic|^TestContainersMay' \
		. ./internal/config
}

# The function that creates database users, with a real PostgreSQL of each major version; what the emulator of AWS refuses.
roles() {
	.build/bin/gotestsum --format standard-verbose --jsonfile "$results.roles" -- -tags e2e -count=1 -timeout 20m -parallel 4 ./functions/database ./internal/emulator ./internal/postgres
}

# The tests run in parallel, because they mostly wait for the AWS provider. Each step prints its time and its expected time.
# All of them take about 45 minutes. The time limit is for tests that hang, and allows for a busy machine. The tests of the
# monitoring first build its programs with low priority (tools/monitoring), the first time for about eight minutes of two cores.
end_to_end() {
	.build/bin/gotestsum --format standard-verbose --jsonfile "$results.e2e" -- -tags e2e -count=1 -timeout 60m -parallel 6 ./e2e
}

step() {
	name=$1
	shift
	echo "== $name"
	start=$(date +%s)
	status=0
	"$@" || status=$?
	seconds=$(($(date +%s) - start))
	if [ $status -ne 0 ]; then
		echo "== $name FAILED after $seconds s"
		return $status
	fi
	echo "== $name took $seconds s"
}

step gofmt formatted
step words sh tools/words.sh
# golangci-lint includes go vet and staticcheck.
step golangci-lint .build/bin/golangci-lint run ./...

rm -f "$results" "$results.random" "$results.roles" "$results.e2e"
status=0
step tests tests || status=$?
[ $status -ne 0 ] || step 'random configurations, fast start' random || status=$?
[ $status -ne 0 ] || step 'database roles' roles || status=$?
[ $status -ne 0 ] || step 'end to end' end_to_end || status=$?
for part in random roles e2e; do
	[ ! -s "$results.$part" ] || cat "$results.$part" >>"$results"
done
[ -s "$results" ] || exit 1
noskip=
[ "${CI:-}" = true ] && noskip=-noskip
.build/bin/testcount -need platform/e2e,platform/functions/database $noskip "$results" || status=1
exit $status
