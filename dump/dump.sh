# Dumps the database to the file dump, which is complete or does not exist.
writable "$WORK"
rm -rf "$WORK/dump" "$WORK/dump.part"

export PGAPPNAME='platform dump'
# Versions of both programs, and what a server of its own needs to restore the dump: the names of the
# roles that own something or have rights. A role's attributes and password are not in them.
psql -XAtq -v ON_ERROR_STOP=1 -c 'SHOW server_version_num' >"$WORK/server_version"
psql -XAtq -v ON_ERROR_STOP=1 -c 'SELECT pg_database_size(current_database())' >"$WORK/size"
psql -XAtq -v ON_ERROR_STOP=1 -c "SELECT format('CREATE ROLE %I;', rolname) FROM pg_roles
	WHERE rolname !~ '^pg_' AND rolname <> 'postgres' ORDER BY 1" >"$WORK/roles.sql"

# Before version 16, pg_dump has gzip only.
case $(pg_dump --version) in
*' 14.'* | *' 15.'*) compression=4 ;;
*) compression=zstd:3 ;;
esac
# pg_dump fails on rows that row-level security hides. Those of pg_cron's jobs are not restored anyway.
psql -XAtq -v ON_ERROR_STOP=1 -c "SELECT format('--exclude-table-data=%I.%I', nspname, relname)
	FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
	JOIN pg_depend d ON classid = 'pg_class'::regclass AND objid = c.oid AND deptype = 'e'
	WHERE relrowsecurity AND NOT pg_has_role(relowner, 'USAGE')" >"$WORK/hidden"
set --
while read -r option; do
	case $option in # a name with a line break would begin another option
	--exclude-table-data=*) set -- "$@" "$option" ;;
	*) fail "want no line break in the name of a table of an extension, have $option" ;;
	esac
done <"$WORK/hidden"

# Never --enable-row-security, which leaves out the rows that the user may not see without a word.
# Waiting for a lock blocks everybody who comes after, so pg_dump gives up instead.
pg_dump --format=custom --compress="$compression" --lock-wait-timeout=60s --no-password \
	--no-publications --no-subscriptions "$@" --file="$WORK/dump.part"
# This reads and decompresses every block: the table of contents of half a file is as good as that of
# a whole one.
pg_restore --file=/dev/null "$WORK/dump.part"
mv "$WORK/dump.part" "$WORK/dump"
echo "dumped $(wc -c <"$WORK/dump") bytes of a database of $(cat "$WORK/size") bytes"
