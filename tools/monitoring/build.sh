#!/bin/sh
# Builds the programs of the task of Prometheus into .build/bin, for the tests that run them: the versions of the images that the
# platform runs. The first build takes about eight minutes on two cores, and downloads 220 MB of modules.
set -eu
cd "$(dirname "$0")"
root=$(cd ../.. && pwd)
mkdir -p "$root/.build/bin"

# Of Prometheus' service discoveries, only AWS's: the others would double the time. With -trimpath, the results can be used again by
# a copy of the project in another folder.
build() { go build -buildvcs=false -trimpath -ldflags=-s -tags remove_all_sd,enable_aws_sd -o "$root/.build/bin/" "$@"; }

# The module of Alertmanager lacks the built web interface that its program embeds. A copy gets an empty page in its place. Go does
# not let an overlay replace files of the module cache.
copy=$root/.build/alertmanager
go mod download github.com/prometheus/alertmanager
rm -rf "$copy"
cp -R "$(go list -m -f '{{.Dir}}' github.com/prometheus/alertmanager)" "$copy"
chmod -R u+w "$copy"
mkdir -p "$copy/ui/app/dist"
echo '<!doctype html><title>Alertmanager</title>' >"$copy/ui/app/dist/index.html"
cp go.mod "$copy.mod"
cp go.sum "$copy.sum"
go mod edit -replace "github.com/prometheus/alertmanager=$copy" "$copy.mod"

build github.com/prometheus/prometheus/cmd/promtool github.com/prometheus/prometheus/cmd/prometheus \
	github.com/prometheus-community/yet-another-cloudwatch-exporter/cmd/yace github.com/prometheus/alertmanager/cmd/amtool
build -modfile="$copy.mod" github.com/prometheus/alertmanager/cmd/alertmanager
