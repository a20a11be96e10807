# Restores a dump into DATABASE, an empty database of the live instance. With TABLE, the database gets
# all definitions, and the rows of this table only.
case ${DATABASE:-} in
'') fail 'DATABASE is not set: run make restore' ;;
"$PGDATABASE") fail "$DATABASE is the database of the services: want another one" ;;
esac
export PGDATABASE="$DATABASE" PGAPPNAME='platform restore'
export PGOPTIONS='-c default_transaction_read_only=off'

objects=$(psql -XAtq -v ON_ERROR_STOP=1 -c "SELECT count(*) FROM pg_class
	WHERE relnamespace = 'public'::regnamespace AND relowner = 'platform_owner'::regrole")
[ "$objects" = 0 ] || fail "$DATABASE is not empty: it has $objects tables and indexes. Drop it, or choose another name"

# The database function has created the schema public, extensions and default privileges, which belong
# to the master user.
pg_restore --list "$DUMP/dump" |
	grep -Ev -e '^;|^[0-9]+; [0-9]+ [0-9]+ (DEFAULT ACL |SCHEMA - public )' \
		-e '^[0-9]+; [0-9]+ [0-9]+ (ACL|COMMENT) - (EXTENSION |SCHEMA public )' \
		>"$HOME/all" || fail "$DUMP/dump has no objects"
# An extension that the services' database no longer has is created here, if it is a trusted one.
psql -XAtq -v ON_ERROR_STOP=1 -c "SELECT ' SCHEMA - ' || nspname || ' ' FROM pg_namespace
	UNION ALL SELECT ' EXTENSION - ' || extname || ' ' FROM pg_extension" >"$HOME/exist"
grep -vFf "$HOME/exist" "$HOME/all" >"$HOME/list"
restore() {
	pg_restore --exit-on-error --no-owner --role=platform_owner --no-password --dbname="$DATABASE" "$@" "$DUMP/dump"
}
if [ -z "${TABLE:-}" ]; then
	restore --use-list="$HOME/list"
else
	table=${TABLE##*.} schema=public
	[ "$table" = "$TABLE" ] || schema=${TABLE%.*}
	restore --use-list="$HOME/list" --section=pre-data
	# The list says it too if the table does not exist: pg_restore would restore nothing.
	grep -qF "TABLE DATA $schema $table " "$HOME/list" || fail "the dump has no table $schema.$table"
	restore --data-only --schema="$schema" --table="$table"
fi

counts >"$HOME/counts"
have=$(totals "$HOME/counts")
if [ -z "${TABLE:-}" ] && [ -e "$DUMP/expected" ]; then
	want=$(cat "$DUMP/expected")
	[ "$have" = "$want" ] || fail "restored other rows than were dumped: want $want, have $have"
fi
echo "restored $DATABASE: $have"
