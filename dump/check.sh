# Restores a dump in a server of its own, which nobody else can reach, and counts its rows. DUMP is the
# folder of the dump. The result is in facts, in the form of an object's metadata. Only the task of dumps
# has LIMIT_GIB: there, a dump that cannot be restored is not an error, because it is uploaded as one.
writable "$WORK"
for file in dump server_version size roles.sql; do
	[ -s "$DUMP/$file" ] || fail "$DUMP/$file is missing or empty"
done
data=$WORK/server
rm -rf "$data" "$WORK/facts" "$WORK/counts"

facts="server=$(cat "$DUMP/server_version"),sha256=$(sha256sum "$DUMP/dump" | cut -c 1-64)"
facts="$facts,size=$(cat "$DUMP/size")"
verified() {
	echo "$facts,verified=$1${2:+,$2}" >"$WORK/facts"
}
if [ -n "${LIMIT_GIB:-}" ] && [ "$(cat "$DUMP/size")" -gt "$((LIMIT_GIB * 1024 * 1024 * 1024))" ]; then
	echo "not restored: the database is larger than backup.dump.verify_limit, $LIMIT_GIB GiB" >&2
	verified read
	exit 0
fi
free=$(($(df -Pk "$WORK" | awk 'END { print $4 }') * 1024))
[ -n "${LIMIT_GIB:-}" ] || [ "$(cat "$DUMP/size")" -lt "$free" ] ||
	fail "the database had $(cat "$DUMP/size") bytes, and this task has $free: raise backup.dump.disk"

ended() {
	status=$?
	pg_ctl --pgdata="$data" --silent --mode=immediate stop 2>/dev/null || :
	rm -rf "$data"
	[ "$status" != 0 ] && [ -n "${LIMIT_GIB:-}" ] || exit "$status"
	if [ -s "$WORK/missing" ]; then
		echo "not verified: the image lacks the extensions $(tr '\n' ' ' <"$WORK/missing"); set" \
			"backup.dump.image to one that has them" >&2
		verified read
	else
		echo "not verified: the dump could not be restored" >&2
		verified failed
	fi
	exit 0
}
: >"$WORK/missing"
trap ended EXIT

# A name that no role in the dump has. The server asks for no password, but code in the dump cannot log in as
# the superuser: dblink and postgres_fdw make no connection without a password for anybody else.
superuser='platform verification'
export PGHOST="$WORK" PGPORT=5432 PGUSER="$superuser" PGDATABASE=postgres
# Nothing of the server outlives the task, so that it need not survive a crash. Parallel queries and
# parallel builds of an index share memory in /dev/shm, which has 64 MiB on Fargate.
initdb --pgdata="$data" --username="$superuser" --auth=trust --encoding=UTF8 --no-sync >/dev/null
pg_ctl --pgdata="$data" --silent --wait --log="$WORK/server.log" --options="-c listen_addresses='' \
	-c unix_socket_directories='$WORK' -c fsync=off -c full_page_writes=off -c wal_level=minimal -c max_wal_senders=0 \
	-c max_wal_size=1GB -c autovacuum=off -c shared_buffers=128MB -c max_parallel_workers_per_gather=0 \
	-c max_parallel_maintenance_workers=0" start || fail "$(cat "$WORK/server.log")"

# A dump calls functions of the services: in constraints, indexes and bounds of partitions. Called by a superuser,
# these could start programs, which have the rights of this task. So a role that is no superuser, but a member of
# all owners, restores it. A superuser restores only schemas, extensions, rights and, last, event triggers.
loader='platform restore'
psql -Xq -v ON_ERROR_STOP=1 -c 'CREATE ROLE postgres' -c "CREATE ROLE \"$loader\" LOGIN" --file="$DUMP/roles.sql"
psql -XAtq -v ON_ERROR_STOP=1 -v loader="$loader" <<-'SQL'
	SELECT format('GRANT %I TO %I', rolname, :'loader') FROM pg_roles
		WHERE rolname !~ '^pg_' AND NOT rolsuper AND rolname <> :'loader' \gexec
SQL
createdb --owner="$loader" restored
export PGDATABASE=restored
restore() {
	pg_restore --exit-on-error --dbname=restored "$@" "$DUMP/dump"
}

# entries prints the entries of the list $1 of the kinds $2, and others those of other kinds.
entries() {
	grep -E "^[0-9]+; [0-9]+ [0-9]+ ($2) " "$1" || :
}
others() {
	grep -vE "^[0-9]+; [0-9]+ [0-9]+ ($2) " "$1" || :
}

# contents restores the list $1, in the order in which pg_restore does. For a superuser, the owner of an object
# needs no rights in its schema, nor that of a foreign server on its wrapper.
contents() {
	entries "$1" 'ACL|DEFAULT ACL' >"$1.rights"
	entries "$1" 'MATERIALIZED VIEW DATA' >"$1.views"
	entries "$1" 'EVENT TRIGGER' >"$1.events"
	others "$1" 'ACL|DEFAULT ACL|MATERIALIZED VIEW DATA|EVENT TRIGGER' >"$1.objects"
	psql -XAtq -v ON_ERROR_STOP=1 <<-'SQL' &&
		SELECT format('GRANT CREATE, USAGE ON SCHEMA %I TO PUBLIC', nspname) FROM pg_namespace
			WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' \gexec
		SELECT format('GRANT USAGE ON FOREIGN DATA WRAPPER %I TO PUBLIC', fdwname) FROM pg_foreign_data_wrapper \gexec
	SQL
		restore --use-list="$1.objects" --username="$loader" &&
		restore --use-list="$1.rights" &&
		restore --use-list="$1.views" --username="$loader" &&
		restore --use-list="$1.events"
}

restorable "$DUMP/dump" "$WORK/all" >"$WORK/list"
extensions "$WORK/list" "$WORK/missing"
[ ! -s "$WORK/missing" ] || echo "without the extensions $(tr '\n' ' ' <"$WORK/missing")" >&2
contents "$WORK/list" ||
	fail "cannot restore the dump$([ ! -s "$WORK/missing" ] || echo ", perhaps because the image lacks extensions")"
counts >"$WORK/counts"
verified restored "$(totals "$WORK/counts")"
echo "restored: $(cat "$WORK/facts")"
