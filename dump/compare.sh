# Compares what was restored with what was dumped, and writes the record of the rehearsal.
facts=$(cat "$WORK/facts")
have=${facts##*verified=restored,}
if [ -e "$DUMP/expected" ]; then
	want=$(cat "$DUMP/expected")
	[ "$have" = "$want" ] || fail "restored other rows than were dumped: want $want, have $have"
fi
rows=${have#*rows=}
tables=${have#tables=}
printf '{"dump":"%s","server":%s,"tables":%s,"rows":%s,"compared":%s}\n' "$(cat "$DUMP/key")" \
	"$(cat "$DUMP/server_version")" "${tables%%,*}" "${rows%%,*}" \
	"$([ -e "$DUMP/expected" ] && echo true || echo false)" >"$WORK/record.json"
cat "$WORK/record.json"
