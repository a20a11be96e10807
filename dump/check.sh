# Restores a dump in a server of its own, which nobody else can reach, and counts its rows. DUMP is the
# folder of the dump. The result is in facts, in the form of an object's metadata.
writable "$WORK"
for file in dump server_version roles.sql; do
	[ -s "$DUMP/$file" ] || fail "$DUMP/$file is missing or empty"
done
data=$WORK/server
rm -rf "$data" "$WORK/facts" "$WORK/counts"

facts="server=$(cat "$DUMP/server_version"),sha256=$(sha256sum "$DUMP/dump" | cut -c 1-64)"
if [ -n "${LIMIT_GIB:-}" ] && [ "$(cat "$DUMP/size")" -gt "$((LIMIT_GIB * 1024 * 1024 * 1024))" ]; then
	echo "not restored: the database is larger than backup.dump.verify_limit, $LIMIT_GIB GiB" >&2
	echo "$facts,verified=read" >"$WORK/facts"
	exit 0
fi

export PGHOST="$WORK" PGPORT=5432 PGUSER=postgres PGDATABASE=postgres
# Nothing of the server outlives the task, so that it need not survive a crash.
initdb --pgdata="$data" --username=postgres --auth=trust --encoding=UTF8 --no-sync >/dev/null
pg_ctl --pgdata="$data" --silent --wait --log="$WORK/server.log" --options="-c listen_addresses='' \
	-c unix_socket_directories='$WORK' -c fsync=off -c full_page_writes=off -c wal_level=minimal -c max_wal_senders=0 \
	-c max_wal_size=1GB -c autovacuum=off -c shared_buffers=128MB" start || fail "$(cat "$WORK/server.log")"
trap 'pg_ctl --pgdata="$data" --silent --mode=immediate stop; rm -rf "$data"' EXIT

missing=$(pg_restore --list "$DUMP/dump" | sed -n 's/^[0-9]*; [0-9]* [0-9]* EXTENSION - \([^ ]*\) *$/\1/p' |
	while read -r extension; do
		psql -XAtq -v ON_ERROR_STOP=1 -v name="$extension" <<-'SQL'
			SELECT :'name' WHERE NOT EXISTS (SELECT FROM pg_available_extensions WHERE name = :'name')
		SQL
	done | tr '\n' ' ')
if [ -n "$missing" ]; then
	[ -n "${LIMIT_GIB:-}" ] || fail "cannot restore: the image lacks the extensions $missing"
	echo "not restored: the image lacks the extensions $missing; set backup.dump.image to one that has them" >&2
	echo "$facts,verified=read" >"$WORK/facts"
	exit 0
fi

psql -Xq -v ON_ERROR_STOP=1 --file="$DUMP/roles.sql"
createdb restored
export PGDATABASE=restored
pg_restore --exit-on-error --dbname=restored "$DUMP/dump"
counts >"$WORK/counts"
echo "$facts,verified=restored,$(totals "$WORK/counts")" >"$WORK/facts"
echo "restored: $(cat "$WORK/facts")"
