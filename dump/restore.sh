# Restores a dump into DATABASE, an empty database of the live instance. With TABLE, the database gets
# all definitions, and the rows of this table only.
case ${DATABASE:-} in
'') fail 'DATABASE is not set: run make restore' ;;
"$PGDATABASE") fail "$DATABASE is the database of the services: want another one" ;;
esac
# The new database is for the services of the one that was dumped, which the key says: in a database that is
# for others, this role can create nothing. OWNER is for a dump of a database that no service uses any more.
from=$(sed -n 's|^dumps/\([a-z][a-z0-9_]*\)/.*|\1|p' "$DUMP/key")
owner=${OWNER:-platform_owner${from:+_$from}}
export PGDATABASE="$DATABASE" PGAPPNAME='platform restore'
export PGOPTIONS="$PGOPTIONS -c default_transaction_read_only=off -c role=$owner"

objects=$(psql -XAtq -v ON_ERROR_STOP=1 -c "SELECT count(*) FROM pg_class
	WHERE relnamespace = 'public'::regnamespace AND relowner = '$owner'::regrole")
[ "$objects" = 0 ] ||
	fail "$DATABASE is not empty: it has $objects tables and indexes. Drop it, or choose another name"

# What could not be restored to verify it is restored as far as possible.
strict=--exit-on-error left=
case $(cat "$DUMP/key") in
*.failed.dump) strict= ;;
esac
restore() {
	pg_restore $strict --no-owner --role="$owner" --no-password --dbname="$DATABASE" "$@" "$DUMP/dump"
}

# The database function has created the schema public, extensions and default privileges, which belong
# to the master user.
list=$HOME/list
restorable "$DUMP/dump" "$HOME/all" >"$HOME/restorable"
sed -E '/^[0-9]+; [0-9]+ [0-9]+ (DEFAULT ACL |SCHEMA - public |(ACL|COMMENT) - SCHEMA public )/d' \
	"$HOME/restorable" >"$HOME/wanted"
psql -XAtq -v ON_ERROR_STOP=1 -c "SELECT ' SCHEMA - ' || nspname || ' ' FROM pg_namespace
	UNION ALL SELECT ' EXTENSION - ' || extname || ' ' FROM pg_extension" >"$HOME/exist"
grep -vFf "$HOME/exist" "$HOME/wanted" >"$list" || echo "the dump has no objects"
# An extension that the services' database no longer has is created here, if it is a trusted one.
extensions "$list" "$HOME/missing"
[ ! -s "$HOME/missing" ] || echo "without the extensions $(tr '\n' ' ' <"$HOME/missing")" >&2

# grants sets the rights and policies in the list $1, statement by statement: those of a role that no
# longer exists are left out.
grants() {
	pg_restore --no-owner --role="$owner" --use-list="$1" --file="$HOME/grants.sql" "$DUMP/dump"
	# What others than the owner have granted is granted by the owner.
	sed '/^SET client_min_messages/d; /^\(RE\)\{0,1\}SET SESSION AUTHORIZATION/d' "$HOME/grants.sql" >"$HOME/owner.sql"
	PGOPTIONS="$PGOPTIONS -c client_min_messages=error" \
		psql -Xq -v VERBOSITY=verbose --output=/dev/null --file="$HOME/owner.sql" 2>"$HOME/errors" ||
		fail "$(cat "$HOME/errors")"
	absent='^psql:.*:  *42704: '
	sed -n "s/$absent/left out, without the role: /p" "$HOME/errors" | sort | uniq -c
	grep '^psql:' "$HOME/errors" | grep -v "$absent" >"$HOME/serious" || return 0
	cat "$HOME/serious" >&2
	[ -z "$strict" ] || fail 'cannot set rights or policies'
	left=1
}

rights='^[0-9]*; [0-9]* [0-9]* \(ACL\|POLICY\) '
if [ -z "${TABLE:-}" ]; then
	sed "/$rights/d" "$list" >"$HOME/objects"
	sed -n "/$rights/p" "$list" >"$HOME/rights"
	restore --use-list="$HOME/objects" || { [ -z "$strict" ] && left=1; }
	grants "$HOME/rights"
else
	table=${TABLE##*.} schema=public
	[ "$table" = "$TABLE" ] || schema=${TABLE%.*}
	restore --use-list="$list" --section=pre-data || [ -z "$strict" ]
	# The rows of a partitioned table are in its partitions.
	psql -XAtq -v ON_ERROR_STOP=1 -v schema="$schema" -v table="$table" >"$HOME/tables" <<-'SQL'
		SELECT ' TABLE DATA ' || nspname || ' ' || relname || ' ' FROM pg_class c
			JOIN pg_namespace n ON n.oid = relnamespace
			WHERE c.oid IN (SELECT to_regclass(format('%I.%I', :'schema', :'table'))
				UNION SELECT relid FROM pg_partition_tree(to_regclass(format('%I.%I', :'schema', :'table'))))
	SQL
	# The list says it too if the table does not exist: pg_restore would restore nothing.
	[ -s "$HOME/tables" ] && grep -Ff "$HOME/tables" "$list" >"$HOME/rows" ||
		fail "the dump has no table $schema.$table"
	restore --data-only --use-list="$HOME/rows" || { [ -z "$strict" ] && left=1; }
fi

counts >"$HOME/counts"
have=$(totals "$HOME/counts")
if [ -z "${TABLE:-}" ] && [ -e "$DUMP/expected" ]; then
	want=$(cat "$DUMP/expected")
	[ "$have" = "$want" ] || fail "restored other rows than were dumped: want $want, have $have"
fi
echo "restored $DATABASE: $have"
[ -z "$left" ] || fail "not all of the dump could be restored: see the errors above"
