#!/bin/sh
# Every check that the project has, the quick ones first; it ends at the first that fails, and names it. `make test` calls it, having
# built the tools. With CI=true a skipped test is a failure too: there, whatever can run has to.
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
	# -count=1: Go would keep the result of a test whose files it does not know, such as those that the built program reads.
	.build/bin/gotestsum --format pkgname-and-test-fails --jsonfile "$results" -- -count=1 -timeout 10m ./...
}

# What `go test` tries a little of: hundreds of random configurations, and that the fast start writes what jsii alone does.
random() {
	.build/bin/gotestsum --format standard-verbose --jsonfile "$results.random" -- -tags e2e -count=1 -timeout 10m -run '^TestRandom|^TestFastStart' . ./internal/config
}

# A real PostgreSQL, and the function that makes the roles in it.
roles() {
	.build/bin/gotestsum --format standard-verbose --jsonfile "$results.roles" -- -tags e2e -count=1 -timeout 10m ./functions/database ./internal/postgres
}

# Each test waits for AWS's provider most of the time, so they run all at once. What each part took and was expected to take goes to the
# output as it ends. All of it is expected to take 25 minutes; the limit is there for what hangs, and allows for a machine that does more.
end_to_end() {
	.build/bin/gotestsum --format standard-verbose --jsonfile "$results.e2e" -- -tags e2e -count=1 -timeout 40m -parallel 12 ./e2e
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
# golangci-lint runs go vet and staticcheck, too.
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
